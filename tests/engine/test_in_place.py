"""Operations in place between an encoder and the logits, in every mode and at every entrance."""

from copy import deepcopy
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.networks import Late, batch
from support.wrapping import LEVELS, wrap

REPLAYING = ["features", "shared"]
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def made(network, num_modalities=3):
    torch.manual_seed(5)
    return network(num_modalities, norm=False).double()


class Shifted(Late):
    """Changes its features in place, to different values each time."""

    def forward(self, **inputs):
        return self.head(torch.cat([f.add_(1).mul_(2) for f in self.features(inputs)], dim=1))


@pytest.mark.parametrize("absent", [None, cp.absence.Noise(std=0.0)])
@pytest.mark.parametrize("level", REPLAYING)
def test_responding_before_any_training_step_is_right(level, absent):
    balanced = wrap(made(Shifted), level, absent=absent).eval()
    whole = wrap(deepcopy(balanced.model)).eval()
    inputs, _ = batch(3, 7)
    torch.testing.assert_close(
        balanced.respond(**inputs).responses, whole.respond(**inputs).responses, **CLOSE
    )


@pytest.mark.parametrize("level", REPLAYING)
def test_responding_on_a_wrong_level_is_an_error_as_in_training(level):
    class Peeking(Late):
        def features(self, inputs):
            seen = self.eye(inputs["eye"] + inputs["ear"].mean())
            return [self.ear(inputs["ear"]), seen]

    balanced = wrap(made(Peeking, 2), level).eval()
    with pytest.raises(ValueError, match=r"The encoder of modality 'eye', 'eye', should see that"):
        balanced.respond(**batch(2, 7)[0])


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.*:DeprecationWarning")
@pytest.mark.parametrize("level", REPLAYING)
def test_compiling_without_an_inspection_is_right(level):
    torch.compiler.reset()
    balanced = wrap(made(Shifted), level, absent=cp.absence.Noise(std=0.0))
    whole = wrap(deepcopy(balanced.model))
    inputs, target = batch(3, 7)
    expected = whole(**inputs, target=target).responses
    found = torch.compile(balanced, backend="eager")(**inputs, target=target).responses
    torch.testing.assert_close(found, expected, **CLOSE)
    torch.compiler.reset()


class Dropped(Late):
    """Drops out features in place, which only happens in train mode."""

    def forward(self, **inputs):
        features = [F.dropout(f, 0.5, self.training, inplace=True) for f in self.features(inputs)]
        return self.head(torch.cat(features, dim=1))


@pytest.mark.parametrize("level", LEVELS)
def test_features_may_be_changed_in_place_in_train_mode_alone(level):
    balanced = wrap(made(Dropped), level)
    whole = wrap(deepcopy(balanced.model))
    for seed in range(2):
        inputs, target = batch(3, 7, seed=seed)
        outs = []
        for each in (balanced, whole):
            each.zero_grad()
            torch.manual_seed(seed)
            outs.append(each(**inputs, target=target))
            outs[-1].loss.backward()
        torch.testing.assert_close(outs[0].responses, outs[1].responses, **CLOSE)
        for ours, theirs in zip(balanced.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
def test_inputs_changed_in_place_in_train_mode_alone_are_an_error_too(level):
    class Spoiling(Late):
        def forward(self, **inputs):
            F.dropout(inputs["eye"], 0.5, self.training, inplace=True)
            return super().forward(**inputs)

    balanced = wrap(made(Spoiling), level)
    inputs, target = batch(3, 7)
    with pytest.raises(RuntimeError, match=r"found modality 'eye' changed in place"):
        balanced(**inputs, target=target)


class Emptied(nn.Module):
    """Takes features out of the container that its encoder returned."""

    class Encoder(nn.Linear):
        def forward(self, x):
            return {"feature": super().forward(x), "mean": x.mean(dim=1)}

    names = ("ear", "eye", "hand")
    encoders: ClassVar = {"ear": "ear", "eye": "eye", "hand": "hand"}

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.hand = (self.Encoder(size, 6) for size in (3, 5, 7))
        self.head = nn.Linear(6, 4)

    def forward(self, **inputs):
        parts = [getattr(self, name)(x).pop("feature") for name, x in inputs.items()]
        return self.head(torch.stack(parts).amax(dim=0))


@pytest.mark.parametrize("level", REPLAYING)
def test_a_container_of_features_may_be_emptied(level):
    torch.manual_seed(5)
    balanced = wrap(Emptied().double(), level)
    whole = wrap(deepcopy(balanced.model))
    inputs, target = batch(3, 7)
    for _ in range(2):
        found, expected = (b(**inputs, target=target) for b in (balanced, whole))
        torch.testing.assert_close(found.responses, expected.responses, **CLOSE)


class ShiftedFirst(Late):
    """Changes the features of its first modality in place."""

    def forward(self, **inputs):
        first, *others = self.features(inputs)
        return self.head(torch.cat([first.add_(1), *others], dim=1))


@pytest.mark.parametrize(("network", "changed"), [(Late, set()), (ShiftedFirst, {0})])
@pytest.mark.parametrize("level", REPLAYING)
def test_only_what_is_changed_in_place_is_cloned_after_the_first_step(level, network, changed):
    balanced = wrap(made(network), level)
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target).loss.backward()
    assert balanced.runner.facts.cloned == changed


class ShiftedLater(Late):
    """The same from some step on, by a setting that the engine does not see."""

    def forward(self, **inputs):
        first, *others = self.features(inputs)
        first = first.add_(1) if self.how.shifts else first + 1
        return self.head(torch.cat([first, *others], dim=1))


def test_features_that_are_changed_in_place_later_are_named():
    model = made(ShiftedLater)
    model.how = SimpleNamespace(shifts=False)
    balanced, (inputs, target) = wrap(model, "shared"), batch(3, 7)
    for _ in range(2):
        balanced(**inputs, target=target)
    model.how.shifts = True
    with pytest.raises(RuntimeError, match=r"modality 'ear', 'ear', should stay.*changed in place"):
        balanced(**inputs, target=target)
