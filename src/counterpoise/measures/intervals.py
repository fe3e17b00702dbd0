"""Means over seeds, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from counterpoise.data.files.extras import require

__all__ = ["Interval", "mean_interval"]


class Interval(NamedTuple):
    """A mean and where it lies with a confidence of 95%.

    Attributes:
        mean: Of the values.
        low: Lower end; None where there is a single value, or one that is not finite.
        high: Upper end; None where ``low`` is.
        num_values: How many values.
    """

    mean: float
    low: float | None
    high: float | None
    num_values: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; False where there is no interval."""
        if self.low is None or self.high is None:
            return False
        return self.low > 0 or self.high < 0  # of NaN neither holds


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of values and its interval, by Student's t.

    The interval takes the values to be independent draws of one normal distribution, as results
    of different seeds nearly are; with few of them it is wide, and rightly so.

    Args:
        values: One or more.
        confidence: In (0, 1).

    Raises:
        ImportError: If SciPy is not installed.

    Example:
        >>> mean_interval([0.3, 0.5])
        Interval(mean=0.4, low=-0.87..., high=1.67..., num_values=2)
    """
    count, mean = len(values), fmean(values)
    if count < 2 or not isfinite(mean):
        return Interval(mean, None, None, count)
    require("An interval", "train", {"scipy": "scipy"})
    from scipy.stats import t  # type: ignore[import-untyped]

    half = float(t.ppf((1 + confidence) / 2, count - 1)) * stdev(values) / sqrt(count)
    return Interval(mean, mean - half, mean + half, count)
