"""Pickles from outside, read so that nothing in them is run.

A pickle is a program: it names functions and calls them. Three walls stand between it and this
process. Its instructions are read once without being followed, and one that has no business in
data is refused. The few names that arrays are made of lead to objects of our own, which check
what they are given; any other name is refused. Arrays are made from plain bytes at the end.
"""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.lfs import open_data
from counterpoise.data.files.stand_ins import NAMES, Array, RefusedError

# What plain data never need: objects from outside the file, classes by number, instances.
_REFUSED = {
    *("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"),
    *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"),
}
_STORING = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_DEPTH = 100  # of containers in containers; data sets have about ten
# Whatever the unpickler raises when instructions do not fit together.
_BROKEN = (
    *(pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError),
    *(ValueError, OverflowError, MemoryError, BufferError, RecursionError),
)


class UnsafePickleError(ValueError):
    """A pickle with more than data in it; nothing of it was run."""


def read_pickle(path: str | Path) -> Any:
    r"""Read a pickle of arrays, numbers, strings and containers of them, of Python 2 or 3.

    Args:
        path: The file, of any protocol. Strings of Python 2 are decoded as Latin-1.

    Returns:
        Dictionaries, lists, tuples, sets, strings, bytes, numbers and None as they were written;
        arrays in the machine's byte order, writable; NumPy's scalars as Python's numbers, ordered
        dictionaries as dictionaries.

    Raises:
        OSError: If there is no such file, or it may not be read.
        UnsafePickleError: If it names anything but what arrays are made of, or crafted them.
        CorruptFileError: If it is no pickle, is cut off, or is the stub of a file in git-lfs.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.pkl"
        >>> _ = path.write_bytes(pickle.dumps({"ids": [3, 5], "name": "digits"}))
        >>> read_pickle(path)
        {'ids': [3, 5], 'name': 'digits'}
        >>> _ = path.write_bytes(b"cposix\nsystem\n(S'echo no'\ntR.")
        >>> read_pickle(path)
        Traceback (most recent call last):
        ...
        counterpoise.data.files.pickles.UnsafePickleError: `...` should be a pickle of data ...
    """
    path = Path(path)
    size = path.stat().st_size if path.is_file() else 0
    with open_data(path) as file:
        try:
            _check_instructions(_Bounded(file, size))
            file.seek(0)
            return _finished(_Unpickler(_Bounded(file, size), encoding="latin1").load())
        except RefusedError as error:
            raise UnsafePickleError(
                f"`{path}` should be a pickle of data alone: arrays, numbers, strings and their "
                f"containers; found {error}. Nothing of it was run. Get the file from where the "
                "data set is published, and do not open this one with pickle."
            ) from error
        except _BROKEN as error:
            trouble = " ".join(str(error).split()) or type(error).__name__
            raise CorruptFileError(
                f"`{path}` should be a whole pickle; found {size} bytes that are not "
                f"({trouble[:120]}). Get the file again."
            ) from error


class _Bounded:
    """Reads no further than a file goes, whatever length an instruction states."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, number: int = -1) -> bytes:
        left = self._size - self._file.tell()
        return self._file.read(left if number < 0 else min(number, left))

    def readline(self) -> bytes:
        return self._file.readline()

    def tell(self) -> int:
        return self._file.tell()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in NAMES:
            raise RefusedError(f"the name {module}.{name}")
        return NAMES[module, name]

    def persistent_load(self, identifier: object) -> NoReturn:
        raise RefusedError("an object from outside the file")


def _check_instructions(file: _Bounded) -> None:
    """Read all instructions, following none."""
    stored = 0
    for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]
        if opcode.name in _REFUSED:
            raise RefusedError(f"the instruction {opcode.name}")
        if opcode.name in _STORING:
            # Python numbers what it stores one by one; room is taken up to the largest number.
            if argument is not None and argument > stored + 1:
                raise pickle.UnpicklingError(f"{argument} as the number of object {stored}")
            stored += 1
    if file.read(1):
        raise pickle.UnpicklingError("more after its end")


def _finished(value: Any) -> Any:
    """Put arrays in the place of their stand-ins; containers keep their identity."""
    return _Finisher().finish(value, 0)


class _Finisher:
    def __init__(self) -> None:
        # By identity; what was read is kept beside it, lest another object get its identity.
        self._done: dict[int, tuple[Any, Any]] = {}

    def finish(self, value: Any, depth: int) -> Any:
        if isinstance(value, (str, bytes, bytearray, int, float, complex, type(None))):
            return value
        if id(value) in self._done:
            return self._done[id(value)][1]
        if depth > _DEPTH:
            raise RefusedError(f"more than {_DEPTH} containers in each other")
        if isinstance(value, (dict, list)):
            self._done[id(value)] = value, value  # before its values: they may hold it again
        whole = self._whole(value, depth + 1)
        self._done[id(value)] = value, whole
        return whole

    def _whole(self, value: Any, depth: int) -> Any:
        if isinstance(value, (dict, set)):
            for key in value:
                if self.finish(key, depth) is not key:
                    raise RefusedError("an array as a key")
        if isinstance(value, dict):
            for key in value:
                value[key] = self.finish(value[key], depth)
        elif isinstance(value, list):
            value[:] = [self.finish(element, depth) for element in value]
        elif isinstance(value, Array):
            value.elements[:] = [self.finish(element, depth) for element in value.elements]
            return value.whole()
        elif isinstance(value, tuple):
            whole = tuple(self.finish(element, depth) for element in value)
            same = all(new is old for new, old in zip(whole, value, strict=True))
            return value if same else whole
        elif not isinstance(value, set):
            raise RefusedError(f"{type(value).__name__.strip('_').lower()} as a value")
        return value
