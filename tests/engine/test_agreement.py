"""Processes of a group agree on what is concluded of a model, though each sees its own data."""

import pytest
import torch

from counterpoise.engine import runner
from support.networks import Late, batch
from support.two_processes import run_in_two
from support.wrapping import wrap
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


@pytest.mark.parametrize(
    ("flag", "fact", "value"),
    [(0, "batched", False), (1, "reads_inputs", True), (2, "separable", False)],
)
def test_what_another_process_has_found_holds_here_too(flag, fact, value, monkeypatch):
    """Another process is stood in for, which raises one flag of those that are sent around."""

    def sent_around(flags, op, group):
        assert op == torch.distributed.ReduceOp.MAX
        if len(flags) > 3:  # of findings
            flags[flag] = 1

    torch.manual_seed(5)
    alone, beside = (wrap(Late(3, norm=False).double(), "shared") for _ in range(2))
    inputs, target = batch(3, 7)
    alone(**inputs, target=target)
    assert getattr(alone.runner.facts, fact) is not value
    monkeypatch.setattr(runner, "is_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", sent_around)
    beside(**inputs, target=target)
    assert getattr(beside.runner.facts, fact) is value
