"""Files cut off, with bytes changed, or that are something else: a clear error, or data in form."""

import re
import shutil
import warnings

import numpy as np
import pytest
import torch

from counterpoise.core.errors import is_ours
from counterpoise.data import AVE, BRCA, CMUMOSEI, CREMAD, URFunny
from counterpoise.data.clips.build import Forms, build
from counterpoise.data.crema_d.layout import find_clips
from support.affective import humor, make_mels, make_ur_funny, mosei, write_pickle
from support.ave import make_ave
from support.clips import make_crema_d

TRIALS = 8  # of each file below: more than 200 together


def load_crema_d(folder):
    output = folder.parent / "built"
    try:
        build(output, find_clips(folder), Forms(), about={"name": "crema-d"})
        splits = CREMAD(root=output, split="actor").load()
        return [splits.train.__getitems__([0, 1]), splits.test.__getitems__([0])]
    finally:
        shutil.rmtree(output, ignore_errors=True)
        assert not list(folder.parent.glob(".*.partial"))


def load_archive(folder):
    CREMAD(root=folder).verify()
    return [CREMAD(root=folder, split="actor").load().train.__getitems__(range(3))]


def load_ave(folder):
    parts, _ = AVE(root=folder).features()
    return [part.__getitems__(range(len(part))) for part in parts.values()]


def make_brca(folder):
    folder.mkdir()
    for ending, number in (("tr", 31), ("te", 11)):
        np.savetxt(folder / f"labels_{ending}.csv", np.arange(number) % 3)
        for place in (1, 2, 3):
            np.savetxt(folder / f"{place}_{ending}.csv", np.ones((number, place)), delimiter=",")
    return folder


def splits_of(source):
    splits = source.load()
    return [part[0] for part in (splits.train, splits.validation, splits.test)]


def made_archive(folder):
    root = make_crema_d(folder.parent / "of-archive", num_actors=3, tables=False)
    build(folder, find_clips(root), Forms(), about={"name": "crema-d"})
    return folder


def single(name, content):
    def make(folder):
        write_pickle(folder / name, content())
        return folder

    return make


# What makes a folder, which of its files are spoilt, and what reads it.
CASES = {
    "humor": (single("humor.pkl", humor), "*.pkl", lambda f: splits_of(URFunny(root=f))),
    "ur-funny": (make_ur_funny, "*.pkl", lambda f: splits_of(URFunny(root=f))),
    "mosei": (single("mosei_senti_data.pkl", mosei), "*", lambda f: splits_of(CMUMOSEI(root=f))),
    "mels": (
        make_mels,
        "[tg]*[met]*",
        lambda f: splits_of(CMUMOSEI(root=f, vectors=f / "glove.txt")),
    ),
    "ave": (make_ave, "*", load_ave),
    "brca": (make_brca, "*tr.csv", lambda f: splits_of(BRCA(root=f))),
    "crema-d": (
        lambda folder: make_crema_d(folder, num_actors=3),
        "*/1001_IEO_[NHS]*",
        load_crema_d,
    ),
    "crema-d tables": (lambda folder: make_crema_d(folder, num_actors=3), "*.csv", load_crema_d),
    "pictures": (
        lambda folder: make_crema_d(folder, num_actors=3, derived=True, tables=False),
        "*/1001_IEO_[NH]*/00000.jpg",
        load_crema_d,
    ),
    "archive": (made_archive, "*", load_archive),
}


def spoil(content, draw):
    """Cut a file off, change some of its bytes or bits, or put something else in its place."""
    kind = draw.integers(4)
    spoilt = bytearray(content)
    if kind == 0:
        return bytes(spoilt[: draw.integers(len(spoilt))])
    if kind == 3:
        foreign = (b"<!DOCTYPE html><title>404</title>", draw.bytes(997), b"PK\x03\x04" + bytes(50))
        return foreign[draw.integers(3)]
    # Half of the changes are near the beginning, where formats say what follows.
    reach = len(spoilt) if draw.integers(2) else min(len(spoilt), 512)
    for place in draw.integers(reach, size=1 + draw.integers(5)):
        spoilt[place] = draw.integers(256) if kind == 1 else spoilt[place] ^ (1 << draw.integers(8))
    return bytes(spoilt)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    made = {}

    def of(case):
        if case not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[case] = CASES[case][0](tmp_path_factory.mktemp("made") / "data")
        return made[case]

    return of


def check(batches):
    """Data in form are finite tensors with a target."""
    for batch in batches:
        assert "target" in batch
        for value in batch.values():
            assert isinstance(value, torch.Tensor)
            assert torch.isfinite(value.float()).all()


def error_of(load, folder):
    """What a caller is told, or nothing if the data are read, in form."""
    try:
        batches = load(folder)
    except (ValueError, OSError, TypeError) as error:
        return error
    check(batches)
    return None


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_spoilt_file_ends_in_a_clear_error_or_in_data(originals, tmp_path, case):
    _, pattern, load = CASES[case]
    folder = shutil.copytree(originals(case), tmp_path / "data")
    check(load(folder))
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    assert paths
    draw = np.random.default_rng(list(case.encode()))
    errors = []
    for number in range(max(2 * TRIALS, TRIALS * min(len(paths), 4))):
        path = paths[number % len(paths)]
        content = path.read_bytes()
        path.write_bytes(spoil(content, draw))
        errors.append(error_of(load, folder))
        path.write_bytes(content)
    messages = [str(error) for error in errors if error is not None]
    assert messages
    for message in messages:
        assert is_ours(message), message
        assert re.search(r"; found .*\. [A-Z]", message), message
