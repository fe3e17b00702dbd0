"""Phrases that answers are put together from; every one depends on the numbers."""

from __future__ import annotations

from collections.abc import Mapping

from counterpoise.measures.statistics import FEWEST, Interval
from counterpoise.report.formats import Format, enumerate_words, interval


def with_interval(value: Interval, digits: int = 2, factor: float = 1.0) -> str:
    """Write a mean with its interval.

    Example:
        >>> with_interval(Interval(0.5, 0.41, 0.59, 5)).replace(chr(160), " ")
        '0.50 (0.41 to 0.59)'
    """
    return interval(value.mean, value.low, value.high, Format(digits, factor))


def listed(values: Mapping[str, Interval], digits: int = 2, factor: float = 1.0) -> str:
    """Write named means with their intervals, the highest first.

    Example:
        >>> listed({"a": Interval(0.1, None, None, 1), "b": Interval(0.9, None, None, 1)})
        'b 0.90 and a 0.10'
    """
    order = sorted(values, key=lambda name: -values[name].mean)
    return enumerate_words(
        [f"{name} {with_interval(values[name], digits, factor)}" for name in order]
    )


def above(first: Interval, second: Interval | float) -> bool:
    """Return whether an interval lies above another, or above a number, with no overlap.

    Nothing is said where either is of fewer than 5 values.

    Example:
        >>> above(Interval(0.9, 0.8, 1.0, 5), Interval(0.5, 0.4, 0.6, 5))
        True
        >>> above(Interval(0.9, 0.8, 1.0, 5), 0.85)
        False
    """
    num_values = [side.num_values for side in (first, second) if isinstance(side, Interval)]
    high = second.high if isinstance(second, Interval) else second
    if first.low is None or high is None or min(num_values) < FEWEST:
        return False
    return first.low > high
