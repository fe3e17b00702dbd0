"""Original files, opened with an error that says what is there instead."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


def open_original(path: Path) -> BinaryIO:
    """Open a file to read its bytes.

    Args:
        path: The file; a link to one will do.

    Raises:
        FileNotFoundError: If there is nothing, or a link that leads to nothing.
        IsADirectoryError: If it is a folder.
        PermissionError: If it may not be read.
        ValueError: If it is neither file nor folder, such as a pipe.

    Example:
        >>> import tempfile
        >>> open_original(Path(tempfile.mkdtemp()))
        Traceback (most recent call last):
        ...
        IsADirectoryError: `...` should be a file; found a folder. Rename or remove it.
    """
    try:
        if path.is_file():
            return path.open("rb")
    except PermissionError as error:
        raise PermissionError(
            f"`{path}` should be a file that may be read; found one that may not "
            f"({error.strerror}). Change its permissions, or get it as your own."
        ) from error
    if path.is_dir():
        raise IsADirectoryError(f"`{path}` should be a file; found a folder. Rename or remove it.")
    if path.is_symlink():
        raise FileNotFoundError(
            f"`{path}` should be a file; found a link that leads to none, to {path.readlink()}. "
            "Mend or remove it."
        )
    if not path.exists():
        raise FileNotFoundError(f"`{path}` should be a file; found nothing. Get the file.")
    raise ValueError(
        f"`{path}` should be a file; found neither file nor folder. Rename or remove it."
    )
