"""Means over seeds and paired differences, by Student's t.

An estimate is a mean, its standard error and the degrees of freedom of that error; interval,
test, detectable difference and equivalence all come from these three, and so cannot disagree.
Legend: N seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from counterpoise.core.errors import check_range
from counterpoise.measures.statistics.runs import (
    Floats,
    Run,
    numbers_of,
    student_quantile,
    student_tail,
)

FEWEST: Final = 5
"""The fewest values that anything is tested with: with fewer, a deviation is hardly known."""

Unit = Literal["seeds", "seeds and samples", "data sets"]
"""What the values of an estimate are of, and so what its interval tells of."""

_ROUNDING: Final = 1e-12
"""Relative to the largest value, what is taken for rounding: 0.3 - 0.2 is 0.2 - 0.1."""


@dataclass(frozen=True)
class Estimate:
    """A mean, and how surely it is known.

    Args:
        mean: The estimate.
        error: Its standard error; NaN where values show no spread, or there is a single one.
        degrees: Degrees of freedom of the error, above 0.
        num_values: How many independent values it is of.
        unit: What these are.
        std: Their standard deviation; NaN where it is not known.
    """

    mean: float
    error: float
    degrees: float
    num_values: int
    unit: Unit = "seeds"
    std: float = math.nan

    @property
    def testable(self) -> bool:
        """Whether there are enough values, and a spread, to test anything."""
        return self.num_values >= FEWEST and not math.isnan(self.error)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return where the mean over ever more values lies: mean -+ t error.

        Args:
            confidence: Share of such intervals that hold it, in (0, 1).

        Returns:
            Lower and upper end; NaN where the error is not known.

        Raises:
            ValueError: If ``confidence`` is out of range.

        Example:
            >>> low, high = Estimate(0.02, 0.01, 4, 5).interval()
            >>> round(low, 4), round(high, 4)
            (-0.0078, 0.0478)
        """
        check_range("confidence", confidence, low=0, high=1, open_low=True, open_high=True)
        if math.isnan(self.error):
            return math.nan, math.nan
        half = student_quantile((1 - confidence) / 2, self.degrees) * self.error
        return self.mean - half, self.mean + half

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the mean being ``null``, by Student's t.

        It is below a level exactly where the interval of confidence 1 - level excludes ``null``.

        Example:
            >>> round(Estimate(0.02, 0.01, 4, 5).p_value(), 3)
            0.116
        """
        if math.isnan(self.error):
            return math.nan
        return 2 * student_tail(abs(self.mean - null) / self.error, self.degrees)

    @property
    def effect(self) -> float:
        """The mean in units of the standard deviation, without the bias of few values.

        g = J mean / std, J = Gamma(f/2) / (sqrt(f/2) Gamma((f-1)/2)), f = degrees; NaN below 2
        degrees or where there is no deviation.

        Reference: Hedges, "Distribution Theory for Glass's Estimator of Effect Size", 1981.

        Example:
            >>> round(mean_estimate([0.02, 0.01, 0.04, 0.03, 0.02]).effect, 2)
            1.68
        """
        if self.degrees < 2 or math.isnan(self.std):
            return math.nan
        half = self.degrees / 2
        correction = math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)
        return correction * self.mean / self.std


def mean_estimate(
    values: Sequence[Run],
    *,
    step: float = 0.0,
    diverged: float | None = None,
    unit: Unit = "seeds",
) -> Estimate:
    """Map results of several seeds to their mean and how surely it is known.

    error = sqrt((s^2 + step^2 / 12) / N) with s the standard deviation (N - 1). A value that moves
    in steps, as an accuracy does by 1 / samples, is known to half a step at best: an error spread
    evenly over a step, of variance step^2 / 12. Where seeds hardly differ they share that error,
    so that s does not hold it; it is added whole. Where they differ by many steps it is nothing.

    Args:
        values: N results, independent draws as results of different seeds are.
        step: The least by which a value can change, at least 0. Default: values are continuous.
            Of an accuracy it is 1 / number of test samples.
        diverged: What a diverged run counts with, such as the accuracy of guessing. Default: there
            should be none.
        unit: What the values are of, for the words of verdicts.

    Returns:
        The estimate, with N - 1 degrees of freedom. Its error is NaN for a single value, and for
        equal values without a step.

    Raises:
        ValueError: If there is no value, one is not finite, or one diverged and ``diverged`` is
            None.

    Example:
        >>> estimate = mean_estimate([0.5, 0.5, 0.5], step=0.12)
        >>> round(estimate.mean, 3), round(estimate.error, 3)
        (0.5, 0.02)
    """
    return _student(numbers_of("values", values, diverged=diverged), step=step, unit=unit)


def paired_difference(
    values: Sequence[Run],
    baseline: Sequence[Run],
    *,
    step: float = 0.0,
    diverged: float | None = None,
) -> Estimate:
    """Map results of two methods with the same seeds to their mean difference.

    As :func:`mean_estimate` of the differences. Both results move in steps, independently, so
    that the variance of a difference gains step^2 / 12 twice.

    Args:
        values: N results of the method.
        baseline: N results of what it is compared with, in the order of the same seeds.
        step: As in :func:`mean_estimate`.
        diverged: As in :func:`mean_estimate`; a pair of two diverged runs has no difference.

    Returns:
        The estimate, method less baseline.

    Raises:
        ValueError: If the lengths differ, or as :func:`mean_estimate`.

    Example:
        >>> estimate = paired_difference([0.80, 0.79, 0.83, 0.81, 0.80], [0.8, 0.78, 0.8, 0.8, 0.8])
        >>> round(estimate.mean, 3), round(estimate.p_value(), 2)
        (0.01, 0.14)
    """
    x_N = numbers_of("values", values, diverged=diverged)
    base_N = numbers_of("baseline", baseline, diverged=diverged)
    if len(x_N) != len(base_N):
        raise ValueError(
            f"`baseline` should have a value for each of {len(x_N)} in `values`; found "
            f"{len(base_N)}. Pair them by seed, and leave out what has no partner."
        )
    scale = float(np.abs([x_N, base_N]).max())
    return _student(x_N - base_N, step=math.sqrt(2) * step, scale=scale)


def _student(
    x_N: Floats, *, step: float, scale: float | None = None, unit: Unit = "seeds"
) -> Estimate:
    check_range("step", step, low=0)
    count = len(x_N)
    scale = float(np.abs(x_N).max()) if scale is None else scale
    alike = float(np.ptp(x_N)) <= _ROUNDING * scale
    mean = float(x_N[0] if alike else x_N.mean())
    if abs(mean) <= _ROUNDING * scale:
        mean = 0.0
    if count == 1:
        return Estimate(mean, math.nan, math.nan, 1, unit)
    variance = (0.0 if alike else float(x_N.var(ddof=1))) + step**2 / 12
    std = math.sqrt(variance) if variance else math.nan
    return Estimate(mean, std / math.sqrt(count), count - 1, count, unit, std)
