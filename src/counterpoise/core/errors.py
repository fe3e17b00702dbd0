"""How errors read, written once: the thing, the rule, what was found, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["check_choice", "check_count", "check_file_name", "check_flag", "check_kind"]
__all__ += ["check_range", "check_seed"]
__all__ += ["essence", "is_ours", "suggestion"]


def check_count(name: str, value: object, *, at_least: int, at_most: int | None = None) -> None:
    """Raise unless ``value`` is an integer of at least ``at_least``, and at most ``at_most``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{name}` should be an integer; found {value!r}. Pass an int.")
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
        raise TypeError(f"`{name}` should be True or False; found {value!r}. Pass one of them.")


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
    raise TypeError(f"`{name}` should be {what}; found {value!r}. Pass an object of that kind.")


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
        raise TypeError(f"`{name}` should be a number; found {value!r}. Pass an int or a float.")
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
            f"`{name}` should be one of {', '.join(map(repr, known))}; found {value!r}."
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
        raise TypeError(f"`{name}` should be a text; found {value!r}. Pass a str.")
    kept_out = [repr(each) for each in '/\\:*?"<>|' if each in value]
    kept_out += ["a control character"] if any(ord(each) < 32 for each in value) else []
    kept_out += ["nothing but dots or spaces"] if not value.strip(". ") else []
    if kept_out or len(value.encode()) > 200:
        rule = f"without {kept_out[0]}" if kept_out else "of at most 200 bytes"
        raise ValueError(
            f"`{name}` should be the name of a folder, {rule}; found {value!r}. "
            "Use letters, digits, '-', '_' and '.'."
        )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean ...?' for the nearest known name, or nothing.

    Example:
        >>> suggestion("AMG", ["AGM", "OGM"]), suggestion("lr", ["momentum", "learning_rate"])
        (" Did you mean 'AGM'?", " Did you mean 'learning_rate'?")
    """
    names = list(known)
    near = get_close_matches(name, names, n=1) or [
        each
        for each in names
        if name.lower() == each.lower()
        or ("_" in each and name == "".join(word[:1] for word in each.split("_")))
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
    return " ".join((union[1] if union else text).split())
