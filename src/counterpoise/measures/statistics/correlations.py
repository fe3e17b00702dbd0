"""Correlations, slopes, shares, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import atanh, tanh

import numpy as np

from counterpoise.core.errors import check_choice, check_count, check_range
from counterpoise.data.files.extras import require
from counterpoise.measures.statistics.estimates import Estimate
from counterpoise.measures.statistics.intervals import Interval, mean_interval
from counterpoise.measures.statistics.runs import finite_values, floats_of, scipy

_ALMOST_ONE = 1 - 1e-12  # where Fisher's transformation is still finite


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Pearson's correlation.

    Raises:
        ValueError: If the lengths differ, there are fewer than 3 values, or one side does not
            vary or is not finite.

    Example:
        >>> round(correlation([1, 2, 3, 4], [1, 2, 3, 5]), 3)
        0.983
    """
    x, y = floats_of("first", first), floats_of("second", second)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3:
        raise ValueError(
            f"`first` and `second` should be as long as each other, at least 3 values; found "
            f"shapes {x.shape} and {y.shape}. Pass pairs of measurements."
        )
    for name, values in (("first", x), ("second", y)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"`{name}` should be finite; found {values[~np.isfinite(values)][0]}. Check the "
                "training that it was measured on: it may have diverged."
            )
        if np.ptp(values) == 0:
            raise ValueError(
                f"`{name}` should vary; found {values[0]:g} throughout. Measure where it differs."
            )
    return float(np.corrcoef(x, y)[0, 1])


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's correlation: that of the ranks, equal values sharing theirs.

    Raises:
        ValueError: As :func:`correlation`.
        ImportError: If SciPy is not installed.

    Example:
        >>> rank_correlation([1, 2, 3, 4], [1, 2, 3, 500])
        1.0
    """
    stats = scipy("stats")
    return round(correlation(stats.rankdata(first), stats.rankdata(second)), 12)


def mean_correlation(values: Sequence[float]) -> Interval:
    """Return the mean of correlations and its interval, by Fisher's transformation.

    The z values are taken to be independent draws of one normal distribution, as
    correlations of different seeds nearly are; the interval stays within [-1, 1].

    Example:
        >>> mean_correlation([0.90, 0.95, 0.92]).mean
        0.926...
    """
    outside = [value for value in finite_values("values", values) if abs(value) > 1]
    if outside:
        raise ValueError(
            f"`values` should be correlations, in [-1, 1]; found {outside[0]:g}. Check where they "
            "come from."
        )
    bounded = (min(max(value, -_ALMOST_ONE), _ALMOST_ONE) for value in values)
    z = mean_interval([atanh(value) for value in bounded])
    low, high = (None if end is None else tanh(end) for end in (z.low, z.high))
    return Interval(tanh(z.mean), low, high, z.num_values)


def correlation_interval(
    first: Sequence[float],
    second: Sequence[float],
    confidence: float = 0.95,
    *,
    ranks: bool = False,
) -> Interval:
    """Return the correlation of pairs, such as data sets, and its interval.

    tanh(atanh(r) -+ z e), e = 1 / sqrt(N - 3); for ranks e = sqrt((1 + r^2 / 2) / (N - 3)).

    Args:
        first: N values, at least 4.
        second: Those that they are paired with.
        confidence: In (0, 1).
        ranks: Whether to take Spearman's correlation, which outliers hardly move.

    Raises:
        ValueError: If there are fewer than 4 pairs, or as :func:`correlation`.
        ImportError: If SciPy is not installed.

    Example:
        >>> interval = correlation_interval([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])
        >>> round(interval.mean, 2), round(interval.low, 2), round(interval.high, 2)
        (0.8, -0.28, 0.99)

    Reference: Fisher 1921; Bonett and Wright, "Sample Size Requirements for Estimating Pearson,
    Kendall and Spearman Correlations", Psychometrika 2000.
    """
    check_range("confidence", confidence, low=0, high=1, open_low=True, open_high=True)
    value = (rank_correlation if ranks else correlation)(first, second)
    count = len(first)
    if count < 4:
        raise ValueError(
            f"`first` should have at least 4 values for an interval; found {count}. Add pairs."
        )
    r = min(max(value, -_ALMOST_ONE), _ALMOST_ONE)
    error = math.sqrt((1 + r**2 / 2 if ranks else 1) / (count - 3))
    half = float(scipy("stats").norm.isf((1 - confidence) / 2)) * error
    return Interval(value, tanh(atanh(r) - half), tanh(atanh(r) + half), count)


def slope(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Map pairs, one a data set, to how much the second rises with the first.

    b = cov(x, y) / var(x) by least squares; its error sqrt(SSE / (D - 2) / sum (x - mean)^2).

    Args:
        first: D values of x, at least 3, such as competition strengths.
        second: Those of y, such as gains.

    Returns:
        The slope in units of y for one of x, with D - 2 degrees of freedom. Its error is NaN where
        all pairs lie on a line.

    Raises:
        ValueError: As :func:`correlation`, but y need not vary.

    Example:
        >>> estimate = slope([0.5, 0.6, 0.8, 0.9, 0.7], [0.00, 0.01, 0.02, 0.04, 0.01])
        >>> round(estimate.mean, 3), round(estimate.p_value(), 3)
        (0.09, 0.018)

    Reference: Weisberg, "Applied Linear Regression", 2005, chapter 2.
    """
    if np.ptp(np.asarray(second, dtype=float)) > 0:
        correlation(first, second)  # raises what there is to raise
    else:
        correlation(first, first)
    x, y = (np.asarray(values, dtype=float) for values in (first, second))
    from_mean = x - x.mean()
    squares = float(np.square(from_mean).sum())
    b = float(from_mean @ y) / squares
    rest = y - y.mean() - b * from_mean
    error = math.sqrt(float(np.square(rest).sum()) / (len(x) - 2) / squares)
    if error <= 1e-9 * max(abs(b), float(np.abs(y).max()) / math.sqrt(squares)):
        error = math.nan
    return Estimate(b, error, len(x) - 2, len(x), "data sets")


def share_interval(
    num_successes: int, num_cases: int, confidence: float = 0.95, *, method: str = "wilson"
) -> Interval:
    """Return a share of independent cases and its interval.

    Args:
        num_successes: From 0 to ``num_cases``.
        num_cases: At least 1.
        confidence: In (0, 1).
        method: "wilson" holds the share in about the stated number of cases; "beta" (Clopper and
            Pearson) in at least as many, and is wider.

    Raises:
        TypeError: If a number of cases is not an integer.
        ValueError: If an argument is out of range.
        ImportError: If statsmodels is not installed.

    Example:
        >>> interval = share_interval(9, 10)
        >>> round(interval.low, 2), round(interval.high, 2)
        (0.6, 0.98)

    Reference: Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion",
    Statistical Science 2001.
    """
    check_count("num_cases", num_cases, at_least=1)
    check_count("num_successes", num_successes, at_least=0)
    check_range("confidence", confidence, low=0, high=1, open_low=True, open_high=True)
    check_choice("method", method, ("wilson", "beta"))
    if num_successes > num_cases:
        raise ValueError(
            f"`num_successes` should be at most `num_cases`, {num_cases}; found {num_successes}. "
            "Count each case once."
        )
    require("An interval of a share", "train", {"statsmodels": "statsmodels"})
    from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

    low, high = proportion_confint(num_successes, num_cases, alpha=1 - confidence, method=method)
    return Interval(num_successes / num_cases, float(low), float(high), num_cases)
