"""Means with their intervals, as tables and figures show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from counterpoise.core.errors import check_range, described
from counterpoise.measures.statistics.estimates import FEWEST, mean_estimate
from counterpoise.measures.statistics.runs import DIVERGED, Run, floats_of


class Interval(NamedTuple):
    """A mean and where it lies.

    Attributes:
        mean: Of the values.
        low: Lower end; None where there is a single value, no spread, or one is not finite.
        high: Upper end; None where ``low`` is.
        num_values: How many values.
        std: Their standard deviation (N - 1); None for fewer than 2, or one that is not finite.
        num_diverged: How many runs diverged and are not among the values.
    """

    mean: float
    low: float | None
    high: float | None
    num_values: int
    std: float | None = None
    num_diverged: int = 0

    @property
    def testable(self) -> bool:
        """Whether there is an interval, of at least 5 values."""
        return self.low is not None and self.num_values >= FEWEST

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; False where that is not testable."""
        if self.low is None or self.high is None or not self.testable:
            return False
        return self.low > 0 or self.high < 0  # of NaN neither holds

    def within(self, least: float, most: float) -> Interval:
        """Keep the interval where means can lie, which Student's t knows nothing of.

        Example:
            >>> Interval(0.9, 0.5, 1.3, 5).within(0, 1).high
            1.0
        """
        ends = (self.low, self.high)
        low, high = (None if end is None else float(np.clip(end, least, most)) for end in ends)
        return self._replace(low=low, high=high)


def mean_interval(
    values: Sequence[Run], confidence: float = 0.95, *, step: float = 0.0
) -> Interval:
    """Return the mean of values and its interval, by Student's t.

    The interval takes the values to be independent draws of one normal distribution, as results
    of different seeds nearly are; with few of them it is wide, and rightly so.

    Args:
        values: One or more. Runs that diverged are counted beside the mean of the others.
        confidence: In (0, 1).
        step: The least by which a value can change, as in :func:`mean_estimate`.

    Raises:
        ImportError: If SciPy is not installed.
        ValueError: If there is no value.

    Example:
        >>> mean_interval([0.3, 0.5])
        Interval(mean=0.4, low=-0.87..., high=1.67..., num_values=2, std=0.14..., num_diverged=0)
    """
    check_range("confidence", confidence, low=0, high=1, open_low=True, open_high=True)
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise TypeError(
            f"`values` should be the results of runs; found {described(values)}. Pass a list."
        )
    if not len(values):
        raise ValueError(
            "`values` should hold at least one value; found none. Leave out what was not measured."
        )
    known = [value for value in values if not (isinstance(value, str) and value == DIVERGED)]
    floats_of("values", known)
    num_diverged = len(values) - len(known)
    if not known or not np.isfinite(np.asarray(known, dtype=float)).all():
        mean = float(np.mean(np.asarray(known, dtype=float))) if known else math.nan
        return Interval(mean, None, None, len(known), None, num_diverged)
    estimate = mean_estimate(known, step=step)
    if len(known) == 1:
        return Interval(estimate.mean, None, None, 1, None, num_diverged)
    std = float(np.std(np.asarray(known, dtype=float), ddof=1))
    low, high = (None if math.isnan(end) else end for end in estimate.interval(confidence))
    return Interval(estimate.mean, low, high, len(known), std, num_diverged)
