"""Files that are damaged, or claim what they do not hold: one clear error each, at little cost."""

import gzip
import io
import random
import re
import struct
import wave
import zipfile

import numpy as np
import pytest
import torch

from counterpoise.data import AVMNIST, Features
from counterpoise.data.avmnist.audio import find_recordings
from counterpoise.data.avmnist.idx import read_idx
from counterpoise.data.avmnist.wav import read_wav
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.npy import map_npy
from counterpoise.data.files.npz import read_npz


def arrays(**changes):
    rng = np.random.default_rng(0)
    return {
        "label": np.arange(20) % 2,
        "train_idx": np.arange(12),
        "test_idx": np.arange(12, 20),
        "a": rng.normal(size=(20, 3)),
    } | changes


def packed(save, content):
    file = io.BytesIO()
    save(file, **content) if isinstance(content, dict) else save(file, content)
    return file.getvalue()


def sound():
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setparams((1, 2, 8000, 0, "NONE", ""))
        recording.writeframes(bytes(200))
    return file.getvalue()


IDX = bytes([0, 0, 8, 2, 0, 0, 0, 13, 0, 0, 0, 7]) + bytes(91)


def read_features(path):
    return Features(str(path)).load()


READERS = {
    "idx, packed": (gzip.compress(IDX), read_idx),
    "idx, unpacked": (IDX, lambda path: (path.write_bytes(gzip.compress(path.read_bytes())),
                                         read_idx(path))),
    "wav": (sound(), read_wav),
    "npy": (packed(np.save, np.zeros((5, 7), dtype="f4")), map_npy),
    "npz": (packed(np.savez, arrays()), read_features),
    "npz, compressed": (packed(np.savez_compressed, arrays()), read_features),
}  # fmt: skip


def harmed(whole, rng):
    """A copy with a few bytes changed, removed, added or cut off, mostly near the start."""
    content = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 5])):
        where = rng.randrange(min(len(content), 120) if rng.random() < 0.6 else len(content))
        kind = rng.choice(["set", "set", "set", "remove", "add", "cut"])
        if kind == "set":
            content[where] = rng.choice([0, 255, 128, rng.randrange(256)])
        elif kind == "remove":
            del content[where : where + rng.randrange(1, 9)]
        elif kind == "add":
            content[where:where] = rng.randbytes(3)
        else:
            del content[where:]
        content = content or bytearray(b"x")
    return bytes(content)


def complaint(read, path):
    """What a reader says of a file; None if it reads it."""
    try:
        read(path)
    except (ValueError, OSError, TypeError) as error:
        return str(error)
    return None


@pytest.mark.parametrize(("whole", "read"), READERS.values(), ids=READERS)
@pytest.mark.filterwarnings("ignore")  # of NumPy on headers of Python 2
def test_random_damage_is_harmless_or_one_clear_error(tmp_path, whole, read):
    rng = random.Random(0)
    path = tmp_path / "file"
    for _ in range(50):
        path.write_bytes(harmed(whole, rng))
        message = complaint(read, path)
        assert message is None or re.search(" should .*found ", message, re.DOTALL), message


def test_a_small_gzip_that_unpacks_to_much_is_read_as_far_as_it_states(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 5]) + bytes(1 << 26)))
    with pytest.raises(CorruptFileError, match="should hold 5 = 5 values; found 6 or more"):
        read_idx(path)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([2**32 - 1] * 4, "a shape that an array can have; found 4 sizes, 4294967295 x "),
        ([0, 2**32 - 1, 2**32 - 1], "a shape that an array can have; found 3 sizes"),
        ([1] * 65, "found 65 sizes, 1 x 1 x 1 x 1 ..."),
        ([2**31], "should hold 2147483648 = 2147483648 values; found too few"),
    ],
)
def test_idx_shapes_that_cannot_be_are_refused(tmp_path, sizes, message):
    path = tmp_path / "images.gz"
    header = bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
    path.write_bytes(gzip.compress(header + bytes(7)))
    with pytest.raises(CorruptFileError, match=message):
        read_idx(path)


@pytest.mark.parametrize("size", [0, 3, 10**4, 2**32 - 1])
def test_wav_with_a_huge_or_tiny_format_is_refused(tmp_path, size):
    content = bytearray(sound())
    content[16:20] = struct.pack("<I", size)
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(CorruptFileError, match="should be a WAV file of plain samples"):
        read_wav(tmp_path / "x.wav")


def test_digits_of_other_scripts_are_no_digits(tmp_path):
    (tmp_path / "3_jo_0.wav").write_bytes(sound())
    for name in ("٣_jo_0.wav", "3_jo_٣.wav", f"3_jo_{'9' * 30}.wav"):
        (tmp_path / name).write_bytes(sound())
        with pytest.raises(ValueError, match="should "):
            find_recordings(tmp_path)
        (tmp_path / name).unlink()
    assert len(find_recordings(tmp_path)) == 1


# -- archives of features ------------------------------------------------------------------------


def write(path, **changes):
    np.savez(path, **arrays(**changes))
    return path


def test_numbers_beyond_float32_are_standardised_before_they_are_cut(tmp_path):
    values = arrays()["a"] * 1e60
    path = write(tmp_path / "x.npz", a=values)
    splits = Features(str(path)).load()
    assert splits.train.inputs["a"].std(dim=0, correction=0) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("scale", "message"),
    [(1e60, "found 60 values that are too large"), (1e-60, "found 3 features whose values dif")],
)
def test_numbers_that_float32_cannot_hold_are_refused(tmp_path, scale, message):
    path = write(tmp_path / "x.npz", a=arrays()["a"] * scale)
    with pytest.raises(ValueError, match=f"should fit into float32; {message}"):
        Features(str(path), standardise=False).load()


def test_names_that_stand_twice_in_an_archive_are_refused(tmp_path):
    path = write(tmp_path / "x.npz")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.npy", packed(np.save, arrays()["a"]))
    with pytest.raises(ValueError, match="which cannot be read: it holds 'a' twice"):
        read_npz(path)


def test_an_archive_that_claims_many_rows_costs_nothing(tmp_path):
    path = write(tmp_path / "x.npz")
    header = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 3)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.npy", header.getvalue() + bytes(48))
    message = r"'b\.npy' states shape \(1099511627776, 3\), which it does not have"
    with pytest.raises(ValueError, match=message):
        read_npz(path)


# -- AV-MNIST ------------------------------------------------------------------------------------


@pytest.fixture
def avmnist(tmp_path):
    for part in ("train", "test"):
        for name, shape in (("image", (40, 784)), ("audio", (40, 13, 13))):
            (tmp_path / name).mkdir(exist_ok=True)
            np.save(tmp_path / name / f"{part}_data.npy", np.ones(shape, dtype="f4"))
        np.save(tmp_path / f"{part}_labels.npy", np.arange(40) % 10)
    return tmp_path


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_labels_that_are_no_integers_are_refused(avmnist, value):
    np.save(avmnist / "test_labels.npy", np.full(40, value))
    with pytest.raises(TypeError, match=r"should hold labels that are integers; found torch\.fl"):
        AVMNIST(str(avmnist), num_validation=7).load()


@pytest.mark.parametrize("name", ["image", "audio"])
def test_samples_that_are_not_finite_are_refused(avmnist, name):
    path = avmnist / name / "train_data.npy"
    values = np.load(path)
    values[3, 5] = np.nan
    np.save(path, values)
    with pytest.raises(CorruptFileError, match=r"should hold finite numbers; found .* in rows 0 t"):
        AVMNIST(str(avmnist), num_validation=7).load()
    values[3, 5] = 1
    np.save(path, values)
    assert torch.isfinite(AVMNIST(str(avmnist), num_validation=7).load().train[0][name]).all()
