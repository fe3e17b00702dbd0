"""A wrapped model can be copied, pickled and averaged, and the copy is independent."""

import pickle
from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

import counterpoise as cp
from support.networks import MaxOut, batch
from support.wrapping import LEVELS, assert_same, gradients, wrap


def own_score(logits, target):
    return F.cross_entropy(logits, target, reduction="none")


def step(balanced, seed=0):
    inputs, target = batch(3, 7, seed=seed, dtype=torch.float32)
    out = balanced(**inputs, target=target)
    out.loss.backward()
    return out


@pytest.mark.parametrize("copy", [deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
@pytest.mark.parametrize("score", [None, cp.scores.CrossEntropy(1e-6), own_score])
@pytest.mark.parametrize("level", LEVELS)
def test_a_copy_goes_on_alike_and_apart(level, score, copy):
    torch.manual_seed(5)
    balanced = wrap(MaxOut(3), level, score=score)
    step(balanced)
    twin = copy(balanced)
    balanced.zero_grad()
    twin.zero_grad()
    state = deepcopy(balanced.state_dict())
    theirs = step(twin, seed=1)
    assert_same(balanced.state_dict(), state)
    assert all(g is None for g in gradients(balanced).values())
    ours = step(balanced, seed=1)
    assert torch.equal(ours.coefficients, theirs.coefficients)
    assert_same(balanced.state_dict(), twin.state_dict())
    assert_same(gradients(balanced), gradients(twin))


def test_a_wrapped_model_may_be_averaged():
    torch.manual_seed(5)
    balanced = wrap(MaxOut(3))
    averaged = AveragedModel(balanced)
    step(balanced)
    averaged.update_parameters(balanced)
    assert torch.equal(averaged.module.model.head.weight, balanced.model.head.weight)
