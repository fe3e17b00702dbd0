"""What the operations that were run show of logits: sums over modalities, inputs that count."""

import pytest
import torch
from torch.nn import functional as F

from counterpoise.engine.separability import structure

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
    x, y = X.clone(), Y.clone()
    assert structure(lambda: SUMS[name](x, y), {0: x, 1: (y,)}, {}).is_sum


@torch.no_grad()
@pytest.mark.parametrize("name", NO_SUMS)
def test_what_may_be_none_is_not_taken_for_a_sum(name):
    x, y = X.clone(), Y.clone()
    assert not structure(lambda: NO_SUMS[name](x, y), {0: x, 1: (y,)}, {1: NUMBERS}).is_sum


def unless_some(feature, x):
    return feature * 2 if (x == -1).any() else feature


def in_numpy(feature, x):
    return feature * float(x.numpy().max())


def written_into(feature, x):
    feature = feature.clone()
    feature[x == -999] = 0
    return feature


READING = {
    "added": lambda feature, x: feature + x,
    "a mark that no batch has held": lambda feature, x: feature.masked_fill(x == -999, 0),
    "rows that are there": lambda feature, x: feature[(x != -1).all(dim=1)],
    "a branch": unless_some,
    "numbers elsewhere": in_numpy,
    "in place": written_into,
}

NOT_READING = {
    "features alone": lambda feature, x: feature.tanh(),
    "made ready for the encoder": lambda feature, x: (feature, (x - 3).relu())[0],
    "its shape": lambda feature, x: feature + torch.zeros_like(x) + x.new_ones(len(x), 3),
    "a branch on features": lambda feature, x: feature if feature.max() > 0 else 2 * feature,
}


@torch.no_grad()
@pytest.mark.parametrize("name", READING)
def test_inputs_that_reach_the_logits_or_a_decision_are_told(name):
    feature, x = X.clone(), Y.clone()
    assert structure(lambda: READING[name](feature, x), {0: feature}, {0: x}).of_inputs


@torch.no_grad()
@pytest.mark.parametrize("name", NOT_READING)
def test_inputs_that_reach_neither_are_none_to_copy(name):
    feature, x = X.clone(), Y.clone()
    assert not structure(lambda: NOT_READING[name](feature, x), {0: feature}, {0: x}).of_inputs
