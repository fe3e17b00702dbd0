import gzip
import re

import pytest
import torch

from counterpoise.data.avmnist.idx import read_idx
from counterpoise.data.files.cache import CorruptFileError
from support.originals import write_idx


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "x-idx3-ubyte.gz"
    write_idx(path, torch.arange(2 * 3 * 5, dtype=torch.uint8).view(2, 3, 5))
    return path


def test_what_is_read_is_what_was_written(stored, tmp_path):
    assert torch.equal(read_idx(stored), torch.arange(30, dtype=torch.uint8).view(2, 3, 5))
    assert torch.equal(read_idx(str(stored)), read_idx(stored))
    write_idx(tmp_path / "none.gz", torch.empty(0, 7, dtype=torch.uint8))
    assert read_idx(tmp_path / "none.gz").shape == (0, 7)


@pytest.mark.parametrize("length", [0, 1, 5, 12, 20, -9, -8, -4, -1])
def test_a_file_cut_off_anywhere_is_found(stored, length):
    stored.write_bytes(stored.read_bytes()[:length])
    with pytest.raises(CorruptFileError, match=re.escape(f"`{stored}` should be ")):
        read_idx(stored)


@pytest.mark.parametrize("position", [0, 3, 15, -12, -7, -1])
def test_a_damaged_file_is_found(stored, position):
    content = bytearray(stored.read_bytes())
    content[position] ^= 0x55
    stored.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"should .* Get the .*file"):
        read_idx(stored)


def test_what_is_not_gzip_is_named_with_its_size(tmp_path):
    path = tmp_path / "page.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(CorruptFileError, match="should be a whole gzip file; found 22 bytes"):
        read_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "beginning with 00 00 08; found nothing"),
        (b"\0\0", "beginning with 00 00 08; found 00 00. Get the original file"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "found 00 00 0d 01"),
        (b"\0\0\x08\0", "found 00 00 08 00"),
        (b"\0\0\x08\3\0\0\0\1\0\0\0", "should state 3 sizes; found the end of the file"),
        (b"\0\0\x08\1\0\0\0\5abcd", "should hold 5 = 5 values; found 4"),
        (b"\0\0\x08\2\0\0\0\2\0\0\0\2abcde", "should hold 2 x 2 = 4 values; found 5"),
        (
            b"\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffa",
            "a shape that an array can have",
        ),
    ],
)
def test_content_that_is_not_what_it_says_is_found(tmp_path, content, message):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(CorruptFileError, match=re.escape(message)):
        read_idx(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing.gz")
