"""WebDataset shards as a data set: what is read, what is refused, and what is resumed."""

import gzip
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from counterpoise.data import CorruptFileError, MultiLabel, Regression, Shards
from counterpoise.data.files.shards import decoded, find_shards, index_shard
from counterpoise.training import read_recipe

MODALITIES = {"sound": "npy", "sight": "png"}


def npy(values):
    file = io.BytesIO()
    np.save(file, np.asarray(values))
    return file.getvalue()


def picture(colour):
    file = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(file, "png")
    return file.getvalue()


def write_shard(path, numbers, **more):
    """A sample for each number: number and colour tell it, and its class is odd or even."""
    with tarfile.open(path, "w") as archive:
        for number in numbers:
            entries = {
                "npy": npy(np.full(5, number, np.float32)),
                "png": picture((number, 2 * number, 0)),
                "cls": str(number % 2).encode(),
                **{name: content(number) for name, content in more.items()},
            }
            for name, content in entries.items():
                info = tarfile.TarInfo(f"./part/{number:04d}.{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    labels = {"labels.json": lambda n: json.dumps([n % 2, n % 3 == 0]).encode()}
    labels["value.pth"] = lambda n: saved(torch.tensor([n / 7]))
    for shard in range(3):
        write_shard(folder / f"train-{shard:02d}.tar", range(11 * shard, 11 * shard + 11), **labels)
    write_shard(folder / "other.tar", range(40, 53), **labels)
    return folder


def saved(tensor):
    file = io.BytesIO()
    torch.save(tensor, file)
    return file.getvalue()


def source(folder, **options):
    settings = {"train": f"{folder}/train-*.tar", "validation": f"{folder}/other.tar"}
    settings |= {"task": 2, "modalities": MODALITIES}
    return Shards(**(settings | options))


def test_samples_of_all_shards_are_read_in_any_order(folder):
    splits = source(folder, test=f"{folder}/other.tar").load()
    assert splits.sample_shapes == {"sound": (5,), "sight": (3, 3, 4)}
    assert [len(part) for part in splits.parts.values()] == [33, 13, 13]
    assert splits.train.target.tolist() == [number % 2 for number in range(33)]
    batch = splits.train.__getitems__([31, 0, 12])
    assert batch["sound"][:, 0].tolist() == [31, 0, 12]
    expected = torch.tensor([[31, 62, 0], [0, 0, 0], [12, 24, 0]]) / 255
    torch.testing.assert_close(batch["sight"][:, :, 1, 2], expected)
    assert batch["target"].tolist() == [1, 0, 0]
    assert splits.guess == pytest.approx(7 / 13)  # even ones, the commoner in training, 40 to 52


def test_pictures_of_sixteen_bits_keep_what_they_tell():
    file, depth = io.BytesIO(), np.array([[0, 300, 65535]], np.uint16)
    Image.fromarray(depth).save(file, "png")
    read = decoded("0.depth.png", "depth.png", file.getvalue())
    expected = torch.tensor([[[0, 300, 65535]]]).expand(3, 1, 3) / 65535
    torch.testing.assert_close(read, expected)


def test_other_tasks_and_nests_are_read(folder):
    labels = source(folder, task=MultiLabel(2), target="labels.json").load()
    assert labels.train.__getitems__([3])["target"].tolist() == [[1, 1]]
    modalities = {"both": ["npy", "value.pth"], "sight": "png"}
    values = source(folder, task=Regression(), target="value.pth", modalities=modalities).load()
    assert values.sample_shapes["both"] == {"npy": (5,), "value.pth": (1,)}
    torch.testing.assert_close(values.train.target[:, 0], torch.arange(33) / 7)


def test_a_range_stands_for_its_files_and_content_makes_the_fingerprint(folder, tmp_path):
    named = source(folder, train=f"{folder}/train-{{00..02}}.tar").load()
    assert named.fingerprint == source(folder).load().fingerprint
    names = [path.name for path in find_shards("train", [f"{folder}/train-{{01..02}}.tar"])]
    assert names == ["train-01.tar", "train-02.tar"]
    fewer = source(folder, train=[f"{folder}/train-00.tar", f"{folder}/train-02.tar"]).load()
    assert len(fewer.train) == 22
    assert fewer.fingerprint != named.fingerprint


def test_shards_that_are_missing_damaged_or_lack_an_entry_are_told(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`train` should stand for tar files; found none"):
        source(tmp_path).load()
    with pytest.raises(ValueError, match=r"'\./part/0000' .* entry 'wav'; found npy, png, cls"):
        _ = source(folder, modalities={"sound": "wav"}).load().sample_shapes
    whole = (folder / "train-00.tar").read_bytes()
    cases = {
        "empty": (b"", "cannot be read"),
        "text": (b"version https://git-lfs.github.com/spec/v1\n" * 30, "cannot be read"),
        "packed": (gzip.compress(whole), "not compressed; found one that cannot be read"),
        "cut": (whole[: 512 + 100], "cut off|cannot be read"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / f"{name}.tar"
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match=message):
            index_shard(path)


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


@pytest.mark.parametrize("entry", ["npy", "pth", "cls", "json", "png"])
def test_an_entry_that_is_a_program_or_damaged_is_refused(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects = io.BytesIO()
    np.save(objects, np.array([Harm()], dtype=object), allow_pickle=True)
    for content in (pickle.dumps(Harm(), 2), objects.getvalue(), b"", b"\x00" * 9):
        with pytest.raises(CorruptFileError, match=rf"^`x\.{entry}` should be a {entry}; found"):
            decoded(f"x.{entry}", entry, content)
    assert not list(tmp_path.iterdir())


def test_kinds_that_are_not_read_are_refused_by_name():
    with pytest.raises(ValueError, match=r"`a: 0\.flac` should end in one of npy, .*found 'flac'"):
        decoded("a: 0.flac", "flac", b"")
    with pytest.raises(CorruptFileError, match=r"should hold one tensor; found a dict"):
        decoded("0.pth", "pth", saved({"x": torch.zeros(2)}))
    with pytest.raises(ValueError, match=r"`modalities` should name 1 or more; found 0"):
        Shards("a.tar", "b.tar", task=2, modalities={})


def test_a_recipe_names_them_with_their_task(tmp_path):
    (tmp_path / "recipe.yaml").write_text("""
data:
  class_path: Shards
  init_args:
    train: train-{00..01}.tar
    validation: other.tar
    task: {class_path: Regression, init_args: {num_targets: 2}}
    modalities: {sound: npy, both: [npy, value.pth]}
    target: value.json
""")
    data = read_recipe(str(tmp_path / "recipe.yaml")).data
    modalities = {"sound": "npy", "both": ["npy", "value.pth"]}
    expected = {"task": Regression(2), "modalities": modalities, "target": "value.json"}
    assert data == Shards("train-{00..01}.tar", "other.tar", **expected)
