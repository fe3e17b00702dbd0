"""Processes of a group agree on what is concluded of a model, though each sees its own data."""

import pytest
import torch

from support.two_processes import run_in_two
from zoo.processes import STEPS, work

NAMES = ("mask-behind", "cap-reached-later", "active-with-own-weights", "centred-over-the-batch")


@pytest.mark.parametrize("level", ["features", "shared"])
def test_processes_make_the_same_passes_and_right_values(tmp_path, level):
    run_in_two(work, str(tmp_path), NAMES, level)
    ours, theirs = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name in NAMES:
        assert len(ours[name]) == STEPS
        for step, (mine, others) in enumerate(zip(ours[name], theirs[name], strict=True)):
            assert mine[0] == others[0], f"{name}, step {step}: passes"
            assert max(mine[1], others[1]) < 1e-9, f"{name}, step {step}: responses"
