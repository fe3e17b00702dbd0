"""How errors read, written once: the thing, the rule, what was found, what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import BuiltinFunctionType, FunctionType

import torch


def described(value: object) -> str:
    """Say in a few words what was found: plain values as they are, all others by their kind.

    Example:
        >>> [described(v) for v in (0.5, "x", dict, max, [1, object()])]
        ['0.5', "'x'", 'the class dict', 'the function max', 'a list']
    """
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, _PLAIN):
        return _shortened(repr(value))
    if isinstance(value, (list, tuple, set)) and all(isinstance(v, _PLAIN) for v in value):
        return _shortened(repr(value))
    if isinstance(value, dict) and all(isinstance(e, _PLAIN) for e in (*value, *value.values())):
        return _shortened(repr(value))
    if isinstance(value, (FunctionType, BuiltinFunctionType)):
        return f"the function {value.__name__}"
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if shape is not None and getattr(value, "dtype", None) is not None:
        return f"a {kind} of {value.dtype} and shape {tuple(shape)}"  # type: ignore[attr-defined]
    return f"{'an' if kind[:1] in 'AEIOaeio' else 'a'} {kind}"


_PLAIN = (str, bytes, int, float, complex, type(None), torch.dtype)


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:80]} ... {text[-15:]}"


def check_count(name: str, value: object, *, at_least: int, at_most: int | None = None) -> None:
    """Raise unless ``value`` is an integer of at least ``at_least``, and at most ``at_most``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{name}` should be an integer; found {described(value)}. Pass an int.")
    if value < at_least:
        raise ValueError(
            f"`{name}` should be at least {at_least}; found {value}. Pass {at_least} or more."
        )
    if at_most is not None and value > at_most:
        raise ValueError(
            f"`{name}` should be at most {at_most}; found {value}. Pass {at_most} or less."
        )


def check_seed(name: str, value: object) -> None:
    """Raise unless ``value`` is an integer in [0, 2^43), which leaves room for epochs."""
    check_count(name, value, at_least=0, at_most=2**43 - 1)


def check_flag(name: str, value: object) -> None:
    """Raise unless ``value`` is True or False: "no" would count as True."""
    if not isinstance(value, bool):
        raise TypeError(
            f"`{name}` should be True or False; found {described(value)}. Pass one of them."
        )


def check_kind(name: str, value: object, kind: type | tuple[type, ...], what: str) -> None:
    """Raise unless ``value`` is an object of a class.

    Args:
        name: Of the argument.
        value: What was passed.
        kind: The class, or several.
        what: What to call it, such as "a method"; a class in place of an object is told apart.
    """
    if isinstance(value, kind):
        return
    if isinstance(value, type):
        raise TypeError(
            f"`{name}` should be {what}; found the class {value.__name__}. "
            f"Make an object of it: {value.__name__}(...)."
        )
    raise TypeError(
        f"`{name}` should be {what}; found {described(value)}. Pass an object of that kind."
    )


def check_function(name: str, value: object, what: str, *, optional: bool = True) -> None:
    """Raise unless ``value`` can be called, and is no class; None is left out if ``optional``.

    Args:
        name: Of the argument.
        value: What was passed.
        what: What the function does, such as "a function of logits and target".
        optional: Whether None stands for a default.
    """
    if isinstance(value, type) or not (callable(value) or (optional and value is None)):
        remedy = f"Make an object of it: {value.__name__}(...)" if isinstance(value, type) else None
        raise TypeError(
            f"`{name}` should be {what}; found {described(value)}. {remedy or 'Pass a function'}."
        )


def check_mapping(
    name: str, value: object, kind: type | tuple[type, ...] | None, what: str
) -> None:
    """Raise unless ``value`` maps names to objects of a class, to anything if that is None.

    Args:
        name: Of the argument.
        value: What was passed.
        kind: The class.
        what: What to call it, such as "names to paths of modules".
    """
    if not (isinstance(value, Mapping) or hasattr(value, "items")):  # or a ModuleDict
        raise TypeError(f"`{name}` should map {what}; found {described(value)}. Pass a dictionary.")
    for key, entry in value.items():
        if not (isinstance(key, str) and key and (kind is None or isinstance(entry, kind))):
            raise TypeError(
                f"`{name}` should map {what}; found {described(key)}: {described(entry)}. "
                "Mend that entry."
            )


def check_names(name: str, value: object, *, at_least: int = 1, known: Iterable[str] = ()) -> None:
    """Raise unless ``value`` lists so many different texts that are not empty.

    Args:
        name: Of the argument.
        value: What was passed.
        at_least: How many there have to be.
        known: What they have to be among. Default: anything.
    """
    listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    if not listed or not all(isinstance(text, str) and text for text in value):  # type: ignore[attr-defined]
        raise TypeError(
            f"`{name}` should be a list of names, none of them empty; found {described(value)}. "
            'Pass for example ("audio", "image").'
        )
    names: list[str] = list(value)  # type: ignore[call-overload]
    if len(names) < at_least:
        raise ValueError(
            f"`{name}` should name {at_least} or more; found {len(names)}. Add what is missing."
        )
    if twice := [text for text in names if names.count(text) > 1]:
        raise ValueError(
            f"`{name}` should name each once; found {twice[0]!r} several times. Keep one."
        )
    for text in names if known else ():
        check_choice(name, text, known)


def check_list(name: str, value: object, kind: type | tuple[type, ...], what: str) -> None:
    """Raise unless ``value`` is a sequence of objects of a class.

    Args:
        name: Of the argument.
        value: What was passed.
        kind: The class, or several.
        what: What to call it, such as "a number for each modality".
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(f"`{name}` should be {what}; found {described(value)}. Pass a list.")
    for entry in value:
        if not isinstance(entry, kind) or isinstance(entry, bool):
            raise TypeError(
                f"`{name}` should be {what}; found {described(entry)} in it. Mend that entry."
            )


def check_path(name: str, value: object, *, optional: bool = True) -> None:
    """Raise unless ``value`` is a path, as a text or a ``Path``; or None if ``optional``."""
    if not (isinstance(value, (str, os.PathLike)) or (optional and value is None)):
        raise TypeError(
            f"`{name}` should be a path; found {described(value)}. Pass a str or a pathlib.Path."
        )


def check_text(name: str, value: object, *, empty: bool = False) -> None:
    """Raise unless ``value`` is a text, which may have no letters only if ``empty``."""
    if not isinstance(value, str) or not (value or empty):
        rule = "a text" if empty else "a text that is not empty"
        raise TypeError(f"`{name}` should be {rule}; found {described(value)}. Pass a str.")


def check_range(
    name: str,
    value: float,
    *,
    low: float,
    high: float = float("inf"),
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raise unless ``value`` is a finite number from ``low`` to ``high``, open ends excluded."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"`{name}` should be a number; found {described(value)}. Pass an int or a float."
        )
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below and abs(value) < float("inf")):
        lower = f", above {low:g}" if open_low else f", at least {low:g}"
        lower = "" if low == float("-inf") else lower
        upper = f" and {'below' if open_high else 'at most'} {high:g}"
        upper = "" if high == float("inf") else upper
        raise ValueError(
            f"`{name}` should be finite{lower}{upper}; found {value}. Choose a value in range."
        )


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise, with the nearest name suggested, unless ``value`` is one of ``choices``."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"`{name}` should be one of {', '.join(map(repr, known))}; found {described(value)}."
            + suggestion(str(value), known)
        )


def check_file_name(name: str, value: object) -> None:
    """Raise unless ``value`` can name a file or a folder on every system, and nothing outside it.

    Example:
        >>> check_file_name("name", "../elsewhere")
        Traceback (most recent call last):
        ...
        ValueError: `name` should be the name of a folder, without '/'; found '../elsewhere'. ...
    """
    if not isinstance(value, str):
        raise TypeError(f"`{name}` should be a text; found {described(value)}. Pass a str.")
    kept_out = [repr(c) for c in '/\\:*?"<>|' if c in value]
    kept_out += ["a control character"] if any(ord(c) < 32 for c in value) else []
    if kept_out or not value.strip(". ") or len(value.encode()) > 200:
        rule = "more than dots and spaces" if not value.strip(". ") else "of at most 200 bytes"
        rule = f"without {kept_out[0]}" if kept_out else rule
        raise ValueError(
            f"`{name}` should be the name of a folder, {rule}; found {described(value)}. "
            "Use letters, digits, '-', '_' and '.'."
        )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean ...?' for the nearest known name, or nothing.

    Example:
        >>> suggestion("AMG", ["AGM", "OGM"]), suggestion("lr", ["momentum", "learning_rate"])
        (" Did you mean 'AGM'?", " Did you mean 'learning_rate'?")
    """
    names = list(known)
    near = get_close_matches(name, names) or [
        candidate
        for candidate in names
        if name.lower() == candidate.lower()
        or ("_" in candidate and name == "".join(word[:1] for word in candidate.split("_")))
    ]
    return f" Did you mean {near[0]!r}?" if near else ""


def is_ours(text: str) -> bool:
    """Return whether a message reads as those of this package do.

    Example:
        >>> is_ours("`seed` should be at least 0; found -1."), is_ours("int() got 'x'")
        (True, False)
    """
    return re.match(r"`.+` should ", text) is not None


def essence(text: str) -> str:
    r"""Return in one line what a parser's message says: our own sentence in it, or else its core.

    Example:
        >>> essence("Parser key 'seed':\n  - `seed` should be at least 0; found -1.")
        '`seed` should be at least 0; found -1.'
    """
    lines = [line.strip().removeprefix("- ") for line in text.splitlines()]
    ours = [line for line in lines if is_ours(line)]
    if ours:
        return ours[0]
    # What may be a class or None is said to be neither: the first half tells what is wrong.
    union = re.search(r"Errors:\s+- (.*?)\n\s+- Expected a <class 'NoneType'>", text, re.DOTALL)
    if union is None:
        return " ".join(text.split())
    # What it is about, and what was given, as where there is one type.
    key, given = (
        re.match(r'Parser key "[^"]+": *', text),
        re.search(r"\n\s+Given value: (.+)", text),
    )
    told = f"{key[0] if key else ''} {union[1]}{f'. Got value: {given[1]}' if given else ''}"
    return " ".join(told.split())
