"""Gzipped IDX files, the format in which MNIST is given."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

import torch
from torch import Tensor

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.originals import open_original

_UNSIGNED_BYTE = 8
_MOST_DIMENSIONS = 64  # of a tensor
_MOST_UNPACKED = 1100  # bytes from one: the format of gzip allows 1032
_BLOCK = 1 << 20


def read_idx(path: str | Path) -> Tensor:
    """Read an array of unsigned bytes from a gzipped IDX file.

    The format: two zero bytes, the type of the values (8: unsigned byte), the number of
    dimensions, the size of each as a big-endian 32-bit integer, then the values.

    Args:
        path: The file, such as ``train-images-idx3-ubyte.gz``.

    Returns:
        The array, uint8, of the shape that the file states.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If it is not gzip, is damaged or cut off, is no IDX file of unsigned
            bytes, or holds fewer or more values than it states.

    Example:
        >>> import gzip, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte.gz"
        >>> _ = path.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4])))
        >>> read_idx(path)
        tensor([5, 0, 4], dtype=torch.uint8)
    """
    path = Path(path)
    try:
        with open_original(path) as packed, gzip.open(packed, "rb") as file:
            return _parse(cast("BinaryIO", file), path)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CorruptFileError(
            f"`{path}` should be a whole gzip file; found {path.stat().st_size} bytes that are "
            f"not ({error}). Get the file again."
        ) from error


def _parse(file: BinaryIO, path: Path) -> Tensor:
    start = file.read(4)
    if len(start) < 4 or start[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or start[3] == 0:
        raise CorruptFileError(
            f"`{path}` should be an IDX file of unsigned bytes, beginning with 00 00 08; found "
            f"{start.hex(' ') or 'nothing'}. Get the original file."
        )
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise CorruptFileError(
            f"`{path}` should state {start[3]} sizes; found the end of the file before. "
            "Get the file again."
        )
    shape = struct.unpack(f">{start[3]}I", sizes)
    if prod(max(size, 1) for size in shape) >= 1 << 62 or len(shape) > _MOST_DIMENSIONS:
        raise CorruptFileError(
            f"`{path}` should state a shape that an array can have; found {len(shape)} sizes, "
            f"{' x '.join(map(str, shape[:4]))}{' ...' if shape[4:] else ''}. Get the file again."
        )
    # A damaged header may promise what does not fit in memory, and a small file may unpack to
    # gigabytes: neither is believed.
    number, most = prod(shape), _MOST_UNPACKED * path.stat().st_size
    values = bytearray()
    while number <= most and len(values) <= number:
        block = file.read(min(_BLOCK, number + 1 - len(values)))
        if not block:
            break
        values += block
    if len(values) != number:
        amount = "too few" if number > most else str(len(values))
        amount += " or more" if len(values) > number else ""
        raise CorruptFileError(
            f"`{path}` should hold {' x '.join(map(str, shape))} = {number} values; found "
            f"{amount}. Get the file again."
        )
    return (
        torch.frombuffer(values, dtype=torch.uint8).view(shape)
        if values
        else torch.empty(shape, dtype=torch.uint8)
    )
