"""Samples read one by one and loaders of one's own: trained, killed and resumed to the bit."""

import io
import random
import re
import tarfile
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from counterpoise.data import DataSource, Loaders, SampleDataset, Shards, Splits
from counterpoise.data.contract import Batched
from counterpoise.training import train
from counterpoise.training.own_loader import OwnLoader
from training import runs
from training.runs import NUM_CLASSES, dataset, recipe, same_bits
from training.test_resume import Killed, left_behind


class Augmented(Dataset):
    """Blobs with noise that is drawn as they are read, half of it from each generator."""

    def __init__(self, num_samples, seed):
        self.whole = dataset(num_samples, seed)

    def __len__(self):
        return len(self.whole)

    def __getitem__(self, index):
        sample = self.whole[index]
        left = sample["left"] + 0.1 * torch.randn(5)
        return {**sample, "left": left, "right": sample["right"] + 0.1 * random.random()}


def shuffled(num_workers=0):
    return Loaders(
        DataLoader(Augmented(59, 0), 13, shuffle=True, num_workers=num_workers),
        DataLoader(Augmented(23, 1), 17),
        DataLoader(Augmented(29, 2), 17),
        task=NUM_CLASSES,
    )


class Chancy(Augmented):
    """Draws from a generator of its own, and so does what orders it."""

    def __init__(self, num_samples, seed):
        super().__init__(num_samples, seed)
        self.chance = np.random.default_rng(7)

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return {**sample, "left": sample["left"] + 0.1 * self.chance.standard_normal()}


@dataclass(frozen=True)
class OneByOne(DataSource):
    def load(self):
        parts = [SampleDataset(Chancy(n, s)) for n, s in ((59, 0), (23, 1), (29, 2))]
        return Splits("one by one", *parts, NUM_CLASSES)


class Order(Sampler):
    def __init__(self, num_samples):
        self.num_samples, self.chance = num_samples, random.Random(7)

    def __len__(self):
        return self.num_samples

    def __iter__(self):
        return iter(self.chance.sample(range(self.num_samples), self.num_samples))


def chancy():
    """Whose workers and generators would go on from epoch to epoch."""
    return Loaders(
        DataLoader(Chancy(59, 0), 13, sampler=Order(59), num_workers=1, persistent_workers=True),
        DataLoader(Chancy(23, 1), 17),
        DataLoader(Chancy(29, 2), 17),
        task=NUM_CLASSES,
    )


def stateful():
    kind = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    loaders = (kind(Augmented(n, s), 13, shuffle=s == 0) for n, s in ((59, 0), (23, 1), (29, 2)))
    return Loaders(*loaders, task=NUM_CLASSES)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Shards in WebDataset's format: files of one sample have one stem."""
    paths = []
    for part, (number, seed) in {"train": (59, 0), "validation": (23, 1), "test": (29, 2)}.items():
        samples, paths = dataset(number, seed), [*paths, tmp_path_factory.mktemp(part) / "0.tar"]
        with tarfile.open(paths[-1], "w") as tar:
            for index in range(number):
                sample = samples[index]
                for name in ("left", "right"):
                    content = io.BytesIO()
                    torch.save(sample[name], content)
                    add(tar, f"{index:04}.{name}.pth", content.getvalue())
                add(tar, f"{index:04}.target.cls", str(int(sample["target"])).encode())
    return paths


def add(tar, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def sharded(shards):
    wds = pytest.importorskip("webdataset")

    def pipeline(path, size, shuffle):
        shards = wds.WebDataset(str(path), shardshuffle=False, empty_check=False)
        stage = shards.shuffle(31, rng=random) if shuffle else shards
        named = stage.decode().to_tuple("left.pth", "right.pth", "target.cls")
        return named.batched(size)

    names = ("left", "right", "target")
    parts = [pipeline(path, 13, i == 0) for i, path in enumerate(shards)]
    tensors = [Tensors(part) for part in parts]
    return Loaders(*tensors, task=NUM_CLASSES, fields=names, num_batches=5)


def indexed(shards):
    modalities = {name: f"{name}.pth" for name in ("left", "right")}
    return Shards(*map(str, shards), task=NUM_CLASSES, modalities=modalities, target="target.cls")


class Tensors:
    """Makes tensors of the target, which WebDataset batches as an array."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        for left, right, target in self.loader:
            yield torch.as_tensor(left), torch.as_tensor(right), torch.as_tensor(target)


SOURCES = {
    "samples": lambda shards: OneByOne(),
    "loader": lambda shards: shuffled(),
    "workers": lambda shards: chancy(),
    "stateful": lambda shards: stateful(),
    "shards": sharded,
    "shards in any order": indexed,
}


def kill_at_step(monkeypatch, number):
    """End the run in the full pass of a training step, counted from 1; 5 are an epoch."""
    forward, steps = runs.Net.forward, []

    def counted(self, **inputs):
        if self.training:
            steps.append(None)
        if len(steps) == number:
            raise Killed
        return forward(self, **inputs)

    monkeypatch.setattr(runs.Net, "forward", counted)


def own(source, **changes):
    trainer = {"checkpoint_every_n_steps": 2, "max_epochs": 3}
    return recipe(data=source, trainer=trainer, **changes)


@pytest.fixture(scope="module")
def straight(shards, tmp_path_factory):
    """From the name of a source to what a run comes to that nobody kills, each trained once."""

    @cache
    def left(name):
        folder = tmp_path_factory.mktemp("straight") / "run"
        train(own(SOURCES[name](shards)), folder, progress=False)
        return left_behind(folder)

    return left


# torchdata 0.11 asks PyTorch for what PyTorch has deprecated.
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
# WebDataset leaves closing its shards to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*tar:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("number", [4, 9], ids=["in the first epoch", "in a later one"])
def test_killed_within_an_epoch_it_ends_with_the_same_bits(
    name, number, shards, straight, tmp_path, monkeypatch
):
    make, expected = SOURCES[name], straight(name)
    with monkeypatch.context() as patch:
        kill_at_step(patch, number)
        with pytest.raises(Killed):
            train(own(make(shards)), tmp_path / "run", progress=False)
    torch.rand(number), random.random()  # whatever the process did meanwhile
    train(own(make(shards)), tmp_path / "run", resume=True, progress=False)
    assert same_bits(left_behind(tmp_path / "run"), expected)


def test_the_run_depends_on_the_seed_and_on_nothing_else(straight, tmp_path):
    def weights(folder, **changes):
        train(own(shuffled(), **changes), tmp_path / folder, progress=False)
        return left_behind(tmp_path / folder)["state_dict"]

    first = straight("loader")["state_dict"]
    torch.rand(5)
    assert same_bits(first, weights("again"))
    assert not same_bits(first, weights("other", seed=4))


def test_workers_change_nothing(tmp_path):
    for number in (0, 2):
        train(own(OneByOne(), num_readers=number), tmp_path / str(number), progress=False)
    runs = [left_behind(tmp_path / str(number)) for number in (0, 2)]
    assert same_bits(*(run["state_dict"] for run in runs))


def test_samples_see_other_noise_in_each_epoch_and_the_same_in_each_validation():
    splits = OneByOne().load()
    first, second = (splits.training_set(epoch, seed=3).__getitems__([0]) for epoch in (0, 1))
    assert not torch.equal(first["left"], second["left"])
    parts = [splits.validation.__getitems__([0])["left"] for _ in range(2)]
    assert torch.equal(*parts)


def test_two_loaders_are_enough(tmp_path):
    two = Loaders(*(DataLoader(Augmented(n, 0), 13) for n in (59, 23)), task=NUM_CLASSES)
    record = train(own(two), tmp_path / "run", progress=False)
    assert record["test"] is None
    assert record["data"]["sizes"] == {"train": None, "validation": None}
    assert record["task"]["guess"] is None
    assert record["epochs"][-1]["validation/accuracy"] > 0.4


def test_what_the_loaders_hold_decides_whether_a_run_may_go_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at_step(patch, 8)
        with pytest.raises(Killed):
            train(own(shuffled()), tmp_path / "run", progress=False)
    other = Loaders(*(DataLoader(Augmented(59, 7), 13) for _ in range(3)), task=NUM_CLASSES)
    with pytest.raises(ValueError, match="The data should be those of the run to resume"):
        train(own(other), tmp_path / "run", resume=True, progress=False)


class Endless(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(7.0))


@pytest.mark.parametrize(
    ("error", "message", "loaders"),
    [
        (TypeError, "`validation` should yield batches; found 3.", ([1], 3)),
        (
            TypeError,
            "`train` should have a len(), the number of batches in an epoch; found a DataLoader",
            (DataLoader(Endless()), [1]),
        ),
    ],
)
def test_what_is_no_loader_is_refused(error, message, loaders):
    with pytest.raises(error, match=re.escape(message)):
        Loaders(*loaders, task=2)


def test_as_many_batches_as_were_told_are_an_epoch():
    batches = [{"a": torch.full((2, 3), i), "target": torch.tensor([0, 1])} for i in range(5)]
    source = Loaders(batches, batches, task=2, num_batches=3)
    loader = OwnLoader(source.load().train, 0)
    assert [batch["a"][0, 0].item() for batch in loader] == [0, 1, 2]
    assert loader.state_dict() == {"next": 0}
    longer = OwnLoader(Loaders(batches, batches, task=2, num_batches=7).load().train, 0)
    with pytest.raises(ValueError, match=r"7 batches in each epoch; found 5 in epoch 0\."):
        list(longer)
    with pytest.raises(ValueError, match="`num_batches` should be at least 1; found 0"):
        Loaders(batches, batches, task=2, num_batches=0)


def test_an_empty_loader_is_refused():
    with pytest.raises(
        ValueError, match=r"should yield at least one batch, each time .*; found none"
    ):
        Loaders([], [], task=2).load()


def test_samples_of_a_loader_have_no_numbers():
    part = shuffled().load().train
    assert isinstance(part, Batched)
    with pytest.raises(TypeError, match="have no number"):
        len(part)
    with pytest.raises(TypeError, match="have no numbers"):
        part.__getitems__([0])


def test_the_same_batches_in_each_process_are_refused():
    splits = shuffled().load()
    with pytest.raises(ValueError, match=r"samples of its own; found a RandomSampler in several"):
        OwnLoader(splits.train, 0, num_processes=2)


def test_an_evaluation_loader_need_not_know_its_length():
    batches = [{"a": torch.ones(2, 3), "target": torch.tensor([0, 1])}] * 2

    class Stream:
        def __iter__(self):
            return iter(batches)

    loader = OwnLoader(Loaders(batches, Stream(), task=2).load().validation)
    assert len(list(loader)) == 2
    with pytest.raises(TypeError, match="does not know how many batches"):
        len(loader)
