"""Containers and layouts that PyTorch does not know, or knows to be peculiar."""

import warnings
from collections import UserDict
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from zoo.kinds import ROWS, WIDTH, Wired, head, mlp, vectors
from zoo.refusals import (
    CLOSE,
    LEVELS,
    REPLAYING,
    assert_refuses,
    assert_same_step,
    attempt,
    made,
    wrap,
)


@dataclass
class Plain:
    """A container that PyTorch does not know."""

    pooled: torch.Tensor


class Packing(nn.Module):
    """An encoder that returns its feature in a container."""

    def __init__(self, size, pack):
        super().__init__()
        self.layers, self.pack = mlp(size), pack

    def forward(self, x):
        return self.pack(self.layers(x))


class Unpacking(nn.Module):
    unpack: ClassVar = {
        "Plain": lambda feature: feature.pooled,
        "UserDict": lambda feature: feature["pooled"],
    }

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, *features):
        return self.rest(*[self.unpack[type(f).__name__](f) for f in features])


def user_dict(tensor):
    return UserDict(pooled=tensor)


@pytest.mark.parametrize("pack", [Plain, user_dict])
@pytest.mark.parametrize("level", REPLAYING)
def test_features_in_a_container_that_pytorch_does_not_know_are_refused_by_its_name(level, pack):
    encoders = {"ear": Packing(5, pack), "eye": Packing(11, pack)}
    balanced = wrap(Wired(encoders, Unpacking()), level)
    inputs, target, _ = vectors()(0)
    name = type(pack(target)).__name__
    assert_refuses(lambda: balanced(**inputs, target=target), name, "encoder")


@pytest.mark.parametrize("pack", [Plain, user_dict])
def test_such_features_are_no_trouble_where_none_are_replayed(pack):
    encoders = {"ear": Packing(5, pack), "eye": Packing(11, pack)}
    balanced = wrap(Wired(encoders, Unpacking()), "inputs")
    inputs, target, _ = vectors()(0)
    out = balanced(**inputs, target=target)
    torch.testing.assert_close(out.responses.sum(dim=0), out.logits, **CLOSE)


@pytest.mark.parametrize("pack", [Plain, user_dict])
@pytest.mark.parametrize("level", LEVELS)
def test_a_modality_in_a_container_that_pytorch_does_not_know_is_refused_by_its_name(level, pack):
    balanced = wrap(made(head), level)
    inputs, target, _ = vectors()(0)
    inputs["ear"] = pack(inputs["ear"])
    assert_refuses(lambda: balanced(**inputs, target=target), type(inputs["ear"]).__name__, "'ear'")


class SparseMean(nn.Module):
    """A linear map of sparse rows."""

    def __init__(self):
        super().__init__()
        self.weight, self.out = nn.Parameter(torch.randn(5, WIDTH)), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.out(torch.tanh(x @ self.weight))


@pytest.mark.parametrize("level", LEVELS)
def test_sparse_modalities_are_right_or_refused_by_name(level):
    torch.manual_seed(5)
    model = Wired({"ear": SparseMean(), "eye": mlp(11)}, head())
    whole = wrap(deepcopy(model), "inputs")
    balanced = wrap(model, level)
    inputs, target, _ = vectors()(0)
    sparse = {**inputs, "ear": inputs["ear"].relu().to_sparse()}
    dense = {**inputs, "ear": inputs["ear"].relu()}
    assert_same_or_refused(balanced, sparse, whole, dense, target, "sparse")


class Ragged(nn.Module):
    """The mean over the steps of each row of a nested tensor."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, WIDTH)

    def forward(self, x):
        padded = torch.nested.to_padded_tensor(x, 0.0) if x.is_nested else x
        return torch.tanh(self.layer(padded)).mean(dim=1)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
@pytest.mark.parametrize("level", LEVELS)
def test_nested_tensors_are_right_or_refused_by_name(level, layout):
    torch.manual_seed(5)
    model = Wired({"ear": Ragged(), "eye": mlp(11)}, head())
    whole = wrap(deepcopy(model), "inputs")
    balanced = wrap(model, level)
    inputs, target, _ = vectors()(0)
    rows = [torch.randn(1 + i % 3, 5) for i in range(ROWS)]
    nested = {**inputs, "ear": nested_tensor(rows, layout)}
    dense = {**inputs, "ear": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)}
    assert_same_or_refused(balanced, nested, whole, dense, target, "nested")


def nested_tensor(rows, layout):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*nested tensors.*prototype")
        return torch.nested.nested_tensor(rows, layout=layout)


def assert_same_or_refused(balanced, given, whole, dense, target, word):
    out, refusal = attempt(lambda: balanced(**given, target=target))
    if refusal is None:
        assert_same_step((balanced, out), (whole, whole(**dense, target=target)))
    else:
        assert word in refusal
