"""What models keep on their modules while they run: caches, counts, losses, queues."""

from copy import deepcopy
from functools import lru_cache

import pytest
import torch
from torch import nn

from counterpoise.core.coalitions import exact_plan
from counterpoise.engine import precision
from zoo.judging import PRECISIONS, judge
from zoo.kinds import CLASSES, ROWS, WIDTH, Concat, Kind, head, mlp, vectors, wired
from zoo.refusals import LEVELS, assert_refuses, made, wrap


class Auxiliary(nn.Module):
    """Keeps a loss for the training loop to add, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.rest, self.calls = head(), 0
        self.register_buffer("total", torch.zeros(()))

    def forward(self, a, b):
        self.calls += 1
        self.total = self.total + len(a)
        self.auxiliary = a.square().mean() + b.square().mean()
        return self.rest(a, b)


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_module_keeps_is_that_of_the_full_pass(level):
    model = made(Auxiliary)
    twin, balanced = deepcopy(model), wrap(model, level)
    for step in range(2):
        inputs, target, _ = vectors()(step)
        twin(**inputs)
        balanced(**inputs, target=target)
    assert torch.equal(model.rest.auxiliary, twin.rest.auxiliary)
    assert model.rest.auxiliary.requires_grad
    assert (model.rest.calls, model.rest.total) == (2, 2 * ROWS)


@pytest.mark.parametrize("level", LEVELS)
def test_responding_leaves_what_modules_keep(level):
    model = made(Auxiliary).eval()
    balanced, (inputs, target, _) = wrap(model, level).eval(), vectors()(0)
    balanced.validate(**inputs)
    assert (model.rest.calls, model.rest.total, hasattr(model.rest, "auxiliary")) == (0, 0, False)
    balanced.respond(**inputs, target=target)
    assert (model.rest.calls, model.rest.total) == (1, ROWS)


class Listing(nn.Module):
    """Keeps losses in containers."""

    def __init__(self):
        super().__init__()
        self.rest, self.losses, self.named, self.seen = head(), [], {"loss": None}, set()
        self.log = {"sums": [], "parts": [{"last": 0.0}]}
        self.log["whole"] = self.log  # a container may hold itself

    def forward(self, a, b):
        self.losses.append(a.square().mean() + b.square().mean())
        self.named["loss"] = self.losses[-1]
        self.seen.add(float(a.detach().sum()))
        self.log["sums"].append(float(b.detach().sum()))
        self.log["parts"][0]["last"] = self.log["sums"][-1]
        return self.rest(a, b)


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_modules_containers_hold_is_that_of_the_full_passes(level):
    model = made(Listing)
    twin, balanced = deepcopy(model), wrap(model, level)
    for step in range(2):
        inputs, target, _ = vectors()(step)
        twin(**inputs)
        balanced(**inputs, target=target)
    own, expected = model.rest, twin.rest
    assert torch.equal(torch.stack(own.losses), torch.stack(expected.losses))
    assert own.named["loss"] is own.losses[-1]
    assert own.losses[-1].requires_grad
    assert own.seen == expected.seen
    assert own.log["sums"] == expected.log["sums"]
    assert own.log["parts"] == expected.log["parts"]


@pytest.mark.parametrize("size", [999, 1000])
def test_a_large_table_is_not_copied(size):
    model = made(Listing)
    model.rest.named = {i: i for i in range(size)}  # and the loss
    balanced, (inputs, target, _) = wrap(model, "shared"), vectors()(0)
    full = model.rest(*(encoder(inputs[n]) for n, encoder in model.encoders.items()))
    own = model.rest.named["loss"]
    balanced(**inputs, target=target)
    assert full is not None
    assert torch.allclose(model.rest.named["loss"], own) == (size == 999)


@pytest.mark.parametrize("ask", ["respond", "coalition_values"])
def test_asking_in_train_mode_moves_no_running_statistics(ask):
    model = made(lambda: Concat(nn.Linear(2 * WIDTH, 5), nn.BatchNorm1d(5), nn.Linear(5, CLASSES)))
    balanced, (inputs, _, _) = wrap(model, "shared"), vectors()(0)
    before = deepcopy(model.state_dict())
    plan = () if ask == "respond" else (exact_plan(2, "shapley"),)
    getattr(balanced, ask)(*plan, **inputs)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    balanced(**inputs, target=torch.zeros(ROWS, dtype=torch.int64))
    assert model.state_dict()["rest.layers.1.num_batches_tracked"] == 1


class Cached(nn.Module):
    """Builds a table and keeps it when it first runs."""

    def __init__(self):
        super().__init__()
        self.rest, self.table = head(), None

    def forward(self, a, b):
        if self.table is None:
            self.table = torch.linspace(0, 1, WIDTH)
        return self.rest(a * self.table, b)


@pytest.mark.parametrize("level", LEVELS)
def test_a_cache_is_built_by_training_and_not_by_the_inspection(level):
    assert judge(wired(Cached), level, PRECISIONS["float32"], num_steps=2) == "right"


@lru_cache
def positions(width):
    return torch.linspace(0, 1, width)


class CachedElsewhere(nn.Module):
    """Adds a table that a function keeps for all who ask."""

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, a, b):
        return self.rest(a + positions(WIDTH), b) + positions(CLASSES)


@pytest.mark.parametrize("level", LEVELS)
def test_a_cache_out_of_sight_keeps_the_type_that_training_makes(level):
    positions.cache_clear()
    balanced, (inputs, target, _) = wrap(made(CachedElsewhere), level), vectors()(0)
    balanced(**inputs, target=target).loss.backward()
    assert (positions(WIDTH).dtype, positions(CLASSES).dtype) == (torch.float32, torch.float32)


class Marking(nn.Module):
    """Keeps an activation on a module of PyTorch's."""

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, a, b):
        self.rest.layers.activation = a * b
        return self.rest(a, b)


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_kept_on_a_module_of_pytorchs_is_not_the_inspections(level):
    model = made(Marking)
    wrap(model, level).validate(**vectors()(0)[0])
    assert not hasattr(model.rest.rest.layers, "activation")


class BuiltLate(nn.Module):
    """Makes a layer and a parameter when it first runs."""

    def __init__(self):
        super().__init__()
        self.rest, self.gain = head(), None

    def forward(self, a, b):
        if not hasattr(self, "layer"):
            self.layer = nn.Linear(a.shape[1], WIDTH)
            self.gain = nn.Parameter(torch.ones(WIDTH))
        return self.rest(self.layer(a) * self.gain, b)


@pytest.mark.parametrize("level", LEVELS)
def test_layers_that_are_made_late_are_trained_in_the_type_of_the_others(level):
    model = made(BuiltLate)
    balanced = wrap(model, level)
    for step in range(2):
        inputs, target, _ = vectors()(step)
        balanced(**inputs, target=target).loss.backward()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.rest.layer.weight.grad.norm() > 0
    assert model.rest.gain.grad.norm() > 0


class Queue(nn.Module):
    """Puts features into a queue, whichever mode it is in."""

    def __init__(self, *, guarded=False):
        super().__init__()
        self.rest, self.guarded = head(), guarded
        self.register_buffer("queue", torch.randn(11, WIDTH))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))

    def forward(self, a, b):
        logits = self.rest(a + self.queue.mean(dim=0), b)
        if self.training or not self.guarded:
            with torch.no_grad():
                self.queue[self.place] = a[0]
                self.place.add_(1).remainder_(11)
        return logits


class Teacher(nn.Module):
    """Lets a copy of a layer follow it, whichever mode it is in."""

    def __init__(self):
        super().__init__()
        self.rest, self.layer = head(), nn.Linear(WIDTH, WIDTH)
        self.teacher = nn.Linear(WIDTH, WIDTH).requires_grad_(False)

    def forward(self, a, b):
        for teacher, p in zip(self.teacher.parameters(), self.layer.parameters(), strict=True):
            teacher.data = 0.9 * teacher.data + 0.1 * p.data
        return self.rest(self.teacher(a), self.layer(b))


@pytest.mark.parametrize(
    ("rest", "name"), [(Queue, "rest.queue"), (Teacher, "rest.teacher.weight")]
)
@pytest.mark.parametrize("level", LEVELS)
def test_what_every_coalition_would_change_is_refused_by_name(level, rest, name):
    model = made(rest)
    before = {n: b.clone() for n, b in model.named_buffers()}
    balanced, (inputs, target, _) = wrap(model, level), vectors()(0)
    assert_refuses(lambda: balanced(**inputs, target=target), repr(name), "if self.training:")
    assert all(torch.equal(before[n], b) for n, b in model.named_buffers())


@pytest.mark.parametrize("level", LEVELS)
def test_what_training_alone_changes_is_changed_once(level):
    kind = wired(lambda: Queue(guarded=True))
    assert judge(kind, level, PRECISIONS["float64"], num_steps=3) == "right"


class Follower(nn.Module):
    """Moves the average of its weights in training, as momentum encoders do."""

    def __init__(self):
        super().__init__()
        self.rest, self.average = head(), head().requires_grad_(False)

    def forward(self, a, b):
        if self.training:
            for old, new in zip(self.average.parameters(), self.rest.parameters(), strict=True):
                old.data = torch.lerp(old.data, new.data, 0.5)
        return self.rest(a, b) + self.average(a, b)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", LEVELS)
def test_an_average_of_weights_moves_once_a_step(level, dtype, large, monkeypatch):
    monkeypatch.setattr(precision, "_DOUBLE_LIMIT", 0 if large else 2**27)
    model = made(Follower).to(dtype)
    twin, balanced = deepcopy(model), wrap(model, level)
    inputs, target, _ = vectors()(0)
    inputs = {name: x.to(dtype) for name, x in inputs.items()}
    twin(**inputs)
    balanced(**inputs, target=target)
    for own, expected in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(own, expected)


def test_a_large_model_is_not_copied_in_its_own_type(monkeypatch):
    model = nn.Linear(3, 5)
    for limit, shared in ((19, True), (20, False)):
        monkeypatch.setattr(precision, "_DOUBLE_LIMIT", limit)
        memory = model.weight.data_ptr()
        with precision.precise(model, torch.float32):
            assert (model.weight.data_ptr() == memory) == shared


class Switching(nn.Module):
    """Switches gradients off for an encoder, and on again by another call."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = mlp(5), mlp(11), head()

    def forward(self, ear, eye):
        heard = self.ear(ear)
        torch.set_grad_enabled(False)
        seen = self.eye(eye)
        torch.set_grad_enabled(True)
        return self.rest(heard, seen)


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_stay_on_where_a_model_switches_them_by_calls(level):
    kind = Kind(Switching, vectors(), {"ear": "ear", "eye": "eye"})
    assert judge(kind, level, PRECISIONS["float64"], num_steps=2) == "right"
    assert torch.is_grad_enabled()
