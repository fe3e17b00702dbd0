"""What the names in a pickle stand for while it is read: objects of our own, never NumPy's.

NumPy's constructors trust the state that a pickle gives them; a crafted one can corrupt memory.
These check it, and make arrays from plain bytes when everything is read. None has an attribute
that a pickle could set: a pickle's BUILD calls ``__setstate__``, which refuses.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import numpy as np

_TYPE = re.compile(r"([<>=|]?)(b1|[iu][1248]|f[248]|S\d{1,7}|U\d{1,7}|O[48]?)")
_ORDERS = ("<", ">", "=", "|")
_ARRAY = "numpy.ndarray"  # the class itself does nothing: it is only an argument


class RefusedError(ValueError):
    """Something in a pickle that none of these data sets holds."""


class _Sealed:
    """Lets a pickle set nothing on it."""

    __slots__ = ()

    def __setstate__(self, state: object) -> NoReturn:
        raise RefusedError(f"a state for {type(self).__name__.strip('_').lower()}")


class Dtype:
    """A NumPy type of booleans, integers, floating point, strings or objects, without fields."""

    __slots__ = ("code", "order")

    def __init__(self, code: object) -> None:
        match = _TYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise RefusedError(f"the array type {_shown(code)}")
        self.order, self.code = match[1] or "=", match[2]

    def __setstate__(self, state: object) -> None:
        # (version, order, subarray, names, fields, item size, alignment, flags[, metadata])
        if not isinstance(state, tuple) or not 8 <= len(state) <= 9 or state[0] not in (3, 4):
            raise RefusedError(f"the state {_shown(state)} of an array type")
        order, *structure = state[1:5]
        if order not in _ORDERS or any(part is not None for part in structure):
            raise RefusedError(f"an array type with fields, {_shown(state)}")
        if state[5] not in (-1, self.item_size):
            raise RefusedError(f"items of {_shown(state[5])} bytes in an array of {self.code}")
        self.order = order

    @property
    def item_size(self) -> int:
        """Bytes of an item."""
        size = int(self.code[1:] or 8)
        return 4 * size if self.code[0] == "U" else size

    @property
    def holds_objects(self) -> bool:
        """Whether items are Python objects."""
        return self.code[0] == "O"

    def numpy(self) -> np.dtype[Any]:
        """Return NumPy's type."""
        import numpy as np

        order = "" if self.order == "|" else self.order
        return np.dtype(f"{order}{self.code}")


class Array:
    """An array whose state is checked when it is set, and whose values are made afterwards."""

    __slots__ = ("_content", "_dtype", "_fortran", "_shape", "_whole")

    def __init__(self) -> None:
        self._whole: np.ndarray[Any, Any] | None = None
        self._content: Any = None
        self._dtype: Dtype | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1:
            raise RefusedError(f"the state {_shown(state)} of an array")
        _, shape, dtype, fortran, content = state
        self.set(shape, dtype, bool(fortran), content)

    def set(self, shape: object, dtype: object, fortran: bool, content: object) -> None:
        """Take shape, type, order and values, if they fit together."""
        if not isinstance(dtype, Dtype):
            raise RefusedError(f"{_shown(dtype)} as the type of an array")
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if not all(type(size) is int and size >= 0 for size in sizes) or len(sizes) > 32:
            raise RefusedError(f"the shape {_shown(shape)} of an array")
        if dtype.holds_objects:
            if not isinstance(content, list) or len(content) != prod(sizes):
                raise RefusedError(f"an array of objects of shape {sizes} from no such list")
        else:
            content = _as_bytes(content)  # Python 2's strings are read as Latin-1
            fits = len(content) == prod(sizes) * dtype.item_size
            # Of strings without characters, NumPy would still take a byte each.
            if not fits or (not dtype.item_size and prod(sizes) > 1):
                raise RefusedError(
                    f"{len(content)} bytes for an array of {dtype.code} and shape {sizes}"
                )
        self._shape, self._dtype, self._fortran, self._content = sizes, dtype, fortran, content

    @property
    def elements(self) -> list[Any]:
        """The list that an array of objects is made from; empty for others."""
        if self._dtype is None or not self._dtype.holds_objects:
            return []
        objects: list[Any] = self._content
        return objects

    def whole(self) -> np.ndarray[Any, Any]:
        """Return NumPy's array, in the machine's byte order, that may be written to."""
        if self._whole is None:
            if self._dtype is None:
                raise RefusedError("an array without a state")
            order: Any = "F" if self._fortran else "C"
            flat = _flat(self._dtype, self._content)
            self._whole = flat.reshape(self._shape, order=order)
            self._content = None  # one copy is enough
        return self._whole


def _flat(dtype: Dtype, content: Any) -> np.ndarray[Any, Any]:
    """Return a new array of one dimension, in the machine's byte order."""
    import numpy as np

    if dtype.holds_objects:
        flat = np.empty(len(content), dtype=object)
        for place, element in enumerate(content):  # at once, lists would become dimensions
            flat[place] = element
        return flat
    if not dtype.item_size:
        return np.zeros(1, dtype.numpy())
    if dtype.code == "b1":  # a byte above 1 would be a boolean that is neither
        return np.asarray(np.frombuffer(content, np.uint8) != 0)
    flat = np.frombuffer(content, dtype.numpy())
    flat = flat.astype(flat.dtype.newbyteorder("="))
    if dtype.code[0] == "U" and flat.size and flat.view(np.uint32).max() > sys.maxunicode:
        raise RefusedError("characters that Unicode does not have")
    return flat


class _Reconstruct(_Sealed):
    def __call__(self, kind: object, shape: object, code: object) -> Array:
        if kind != _ARRAY:
            raise RefusedError(f"an array of class {_shown(kind)}")
        return Array()


class _FromBuffer(_Sealed):
    def __call__(self, buffer: object, dtype: object, shape: object, order: object) -> Array:
        if order not in ("C", "F"):
            raise RefusedError(f"an array of order {_shown(order)}")
        array = Array()
        array.set(shape, dtype, order == "F", buffer)
        return array


class _Scalar(_Sealed):
    def __call__(self, dtype: object, content: object = b"") -> Any:
        """Return Python's number or string: NumPy's scalars have a state that could be set."""
        array = Array()
        if isinstance(dtype, Dtype) and dtype.holds_objects:
            raise RefusedError("an object as a number")
        array.set((), dtype, False, content)
        return array.whole().item()


class _DtypeMaker(_Sealed):
    def __call__(self, code: object, align: object = 0, copy: object = 1) -> Dtype:
        return Dtype(code)


class _Encode(_Sealed):
    def __call__(self, text: object, encoding: object = "latin1") -> bytes:
        return _from_latin1(text, encoding)


class _Bytes(_Sealed):
    def __call__(self, content: object = b"", encoding: object = None) -> bytes:
        # bytes(n) would take n bytes of memory.
        if encoding is not None:
            return _from_latin1(content, encoding)
        return bytes(_as_bytes(content))


class _ByteArray(_Sealed):
    def __call__(self, content: object = b"", encoding: object = None) -> bytearray:
        return bytearray(_Bytes()(content, encoding))


class _Set(_Sealed):
    def __call__(self, items: object = ()) -> set[Any]:
        return set(_listed(items, "a set"))


class _Dict(_Sealed):
    def __call__(self, items: object = ()) -> dict[Any, Any]:
        if isinstance(items, Mapping):
            return dict(items)
        pairs = _listed(items, "a dictionary")
        if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            raise RefusedError("a dictionary of no pairs")
        return {key: value for key, value in pairs}  # noqa: C416 - dict() takes strings as pairs


def _listed(items: object, what: str) -> Iterable[Any]:
    if not isinstance(items, (list, tuple)):
        raise RefusedError(f"{what} from {_shown(items)}")
    return items


def _as_bytes(content: object) -> bytes | bytearray | memoryview:
    if isinstance(content, str):
        return _from_latin1(content, "latin1")
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise RefusedError(f"{_shown(content)} where bytes should be")
    return content


def _from_latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"bytes from {_shown(text)} by {_shown(encoding)}")
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise RefusedError(f"bytes from {_shown(text)}, which is not Latin-1") from error


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, (str, bytes, int, float, type(None))) else None
    text = text or type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."


_RECONSTRUCT, _FROM_BUFFER, _SCALAR = _Reconstruct(), _FromBuffer(), _Scalar()

NAMES: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): _DtypeMaker(),
    ("_codecs", "encode"): _Encode(),
    ("collections", "OrderedDict"): _Dict(),
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _RECONSTRUCT),
            ("multiarray", "scalar", _SCALAR),
            ("numeric", "_frombuffer", _FROM_BUFFER),
        )
    },
    **{
        (module, name): stand_in
        for module in ("builtins", "__builtin__")
        for name, stand_in in (("set", _Set()), ("bytes", _Bytes()), ("bytearray", _ByteArray()))
    },
}
"""Each module and name that a pickle may use, and what it gets; all other names are refused."""
