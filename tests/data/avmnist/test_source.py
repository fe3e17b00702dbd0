import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from counterpoise.data import AVMNIST, load
from counterpoise.data.avmnist.build import build
from counterpoise.data.avmnist.options import RECORD, Options
from counterpoise.data.avmnist.source import Scale
from counterpoise.data.files.cache import CorruptFileError
from support.originals import make_fsdd, make_mnist

OPTIONS = Options(num_validation=11, size=13)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A build, not to be changed, as bytes and as floating point numbers."""
    folder = tmp_path_factory.mktemp("made")
    originals = {"mnist": make_mnist(folder / "mnist"), "fsdd": make_fsdd(folder / "fsdd")}
    build(folder / "uint8", **originals, options=OPTIONS)
    build(folder / "float32", **originals, options=replace(OPTIONS, dtype="float32"))
    return folder


def write_field(folder, *, dtype=np.uint8, num_train=24, num_test=7, **changes):
    """Write random files in the field's layout, without a record."""
    rng = np.random.default_rng(0)
    for part, number in (("train", num_train), ("test", num_test)):
        files = {
            f"image/{part}_data.npy": rng.integers(0, 256, (number, 784)).astype(dtype),
            f"audio/{part}_data.npy": rng.integers(0, 256, (number, 13, 13)).astype(dtype),
            f"{part}_labels.npy": (np.arange(number) % 10).astype(np.uint8),
        }
        for name, array in {**files, **changes}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(folder / name, array)
    return folder


def test_splits_are_the_files_in_their_order(made):
    splits = AVMNIST(root=made / "uint8", standardise=False).load()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [50, 11, 23]
    assert splits.modalities == ("audio", "image")
    assert splits.sample_shapes == {"audio": (1, 13, 13), "image": (1, 28, 28)}
    assert (splits.name, splits.num_classes) == ("av-mnist", 10)
    labels = torch.cat([splits.train.target, splits.validation.target])
    assert labels.tolist() == np.load(made / "uint8" / "train_labels.npy").tolist()
    audio = np.load(made / "uint8" / "audio" / "train_data.npy")
    batch = splits.validation.__getitems__([3, 0])
    np.testing.assert_allclose(batch["audio"][:, 0], audio[[53, 50]] / 255.0, rtol=1e-6)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_bytes_read_as_what_they_round(made, part):
    rounded, exact = (
        getattr(AVMNIST(root=made / dtype, standardise=False).load(), part).__getitems__(range(11))
        for dtype in ("uint8", "float32")
    )
    assert rounded["audio"].dtype == exact["image"].dtype == torch.float32
    torch.testing.assert_close(rounded["audio"], exact["audio"], atol=0.5 / 255, rtol=1e-5)
    torch.testing.assert_close(rounded["image"], exact["image"], atol=1.25 / 255, rtol=1e-5)
    assert 0 <= rounded["audio"].min() < rounded["audio"].max() <= 1
    assert rounded["image"].min() < -0.1 < 0.1 < rounded["image"].max()


@pytest.mark.parametrize("stored", [torch.uint8, torch.float32, torch.float64])
def test_scaling_takes_one_operation(stored, monkeypatch):
    values = torch.tensor([[0, 128, 255, 7]]).to(stored)
    scale = Scale(zero=128, step=2.5 / 255, size=2)
    torch.testing.assert_close(
        scale(values), ((values.double() - 128) * 2.5 / 255).float().view(1, 1, 2, 2)
    )
    assert scale(values[:0]).shape == (0, 1, 2, 2)
    calls, add = [], torch.add
    monkeypatch.setattr(torch, "add", lambda *a, **k: calls.append(1) or add(*a, **k))
    scale(values.expand(64, -1))
    assert calls == [1]


def test_training_data_are_standardised_unless_told_otherwise(made):
    batch = AVMNIST(root=made / "uint8", num_train=50).load().train.__getitems__(range(50))
    for name in ("audio", "image"):
        # The mean and deviation are those of all training files, validation included.
        assert abs(batch[name].mean()) < 0.1
        assert abs(batch[name].std() - 1) < 0.1
    raw = AVMNIST(root=made / "uint8", standardise=False).load()
    for name in ("audio", "image"):
        given = raw.train.__getitems__(range(50))[name]
        slope = given.std() / batch[name].std()
        torch.testing.assert_close((given - given.mean()) / slope, batch[name] - batch[name].mean())


def test_a_modality_that_is_constant_stays_as_it_is(tmp_path):
    write_field(tmp_path, **{"image/train_data.npy": np.full((24, 784), 51, np.uint8)})
    batch = AVMNIST(root=tmp_path).load().train.__getitems__([0])
    torch.testing.assert_close(batch["image"], torch.full((1, 1, 28, 28), 0.2))


def test_spectrograms_can_be_averaged_to_a_smaller_size(tmp_path):
    audio = np.random.default_rng(0).integers(0, 256, (24, 12, 12)).astype(np.uint8)
    write_field(
        tmp_path,
        **{"audio/train_data.npy": audio, "audio/test_data.npy": np.zeros((7, 12, 12), np.uint8)},
    )
    splits = AVMNIST(root=tmp_path, audio_size=4, standardise=False).load()
    assert splits.sample_shapes == {"audio": (1, 4, 4), "image": (1, 28, 28)}
    expected = audio[3].reshape(4, 3, 4, 3).mean((1, 3)) / 255
    np.testing.assert_allclose(splits.train[3]["audio"][0], expected, rtol=1e-6)
    standard = AVMNIST(root=tmp_path, audio_size=4).load().train.__getitems__(range(22))["audio"]
    assert abs(standard.std() - 1) < 0.1
    with pytest.raises(ValueError, match=r"`audio_size` should divide 12, .* found 5\. Choose"):
        AVMNIST(root=tmp_path, audio_size=5).load()


def test_nothing_is_read_before_it_is_asked_for(made):
    splits = AVMNIST(root=made / "uint8").load()
    for part in (splits.train, splits.validation):
        base = part.inputs["audio"].untyped_storage()
        assert base.data_ptr() == splits.train.inputs["audio"].untyped_storage().data_ptr()
    audio = splits.train.inputs["audio"]
    audio[0] = 0  # into this process's copy of a page, never into the file
    assert AVMNIST(root=made / "uint8").load().train.inputs["audio"][0].any()


def test_loaders_in_other_processes_give_the_same_batches(made):
    dataset = AVMNIST(root=made / "uint8").load().test
    here, there = (
        list(DataLoader(dataset, 7, collate_fn=dataset.collate, num_workers=n)) for n in (0, 1)
    )
    assert len(here) == 4
    for one, other in zip(here, there, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.fingerprint == dataset.fingerprint


def test_parts_can_be_taken(made):
    whole = AVMNIST(root=made / "uint8").load()
    some = AVMNIST(root=made / "uint8", num_train=20, num_validation=5, num_test=3).load()
    for part, number in (("train", 20), ("validation", 5), ("test", 3)):
        taken, all_of_it = getattr(some, part), getattr(whole, part)
        assert len(taken) == number
        assert torch.equal(taken.inputs["audio"], all_of_it.inputs["audio"][:number])
    with pytest.raises(ValueError, match=r"`num_test` should be at most 23, .* found 24. Pass"):
        AVMNIST(root=made / "uint8", num_test=24).load()


def test_files_without_a_record_are_read_as_the_field_does(tmp_path):
    write_field(tmp_path, dtype=np.float64)
    splits = AVMNIST(root=tmp_path, standardise=False).load()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [22, 2, 7]
    image = np.load(tmp_path / "image" / "test_data.npy")
    batch = splits.test.__getitems__([5])
    assert batch["image"].dtype is torch.float32
    np.testing.assert_allclose(batch["image"].flatten(), image[5] / 255, rtol=1e-6)
    assert "may share recordings" in splits.note
    assert len(AVMNIST(root=tmp_path, num_validation=9).load().train) == 15
    with pytest.raises(ValueError, match=r"`num_validation` should leave .* found 24 of 24. Pass"):
        AVMNIST(root=tmp_path, num_validation=24).load()


def test_the_note_says_what_the_data_is(made, tmp_path):
    note = AVMNIST(root=made / "uint8").load().note
    assert "4 principal components" in note
    assert "coloured noise 14 dB above the speech; all voices in all" in note
    originals = {"mnist": made / "mnist", "fsdd": made / "fsdd"}
    clean = Options(noise_level=None, split="speaker", speaker="ben", size=13)
    build(tmp_path / "clean", **originals, options=clean)
    note = AVMNIST(root=tmp_path / "clean").load().note
    assert "real voices and no noise; the voice of ben is heard in test only" in note


def test_what_is_not_there_says_how_to_build_it(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOISE_CACHE", str(tmp_path))
    message = (
        f"found no image/train_data.npy in {tmp_path}/av-mnist-clean. Run: counterpoise data "
        f"build av-mnist --preset clean --output {tmp_path}/av-mnist-clean"
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message) + "$"):
        AVMNIST(preset="clean").load()
    with pytest.raises(FileNotFoundError, match="--preset published"):
        load("av-mnist")


def test_a_root_may_name_environment_variables(made, monkeypatch):
    monkeypatch.setenv("FOLDER_OF_BUILDS", str(made))
    for root in ("$FOLDER_OF_BUILDS/uint8", "${FOLDER_OF_BUILDS}/uint8"):
        assert AVMNIST(root=root).folder == made / "uint8"
    with pytest.raises(ValueError, match=r"`root` should name .* found \$NO_SUCH in '\$NO_SUCH/x'"):
        AVMNIST(root="$NO_SUCH/x").load()


def test_another_preset_than_asked_for_is_refused(tmp_path, made):
    write_field(tmp_path)
    record = json.loads((made / "uint8" / RECORD).read_text()) | {"preset": "clean"}
    (tmp_path / RECORD).write_text(json.dumps(record))
    assert AVMNIST(root=tmp_path, preset="clean").load().name == "av-mnist-clean"
    with pytest.raises(ValueError, match=r"`preset` should be .*, 'clean'; found 'published'"):
        AVMNIST(root=tmp_path, preset="published").load()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"preset": null, "files": {}, "options": 3}'])
def test_a_damaged_record_is_named(tmp_path, text):
    write_field(tmp_path)
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(CorruptFileError, match=r"av-mnist\.json` should be the record of a build"):
        AVMNIST(root=tmp_path).load()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels.npy": np.zeros(23)}, r"found \(24, 784\), \(24, 13, 13\), \(23,\) for tr"),
        (
            {"image/test_data.npy": np.zeros((7, 49))},
            r"of one size .* \(24, 784\) and \(7, 49\) for",
        ),
        ({"image/test_data.npy": np.zeros((7, 783))}, r"found \(7, 783\), .* for test"),
        ({"image/test_data.npy": np.zeros((7, 28, 28))}, r"found \(7, 28, 28\), .* for test"),
        ({"audio/test_data.npy": np.zeros((7, 13, 11))}, r"\(7, 13, 11\), \(7,\) for test"),
        ({"audio/train_data.npy": np.zeros((60, 13, 13))}, r"\(60, 13, 13\), \(24,\) for train"),
        ({"test_labels.npy": np.zeros((7, 1))}, r"\(7, 1\) for test"),
    ],
)
def test_files_that_do_not_fit_together_are_named(tmp_path, changes, message):
    write_field(tmp_path, **changes)
    with pytest.raises(ValueError, match=f"`root` should hold .*{message}"):
        AVMNIST(root=tmp_path).load()


def test_values_that_are_no_numbers_are_named(tmp_path):
    write_field(tmp_path, **{"audio/train_data.npy": np.zeros((24, 13, 13), bool)})
    with pytest.raises(TypeError, match=r"should hold an array of numbers; found torch\.bool of"):
        AVMNIST(root=tmp_path).load()


def test_a_file_that_is_cut_off_is_named(tmp_path):
    write_field(tmp_path)
    path = tmp_path / "audio" / "test_data.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptFileError, match=re.escape(f"`{path}` should be a whole .npy file")):
        AVMNIST(root=tmp_path).load()


def test_labels_that_are_no_digits_are_named(tmp_path):
    write_field(tmp_path, **{"test_labels.npy": np.full(7, 11)})
    with pytest.raises(ValueError, match=r"`test` should have targets in \[0, 10\); found 11"):
        AVMNIST(root=tmp_path).load()


def test_verifying_finds_a_changed_byte(made, tmp_path):
    import shutil

    root = shutil.copytree(made / "uint8", tmp_path / "copy")
    AVMNIST(root=root).verify()
    path = root / "audio" / "test_data.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=re.escape(f"`{path}` should have content with")):
        AVMNIST(root=root).verify()
    (root / RECORD).unlink()
    with pytest.raises(FileNotFoundError, match=r"found no av-mnist\.json in .* can be verified"):
        AVMNIST(root=root).verify()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "clear"}, "`preset` should be one of .*Did you mean 'clean'"),
        ({"num_train": 0}, "`num_train` should be at least 1; found 0"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AVMNIST(**options)
