import re
from pathlib import Path

import pytest
import torch

from counterpoise.data.files.cache import CorruptFileError, cache_directory, read, write
from counterpoise.data.files.extras import require


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "kept.tensors"
    write(path, {"a": torch.arange(7), "b": torch.rand(3, 5)}, {"seed": 3, "by": "hand"})
    return path


def test_what_is_read_is_what_was_written(tmp_path):
    tensors = {"a": torch.arange(7), "b": torch.rand(3, 5), "none": torch.empty(0, 2)}
    write(tmp_path / "x", tensors, {"seed": 3})
    again, record = read(tmp_path / "x")
    assert record == {"seed": 3}
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("position", [0, 40, -1])
def test_one_changed_bit_anywhere_is_found(kept, position):
    content = bytearray(kept.read_bytes())
    content[position] ^= 1
    kept.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"should have content with sha256 .* Delete it"):
        read(kept)


@pytest.mark.parametrize("length", [0, 5, 32, 100])
def test_a_truncated_file_is_found(kept, length):
    kept.write_bytes(kept.read_bytes()[:length])
    with pytest.raises(CorruptFileError, match=re.escape(f"`{kept}`") + f".* in {length} bytes"):
        read(kept)


def test_the_directory_follows_root_then_variable_then_standard_then_home(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COUNTERPOISE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory(tmp_path / "root") == tmp_path / "root"
    assert cache_directory() == tmp_path / "own"
    monkeypatch.setenv("COUNTERPOISE_CACHE", "")
    assert cache_directory() == tmp_path / "xdg" / "counterpoise"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache_directory() == tmp_path / ".cache" / "counterpoise"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == tmp_path / ".cache" / "counterpoise"
    monkeypatch.setenv("COUNTERPOISE_CACHE", "~/mine")
    assert cache_directory() == Path(tmp_path) / "mine"


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    packages = {"torch": "torch", "no_such_module": "no-such-project"}
    with pytest.raises(ImportError) as caught:
        require("Flying", "wings", packages)
    assert str(caught.value) == (
        "Flying needs torch and no-such-project; not installed: no-such-project. "
        'Run: pip install "counterpoise[wings]"'
    )
