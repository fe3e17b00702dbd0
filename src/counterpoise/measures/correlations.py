"""Correlations of a measure with the truth, and their intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import atanh, tanh

import numpy as np

from counterpoise.data.files.extras import require
from counterpoise.measures.intervals import Interval, mean_interval

__all__ = ["correlation", "mean_correlation", "rank_correlation"]

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
    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if x.shape != y.shape or len(x) < 3:
        raise ValueError(
            f"`first` and `second` should be as long as each other, at least 3 values; found "
            f"{len(x)} and {len(y)}. Pass pairs of measurements."
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
    require("A rank correlation", "train", {"scipy": "scipy"})
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    return round(correlation(rankdata(first), rankdata(second)), 12)


def mean_correlation(values: Sequence[float]) -> Interval:
    """Return the mean of correlations and its interval, by Fisher's transformation.

    The transformed values are taken to be independent draws of one normal distribution, as
    correlations of different seeds nearly are; the interval stays within [-1, 1].

    Example:
        >>> mean_correlation([0.90, 0.95, 0.92]).mean
        0.926...
    """
    bounded = (min(max(value, -_ALMOST_ONE), _ALMOST_ONE) for value in values)
    found = mean_interval([atanh(value) for value in bounded])
    if found.low is None or found.high is None:
        return Interval(tanh(found.mean), None, None, found.num_values)
    return Interval(tanh(found.mean), tanh(found.low), tanh(found.high), found.num_values)
