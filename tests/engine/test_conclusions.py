"""What the inspection concludes from one batch has to hold for all that come after."""

from copy import deepcopy
from typing import ClassVar

import pytest
import torch
from torch import nn

import counterpoise as cp
from support.networks import Late, MaxOut, batch
from support.wrapping import wrap

REPLAYING = ["features", "shared"]
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def made(network, num_modalities=3):
    torch.manual_seed(5)
    return network(num_modalities, norm=False).double()


def assert_equals_whole_passes(balanced, inputs, target, *, absent=None, **others):
    whole = wrap(deepcopy(balanced.model), absent=absent)
    found = balanced(**inputs, **others, target=target)
    expected = whole(**inputs, **others, target=target)
    torch.testing.assert_close(found.responses, expected.responses, **CLOSE)


# -- additivity ------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", REPLAYING)
def test_encoders_that_start_at_zero_do_not_make_a_fusion_additive(level):
    """Zero-initialised last layers, as of adapters: features are all zero at first."""
    model = made(MaxOut)
    for name in model.names:
        nn.init.zeros_(getattr(model, name).layers[4].weight)
        nn.init.zeros_(getattr(model, name).layers[4].bias)
    balanced = wrap(model, level)
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    assert_equals_whole_passes(balanced, inputs, target)


@pytest.mark.parametrize("level", REPLAYING)
def test_modalities_that_are_missing_in_the_first_batch_do_not_make_a_fusion_additive(level):
    balanced = wrap(made(MaxOut), level)
    inputs, target = batch(3, 7)
    missing = {**inputs, **{n: torch.zeros_like(inputs[n]) for n in ("eye", "hand")}}
    balanced(**missing, target=target)
    assert_equals_whole_passes(balanced, inputs, target)


class Gated(Late):
    """Additive until its interaction is switched on, by an attribute or by a keyword."""

    gate = 0.0

    def forward(self, mix=False, **inputs):
        features = self.features(inputs)
        product = (features[0] * features[1] * features[2]).sum(dim=1, keepdim=True)
        return self.head(torch.cat(features, dim=1)) + (self.gate + mix) * product


@pytest.mark.parametrize("level", REPLAYING)
def test_an_interaction_that_a_keyword_switches_on_later_counts(level):
    balanced = wrap(made(Gated), level)
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target)
    assert_equals_whole_passes(balanced, inputs, target, mix=True)


@pytest.mark.parametrize("level", REPLAYING)
def test_an_interaction_that_an_attribute_switches_on_counts_after_validating_again(level):
    balanced = wrap(made(Gated), level)
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target)
    balanced.model.gate = 1.0
    balanced.validate(**inputs)
    assert_equals_whole_passes(balanced, inputs, target)


# -- one longer batch ------------------------------------------------------------------------------


class Masked(nn.Module):
    """Its rest looks at the mask of a modality, beside what the encoder made of the words."""

    names = ("text", "ear", "eye")
    encoders: ClassVar = {"text": "text", "ear": "ear", "eye": "eye"}

    def __init__(self):
        super().__init__()
        self.text = nn.Embedding(11, 6)
        self.ear, self.eye = nn.Linear(3, 6), nn.Linear(5, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, text, ear, eye):
        kept = text["mask"].to(self.head.weight).unsqueeze(-1)
        read = (self.text(text["ids"]) * kept).sum(dim=1) / kept.sum(dim=1)
        return self.head(torch.tanh(read * self.ear(ear) + self.eye(eye)))


KEPT = {"text": {"ids": cp.absence.Constant(0), "mask": cp.absence.Keep()}}


def masked_batch(*, padded):
    generator = torch.Generator().manual_seed(0)
    inputs, target = batch(2, 7)
    mask = torch.ones(7, 4, dtype=torch.bool)
    if padded:
        mask[1:5, 2:] = False
    ids = torch.randint(11, (7, 4), generator=generator)
    return {"text": {"ids": ids, "mask": mask}, **inputs}, target


def masked(level):
    torch.manual_seed(5)
    return wrap(Masked().double(), level, absent=deepcopy(KEPT))


@pytest.mark.parametrize("level", REPLAYING)
def test_a_rest_that_looks_at_masks_is_right_although_the_first_batch_is_unpadded(level):
    balanced = masked(level)
    inputs, target = masked_batch(padded=False)
    balanced(**inputs, target=target)
    assert_equals_whole_passes(balanced, *masked_batch(padded=True), absent=deepcopy(KEPT))


@pytest.mark.parametrize("level", REPLAYING)
def test_validating_again_on_another_batch_is_no_error(level):
    balanced = masked(level)
    balanced.validate(**masked_batch(padded=False)[0])
    balanced.validate(**masked_batch(padded=True)[0])
    assert_equals_whole_passes(balanced, *masked_batch(padded=True), absent=deepcopy(KEPT))


class Flagged(Late):
    """Puts a value of its own in place of samples whose input is all one number that says so."""

    def forward(self, flag, **inputs):
        features = self.features(inputs)
        for i, name in enumerate(self.names):
            missing = inputs[name].eq(flag).all(dim=1, keepdim=True)
            features[i] = features[i].where(~missing, 0.7)
        return self.head(torch.cat(features, dim=1).tanh())


@pytest.mark.parametrize("flag", [-999.0, -80.0, -1.0])
@pytest.mark.parametrize("level", REPLAYING)
def test_a_rest_that_looks_for_a_number_is_right_although_no_batch_has_held_it(level, flag):
    balanced = wrap(made(Flagged), level)
    inputs, target = batch(3, 7)
    for _ in range(2):
        balanced(**inputs, target=target, flag=flag)
    assert balanced.runner.facts.batched
    inputs["eye"][3:5] = flag
    assert_equals_whole_passes(balanced, inputs, target, flag=flag)


class Positioned(nn.Module):
    """An encoder that is given a table beside its batch."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x, table):
        return self.layer(x + table).mean(dim=1)


class Timed(nn.Module):
    names = ("ear", "eye")
    encoders: ClassVar = {"ear": "ear", "eye": "eye"}

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.head = Positioned(), nn.Linear(5, 6), nn.Linear(6, 4)
        self.table = nn.Parameter(torch.randn(5, 6))

    def forward(self, ear, eye):
        return self.head(torch.tanh(self.ear(ear, self.table) + self.eye(eye)))


@pytest.mark.parametrize("sizes", [(7, 5), (5, 7)])
@pytest.mark.parametrize("level", REPLAYING)
def test_a_table_that_happens_to_have_as_many_rows_as_the_batch_is_no_batch(level, sizes):
    torch.manual_seed(5)
    balanced = wrap(Timed().double(), level)
    for rows in sizes:  # five steps in time
        inputs = {
            "ear": torch.randn(rows, 5, 6, dtype=torch.float64),
            "eye": torch.randn(rows, 5, dtype=torch.float64),
        }
        assert_equals_whole_passes(balanced, inputs, torch.randint(4, (rows,)))


class Weighted(MaxOut):
    """Takes a keyword that goes with the classes, or one that goes with the samples."""

    def forward(self, classes=None, samples=None, **inputs):
        logits = super().forward(**inputs)
        logits = logits if classes is None else logits * classes
        return logits if samples is None else logits * samples.unsqueeze(1)


@pytest.mark.parametrize("sizes", [(7, 4), (4, 7)])
@pytest.mark.parametrize("level", REPLAYING)
def test_a_keyword_with_as_many_rows_as_the_batch_need_not_go_with_the_samples(level, sizes):
    balanced = wrap(made(Weighted), level)
    for rows in sizes:  # four classes
        classes = torch.linspace(1, 2, 4, dtype=torch.float64)
        samples = torch.linspace(2, 3, rows, dtype=torch.float64)
        given = batch(3, rows, seed=rows)
        assert_equals_whole_passes(balanced, *given, classes=classes, samples=samples)


class Limited(Late):
    """Divides by the largest feature of the batch once that is beyond a limit."""

    branches = True

    def forward(self, **inputs):
        features = self.features(inputs)
        largest = features[0].abs().max()
        if self.branches:
            features[0] = features[0] / largest if largest > 500 else features[0]
        else:
            features[0] = torch.where(largest > 500, features[0] / largest, features[0])
        return self.head(torch.tanh(torch.cat(features, dim=1)))


@pytest.mark.parametrize("branches", [True, False])
@pytest.mark.parametrize("level", REPLAYING)
def test_rows_that_see_each_other_beyond_a_limit_only(level, branches):
    model = made(Limited)
    model.branches = branches
    model.ear = nn.Linear(3, model.width).double()  # which has no limit of its own
    balanced = wrap(model, level)
    inputs, target = batch(3, 7)
    for _ in range(2):
        balanced(**inputs, target=target)
    inputs["ear"][5] *= 1e5
    assert_equals_whole_passes(balanced, inputs, target)


def filled(hidden, room):
    """Let through a layer only so many rows as it has room for, in their order."""
    admitted = torch.arange(len(hidden)).lt(room).unsqueeze(1)
    return torch.where(admitted, hidden * 2, hidden)


class Filled(Late):
    room = 6

    def forward(self, **inputs):
        return self.head(filled(torch.tanh(torch.cat(self.features(inputs), dim=1)), self.room))


class FilledEncoder(nn.Linear):
    def forward(self, x):
        return filled(super().forward(x), 6)


@pytest.mark.parametrize("room", [6, 9])
@pytest.mark.parametrize("level", REPLAYING)
def test_rows_that_compete_for_room_in_long_batches_only(level, room):
    """As tokens for an expert: 7 rows with room for 6, or 14 of two coalitions with room for 9."""
    model = made(Filled, 2)
    model.room = room
    assert_equals_whole_passes(wrap(model, level), *batch(2, 7))


@pytest.mark.parametrize("level", REPLAYING)
def test_rows_that_compete_for_room_in_an_encoder(level):
    model = made(Late, 2)
    model.ear = FilledEncoder(3, model.width).double()
    balanced = wrap(model, level)
    assert_equals_whole_passes(balanced, *batch(2, 7))
    assert 0 not in balanced.runner.facts.single
