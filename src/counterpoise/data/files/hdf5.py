"""Arrays in HDF5 files, mapped into memory where they lie in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.lfs import refuse_stub

if TYPE_CHECKING:
    import numpy as np

_BLOCK_BYTES = 1 << 26


def read_hdf5(path: str | Path, name: str, shape: Sequence[int | None]) -> np.ndarray[Any, Any]:
    """Return an array of numbers, without loading it where it lies in one piece.

    Args:
        path: The file.
        name: The data set in it.
        shape: What each dimension should be; None: any.

    Returns:
        The array, mapped into memory as it is stored; what is written into it does not reach the
        file. Where the file has it in pieces or compressed, it is read whole, floating point as
        float32, in the machine's byte order.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is no such file, has no such array, or is cut off.
        ValueError: If the array refers to other files.
    """
    import h5py  # type: ignore[import-untyped]

    path = Path(path)
    refuse_stub(path)
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file, name, shape)
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        trouble = " ".join(str(error).split())
        raise CorruptFileError(
            f"`{path}` should be a whole HDF5 file with {name!r} in it; found "
            f"{path.stat().st_size} bytes that are not ({trouble[:120]}). Get the file again."
        ) from error


def _read(path: Path, file: Any, name: str, shape: Sequence[int | None]) -> np.ndarray[Any, Any]:
    import h5py
    import numpy as np

    kind = file.get(name, getclass=True, getlink=True)
    stored = file[name] if kind is h5py.HardLink else None
    if kind not in (None, h5py.HardLink) or (
        isinstance(stored, h5py.Dataset) and (stored.external or stored.is_virtual)
    ):
        raise ValueError(
            f"`{path}` should hold its data itself; found that {name!r} leads to another place. "
            "Get the file from where the data set is published."
        )
    if (
        not isinstance(stored, h5py.Dataset)
        or stored.dtype.kind not in "iuf"
        or len(stored.shape) != len(shape)
        or any(size not in (None, here) for here, size in zip(stored.shape, shape, strict=True))
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        shown = (
            f"{stored.dtype} of shape {stored.shape}"
            if isinstance(stored, h5py.Dataset)
            else f"only {', '.join(map(repr, file)) or 'nothing'}"
        )
        raise CorruptFileError(
            f"`{path}` should hold numbers {name!r} of shape ({wanted}); found {shown}. "
            "Get the file again."
        )
    offset = None if stored.chunks or not stored.size else stored.id.get_offset()
    if offset is not None and stored.dtype.isnative:
        if offset + stored.nbytes > path.stat().st_size:
            raise CorruptFileError(
                f"`{path}` should have at least {offset + stored.nbytes} bytes; found "
                f"{path.stat().st_size}. Get the file again."
            )
        return np.memmap(path, stored.dtype, "c", offset, stored.shape)
    return _in_blocks(stored)


def _in_blocks(stored: Any) -> np.ndarray[Any, Any]:
    """Read all of an array, little at a time: float64 need not be in memory twice."""
    import numpy as np

    dtype = np.float32 if stored.dtype.kind == "f" else stored.dtype.newbyteorder("=")
    whole = np.empty(stored.shape, dtype)
    rows = max(1, _BLOCK_BYTES * len(stored) // max(1, stored.nbytes)) if stored.size else 1
    for start in range(0, len(stored), rows):
        whole[start : start + rows] = stored[start : start + rows]
    return whole
