"""Files appear whole or not at all, and nothing else is left."""

import os
import stat
import sys
from pathlib import Path

import pytest

from counterpoise.core.files import replacing, write_atomically


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("old", [None, "old and longer than the new one"])
def test_a_file_is_written_whole_in_place_of_any_other(tmp_path, old):
    path = tmp_path / "record.txt"
    if old is not None:
        path.write_text(old)
    write_atomically(path, "é\r\nnew\n")
    assert path.read_bytes() == "é\r\nnew\n".encode()
    assert listed(tmp_path) == ["record.txt"]


@pytest.mark.parametrize("as_given", [str, Path])
def test_a_path_may_be_a_string(tmp_path, as_given):
    write_atomically(as_given(tmp_path / "a"), "text")
    assert (tmp_path / "a").read_text() == "text"


def test_text_that_cannot_be_encoded_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "record.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new " * 10_000 + "\ud800")
    assert path.read_text() == "old"
    assert listed(tmp_path) == ["record.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, error, old):
    path = tmp_path / "weights.bin"
    if old is not None:
        path.write_bytes(old)

    def write_half():
        with replacing(path) as partial:
            partial.write_bytes(b"the first ha")
            raise error

    with pytest.raises(error):
        write_half()
    assert listed(tmp_path) == ([] if old is None else ["weights.bin"])
    assert old is None or path.read_bytes() == old


def test_a_disk_that_fills_up_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / "record.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert listed(tmp_path) == ["record.txt"]


def test_nothing_stands_under_the_name_until_all_is_written(tmp_path):
    path = tmp_path / "weights.bin"
    with replacing(path) as partial:
        partial.write_bytes(b"all")
        assert partial.parent == path.parent
        assert not path.exists()
    assert path.read_bytes() == b"all"


def test_two_that_write_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "record.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # which was finished last
    assert listed(tmp_path) == ["record.txt"]


def test_what_is_never_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert listed(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are those of Unix")
def test_permissions_are_those_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "a", "text")
    (tmp_path / "b").write_text("text")
    mode_a, mode_b = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab")
    assert mode_a == mode_b
