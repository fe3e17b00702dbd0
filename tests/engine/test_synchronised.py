"""Batch-norm whose statistics are those of all processes, in every coalition of two of them."""

import pytest
import torch

import counterpoise as cp
from support.processes import ROWS
from support.synchronised import network, trained, work
from support.two_processes import run_in_two
from support.wrapping import wrap

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def run(folder, level, cuts, lr):
    """Return what two processes came to, and this one on the joined batches."""
    run_in_two(work, str(folder), level, cuts, lr)
    balanced = wrap(network(), level, cp.AGM(alpha=1.7), statistics="batch")
    joined = trained(balanced, balanced, [slice(None)] * len(cuts), lr)
    return [*(torch.load(folder / f"{rank}.pt") for rank in range(2)), joined]


@pytest.mark.parametrize("level", ["inputs", "features", "shared"])
def test_two_processes_train_as_one_on_the_joined_batch(level, tmp_path):
    *parts, joined = run(tmp_path, level, [ROWS // 2] * 3, lr=0.3)
    for part in parts:
        for found, expected in zip(part["steps"], joined["steps"], strict=True):
            torch.testing.assert_close(found, expected, **CLOSE)
        torch.testing.assert_close(part["buffers"], joined["buffers"], **CLOSE)
    assert joined["steps"][-1]["coefficients"].ne(1).all()


def test_unequal_parts_are_normalised_as_one(tmp_path):
    # Without a step of the optimiser: DDP itself weighs the gradients of unequal parts alike.
    *parts, joined = run(tmp_path, "shared", [3, 9, 1], lr=0.0)
    for part in parts:
        for found, expected in zip(part["steps"], joined["steps"], strict=True):
            for key in ("scores", "coefficients", "running"):
                torch.testing.assert_close(found[key], expected[key], **CLOSE)
        torch.testing.assert_close(part["buffers"], joined["buffers"], **CLOSE)
