"""Two processes under DDP: one set of coefficients, and the gradients of the joined batch."""

import pytest
import torch

import counterpoise as cp
from support.processes import ROWS, network, train, work
from support.two_processes import run_in_two
from support.wrapping import wrap

CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def run(tmp_path, level, cuts, dtype=torch.float64, **options):
    """Train in two processes, the first with the rows before the cuts; return their steps."""
    arguments = (str(tmp_path), level, cuts, dtype, options)
    run_in_two(work, *arguments)
    return [torch.load(tmp_path / f"{rank}.pt")["steps"] for rank in range(2)]


def alone(level, num_steps, dtype=torch.float64, **options):
    """Train in this process on the joined batches."""
    balanced = wrap(network(dtype), level, cp.AGM(alpha=1.7, clamp=10.0))
    return train(balanced, balanced, [slice(None)] * num_steps, **options)["steps"]


def assert_one_set_of_coefficients(ours, theirs, joined, close=CLOSE):
    for key in ("scores", "coefficients", "running"):
        assert torch.equal(ours[key], theirs[key]), key
        torch.testing.assert_close(ours[key], joined[key], **close)
    assert joined["coefficients"].ne(1).all()


def assert_one_set_of_gradients(ours, theirs, joined, close=CLOSE):
    for name, expected in joined["gradients"].items():
        assert torch.equal(ours["gradients"][name], theirs["gradients"][name]), name
        torch.testing.assert_close(ours["gradients"][name], expected, **close)


@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, CLOSE), (torch.float32, {"rtol": 1e-4, "atol": 1e-6})]
)
def test_equal_halves_train_as_the_joined_batch(dtype, close, tmp_path):
    """In single precision the inspection puts other parameters in place for a while."""
    steps = run(tmp_path, "inputs", [ROWS // 2] * 3, dtype, lr=0.3)
    for ours, theirs, joined in zip(*steps, alone("inputs", 3, dtype, lr=0.3), strict=True):
        assert_one_set_of_coefficients(ours, theirs, joined, close)
        assert_one_set_of_gradients(ours, theirs, joined, close)


def test_unequal_and_empty_parts_are_weighed_by_their_samples(tmp_path):
    # Without a step of the optimiser: DDP itself weighs the gradients of unequal parts alike.
    steps = run(tmp_path, "shared", [ROWS // 2, 3, ROWS], lr=0.0)
    for ours, theirs, joined in zip(*steps, alone("shared", 3, lr=0.0), strict=True):
        assert_one_set_of_coefficients(ours, theirs, joined)
        assert all(g.isfinite().all() for g in ours["gradients"].values())
