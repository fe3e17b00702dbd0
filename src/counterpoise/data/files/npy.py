"""NumPy's file format, written row by row in any order and read without loading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from pathlib import Path
from tokenize import TokenError

import torch
from torch import Tensor

from counterpoise.data.files.cache import CorruptFileError

_ROWS = 1000  # that are looked at together
_NAMES = {torch.uint8: "uint8", torch.float32: "float32"}


class RowWriter:
    """Writes an array to a ``.npy`` file, rows in any order; needs memory only for those at hand.

    Room for the whole is taken at once where the system can, so that a full disk shows at the
    start. Rows never written are zero.

    Args:
        path: The file, new.
        shape: Of the whole array.
        dtype: ``torch.uint8`` or ``torch.float32``.

    Raises:
        OSError: If the disk is full, here or later.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.npy"
        >>> with RowWriter(path, (3, 2), torch.uint8) as writer:
        ...     writer.write(torch.tensor([2, 0]), torch.tensor([[5, 6], [1, 2]]))
        >>> map_npy(path)
        tensor([[1, 2],
                [0, 0],
                [5, 6]], dtype=torch.uint8)
    """

    def __init__(self, path: Path, shape: Sequence[int], dtype: torch.dtype) -> None:
        from numpy import dtype as numpy_dtype
        from numpy.lib import format as npy_format

        self.shape, self.dtype = tuple(shape), dtype
        kind = numpy_dtype(_NAMES[dtype])
        self._row_bytes = prod(self.shape[1:]) * kind.itemsize
        self._file = path.open("xb")
        try:
            header = {
                "descr": npy_format.dtype_to_descr(kind.newbyteorder("<")),
                "fortran_order": False,
                "shape": self.shape,
            }
            npy_format.write_array_header_1_0(self._file, header)
            self._start = self._file.tell()
            self._file.flush()
            num_bytes = self._start + self.shape[0] * self._row_bytes
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, num_bytes)
            else:
                self._file.truncate(num_bytes)
        except BaseException:
            self._file.close()
            raise

    def write(self, rows: Tensor, values: Tensor) -> None:
        """Write rows.

        Args:
            rows: Shape (B,): which.
            values: Shape (B, ...), or (1, ...) for the same in all; for uint8 they are rounded
                and cut to 0 to 255.
        """
        if not len(rows):
            return
        if self.dtype is torch.uint8 and values.is_floating_point():
            values = values.round().clamp(0, 255)
        values = values.to(self.dtype).contiguous()
        content = values.numpy().data.cast("B")
        if len(values) == len(rows) and bool((rows.diff() == 1).all()):
            self._file.seek(self._start + int(rows[0]) * self._row_bytes)
            self._file.write(content)
            return
        step = 0 if len(values) == 1 else self._row_bytes
        for number, row in enumerate(rows.tolist()):
            self._file.seek(self._start + row * self._row_bytes)
            self._file.write(content[number * step : number * step + self._row_bytes])

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def map_npy(path: str | Path) -> Tensor:
    """Map the array of a ``.npy`` file into memory: what is read is loaded, and no more.

    Returns:
        The array. What is written into it stays in memory; the file does not change.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is no such file, or is cut off.
        TypeError: If its values are not numbers that PyTorch knows.
    """
    import numpy as np

    path = Path(path)
    try:
        array = np.lib.format.open_memmap(path, mode="c")
    except (ValueError, EOFError, SyntaxError, TokenError, OverflowError) as error:
        raise CorruptFileError(
            f"`{path}` should be a whole .npy file; found {path.stat().st_size} bytes that are "
            f"not ({' '.join(str(error).split())}). Build or get it again."
        ) from error
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise TypeError(
            f"`{path}` should hold numbers; found {array.dtype}. Build or get it again."
        ) from error


def check_finite_rows(path: Path, stored: Tensor) -> None:
    """Raise unless all values are finite; only a block of rows is in memory at a time.

    Args:
        path: Where they lie, for the message.
        stored: Shape (N, ...).

    Raises:
        CorruptFileError: If not.
    """
    if not stored.is_floating_point():
        return
    for start in range(0, len(stored), _ROWS):
        unfit = int((~stored[start : start + _ROWS].isfinite()).sum())
        if unfit:
            raise CorruptFileError(
                f"`{path}` should hold finite numbers; found {unfit} that are not in rows "
                f"{start} to {min(start + _ROWS, len(stored)) - 1}. Build or get it again."
            )
