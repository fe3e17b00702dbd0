"""Checks of arrays from outside this package, each with one clear error."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.data.files.cache import CorruptFileError

if TYPE_CHECKING:
    import numpy as np

_BLOCKS, _BLOCK_BYTES = 256, 4096


def as_features(
    path: Path, what: str, values: object, shape: Sequence[int | None]
) -> np.ndarray[Any, Any]:
    """Return numbers as float32, with 0 in the place of minus infinity.

    The field's programs for sound write minus infinity for the logarithm of nothing.

    Args:
        path: The file they come from, for messages.
        what: What they are in it.
        values: The array, or nested lists.
        shape: What each dimension should be; None: any.

    Returns:
        A new array, or the same if nothing had to change.

    Raises:
        CorruptFileError: If it is no such array, or has NaN, infinity, or numbers beyond float32.

    Example:
        >>> import numpy as np
        >>> as_features(Path("x.pkl"), "audio", np.array([[1, -np.inf]]), (None, 2))
        array([[1., 0.]], dtype=float32)
    """
    import numpy as np

    try:
        array = np.asarray(values)
        numeric = array.dtype.kind in "biuf"
    except ValueError:  # lists of unequal lengths
        numeric = False
    if not numeric or not _fits(array.shape, shape):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        shown = f"{array.dtype} of shape {array.shape}" if numeric else type(values).__name__
        raise CorruptFileError(
            f"`{path}` should hold numbers of shape ({wanted}) as {what}; found {shown}. "
            "Get the file again."
        )
    nothing = np.isneginf(array)
    if nothing.any():
        array = np.where(nothing, 0, array)
    with np.errstate(over="ignore"):
        features = array.astype(np.float32, copy=False)
    if not np.isfinite(features).all():
        bad = array[~np.isfinite(features)]
        raise CorruptFileError(
            f"`{path}` should hold finite numbers as {what}; found {bad.size} others, such as "
            f"{bad.flat[0]}. Get the file again."
        )
    return features


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        size in (None, here) for here, size in zip(shape, expected, strict=True)
    )


def text_of(value: object) -> str:
    """Return a name that may have been written as bytes.

    Example:
        >>> text_of(b"video[3]"), text_of(5)
        ('video[3]', '5')
    """
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def sampled_digest(path: Path) -> str:
    """Return a sha256 of a file's size and of 256 blocks of 4 kB spread over it.

    It tells files apart that were made differently in milliseconds, whatever their size; a single
    byte changed by hand may escape it.
    """
    size = path.stat().st_size
    digest = sha256(str(size).encode())
    step = max(_BLOCK_BYTES, size // _BLOCKS)
    with path.open("rb") as file:
        for start in range(0, size, step):
            file.seek(start)
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def warn(message: str) -> None:
    """Warn of a trap in the data, at the place where they are loaded."""
    warnings.warn(message, stacklevel=4)
