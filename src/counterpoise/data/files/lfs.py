"""Files kept in git-lfs, of which a plain download holds only a stub."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.originals import open_original

_BEGINNING = b"version https://git-lfs"


def is_stub(path: Path) -> bool:
    """Return whether a file is the stub of one in git-lfs, some 130 bytes of text.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "clip.wav"
        >>> _ = path.write_bytes(b"version https://git-lfs.github.com/spec/v1")
        >>> is_stub(path)
        True
    """
    with open_original(path) as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


def refuse_stub(path: Path) -> None:
    """Raise unless a file is there that may be read and is no stub.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is a stub.
    """
    if is_stub(path):
        raise CorruptFileError(
            f"`{path}` should be the file itself; found the stub that git-lfs puts in its place "
            "when a repository is downloaded as an archive. Clone it with git, install git-lfs, "
            "and run: git lfs pull"
        )


def open_data(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unless it is a stub.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is a stub.
    """
    refuse_stub(path)
    return open_original(path)
