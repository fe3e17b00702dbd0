"""What is taken for a sum of functions of one modality each, from the operations that were run."""

import pytest
import torch
from torch.nn import functional as F

from counterpoise.engine.separability import is_sum

torch.manual_seed(0)
X, Y, W, C = torch.randn(7, 3), torch.randn(7, 3), torch.randn(3, 3), torch.ones(7, 3)
NUMBERS = torch.tensor([2, 0, 1, 2, 2, 1, 0])  # of Y, such as ids
ORDER = torch.tensor([6, 5, 4, 3, 2, 1, 0])
MASK = torch.arange(21).view(7, 3) % 2 == 0


def multiplied_in_place(x, y):
    z = x.clone()
    z *= y
    return z + y


def multiplied_in_a_list(x, y, factor):
    z = x.clone()
    torch._foreach_mul_([z], [factor])
    return z + y * C


def decided(x, y):
    return x + y if x.sum() > 0 else x + 2 * y


def compared(x, y):
    return x + y if torch.equal(x, x) else x


SUMS = {
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: x - 2 * y,
    "in place": lambda x, y: x.clone().add_(y, alpha=3),
    "functions of one": lambda x, y: x.tanh() * x + y.exp() / y,
    "concatenation": lambda x, y: F.linear(torch.cat([x, y], dim=1), torch.cat([W, W], dim=1)),
    "a product with a constant": lambda x, y: W.new_tensor(2.0) * (x + y) @ W,
    "a constant times": lambda x, y: C * (x + y),
    "a quotient": lambda x, y: (x + y) / (C + 1),
    "a matrix added": lambda x, y: torch.addmm(x, y, W) + torch.addmm(y, x @ W, W),
    "a mean": lambda x, y: torch.stack([x, y]).mean(dim=0),
    "a choice": lambda x, y: torch.where(MASK, x + y, 0.0),
    "rows by constants": lambda x, y: (x + y)[ORDER],
    "batch-norm by its own statistics": lambda x, y: F.batch_norm(
        x + y, torch.zeros(3), torch.ones(3), training=False
    ),
    "a list multiplied": lambda x, y: multiplied_in_a_list(x, y, C),
}

NO_SUMS = {
    "product": lambda x, y: x * y,
    "in place": multiplied_in_place,
    "in a list": lambda x, y: multiplied_in_a_list(x, y, y),
    "a function of both": lambda x, y: (x + y).tanh(),
    "and once more a sum": lambda x, y: (x * y) + y,
    "a quotient": lambda x, y: x / y,
    "the inverse": lambda x, y: C / (x + y),
    "a matrix by the other": lambda x, y: x @ y.T,
    "a matrix added": lambda x, y: torch.addmm(C @ W, x, y.T @ x),
    "the larger": torch.maximum,
    "chosen by the other": lambda x, y: torch.where(y > 0, x, C),
    "rows by the other": lambda x, y: (x + y)[NUMBERS],
    "batch-norm over the batch": lambda x, y: F.batch_norm(x + y, None, None, training=True),
    "of one alone": lambda x, y: x + x.tanh(),
    "of a constant": lambda x, y: C + 1,
    "written over": lambda x, y: (x * y).mul_(0.5).add_(x),
    "decided by a number": decided,
    "decided by a comparison": compared,
}


@torch.no_grad()
@pytest.mark.parametrize("name", SUMS)
def test_sums_are_told(name):
    marked = {0: X.clone(), 1: (Y.clone(),)}
    assert is_sum(lambda: SUMS[name](marked[0], marked[1][0]), marked)


@torch.no_grad()
@pytest.mark.parametrize("name", NO_SUMS)
def test_what_may_be_none_is_not_taken_for_a_sum(name):
    marked = {0: X.clone(), 1: (Y.clone(), NUMBERS)}
    assert not is_sum(lambda: NO_SUMS[name](marked[0], marked[1][0]), marked)
