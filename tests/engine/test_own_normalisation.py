"""Normalisation layers that are not called as PyTorch's own examples call them."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

import counterpoise as cp
from zoo.judging import PRECISIONS, judge
from zoo.kinds import (
    CLASSES,
    ROWS,
    WIDTH,
    Concat,
    Kind,
    Wired,
    draw,
    head,
    mlp,
    paths,
    vectors,
    wired,
)
from zoo.refusals import LEVELS, REPLAYING, assert_refuses, assert_same_step


def assert_right(kind, level):
    assert judge(kind, level, PRECISIONS["float64"], num_steps=3) == "right"


class Ghost(nn.Module):
    """Normalises four rows at a time."""

    def __init__(self, size):
        super().__init__()
        self.norm = nn.BatchNorm1d(size)

    def forward(self, x):
        return torch.cat([self.norm(part) for part in x.chunk(math.ceil(len(x) / 4))])


def ghost_encoder(size):
    return nn.Sequential(nn.Linear(size, 8), Ghost(8), nn.Tanh(), nn.Linear(8, WIDTH))


def ghost_rest():
    return Concat(nn.Linear(2 * WIDTH, 9), Ghost(9), nn.Tanh(), nn.Linear(9, CLASSES))


@pytest.mark.parametrize("level", REPLAYING)
@pytest.mark.parametrize("kind", [wired(head, make=ghost_encoder), wired(ghost_rest)])
def test_a_layer_that_normalises_a_few_rows_at_a_time(kind, level):
    assert_right(kind, level)


class OfDomains(nn.Module):
    """Normalises the rows of each domain by themselves, where there is more than one."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(2 * WIDTH) for _ in range(2))
        self.out = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, *features, domain):
        x = torch.cat(features, dim=1)
        normalised = torch.zeros_like(x)
        for number, norm in enumerate(self.norms):
            rows = domain == number
            if rows.sum() > 1:
                normalised[rows] = norm(x[rows])
        return self.out(normalised.tanh())


def domains(step):
    """Draw batches in which the second domain has all rows, all and one."""
    drawn = vectors()(step)
    domain = torch.arange(ROWS) < (ROWS, ROWS, 1)[step]
    return drawn._replace(others={"domain": domain.long()})


@pytest.mark.parametrize("level", LEVELS)
def test_a_layer_that_is_called_where_there_are_rows_enough(level):
    assert_right(wired(OfDomains, batch=domains), level)


class Guarded(nn.Module):
    """Leaves out its batch-norm for a single row, of which it could not normalise anything."""

    def __init__(self, size):
        super().__init__()
        self.linear, self.norm, self.out = nn.Linear(size, 8, bias=False), nn.BatchNorm1d(8), mlp(8)

    def forward(self, x):
        x = self.linear(x)
        return self.out(self.norm(x) if len(x) > 1 else x)


@pytest.mark.parametrize("level", LEVELS)
def test_a_layer_that_is_left_out_for_a_single_row(level):
    assert_right(wired(head, make=Guarded), level)


class FrozenWithin(nn.Module):
    """Puts its batch-norm in eval mode each time it runs."""

    def __init__(self, size):
        super().__init__()
        self.linear, self.norm, self.out = nn.Linear(size, 8), nn.BatchNorm1d(8), mlp(8)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x):
        self.norm.eval()
        return self.out(self.norm(self.linear(x)))


@pytest.mark.parametrize("level", LEVELS)
def test_a_layer_that_the_model_freezes_while_it_runs(level):
    assert_right(wired(head, make=FrozenWithin), level)


class ChangedAfter(nn.Module):
    """Changes in place what its batch-norm was given."""

    def __init__(self, size):
        super().__init__()
        self.linear, self.norm, self.out = nn.Linear(size, 8), nn.BatchNorm1d(8), mlp(8)

    def forward(self, x):
        hidden = self.linear(x)
        normalised = self.norm(hidden)
        return self.out(normalised + hidden.add_(1.0).relu_())


class WithoutGradient(nn.Module):
    """Runs one encoder without gradient."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = mlp(5), ChangedAfter(11), head()

    def forward(self, ear, eye):
        with torch.no_grad():
            seen = self.eye(eye)
        return self.rest(self.ear(ear), seen)


@pytest.mark.parametrize("level", LEVELS)
def test_an_input_of_a_layer_that_is_changed_in_place_without_gradient(level):
    assert_right(Kind(WithoutGradient, vectors(), {"ear": "ear", "eye": "eye"}), level)


class StepsBeforeChannels(nn.BatchNorm1d):
    """Takes (B, T, C)."""

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class EachStepARow(nn.BatchNorm1d):
    """Takes (B, T, C) as well, each step for a row."""

    def forward(self, x):
        return super().forward(x.flatten(0, 1)).view(x.shape)


class OfSamples(nn.InstanceNorm1d):
    """Takes (B, T, C), and normalises each sample by itself."""

    def __init__(self, size):
        super().__init__(size, affine=True, track_running_stats=True)

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Around(nn.Module):
    """Does what such a layer does, around a layer of PyTorch's own."""

    def __init__(self, layer):
        super().__init__()
        plain = nn.InstanceNorm1d if isinstance(layer, nn.InstanceNorm1d) else nn.BatchNorm1d
        self.norm = plain(5, affine=True, track_running_stats=True)
        self.norm.load_state_dict(layer.state_dict())

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class Steps(nn.Module):
    """An encoder of (B, T, size) with a normalisation of 5 channels."""

    def __init__(self, size, norm):
        super().__init__()
        self.linear, self.norm, self.out = nn.Linear(size, 5), norm(5), nn.Linear(5, WIDTH)

    def forward(self, x):
        return self.out(torch.tanh(self.norm(self.linear(x)))).mean(dim=1)


def wrapped(model, level):
    return cp.Balanced(model.double(), paths(), cp.AGM(0.7, clamp=1.2), coalitions=level)


@pytest.mark.parametrize("steps", [3, 5])  # as many steps as channels hide a wrong axis
@pytest.mark.parametrize("norm", [StepsBeforeChannels, EachStepARow, OfSamples])
@pytest.mark.parametrize("level", LEVELS)
def test_a_layer_that_changes_the_order_of_axes(level, norm, steps):
    torch.manual_seed(3)
    model = Wired({"ear": Steps(5, norm), "eye": Steps(11, norm)}, head())
    twin = deepcopy(model)
    for encoder in twin.encoders.values():
        encoder.norm = Around(encoder.norm)
    inputs, target, _ = draw(0, ear=(steps, 5), eye=(steps, 11))
    inputs = {name: x.double() for name, x in inputs.items()}
    found, expected = wrapped(model, level), wrapped(twin, level)
    out, their_out = (balanced(**inputs, target=target) for balanced in (found, expected))
    torch.testing.assert_close(out.responses, their_out.responses)
    renamed = {n.replace("norm.norm", "norm"): p for n, p in twin.named_parameters()}
    twin.named_parameters = renamed.items
    assert_same_step((found, out), (expected, their_out))


class HomeMade(nn.BatchNorm1d):
    """Normalises by formulae of its own."""

    def forward(self, x):
        return (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + self.eps).sqrt()


def test_a_layer_that_normalises_by_formulae_of_its_own_is_refused():
    def encoder(size):
        return nn.Sequential(nn.Linear(size, 8), HomeMade(8), nn.Linear(8, WIDTH))

    balanced = cp.Balanced(Wired({"ear": encoder(5), "eye": encoder(11)}, head()), paths())
    inputs, target, _ = vectors()(0)
    assert_refuses(lambda: balanced(**inputs, target=target), "HomeMade", "batch_norm")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("level", LEVELS)
def test_a_scripted_layer_is_refused_unless_it_is_frozen(level):
    def encoder(size):
        return nn.Sequential(nn.Linear(size, 8), nn.BatchNorm1d(8), nn.Linear(8, WIDTH))

    model = Wired({"ear": torch.jit.script(encoder(5)), "eye": encoder(11)}, head())
    inputs, target, _ = vectors()(0)
    balanced = cp.Balanced(model, paths(), coalitions=level)
    assert_refuses(lambda: balanced(**inputs, target=target), "scripted BatchNorm1d")
    model.encoders["ear"].eval()
    assert balanced(**inputs, target=target).responses is not None
