"""Gradients that are not finite where a modality is absent are refused before they do harm."""

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.engine import finite_gradients
from zoo.kinds import CLASSES, TWO, WIDTH, Wired, towers, vectors
from zoo.refusals import LEVELS, REPLAYING, assert_refuses, attempt, wrap


class Unit(nn.Module):
    """Scales rows to unit length by hand, as retrieval models have it.

    Args:
        least: Added under the root.
    """

    def __init__(self, least=0.0):
        super().__init__()
        self.least = least

    def forward(self, x):
        return x / ((x.square().sum(dim=1, keepdim=True) + self.least).sqrt() + 1e-8)


class Angles(nn.Module):
    """Maps features without bias and makes their length one."""

    def __init__(self, *scales):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(WIDTH, 4, bias=False) for _ in scales)
        self.scales, self.head = nn.ModuleList(scales), nn.Linear(4 * len(scales), CLASSES)

    def forward(self, *features):
        pairs = zip(self.maps, self.scales, features, strict=True)
        return self.head(torch.cat([scale(m(f)) for m, scale, f in pairs], dim=1))


def model(*scales, bias=True):
    torch.manual_seed(5)
    names = ("ear", "eye", "hand")[: len(scales)]
    encoders = towers(names, lambda size: nn.Linear(size, WIDTH, bias=bias))
    return Wired(encoders, Angles(*scales))


def step(network, level, method=None):
    names = tuple(network.encoders)
    balanced, (inputs, target, _) = (
        wrap(network, level, names=names, method=method),
        vectors(names)(0),
    )
    out = balanced(**inputs, target=target)
    out.loss.backward()
    return [p.grad for p in network.parameters()]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("scales", [(Unit(1e-9), Unit()), (Unit(1e-9), Unit(), Unit(1e-9))])
def test_the_modality_and_the_parameter_are_named(level, scales):
    network = model(*scales, bias=False)
    words = (
        "modality 'eye' is absent",
        "'encoders.eye.weight' with it absent",
        "`absence.Noise()`",
    )
    assert_refuses(lambda: step(network, level), *words)
    assert all(p.grad is None for p in network.parameters())
    assert all(p.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("level", REPLAYING)
def test_features_at_zero_are_looked_at_where_a_method_goes_backward_through_them(level):
    words = ("modality 'eye' is absent", "'rest.maps.1.weight' with its features at zero")
    network = model(Unit(1e-9), Unit())
    assert_refuses(lambda: step(network, level, cp.UnimodalLoss()), *words, "heads of its own")
    assert all(g.isfinite().all() for g in step(model(Unit(), Unit()), level))  # absent: a bias


@pytest.mark.parametrize("level", REPLAYING)
@pytest.mark.parametrize(
    "method", [cp.Joint, cp.OGM, lambda: cp.UnimodalLoss(heads="linear"), lambda: cp.AGM(0.7)]
)
def test_what_has_a_finite_gradient_is_trained(level, method):
    scale = 1e-9 if isinstance(method(), cp.AGM) else 0.0
    gradients = step(model(Unit(scale), Unit(scale), bias=False), level, method())
    assert all(g.isfinite().all() for g in gradients)


def test_evaluation_before_training_needs_no_gradient_and_spares_no_check():
    network = model(Unit(1e-9), Unit(), bias=False)
    balanced, (inputs, target, _) = wrap(network, "shared"), vectors()(0)
    assert balanced.eval().respond(**inputs).responses.isfinite().all()
    assert_refuses(lambda: balanced.train()(**inputs, target=target), "modality 'eye' is absent")


def test_a_model_whose_own_gradient_is_not_finite_is_not_told_of_absence():
    network = model(Unit(1e-9), Unit(), bias=False)
    nn.init.zeros_(network.encoders["eye"].weight)
    gradients, refusal = attempt(lambda: step(network, "shared"))
    assert refusal is None
    assert not all(g.isfinite().all() for g in gradients)


def test_several_processes_do_not_look(monkeypatch):
    monkeypatch.setattr(finite_gradients, "is_distributed", lambda: True)
    network = model(Unit(1e-9), Unit(), bias=False)
    assert not all(g.isfinite().all() for g in step(network, "shared"))


def test_a_model_that_fails_says_so_in_the_step():
    class Fails(Angles):
        def forward(self, *features):
            if torch.is_grad_enabled():
                raise RuntimeError("not today")
            return super().forward(*features)

    network = Wired(towers(TWO), Fails(Unit(), Unit()))
    with pytest.raises(RuntimeError, match="not today"):
        step(network, "shared")
