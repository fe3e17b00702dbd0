"""What a model is tried with in place of its weights, features and other inputs."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterpoise.engine.probes import (
    first_row_spoilt,
    other_values,
    poisoned,
    random_like,
    random_rest,
)

SETUP = SimpleNamespace(encoders={"ear": "ear"})


class Mixed(nn.Module):
    """Parameters and buffers of several kinds beside an encoder."""

    def __init__(self):
        super().__init__()
        self.ear, self.earlier = nn.Linear(3, 5), nn.Linear(400, 50)
        self.norm = nn.BatchNorm1d(500).double()
        self.coarse = nn.Parameter(torch.zeros(3, dtype=torch.float16))
        self.none, self.scalar = nn.Parameter(torch.zeros(0)), nn.Parameter(torch.zeros(()))
        self.matrices = nn.Parameter(torch.zeros(2, 30, 30))


def test_random_weights_leave_encoders_alone_and_keep_what_is_computed_with_of_size_one():
    torch.manual_seed(0)
    model = Mixed()
    found = random_rest(SETUP, model)
    norm = {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    assert set(found) == {"earlier.weight", "earlier.bias", "scalar", "matrices"} | norm
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert all((v.shape, v.dtype) == (named[k].shape, named[k].dtype) for k, v in found.items())
    # Of 1 / sqrt(fan in) for what has rows; 1 / 2 for what has none.
    assert found["earlier.weight"].std().item() == pytest.approx(0.05, rel=0.05)
    assert found["matrices"].std().item() == pytest.approx(1 / 30, rel=0.1)
    assert found["norm.weight"].std().item() == pytest.approx(0.5, rel=0.1)
    assert 0 < found["norm.running_var"].min() < found["norm.running_var"].max() < 1


def test_random_features_have_the_size_that_is_asked_for_and_integers_stay():
    torch.manual_seed(0)
    counts = torch.arange(7)
    found = random_like({2: (torch.zeros(400, 5), counts)}, 3.0)
    assert list(found) == [2]
    assert found[2][0].std().item() == pytest.approx(3.0, rel=0.1)
    assert torch.equal(found[2][1], counts)
    assert found[2][1] is not counts


def test_other_values_are_of_the_same_kind():
    torch.manual_seed(0)
    normal = other_values(torch.ones(2000, dtype=torch.float64))
    assert normal.dtype == torch.float64
    assert (normal.mean().item(), normal.std().item()) == pytest.approx((0, 1), abs=0.1)
    coins = other_values(torch.ones(2000, dtype=torch.bool))
    assert coins.dtype == torch.bool
    assert coins.double().mean().item() == pytest.approx(0.5, abs=0.05)
    numbers = other_values(torch.full((2000,), 7))
    assert numbers.unique().tolist() == [0, 7]
    assert numbers.double().mean().item() == pytest.approx(3.5, abs=0.3)


def test_nan_and_large_numbers_are_put_into_floating_point_numbers_alone():
    values, counts = torch.ones(3, 2), torch.ones(3, dtype=torch.int64)
    assert poisoned(values).isnan().all()
    assert poisoned(counts) is counts
    spoilt = first_row_spoilt(1e6, values)
    assert torch.equal(spoilt.abs(), torch.tensor([[1e6] * 2, [1.0] * 2, [1.0] * 2]))
    assert torch.equal(first_row_spoilt(1e6, counts), counts)
    assert torch.equal(values, torch.ones(3, 2))
