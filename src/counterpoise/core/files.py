"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def says_full(error: OSError) -> bool:
    """Return whether an error says that a disk or a quota is full, or a file larger than may be.

    Example:
        >>> says_full(OSError(errno.ENOSPC, "No space left on device"))
        True
    """
    return error.errno in _FULL


def check_folder(name: str, path: str | os.PathLike[str]) -> None:
    """Raise unless there is a folder at a path, or one can be made.

    Example:
        >>> check_folder("output", __file__)
        Traceback (most recent call last):
        ValueError: `output` should be a folder; found the file ... Choose another.
    """
    there = next(place for place in (Path(path), *Path(path).parents) if place.exists())
    if not there.is_dir():
        raise ValueError(
            f"`{name}` should be a folder; found the file {str(there)!r}. Choose another."
        )


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a name to write to, which takes the place of a file if all goes well.

    It lies beside the file, so that renaming it is one step, and is nobody else's. After an error
    it is removed, and the file is what it was. A process that is killed leaves it behind, hidden.

    Args:
        path: The file, new or old, in a folder that exists.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "weights.bin"
        >>> with replacing(path) as partial:
        ...     _ = partial.write_bytes(b"all of them")
        ...     path.exists()
        False
        >>> path.read_bytes()
        b'all of them'
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, in UTF-8, so that it appears whole or not at all.

    Args:
        path: The file, new or old, in a folder that exists.
        text: What it shall hold; lines end as they do here, on every system.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
        >>> write_atomically(path, "first")
        >>> write_atomically(path, "second")
        >>> path.read_text(), len(list(path.parent.iterdir()))
        ('second', 1)
    """
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # a rename that outlives a power cut must find the bytes there


def plain_cell(value: object) -> object:
    """Return a cell of a CSV file that no spreadsheet takes for a formula.

    Text that begins like one gets an apostrophe in front; numbers stay what they are.

    Example:
        >>> plain_cell("=1+2"), plain_cell("AGM"), plain_cell(-0.5)
        ("'=1+2", 'AGM', -0.5)
    """
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
