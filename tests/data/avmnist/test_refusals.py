"""Originals and options of which AV-MNIST cannot be built: one error each, and nothing written."""

import re
import shutil
from dataclasses import replace

import pytest
import torch

from counterpoise.data.avmnist.build import build
from counterpoise.data.avmnist.options import PRESETS, Options
from counterpoise.data.files.cache import CorruptFileError
from support.originals import make_fsdd, make_mnist, write_idx, write_mnist, write_wav

NUM_TRAIN, NUM_TEST = 61, 23
SMALL = Options(num_validation=11, size=13)
QUIET = replace(SMALL, noise_level=None)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folders that `build` takes; copy them before changing anything."""
    folder = tmp_path_factory.mktemp("originals")
    mnist = make_mnist(folder / "mnist", NUM_TRAIN, NUM_TEST)
    return {"mnist": mnist, "fsdd": make_fsdd(folder / "fsdd")}


@pytest.fixture
def own(originals, tmp_path):
    """Originals to spoil."""
    return {
        name: shutil.copytree(folder, tmp_path / "own" / name) for name, folder in originals.items()
    }


def refuse(kind, message, tmp_path, originals, **changes):
    output = tmp_path / "out"
    with pytest.raises(kind, match=message):
        build(output, **{**originals, "options": SMALL, **changes})
    assert not output.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_missing_file_of_mnist_is_named(own, tmp_path):
    (own["mnist"] / "t10k-labels-idx1-ubyte.gz").unlink()
    message = r"folder that holds t10k-labels-idx1-ubyte\.gz; found none in .* to download them"
    refuse(FileNotFoundError, message, tmp_path, own)


def test_a_file_of_mnist_that_is_cut_off_is_named(own, tmp_path):
    path = own["mnist"] / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    refuse(CorruptFileError, re.escape(f"`{path}` should be a whole gzip"), tmp_path, own)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-labels-idx1", torch.zeros(60), "found 60 labels and 61 images for train"),
        ("train-labels-idx1", torch.full((61,), 10), "0 to 9; found labels up to 10 for train"),
        ("t10k-images-idx3", torch.zeros(23, 28, 27), r"\(23, 28, 27\) and \(23,\) for test"),
        ("t10k-labels-idx1", torch.zeros(23, 1), r"\(23, 28, 28\) and \(23, 1\) for test"),
    ],
)
def test_originals_that_do_not_fit_together_are_named(own, tmp_path, name, array, message):
    write_idx(own["mnist"] / f"{name}-ubyte.gz", array.to(torch.uint8))
    refuse(ValueError, f"`mnist` should hold .*{message}", tmp_path, own)


def test_empty_originals_are_named(own, tmp_path):
    images = dict.fromkeys(("train", "test"), torch.zeros(0, 28, 28, dtype=torch.uint8))
    write_mnist(own["mnist"], images, {part: image[:, 0, 0] for part, image in images.items()})
    refuse(ValueError, "labels 0 to 9; found none for train", tmp_path, own)


@pytest.mark.parametrize(
    ("part", "prefix", "number"), [("train", "train", 61), ("test", "t10k", 23)]
)
def test_a_written_digit_that_is_missing_is_named(own, tmp_path, part, prefix, number):
    labels = torch.arange(number, dtype=torch.uint8) % 10
    labels[(labels == 3) | (labels == 8)] = 2
    write_idx(own["mnist"] / f"{prefix}-labels-idx1-ubyte.gz", labels)
    message = (
        f"`mnist` should hold every digit for {part}; found none of 3, 8 among {number} labels"
    )
    refuse(ValueError, f"{message}. Get the original files", tmp_path, own)


def test_validation_leaves_every_digit_to_train_on(originals, tmp_path):
    message = (
        "`num_validation` should leave every digit to train on; found 52 of 61, which leave none"
    )
    options = replace(SMALL, num_validation=52)
    refuse(ValueError, f"{message} of 9. Give", tmp_path, originals, options=options)
    options = replace(SMALL, num_validation=51)
    assert build(tmp_path / "out", **originals, options=options)["num_recordings"]["train"] == 10


@pytest.mark.parametrize(
    ("pattern", "part"), [("7_*", "train"), ("7_*_2.wav", ""), ("7_*_4?.wav", "test")]
)
def test_a_missing_class_is_named(own, tmp_path, pattern, part):
    for path in own["fsdd"].glob(pattern):
        path.unlink()
    if part:
        message = f"every digit for {part}; found none of 7. Add some, or split otherwise"
        refuse(ValueError, message, tmp_path, own)
    else:  # the rest is divided anew
        build(tmp_path / "out", **own, options=SMALL)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (torch.arange(500), 16000, "should have 8000 samples a second; found 16000"),
        (torch.arange(0), 8000, "should hold sound; found no samples"),
        (torch.ones(500), 8000, "should hold sound; found only silence"),
    ],
)
def test_a_recording_that_cannot_be_used_is_named(own, tmp_path, samples, rate, message):
    path = own["fsdd"] / "3_cleo_40.wav"
    write_wav(path, samples, rate)
    refuse(ValueError, re.escape(f"`{path}` {message}"), tmp_path, own)


def test_what_is_no_file_among_the_originals_is_named(own, tmp_path):
    recording, images = own["fsdd"] / "3_cleo_40.wav", own["mnist"] / "t10k-images-idx3-ubyte.gz"
    recording.unlink()
    recording.mkdir()
    message = re.escape(f"`{recording}` should be a file; found a folder. Rename")
    refuse(IsADirectoryError, message, tmp_path, own)
    recording.rmdir()
    recording.symlink_to("gone.wav")
    message = re.escape(f"`{recording}` should be a file; found a link that leads to none")
    refuse(FileNotFoundError, message, tmp_path, own)
    images.unlink()
    images.mkdir()
    message = re.escape(f"`{images}` should be a file; found a folder")
    refuse(IsADirectoryError, message, tmp_path, own)


def test_other_things_that_cannot_be_are_named(own, tmp_path):
    refuse(FileNotFoundError, "`fsdd` should be a folder", tmp_path, {**own, "fsdd": tmp_path})
    message = "`noise` should be given with a noise level; found '.*' and none. Pass"
    refuse(ValueError, message, tmp_path, own, noise=tmp_path, options=QUIET)
    message = "`num_validation` should be from 1 to 60, of 61 training images; found 61"
    refuse(ValueError, message, tmp_path, own, options=replace(SMALL, num_validation=61))
    refuse(ValueError, "`speaker` should be one of 'ada', 'ben', 'cleo'; found 'yweweler'",
           tmp_path, own, options=PRESETS["clean"])  # fmt: skip
