"""Phrases that answers are put together from; every one depends on the numbers."""

from __future__ import annotations

from collections.abc import Mapping

from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures.statistics import FEWEST, Interval
from counterpoise.report.formats import enumerate_words


def listed(values: Mapping[str, Interval]) -> str:
    """Write named means with their intervals, the highest first.

    Example:
        >>> listed({"a": Interval(0.1, None, None, 1), "b": Interval(0.9, None, None, 1)})
        'b 0.90 and a 0.10'
    """
    order = sorted(values, key=lambda name: -values[name].mean)
    return enumerate_words([f"{name} {with_interval(values[name])}" for name in order])


def too_few(value: Interval) -> bool:
    """Return whether a mean is of fewer than 5 values, of which nothing is tested.

    Example:
        >>> too_few(Interval(0.9, 0.8, 1.0, 4)), too_few(Interval(0.9, 0.8, 1.0, 5))
        (True, False)
    """
    return value.num_values < FEWEST


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
