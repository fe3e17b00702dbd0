"""Arrays in HDF5 files: mapped where they lie in one piece, read where not, refused elsewhere."""

import h5py
import numpy as np
import pytest

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.hdf5 import read_hdf5

VALUES = np.arange(7 * 11 * 3, dtype=np.float64).reshape(7, 11, 3)
SHAPE = (7, None, None)


def write(path, values=VALUES, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, **options)
    return path


def test_an_array_in_one_piece_is_mapped_and_the_file_stays_as_it_is(tmp_path):
    path = write(tmp_path / "a.h5")
    content = path.read_bytes()
    found = read_hdf5(path, "x", SHAPE)
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float64
    assert np.array_equal(found, VALUES)
    found[0] = -1
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("values", "options", "dtype"),
    [
        (VALUES, {"chunks": (2, 11, 3)}, np.float32),
        (VALUES, {"compression": "gzip"}, np.float32),
        (VALUES.astype(">f4"), {}, np.float32),
        (VALUES.astype(np.int32), {"chunks": (2, 11, 3)}, np.int32),
        (VALUES.astype(">i2"), {}, np.int16),
    ],
)
def test_an_array_in_pieces_or_of_other_byte_order_is_read(tmp_path, values, options, dtype):
    found = read_hdf5(write(tmp_path / "a.h5", values, **options), "x", SHAPE)
    assert found.dtype == dtype
    assert np.array_equal(found, VALUES)


def test_large_arrays_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("counterpoise.data.files.hdf5._BLOCK_BYTES", 600)
    found = read_hdf5(write(tmp_path / "a.h5", chunks=(2, 11, 3)), "x", SHAPE)
    assert np.array_equal(found, VALUES)


@pytest.mark.parametrize(
    ("name", "shape", "trouble"),
    [
        ("y", SHAPE, r"should hold numbers 'y' of shape \(7, any, any\); found only 'x'"),
        ("x", (8, None, None), r"of shape \(8, any, any\); found float64 of shape \(7, 11, 3\)"),
        ("x", (7, None), r"of shape \(7, any\); found float64 of shape \(7, 11, 3\)"),
    ],
)
def test_another_array_is_named(tmp_path, name, shape, trouble):
    with pytest.raises(CorruptFileError, match=trouble):
        read_hdf5(write(tmp_path / "a.h5"), name, shape)


def test_strings_are_no_numbers(tmp_path):
    path = write(tmp_path / "a.h5", np.array([b"a", b"b"]))
    with pytest.raises(CorruptFileError, match=r"should hold numbers 'x' .* found \|S1 of shape"):
        read_hdf5(path, "x", (2,))


@pytest.mark.parametrize("kept", [0, 50, 900, -800])
def test_a_file_that_is_cut_off_is_named(tmp_path, kept):
    path = write(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        CorruptFileError, match=r"a\.h5` should (be a whole HDF5 file|have at least)"
    ):
        read_hdf5(path, "x", SHAPE)


def test_arrays_in_other_files_are_refused(tmp_path):
    write(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("secret.h5", "x")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("x", (7, 11, 3), "f8", external=[(str(tmp_path / "raw"), 0, 1848)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((7, 11, 3), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", (7, 11, 3))
        file.create_virtual_dataset("x", layout)
    for name in ("link", "external", "virtual"):
        with pytest.raises(ValueError, match=rf"{name}\.h5` should hold its data itself; found th"):
            read_hdf5(tmp_path / f"{name}.h5", "x", SHAPE)
