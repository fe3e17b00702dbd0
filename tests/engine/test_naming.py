"""The modality that is broken is the one that is named, whatever its encoder is made of."""

import pytest
import torch

from support.networks import Late, batch
from support.processes import ROWS, work
from support.two_processes import run_in_two
from support.wrapping import LEVELS, wrap


@pytest.mark.parametrize("name", ["ear", "eye", "hand"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_broken_modality_is_named_also_when_it_breaks_batch_norm(level, name):
    """Its NaN enter the running statistics, so that every coalition is NaN from then on."""
    torch.manual_seed(5)
    balanced = wrap(Late(3), level)
    inputs, target = batch(3, 7, dtype=torch.float32)
    balanced(**inputs, target=target)
    inputs[name][3, 1] = float("nan")
    balanced(**inputs, target=target)
    with pytest.raises(FloatingPointError, match=f"modality '{name}'.* at step 1"):
        balanced.method.check()


def test_a_modality_that_is_broken_in_one_process_is_named_in_all(tmp_path):
    options = {"lr": 0.0, "broken": True}
    arguments = (str(tmp_path), "inputs", [ROWS // 2] * 2, torch.float64, options)
    run_in_two(work, *arguments)
    for rank in range(2):
        complaint = torch.load(tmp_path / f"{rank}.pt")["complaint"]
        assert "modality 'eye'" in complaint, (rank, complaint)
