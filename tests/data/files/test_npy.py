import re

import numpy as np
import pytest
import torch

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.data.files.npy import RowWriter, map_npy


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 1, 4, 0, 2]])
def test_rows_in_any_order_make_the_file_that_numpy_writes(tmp_path, dtype, order):
    values = torch.arange(5 * 2 * 3).view(5, 2, 3).to(dtype)
    with RowWriter(tmp_path / "x.npy", (5, 2, 3), dtype) as writer:
        rows = torch.tensor(order)
        writer.write(rows[:2], values[rows[:2]])
        writer.write(rows[2:], values[rows[2:]])
    np.save(tmp_path / "y.npy", values.numpy())
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_one_row_can_go_to_many_places(tmp_path):
    with RowWriter(tmp_path / "x.npy", (5, 2), torch.uint8) as writer:
        writer.write(torch.tensor([1, 4, 2]), torch.tensor([[7, 9]]))
        writer.write(torch.tensor([], dtype=torch.int64), torch.empty(0, 2))
    assert map_npy(tmp_path / "x.npy").tolist() == [[0, 0], [7, 9], [7, 9], [0, 0], [7, 9]]


def test_bytes_are_rounded_and_cut(tmp_path):
    values = torch.tensor([-3.0, 0.49, 0.51, 254.6, 300.0], dtype=torch.float64)
    with RowWriter(tmp_path / "x.npy", (5,), torch.uint8) as writer:
        writer.write(torch.arange(5), values)
    assert map_npy(tmp_path / "x.npy").tolist() == [0, 0, 1, 255, 255]


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "x.npy").write_text("mine")
    with pytest.raises(FileExistsError):
        RowWriter(tmp_path / "x.npy", (5,), torch.uint8)
    assert (tmp_path / "x.npy").read_text() == "mine"


def test_a_map_reads_like_an_array_and_never_writes(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(35, dtype=np.float32).reshape(7, 5))
    before = file_digest(path)
    mapped = map_npy(path)
    assert mapped[[3, 0]].tolist() == [[15, 16, 17, 18, 19], [0, 1, 2, 3, 4]]
    mapped[0, 0] = 99
    assert file_digest(path) == before
    assert map_npy(path)[0, 0] == 0


@pytest.mark.parametrize("length", [0, 5, 100, 140, 267])
def test_a_file_cut_off_anywhere_is_found(tmp_path, length):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(35, dtype=np.float32).reshape(7, 5))
    path.write_bytes(path.read_bytes()[:length])
    message = f"`{path}` should be a whole .npy file; found {length} bytes that are not ("
    with pytest.raises(CorruptFileError, match=re.escape(message)):
        map_npy(path)


def test_what_is_no_such_file_is_named(tmp_path):
    (tmp_path / "x.npy").write_text("<html>not here, and for long enough</html>")
    with pytest.raises(CorruptFileError, match=r"should be a whole \.npy file"):
        map_npy(tmp_path / "x.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(CorruptFileError, match="Python objects"):
        map_npy(tmp_path / "objects.npy")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    with pytest.raises(TypeError, match=r"should hold numbers; found <U1\. Build"):
        map_npy(tmp_path / "words.npy")
    with pytest.raises(FileNotFoundError):
        map_npy(tmp_path / "none.npy")
