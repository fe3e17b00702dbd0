"""A sum over modalities has to stay one whatever else the rest of the model computes with."""

from copy import deepcopy

import pytest
import torch

from counterpoise.engine.batch import Batch
from counterpoise.engine.whole_passes import SEVERAL, WholePasses
from support.networks import Late, batch
from support.wrapping import wrap


class Gated(Late):
    """Additive as long as a gate is shut, which a buffer or a keyword opens bit by bit."""

    def build(self, num_modalities, norm):
        super().build(num_modalities, norm)
        self.register_buffer("gate", torch.zeros(()))

    def forward(self, mix=0.0, **inputs):
        features = self.features(inputs)
        product = (features[0] * features[1] * features[2]).sum(dim=1, keepdim=True)
        return self.head(torch.cat(features, dim=1)) + (self.gate + mix) * product


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"mix": 0.0}, {"mix": 1.0}),
        ({"mix": 0}, {"mix": 1}),
        ({"mix": torch.zeros(())}, {"mix": torch.ones(())}),
        ({}, None),  # the buffer
    ],
)
@pytest.mark.parametrize("level", ["features", "shared"])
def test_a_gate_that_is_shut_in_the_first_batch_is_not_taken_for_a_wall(level, before, after):
    torch.manual_seed(5)
    balanced = wrap(Gated(3, norm=False).double(), level)
    inputs, target = batch(3, 7)
    balanced(**inputs, **before, target=target)
    if after is None:
        balanced.model.gate.fill_(1)
    whole = wrap(deepcopy(balanced.model))
    found, expected = (b(**inputs, **(after or {}), target=target) for b in (balanced, whole))
    torch.testing.assert_close(found.responses, expected.responses, rtol=1e-9, atol=1e-11)


class Switched(Late):
    """Additive until a number says otherwise, which no look at the model can see before."""

    mixed = 0.0

    def forward(self, **inputs):
        features = self.features(inputs)
        logits = self.head(torch.cat(features, dim=1))
        if self.mixed:
            logits = logits + (features[0] * features[1] * features[2]).sum(dim=1, keepdim=True)
        return logits


def test_what_is_no_sum_any_more_is_evaluated_in_all_its_coalitions(monkeypatch):
    torch.manual_seed(5)
    balanced = wrap(Switched(3, norm=False).double(), "shared")
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target)
    assert balanced.runner.facts.separable
    monkeypatch.setattr(Switched, "mixed", 1.0)  # of the class: on the module it would be seen
    with pytest.warns(UserWarning, match="values differ from whole passes"):
        found = balanced(**inputs, target=target)
    expected = wrap(deepcopy(balanced.model))(**inputs, target=target)
    torch.testing.assert_close(found.responses, expected.responses, rtol=1e-9, atol=1e-11)


class Averaged(Late):
    """NaN where both of two modalities are absent, finite where one of them is there."""

    def forward(self, **inputs):
        given = [inputs[n].ne(0).any(dim=1, keepdim=True).double() for n in ("ear", "eye")]
        count = given[0] + given[1]
        return super().forward(**inputs) * (given[0] / count + given[1] / count)


def test_an_absence_that_breaks_the_model_only_with_another_is_an_error_up_front_too():
    """With three modalities: finite without any one, NaN with the third alone."""
    torch.manual_seed(5)
    balanced = wrap(Averaged(3, norm=False).double())
    inputs, target = batch(3, 7)
    with pytest.raises(ValueError, match=r"`absent` .*finite"):
        balanced(**inputs, target=target)


class Scaled(Late):
    """Takes a factor for each sample beside the modalities, if there is one."""

    def forward(self, scale=None, **inputs):
        logits = super().forward(**inputs)
        return logits if scale is None else logits * scale.unsqueeze(1)


def test_a_keyword_that_comes_later_is_still_found_to_go_with_the_samples():
    torch.manual_seed(5)
    balanced = wrap(Scaled(3, norm=False).double(), "shared")
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target)
    balanced(**inputs, target=target, scale=torch.rand(7, dtype=torch.float64))
    assert balanced.runner.facts.rows == {"scale"}


def test_new_keywords_are_looked_at_in_whatever_step_they_come():
    torch.manual_seed(5)
    balanced = wrap(Scaled(3, norm=False).double(), "shared")
    inputs, target = batch(3, 7)
    for _ in range(4):
        balanced(**inputs, target=target)
    scale = torch.rand(7, dtype=torch.float64)
    balanced(**inputs, target=target, scale=scale)  # call 5, in which it is nobody's turn
    assert balanced.runner.inspected({"scale": scale})


class Centring(Late):
    """Treats samples apart, until a number lets it subtract the mean of the batch."""

    share = 0.0

    def forward(self, **inputs):
        features = torch.cat(self.features(inputs), dim=1)
        if self.share:
            features = features - self.share * features.mean(dim=0)
        return self.head(features).tanh()


def test_a_single_sample_shows_what_a_batch_does():
    torch.manual_seed(5)
    balanced = wrap(Centring(3, norm=False).double(), "shared")
    balanced.validate(**batch(3, 1)[0])
    assert balanced.runner.facts.batched
    assert balanced.runner.facts.single == {0, 1, 2}


def test_fewer_rows_stand_for_all_where_their_logits_are_the_same_alone(monkeypatch):
    torch.manual_seed(5)
    model = Centring(3, norm=False).double()
    balanced = wrap(model, "shared")
    found = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(Centring, "share", share)
        passes = WholePasses(
            balanced.runner.setup,
            model.eval(),
            Batch.split(model.names, batch(3, 7)[0], balanced.absent),
        )
        passes.cut(passes.whole_pass(passes.everyone))
        found.append((passes.rows_first, len(passes.batch.inputs["ear"])))
    assert found == [(True, 3), (False, 7)]


def test_samples_that_see_each_other_later_on_are_found_by_passes_of_a_few(monkeypatch):
    torch.manual_seed(5)
    balanced = wrap(Centring(3, norm=False).double(), "shared")
    inputs, target = batch(3, 41)
    balanced(**inputs, target=target)
    rows = []
    encoder = balanced.model.get_submodule(next(iter(balanced.model.encoders.values())))
    hook = encoder.layers.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    balanced(**inputs, target=target)
    assert set(rows) == {1, SEVERAL, 41}
    assert rows.count(41) == 1  # the step's own
    hook.remove()
    balanced(**inputs, target=target)
    monkeypatch.setattr(Centring, "share", 1.0)
    with pytest.raises(UserWarning, match="found at training call 4 that values differ"):
        balanced(**inputs, target=target)  # an error here, and it falls back all the same
    found = balanced(**inputs, target=target)
    expected = wrap(deepcopy(balanced.model))(**inputs, target=target)
    torch.testing.assert_close(found.responses, expected.responses, rtol=1e-9, atol=1e-11)
