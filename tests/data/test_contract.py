import pickle
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from counterpoise.data import DataSource, Digits, MultimodalDataset, Splits
from counterpoise.data.files.fingerprints import update_with_tensor

N = 11


def make(num_samples=N, **changes):
    generator = torch.Generator().manual_seed(num_samples)
    inputs = {
        "audio": torch.rand(num_samples, 3, 5, generator=generator),
        "image": torch.rand(num_samples, 7, generator=generator),
    }
    return MultimodalDataset(inputs, torch.arange(num_samples) % 2, **changes)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_batch_is_the_samples_stacked():
    dataset = make()
    indices = [7, 0, 10, 7, -1]
    batch = dataset.__getitems__(indices)
    twin = {key: torch.stack([dataset[i][key] for i in indices]) for key in dataset[0]}
    assert same(batch, twin)
    assert list(batch) == ["audio", "image", "target"]
    assert same(batch, dataset.__getitems__(torch.tensor(indices)))


@pytest.mark.parametrize("index", [N, -N - 1])
def test_a_batch_of_samples_that_are_not_there_is_refused(index):
    with pytest.raises(IndexError, match="out of range"):
        make().__getitems__([0, index])


@pytest.mark.parametrize("batch_size", [1, 3, N, 13])
def test_a_loader_yields_every_sample_once_in_order(batch_size):
    dataset = make()
    batches = list(DataLoader(dataset, batch_size, collate_fn=dataset.collate))
    joined = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    assert same(joined, {**dataset.inputs, "target": dataset.target})


def test_a_loader_asks_once_a_batch_and_transforms_once_a_batch():
    calls = []

    def halve(x):
        calls.append(x.shape)
        return x / 2

    dataset = make(transforms={"image": halve})
    batches = list(DataLoader(dataset, 4, collate_fn=dataset.collate))
    assert calls == [(4, 7), (4, 7), (3, 7)]
    assert torch.equal(batches[2]["image"], dataset.inputs["image"][8:] / 2)
    assert torch.equal(batches[2]["audio"], dataset.inputs["audio"][8:])


def test_transforms_set_the_sample_shape_and_follow_a_subset():
    dataset = make(transforms={"audio": torch.Tensor.double, "image": lambda x: x[:, None]})
    assert dataset.sample_shapes == {"audio": (3, 5), "image": (1, 7)}
    part = dataset.subset([5, 2])
    assert same(part.__getitems__([0, 1]), dataset.__getitems__([5, 2]))
    assert part[1]["audio"].dtype == torch.float64


def test_iteration_ends():
    assert [int(sample["target"]) for sample in make(3)] == [0, 1, 0]


def test_an_empty_data_set_has_shapes_and_empty_batches():
    dataset = make(0)
    assert len(dataset) == 0
    assert dataset.sample_shapes == {"audio": (3, 5), "image": (7,)}
    assert dataset.__getitems__([])["audio"].shape == (0, 3, 5)


def test_a_slice_subset_shares_memory_and_a_list_subset_does_not():
    dataset = make()
    view, copy = dataset.subset(slice(2, 5)), dataset.subset([2, 3, 4])
    assert view.inputs["image"].data_ptr() == dataset.inputs["image"][2].data_ptr()
    assert copy.inputs["image"].data_ptr() != dataset.inputs["image"][2].data_ptr()
    assert view.fingerprint == copy.fingerprint != dataset.fingerprint


def test_memory_mapped_tensors_are_read_by_the_batch(tmp_path):
    stored = torch.arange(N * 3, dtype=torch.uint8).reshape(N, 3)
    path = tmp_path / "audio.bin"
    path.write_bytes(bytes(stored.flatten().tolist()))
    mapped = torch.from_file(str(path), size=N * 3, dtype=torch.uint8).reshape(N, 3)
    dataset = MultimodalDataset({"audio": mapped}, torch.arange(N), transforms={"audio": by_255})
    assert dataset.inputs["audio"].data_ptr() == mapped.data_ptr()
    assert torch.equal(dataset.__getitems__([9, 4])["audio"], stored[[9, 4]] / 255)
    assert dataset.fingerprint == MultimodalDataset({"audio": stored}, torch.arange(N)).fingerprint


def by_255(x):
    return x / 255


def test_pickling_keeps_everything():
    dataset = make(transforms={"audio": by_255})
    again = pickle.loads(pickle.dumps(dataset))
    assert again.fingerprint == dataset.fingerprint
    assert same(again[3], dataset[3])


def test_fingerprint_is_the_same_in_another_process():
    program = (
        "import torch; from counterpoise.data import MultimodalDataset as D;"
        "x = torch.arange(22.).reshape(11, 2);"
        "print(D({'a': x, 'b': x.bool()}, torch.arange(11)).fingerprint)"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    x = torch.arange(22.0).reshape(11, 2)
    here = MultimodalDataset({"a": x, "b": x.bool()}, torch.arange(11)).fingerprint
    assert other.stdout.strip() == here


@pytest.mark.parametrize(
    "change",
    [
        lambda d: MultimodalDataset({"audio": d["audio"], "image": d["image"] + 1e-7}, d["target"]),
        lambda d: MultimodalDataset({"audio": d["audio"], "picture": d["image"]}, d["target"]),
        lambda d: MultimodalDataset({"image": d["image"], "audio": d["audio"]}, d["target"]),
        lambda d: MultimodalDataset(
            {"audio": d["audio"].mT.reshape(N, 3, 5), "image": d["image"]}, d["target"]
        ),
        lambda d: MultimodalDataset(
            {"audio": d["audio"].flatten(1), "image": d["image"]}, d["target"]
        ),
        lambda d: MultimodalDataset({"audio": d["audio"], "image": d["image"]}, d["target"].int()),
    ],
    ids=["a value", "a name", "the order", "the layout", "a shape", "a type"],
)
def test_fingerprint_changes_with(change):
    dataset = make()
    changed = change({**dataset.inputs, "target": dataset.target})
    assert changed.fingerprint != dataset.fingerprint


@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]),
)
def test_fingerprint_of_a_view_is_that_of_its_copy(shape, dtype):
    tensor = torch.ones(2, *shape).cumsum(0).to(dtype)
    view = tensor.transpose(0, -1)

    class Bytes:
        def __init__(self):
            self.read = b""

        def update(self, data):
            self.read += bytes(data)

    first, second = Bytes(), Bytes()
    update_with_tensor(first, "x", view)
    update_with_tensor(second, "x", view.clone(memory_format=torch.contiguous_format))
    assert first.read == second.read
    assert first.read.endswith(bytes(view.contiguous().flatten().view(torch.uint8).tolist()))


@pytest.mark.parametrize(
    ("inputs", "target", "error", "message"),
    [
        ({}, torch.ones(2), ValueError, "`inputs` should hold at least one modality; found none."),
        (
            {"target": torch.ones(2)},
            torch.ones(2),
            ValueError,
            "`inputs` should not hold a modality named 'target', the key of the labels",
        ),
        (
            {"a": torch.ones(3, 2), "b": torch.ones(5)},
            torch.ones(3),
            ValueError,
            "should have the same number of samples; found a: 3, b: 5, target: 3.",
        ),
        ({"a": [1, 2]}, torch.ones(2), TypeError, "`a.0` should be a tensor; found 1."),
        (
            {"a": {}},
            torch.ones(2),
            ValueError,
            "`a` should hold at least one tensor; found an empty",
        ),
        ({"a": torch.ones(2)}, [1, 2], TypeError, "`target` should be a tensor; found [1, 2]."),
        (
            {"a": torch.ones(2)},
            torch.tensor(1),
            ValueError,
            "`target` should have a first dimension of samples; found a scalar.",
        ),
    ],
)
def test_bad_tensors_are_refused(inputs, target, error, message):
    with pytest.raises(error, match=re.escape(message)):
        MultimodalDataset(inputs, target)


def test_a_transform_of_no_modality_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"found 'imgae'\. Did you mean 'image'\?"):
        make(transforms={"imgae": by_255})


@pytest.mark.parametrize("index", [N, -N - 1])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(IndexError, match=re.escape(f"in [-11, 11); found {index}.")):
        make()[index]
    with pytest.raises(ValueError, match=re.escape(f"in [-11, 11); found {index}.")):
        make().subset([3, index])


def splits(**changes):
    parts = {"train": make(7), "validation": make(5), "test": make(3), "task": 2}
    return Splits("toy", **{**parts, **changes}, note="Noise.", source="here", licence="none")


def test_splits_describe_themselves_in_plain_types():
    described = splits().describe()
    assert described["num_samples"] == {"train": 7, "validation": 5, "test": 3}
    assert described["sample_shapes"] == {"audio": [3, 5], "image": [7]}
    assert described["fingerprint"] == splits().fingerprint
    assert splits().modalities == ("audio", "image")


def test_splits_fingerprint_changes_with_each_split():
    others = {splits(**{part: make(2)}).fingerprint for part in ("train", "validation", "test")}
    assert len({*others, splits().fingerprint}) == 4


def test_the_training_set_may_change_with_the_epoch():
    assert splits().training_set(3) is not None
    sets = [make(7), make(7)]
    changing = splits(train=sets[0], train_at=lambda epoch: sets[min(epoch, 1)])
    assert [changing.training_set(epoch) for epoch in (0, 1, 2)] == [sets[0], sets[1], sets[1]]


def test_splits_that_do_not_fit_are_refused():
    other = MultimodalDataset({"audio": torch.ones(2, 3, 5)}, torch.zeros(2))
    with pytest.raises(ValueError, match="`test` should have the modalities and sample shapes of"):
        splits(test=other)
    with pytest.raises(ValueError, match=r"`train` should have targets in \[0, 2\); found 0 to 6"):
        splits(train=MultimodalDataset(make(7).inputs, torch.arange(7)))
    with pytest.raises(ValueError, match=r"`validation` should have targets in .* found -1 to 3"):
        splits(validation=MultimodalDataset(make(5).inputs, torch.arange(5) - 1))
    with pytest.raises(ValueError, match=r"`task` should be .* of classes, at least 2; found 1"):
        splits(task=1)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (torch.rand(5), r"torch.float32 of shape \(5,\)"),
        (torch.rand(5, 1), r"torch.float32 of shape \(5, 1\)"),
        (torch.ones(5, 3, dtype=torch.long), r"torch.int64 of shape \(5, 3\)"),
        (torch.ones(5, dtype=torch.bool), r"torch.bool of shape \(5,\)"),
    ],
)
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_targets_of_other_tasks_are_refused(part, target, found):
    message = (
        rf"`{part}` should have one class for each sample as target, integers of shape \(N,\); "
        rf"found {found}\. Convert it, or pass another task: MultiLabel\(\.\.\.\), "
    )
    with pytest.raises(ValueError, match=message):
        splits(**{part: MultimodalDataset(make(5).inputs, target)})


def test_a_source_is_called_like_its_class_unless_it_says_otherwise():
    class Weather(DataSource):
        def load(self):
            return splits()

    class Storms(Weather):
        name = "thunder"

    class Hail(Weather):
        pass

    assert [each.name for each in (Weather, Weather(), Storms(), Hail())] == [
        "weather",
        "weather",
        "thunder",
        "hail",
    ]
    assert Digits.name == "digits"

    @dataclass
    class Table(DataSource):
        name: str
        path: str

        def load(self):
            return splits()

    assert Table("rain", "rain.csv").name == "rain"
    with pytest.raises(TypeError, match="name"):
        Table()


def nested(num_samples=7):
    tokens = torch.arange(num_samples * 5).reshape(num_samples, 5)
    text = {"tokens": tokens, "parts": [tokens % 3, tokens % 2 == 0]}
    return MultimodalDataset(
        {"text": text, "image": torch.rand(num_samples, 3)}, torch.arange(num_samples) % 2
    )


def test_a_nest_of_tensors_is_sliced_leaf_by_leaf():
    dataset = nested()
    batch = dataset.__getitems__([4, -1])
    assert batch["text"]["tokens"].tolist() == [[20, 21, 22, 23, 24], [30, 31, 32, 33, 34]]
    assert batch["text"]["parts"][0].tolist() == [[2, 0, 1, 2, 0], [0, 1, 2, 0, 1]]
    assert dataset[1]["text"]["parts"][1].tolist() == [False, True, False, True, False]
    assert dataset.sample_shapes == {
        "text": {"tokens": (5,), "parts": [(5,), (5,)]},
        "image": (3,),
    }
    assert dataset.subset([3]).inputs["text"]["tokens"].tolist() == [[15, 16, 17, 18, 19]]


def test_each_leaf_of_a_nest_counts_for_the_fingerprint():
    torch.manual_seed(0)
    one = nested()
    other = MultimodalDataset({**one.inputs}, one.target)
    assert one.fingerprint == other.fingerprint
    changed = {**one.inputs["text"], "parts": [one.inputs["text"]["tokens"] % 2] * 2}
    other = MultimodalDataset({**one.inputs, "text": changed}, one.target)
    assert one.fingerprint != other.fingerprint


def test_nests_are_described_in_plain_types():
    described = Splits("toy", nested(), nested(5), nested(3), 2).describe()
    assert described["sample_shapes"] == {
        "text": {"tokens": [5], "parts": [[5], [5]]},
        "image": [3],
    }


def test_leaves_of_different_lengths_are_refused_by_their_path():
    text = {"tokens": torch.ones(2, 5), "mask": torch.ones(3, 5)}
    with pytest.raises(ValueError, match=r"found text.tokens: 2, text.mask: 3, target: 2\."):
        MultimodalDataset({"text": text}, torch.zeros(2))


def test_without_test_data_there_are_two_parts_and_no_guess():
    two = splits(test=None)
    assert list(two.parts) == ["train", "validation"]
    assert two.guess is None
    assert two.describe()["num_samples"] == {"train": 7, "validation": 5}
