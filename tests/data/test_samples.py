"""Samples read one by one: what is drawn, arranged and refused."""

import random
import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from counterpoise.data import Loaders, SampleDataset, Splits
from counterpoise.data.drawing import Stream, drawing
from counterpoise.data.layout import Layout


class Noisy(Dataset):
    """Draws from every global generator while it reads."""

    def __init__(self, num_samples=13):
        self.num_samples = num_samples

    def __len__(self):
        return self.num_samples

    def __getitem__(self, index):
        noise = torch.tensor([random.random(), np.random.random(), torch.rand(()).item()])  # noqa: NPY002
        return {"sound": noise + index, "sight": torch.full((2,), index), "target": index % 2}


class Several(Noisy):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", [Noisy, Several])
def test_what_is_drawn_is_a_function_of_seed_epoch_and_number(kind):
    samples = SampleDataset(kind())
    batch = samples.drawn(3, 1).__getitems__([2, 5])
    torch.rand(7), random.random()  # what else is drawn has no say
    assert same(batch, samples.drawn(3, 1).__getitems__([2, 5]))
    for seed, epoch in ((3, 2), (4, 1)):
        assert not same(batch, samples.drawn(seed, epoch).__getitems__([2, 5]))


def test_a_sample_is_drawn_alike_in_any_batch():
    samples = SampleDataset(Noisy()).drawn(3, 1)
    alone, among = samples.__getitems__([5]), samples.__getitems__([2, 5, 11])
    assert torch.equal(alone["sound"][0], among["sound"][1])
    assert torch.equal(alone["sound"][0], samples[5]["sound"])
    assert torch.equal(samples[5]["sound"], samples[-8]["sound"])


def test_reading_shifts_nobody_elses_numbers():
    states = [torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002
    SampleDataset(Noisy()).__getitems__([0, 1])
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == [random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002


def test_workers_read_the_same():
    samples = SampleDataset(Noisy()).drawn(0, 0)
    orders = [[0, 3], [7, 2]]
    loaders = (
        DataLoader(samples, batch_sampler=orders, collate_fn=samples.collate, num_workers=number)
        for number in (0, 2)
    )
    for alone, worked in zip(*loaders, strict=True):
        assert same(alone, worked)


def test_the_fingerprint_tells_content_and_length():
    prints = {
        SampleDataset(Noisy()).fingerprint,
        SampleDataset(Noisy(11)).fingerprint,
        SampleDataset(Noisy(), content="a").fingerprint,
        SampleDataset(Noisy(), content="b").fingerprint,
        SampleDataset(Noisy(), modalities=["sight"]).fingerprint,
    }
    assert len(prints) == 5
    assert SampleDataset(Noisy()).fingerprint in prints


def test_entries_become_modalities_and_nests():
    table = [{"ids": [1, 2, 3], "mask": [1, 1, 0], "pixels": [0.5], "label": 1, "file": "x"}] * 3
    samples = SampleDataset(
        [{k: torch.tensor(v) if k != "file" else v for k, v in row.items()} for row in table],
        modalities={"text": ("ids", "mask"), "image": "pixels"},
        target="label",
    )
    batch = samples.__getitems__([0, 2])
    assert list(batch) == ["text", "image", "target"]
    assert batch["text"]["mask"].tolist() == [[1, 1, 0]] * 2
    assert samples.sample_shapes == {"text": {"ids": (3,), "mask": (3,)}, "image": (1,)}


def test_others_are_passed_on_beside_the_modalities():
    samples = SampleDataset(Noisy(), modalities=["sound"], others=["sight"])
    assert samples.modalities == ("sound",)
    assert set(samples.__getitems__([0])) == {"sound", "sight", "target"}


def test_a_collate_function_of_ones_own_makes_the_batch():
    rows = [{"a": torch.ones(length), "target": length} for length in (2, 5, 3)]

    def pad(samples):
        values = torch.nn.utils.rnn.pad_sequence([s["a"] for s in samples], batch_first=True)
        return {"a": values, "target": torch.tensor([s["target"] for s in samples])}

    batch = SampleDataset(rows, collate=pad).__getitems__([0, 2])
    assert batch["a"].tolist() == [[1, 1, 0], [1, 1, 1]]


def pad_nothing(samples):
    return default_collate(samples)


def test_padded_parts_may_differ_in_length_and_others_not():
    def rows(length, **more):
        return [{"a": torch.ones(length, 3), "b": torch.ones(5), "target": 1, **more}]

    padded = [SampleDataset(rows(length), collate=pad_nothing) for length in (7, 2, 5)]
    assert Splits("padded", *padded, 2).sample_shapes == {"a": (7, 3), "b": (5,)}
    loaded = Loaders(*(DataLoader(rows(length)) for length in (7, 2, 5)), task=2).load()
    assert loaded.sample_shapes == {"a": (7, 3), "b": (5,)}
    for other in (rows(7)[0] | {"a": torch.ones(7)}, rows(7)[0] | {"a": {"x": torch.ones(7, 3)}}):
        with pytest.raises(ValueError, match=r"`validation` should have .* sample shapes of"):
            Splits("x", padded[0], SampleDataset([other], collate=pad_nothing), None, 2)
    stacked = [SampleDataset(rows(length)) for length in (7, 2)]
    with pytest.raises(ValueError, match=r"`validation` should have .* sample shapes of"):
        Splits("stacked", *stacked, None, 2)


def test_columns_may_stand_in_any_order():
    rows = [{"a": torch.ones(3), "b": torch.ones(5), "target": 1}]
    turned = [dict(reversed(row.items())) for row in rows]
    splits = Splits("turned", SampleDataset(rows), SampleDataset(turned), None, 2)
    assert (splits.modalities, splits.validation.modalities) == (("a", "b"), ("b", "a"))


def test_lists_of_numbers_are_refused():
    for value in ([0.5, 1.5, 2.5], [[0.5, 1.5, 2.5], [1.5]], {"x": [1, 2, 3]}):
        rows = SampleDataset([{"a": value, "target": 1}])
        with pytest.raises(TypeError, match=r"`a` should be a tensor .* found a list of 3 num"):
            Splits("lists", rows, rows, None, 2)
    nest = SampleDataset([{"a": [torch.ones(3), (torch.ones(2), {"length": 5})], "target": 1}])
    assert nest.sample_shapes == {"a": [(3,), [(2,), {"length": ()}]]}


def test_labels_that_are_words_are_refused():
    words = SampleDataset([{"a": torch.ones(3), "target": "cat"}])
    with pytest.raises(TypeError, match="`train` should have a tensor of labels in each batch; f"):
        Splits("words", words, words, None, 2)


def test_a_table_of_hugging_face_is_read():
    datasets = pytest.importorskip("datasets")
    columns = {"ids": [[1, 2], [3, 4], [5, 6]], "x": [[0.5], [1.5], [2.5]], "label": [0, 1, 0]}
    table = datasets.Dataset.from_dict(columns).with_format("torch")
    samples = SampleDataset(table, modalities=("ids", "x"), target="label")
    batch = samples.__getitems__([2, 0])
    assert batch["ids"].tolist() == [[5, 6], [1, 2]]
    assert batch["target"].tolist() == [0, 0]
    assert samples.sample_shapes == {"ids": (2,), "x": (1,)}


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "`dataset` should hold at least one sample; found none.", lambda: ([],)),
        (
            TypeError,
            "Samples should be mappings of modalities and target, or tuples; found a Tensor of",
            lambda: ([torch.ones(2)] * 3,),
        ),
        (
            ValueError,
            "`fields` should name the 2 entries of a sample; found 'a', 'b', 'target'.",
            lambda: ([(torch.ones(2), 1)] * 3, {"fields": ("a", "b", "target")}),
        ),
        (
            ValueError,
            "Samples should have an entry 'target'; found 'a', 'traget'. Say by",
            lambda: ([{"a": torch.ones(2), "traget": 1}],),
        ),
        (
            ValueError,
            "should have an entry 'sigth'; found 'sound', 'sight', 'target'.",
            lambda: (Noisy(), {"modalities": ["sigth"]}),
        ),
        (
            ValueError,
            "`targets` should be a tensor of an entry for each of 13 samples; found a Tensor of",
            lambda: (Noisy(), {"targets": torch.zeros(5)}),
        ),
    ],
)
def test_what_cannot_be_read_is_refused(error, message, make):
    dataset, options = (*make(), {})[:2]
    with pytest.raises(error, match=re.escape(message)):
        SampleDataset(dataset, **options).__getitems__([0])


def test_a_sample_out_of_range_is_refused():
    with pytest.raises(IndexError, match=re.escape("`index` should be in [-13, 13); found 13.")):
        SampleDataset(Noisy())[13]


@pytest.mark.parametrize("modalities", ["audio", [], ["target"]])
def test_modalities_that_are_none_are_refused(modalities):
    with pytest.raises((ValueError, TypeError), match="`modalities` should "):
        Layout(modalities)


def test_a_stream_goes_on_where_it_stood():
    def draws():
        return random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002

    stream = Stream("a", 1)
    with drawing("a", 1):
        wanted = [draws() for _ in range(3)]
    with stream.active():
        found = [draws()]
    torch.rand(3)
    other = Stream("b")
    other.load_state_dict(stream.state_dict())
    for each in (stream, other):
        with each.active():
            assert [*found, draws(), draws()] == wanted
    fresh = Stream("c")
    fresh.load_state_dict(Stream("a", 1).state_dict())
    with fresh.active():
        assert draws() == wanted[0]
