"""What a search may set: values by dotted path, each from a range or from a list."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from counterpoise.core.errors import check_choice, check_flag, check_range
from counterpoise.measures.statistics import is_at_edge

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_DIGITS = 4  # of a number that is tried: more would only make it hard to read


@dataclass(frozen=True)
class Range:
    """Numbers between two ends.

    Args:
        low: The lower end, above 0 with ``log``.
        high: The upper end, above ``low``.
        log: Whether numbers are drawn evenly by their logarithm, as suits rates.
        integer: Whether they are integers.

    Example:
        >>> rates = Range(0.001, 0.1, log=True)
        >>> rates.has(0.01), rates.at_edge(0.099), rates.at_edge(0.05)
        (True, True, False)
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def has(self, value: object) -> bool:
        """Return whether a value lies in the range."""
        kinds = int if self.integer else (int, float)
        return isinstance(value, kinds) and not _is_flag(value) and self.low <= value <= self.high

    def at_edge(self, value: Any) -> bool:
        """Return whether a value lies at an end of the range, so that the best may lie beyond."""
        return is_at_edge(value, self.low, self.high, logarithmic=self.log)

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna draws from."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def value(self, drawn: Any) -> Any:
        """Return the value to try for a number that was drawn."""
        if self.integer:
            return int(drawn)
        return min(max(float(f"{drawn:.{_DIGITS}g}"), self.low), self.high)

    def drawn(self, value: Any) -> Any:
        """Return the number that stands for a value."""
        return value


@dataclass(frozen=True)
class Choices:
    """A list of values, of any kind.

    Args:
        values: At least one, each once.

    Example:
        >>> Choices((1, 2, 4)).at_edge(4), Choices((1, 2, 4)).at_edge(2), Choices((1, 2)).at_edge(2)
        (True, False, False)
    """

    values: tuple[Any, ...]

    def has(self, value: object) -> bool:
        """Return whether a value is among them."""
        return any(value == v and _is_flag(value) == _is_flag(v) for v in self.values)

    def at_edge(self, value: Any) -> bool:
        """Return whether a value is the least or the largest of at least three numbers."""
        numbers = [v for v in self.values if isinstance(v, (int, float)) and not _is_flag(v)]
        known = len(numbers) == len(self.values) >= 3
        return known and value in (min(numbers), max(numbers))

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna draws from: their places, since values may be anything."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(range(len(self.values)))

    def value(self, drawn: Any) -> Any:
        """Return the value to try for a place that was drawn."""
        return self.values[drawn]

    def drawn(self, value: Any) -> Any:
        """Return the place of a value."""
        return self.values.index(value)


Space = dict[str, Range | Choices]
"""What may be set, by dotted path."""


def read_space(where: str, search: Mapping[str, Any]) -> Space:
    """Read the search space of a grid.

    Args:
        where: What it is called in the grid, for errors.
        search: By dotted path a list of values, or a mapping of ``low`` and ``high`` and, if need
            be, ``log`` and ``int``.

    Raises:
        TypeError: If something is neither.
        ValueError: If a range is empty, a list holds a value twice, or a key is not known.

    Example:
        >>> read_space("search", {"method.alpha": {"low": 0.1, "high": 5, "log": True}})
        {'method.alpha': Range(low=0.1, high=5, log=True, integer=False)}
    """
    return {path: _read(f"{where}.{path}", given) for path, given in search.items()}


def num_combinations(space: Space) -> int:
    """Return how many combinations of lists there are.

    Example:
        >>> num_combinations({"a": Choices((1, 2, 3)), "b": Choices((None, "x"))})
        6
    """
    return prod(len(axis.values) for axis in space.values() if isinstance(axis, Choices))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)  # which Python counts as 0 and 1


def _read(where: str, given: Any) -> Range | Choices:
    if isinstance(given, Mapping):
        return _range(where, given)
    if not isinstance(given, (list, tuple)) or not given:
        raise TypeError(
            f"`{where}` should be a list of values to try, or a range; found {given!r}. "
            "Write it as [0.1, 1.0], or as {low: 0.01, high: 1.0, log: true}."
        )
    if any(value in given[:at] for at, value in enumerate(given)):
        raise ValueError(
            f"`{where}` should hold different values, each of which is a try of its own; found "
            f"{given!r}. Remove what repeats."
        )
    return Choices(tuple(given))


def _range(where: str, given: Mapping[str, Any]) -> Range:
    for key in given:
        check_choice(where, str(key), ("low", "high", "log", "int"))
    for key in ("low", "high"):
        if key not in given:
            raise ValueError(
                f"`{where}` should have both ends of the range; found {dict(given)!r}. Add `{key}`."
            )
    log, integer = given.get("log", False), given.get("int", False)
    for key, flag in (("log", log), ("int", integer)):
        check_flag(f"{where}.{key}", flag)
    low, high = given["low"], given["high"]
    check_range(f"{where}.low", low, low=0 if log else -math.inf, open_low=log)
    check_range(f"{where}.high", high, low=low, open_low=True)
    if integer and not (isinstance(low, int) and isinstance(high, int)):
        raise TypeError(
            f"`{where}` should have integers as ends, since int is true; found {low!r} and "
            f"{high!r}. Round them."
        )
    return Range(low, high, log, integer)
