"""Checks that the fields of a dataclass have the types that their annotations say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from math import inf
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from counterpoise.core.errors import (
    check_choice,
    check_count,
    check_flag,
    check_names,
    check_path,
    check_range,
    check_seed,
    check_text,
)


def check_fields(instance: Any, *names: str, empty: tuple[str, ...] = ()) -> None:
    """Raise unless the fields of a dataclass are what their annotations say.

    Looked at are texts, numbers, flags, paths, choices (``Literal``) and names
    (``tuple[str, ...]``), each perhaps with None; a number called ``seed`` has the range of seeds.
    Other ranges, and fields of any other type, are for the class itself to check.

    Args:
        instance: Of a dataclass.
        names: Of the fields. Default: all.
        empty: Of those texts that may be empty.

    Raises:
        TypeError: If a value is of another type.
        ValueError: If it is no choice, no finite number or no seed.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Options:
        ...     shuffle: bool
        ...     def __post_init__(self):
        ...         check_fields(self)
        >>> Options("no")
        Traceback (most recent call last):
        ...
        TypeError: `shuffle` should be True or False; found 'no'. Pass one of them.
    """
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        if not names or field.name in names:
            _check(
                field.name, getattr(instance, field.name), hints[field.name], field.name in empty
            )


def _check(name: str, value: Any, hint: Any, may_be_empty: bool) -> None:
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        if len(kinds) != 1 or value is None:
            return
        (hint,) = kinds
    if get_origin(hint) is Literal:
        check_choice(name, value, get_args(hint))
    elif hint is str:
        check_text(name, value, empty=may_be_empty)
    elif get_origin(hint) is tuple and get_args(hint) == (str, ...):
        check_names(name, value, at_least=0 if may_be_empty else 1)
    elif (name, hint) in _CHECKS or hint in _CHECKS:
        (_CHECKS.get((name, hint)) or _CHECKS[hint])(name, value)


_CHECKS: dict[Any, Callable[[str, Any], None]] = {
    bool: check_flag,
    int: lambda name, value: check_count(name, value, at_least=-(2**63)),
    ("seed", int): check_seed,
    float: lambda name, value: check_range(name, value, low=-inf),
    Path: check_path,
}
