"""What a model is called with: whole, with modalities absent, shrunk and lengthened."""

import pytest
import torch

from counterpoise.core.absence import AbsentValues
from counterpoise.engine.batch import Batch

ROWS = 5


@pytest.fixture
def batch():
    inputs = {"ear": torch.ones(ROWS, 3), "eye": (torch.ones(ROWS, 2), torch.ones(7))}
    others = {"weight": torch.arange(ROWS), "scale": torch.arange(3), "mode": "fast"}
    absent = AbsentValues(("ear", "eye"), None)
    return Batch(("ear", "eye"), inputs, others, absent, rows=frozenset({"weight"}))


def test_the_whole_is_what_was_given(batch):
    whole = batch.whole()
    assert list(whole) == ["ear", "eye", "weight", "scale", "mode"]
    assert whole["ear"] is batch.inputs["ear"]
    assert whole["weight"] is batch.others["weight"]


def test_outside_a_coalition_a_modality_is_absent_and_made_so_once(batch):
    first, again = batch.of((0,)), batch.of((0,))
    assert first["ear"] is batch.inputs["ear"]
    assert torch.equal(first["eye"][0], torch.zeros(ROWS, 2))
    assert all(one is other for one, other in zip(first["eye"], again["eye"], strict=True))
    assert first["eye"] is not again["eye"]  # a model may take its container apart
    assert first["weight"] is batch.others["weight"]


def test_one_absent_sample_has_one_row_of_all_that_has_rows(batch):
    one = batch.one_absent(ROWS)
    assert torch.equal(one["ear"], torch.zeros(1, 3))
    assert [tuple(t.shape) for t in one["eye"]] == [(1, 2), (7,)]
    assert one["weight"].tolist() == [0]
    assert one["scale"] is batch.others["scale"]
    assert one["mode"] == "fast"


def test_many_absent_samples_have_the_others_as_often_as_the_batch(batch):
    many = batch.many_absent(ROWS, 2)
    assert torch.equal(many["ear"], torch.zeros(2 * ROWS, 3))
    assert many["weight"].tolist() == [*range(ROWS), *range(ROWS)]
    assert many["scale"] is batch.others["scale"]


def test_coalitions_are_stacked_one_after_another(batch):
    longer = batch.stacked([(0,), (), (0, 1)])
    ear, eye = longer["ear"][:, 0].view(3, ROWS), longer["eye"][0][:, 0].view(3, ROWS)
    assert ear.tolist() == [[1] * ROWS, [0] * ROWS, [1] * ROWS]
    assert eye.tolist() == [[0] * ROWS, [0] * ROWS, [1] * ROWS]
    assert longer["weight"].tolist() == [*range(ROWS)] * 3
    assert longer["scale"] is batch.others["scale"]


def test_rows_are_known_by_their_number_where_all_tensors_have_it(batch):
    batch.others |= {
        "pair": (torch.ones(ROWS, 2), torch.ones(ROWS)),
        "mixed": (torch.ones(ROWS), 1),
    }
    batch.others |= {"odd": (torch.ones(ROWS), torch.ones(3)), "none": ()}
    assert batch.looks_like_rows(ROWS) == {"weight", "pair", "mixed"}


def test_a_batch_can_be_cut_and_doubled(batch):
    few = batch.first(2)
    assert torch.equal(few.inputs["ear"], torch.ones(2, 3))
    assert few.others["weight"].tolist() == [0, 1]
    assert few.others["scale"] is batch.others["scale"]
    twice = batch.doubled()
    assert torch.equal(twice.inputs["ear"], torch.ones(2 * ROWS, 3))
    assert twice.others["weight"].tolist() == [*range(ROWS), *range(ROWS)]
    assert twice.others["scale"] is batch.others["scale"]
    assert few.rows == twice.rows == batch.rows


@pytest.mark.parametrize(
    ("others", "follows"),
    [
        ({"weight": torch.zeros(ROWS), "scale": torch.zeros(3), "mode": None}, True),
        ({"weight": (torch.zeros(ROWS), torch.zeros(ROWS, 2))}, True),
        ({"weight": torch.zeros(3)}, False),
        ({"weight": (torch.zeros(ROWS), torch.zeros(3))}, False),
        ({"scale": torch.zeros(ROWS)}, False),
        ({"scale": (torch.zeros(3), torch.zeros(ROWS))}, False),
        ({}, True),
    ],
)
def test_keywords_follow_the_rows_just_where_they_were_found_to(batch, others, follows):
    batch.others = others
    assert batch.follows_rows(ROWS) == follows


@pytest.mark.parametrize(
    "make",
    [
        lambda batch: batch.whole(),
        lambda batch: batch.of((0,)),
        lambda batch: batch.one_absent(ROWS),
        lambda batch: batch.stacked([(0,), (1,)]),
        lambda batch: batch.many_absent(ROWS, 2),
    ],
)
def test_what_a_model_takes_out_of_a_container_is_there_in_the_next_pass(batch, make):
    batch.others["steps"] = [1, 2]
    make(batch)["steps"].pop()
    assert batch.others["steps"] == [1, 2]
