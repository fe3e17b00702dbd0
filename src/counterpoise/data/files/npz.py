"""NumPy archives, read so that damaged or wrongly stated arrays are errors and cost no memory."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_UNPACKED = 1100  # bytes from one: the format allows 1032
_UNREADABLE = (
    *(ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error),
    *(MemoryError, NotImplementedError, OverflowError, RuntimeError, SyntaxError),
    *(TokenError, TypeError, KeyError),
)
"""What NumPy and zipfile raise of bytes that they cannot make sense of."""


def read_npz(path: Path, option: str = "path") -> dict[str, NDArray[Any]]:
    """Read all arrays of an ``.npz`` archive.

    Args:
        path: The file.
        option: What it is given as, for the message.

    Returns:
        Each array by its name, in the order of the file.

    Raises:
        ValueError: If it is no archive of plain arrays, is damaged, states sizes that it does not
            have, or holds two arrays of one name.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> path = Path(tempfile.mkdtemp()) / "features.npz"
        >>> np.savez(path, label=np.arange(3))
        >>> read_npz(path)
        {'label': array([0, 1, 2])}
    """
    import numpy as np

    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it holds a single array")
            twice = [key for key, count in Counter(archive.files).items() if count > 1]
            if twice:
                raise ValueError(f"it holds {twice[0]!r} twice")
            _check_stated_sizes(archive.zip)
            arrays = {key: archive[key] for key in archive.files}
            for key, values in arrays.items():
                if not isinstance(values, np.ndarray):
                    raise ValueError(f"{key!r} in it is no array")
    except _UNREADABLE as error:
        raise ValueError(
            f"`{option}` should be an .npz archive of plain arrays; found {str(path)!r}, which "
            f"cannot be read: {error}. Write it by numpy.savez, or fetch it again."
        ) from error
    return arrays


def _check_stated_sizes(archive: zipfile.ZipFile) -> None:
    """Raise where an array states more than the file has: it would be made room for first."""
    from numpy.lib import format as npy_format

    for entry in archive.infolist():
        if not entry.filename.endswith(".npy"):
            continue
        if entry.file_size > _MOST_UNPACKED * (entry.compress_size + 1):
            raise ValueError(f"{entry.filename!r} states {entry.file_size} bytes, too many")
        with archive.open(entry) as file:
            version = npy_format.read_magic(file)
            read = npy_format.read_array_header_1_0 if version == (1, 0) else None
            read = npy_format.read_array_header_2_0 if version == (2, 0) else read
            if read is None:  # a later version: left to NumPy
                continue
            shape, _, dtype = read(file)
            stated = prod(shape) * dtype.itemsize
            if not dtype.hasobject and stated != entry.file_size - file.tell():
                raise ValueError(f"{entry.filename!r} states shape {shape}, which it does not have")
