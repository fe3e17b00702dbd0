"""A model of another form is looked at anew: parts that are replaced, switches that are set."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from counterpoise.engine import runner
from counterpoise.engine.forms import MANY, Forms
from counterpoise.engine.modes import Modules
from support.networks import Late, MaxOut, batch
from support.wrapping import wrap

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


class Own(nn.Linear):
    """A module that is not PyTorch's, whose attributes may switch it."""


class Watched(Forms):
    """Of one model, whose modules are sorted once as long as they stay."""

    modules = None

    def of(self, model):
        self.modules = Modules.of(model, self.modules)
        self.recognise(self.modules)
        return self.number


def test_the_same_form_has_the_same_number_and_another_another():
    forms, model = Watched(), nn.Sequential(Own(3, 3), nn.Linear(3, 3))
    plain = forms.of(model)
    model.eval()[0].weight.data.zero_()
    model[0].steps, model[0].cache = 7, torch.ones(3)
    assert forms.of(model) == plain
    model[0].early = True
    early = forms.of(model)
    model[0].early = False
    model[0].mode = "late"
    assert len({plain, early, forms.of(model)}) == 3
    del model[0].mode, model[0].early
    assert forms.of(model) == plain
    model[1] = nn.Linear(3, 3)
    assert forms.of(model) not in (plain, early)


@pytest.mark.parametrize("change", [lambda own, i: setattr(own, "name", str(i)), None])
def test_what_changes_with_every_batch_is_not_watched_for_ever(change):
    forms, model = Watched(), nn.Sequential(Own(3, 3))
    seen = []
    for i in range(2 * MANY):
        if change is None:
            model[0] = Own(3, 3)
        else:
            change(model[0], i)
        seen.append(forms.of(model))
    assert len(set(seen[MANY:])) == 1


def test_a_number_that_moves_with_every_batch_is_not_watched_for_ever():
    forms, model = Watched(), nn.Sequential(Own(3, 3), Own(3, 3))
    model[0].calls, model[1].stage = 0, 0
    forms.of(model)
    moved = []
    for _ in range(2 * MANY):
        model[0].calls += 1
        forms.of(model)
        moved.append(forms.moved)
        forms.moved = False
    assert moved == [True] * MANY + [False] * MANY
    model[1].stage = 1
    forms.of(model)
    assert forms.moved
    forms.of(model)
    assert forms.moved  # until somebody has looked
    forms.moved = False
    model[1].rate = 0.5
    forms.of(model)
    assert forms.moved


class Staged(Late):
    """A sum, until a stage begins in which modalities meet."""

    meets = False
    stage = 0

    def forward(self, **inputs):
        features = self.features(inputs)
        logits = self.head(torch.cat(features, dim=1))
        return logits * features[0].sum(dim=1, keepdim=True) if self.meets or self.stage else logits


def meet(model):
    model.meets = True


def next_stage(model):
    model.stage += 1


class Centring(nn.Linear):
    def forward(self, x):
        return super().forward((x - x.mean(dim=0)).tanh())


def centre(model):
    model.head = Centring(model.head.in_features, model.head.out_features).double()


@pytest.mark.parametrize("change", [meet, next_stage, centre])
@pytest.mark.parametrize("level", ["features", "shared"])
def test_what_is_concluded_of_one_form_does_not_go_for_another(level, change):
    torch.manual_seed(5)
    balanced = wrap(Staged(3, norm=False).double(), level)
    inputs, target = batch(3, 7)
    for _ in range(4):
        balanced(**inputs, target=target)
    assert balanced.runner.facts.separable
    change(balanced.model)
    found = balanced(**inputs, target=target)
    expected = wrap(deepcopy(balanced.model))(**inputs, target=target)
    torch.testing.assert_close(found.responses, expected.responses, **CLOSE)


@pytest.mark.parametrize("level", ["features", "shared"])
def test_evaluation_goes_by_the_stage_that_has_begun(level):
    torch.manual_seed(5)
    model = Staged(3, norm=False).double()
    balanced, (inputs, target) = wrap(model, level), batch(3, 7)
    balanced(**inputs, target=target)
    model.stage = 1
    expected = wrap(deepcopy(model)).eval().respond(**inputs)
    torch.testing.assert_close(
        balanced.eval().respond(**inputs).responses, expected.responses, **CLOSE
    )


def test_what_still_holds_where_a_number_has_moved_is_not_concluded_again(monkeypatch):
    concluded = []
    conclude = runner.conclude
    monkeypatch.setattr(runner, "conclude", lambda *g: concluded.append(g) or conclude(*g))
    torch.manual_seed(5)
    balanced, (inputs, target) = wrap(MaxOut(3, norm=False).double(), "shared"), batch(3, 7)
    for count in range(5):
        balanced.model.count = count  # of calls, say
        balanced(**inputs, target=target)
    assert len(concluded) == 1


def test_the_engine_looks_again_after_a_number_of_steps_at_the_latest(monkeypatch):
    monkeypatch.setattr(runner, "_AT_LATEST", 7)
    looks = []
    monkeypatch.setattr(runner, "holds", lambda *given: looks.append(balanced) or True)
    torch.manual_seed(5)
    balanced = wrap(MaxOut(3, norm=False).double(), "shared")
    inputs, target = batch(3, 7)
    counts = []
    for step in range(1, 22):
        balanced(**inputs, target=target)
        counts.append((step, len(looks)))
    seen = [
        step for (step, now), (_, before) in zip(counts[1:], counts, strict=False) if now > before
    ]
    assert seen == [2, 4, 7, 8, 14, 16, 21]
