"""What a comparison can detect: smallest detectable difference, power, equivalence.

Legend: f degrees of freedom, t_c critical value of Student's t at a level.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np

from counterpoise.core.errors import check_kind, check_range
from counterpoise.measures.statistics.estimates import Estimate
from counterpoise.measures.statistics.runs import Floats, scipy, student_tail

_NODES: Final = np.linspace(-8, 8, 257)
"""Normal quantiles by which the chi2 distribution is summed: to 1e-9 from 2 degrees on."""


def power(difference: float, error: float, degrees: float, *, level: float = 0.05) -> float:
    """Return the probability that a true difference is found, by the two-sided t-test.

    P(|T| > t_c), T of the noncentral t with f degrees and noncentrality d = difference / error:
    the mean over w of Phi(d - t_c sqrt(w / f)) + Phi(-d - t_c sqrt(w / f)), w of chi2 with f
    degrees, Phi the normal distribution. (SciPy's noncentral t is NaN in places.)

    Args:
        difference: The true one.
        error: Standard error of its estimate, above 0.
        degrees: f, above 0.
        level: Of the test; for one of several, that which the correction leaves it.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> round(power(0.02, 0.01, 4), 2), round(power(0, 0.01, 4), 2)
        (0.34, 0.05)

    Reference: Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, chapter 2.
    """
    check_range("difference", difference, low=-math.inf)
    check_range("error", error, low=0, open_low=True)
    check_range("degrees", degrees, low=0, open_low=True)
    check_range("level", level, low=0, high=1, open_low=True, open_high=True)
    return _power(abs(difference) / error, *_critical(degrees, level))


def detectable_difference(
    error: float, degrees: float, *, level: float = 0.05, power: float = 0.8
) -> float:
    """Return the smallest true difference that is found with a given probability.

    The difference at which :func:`power` is ``power``. It depends on the spread that was seen and
    on nothing else of the result: unlike "observed power" it is no other way to write the p-value.

    Args:
        error: Standard error of the difference, at least 0; NaN where it is not known.
        degrees: Its degrees of freedom.
        level: Of the test; for one of several, that which the correction leaves it.
        power: Above ``level`` and below 1. Default 0.8, as is usual.

    Returns:
        The difference, above 0, in the unit of ``error``; NaN where that is NaN.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> round(detectable_difference(0.01, 4), 3), round(detectable_difference(0.01, 9), 3)
        (0.038, 0.031)
    """
    check_range("level", level, low=0, high=1, open_low=True, open_high=True)
    check_range("power", power, low=level, high=1, open_low=True, open_high=True)
    if isinstance(error, float) and math.isnan(error):  # of an estimate that has none
        return math.nan
    check_range("error", error, low=0)
    check_range("degrees", degrees, low=0, open_low=True)
    limits, weights = _critical(degrees, level)
    most = float(limits.max() - _NODES[0])  # where hardly anything is missed
    return error * float(
        scipy("optimize").brentq(lambda d: _power(d, limits, weights) - power, 0, most)
    )


@lru_cache(maxsize=256)
def _critical(degrees: float, level: float) -> tuple[Floats, Floats]:
    """Return t_c sqrt(w / f) over the distribution of w, and the weights of the sum."""
    stats = scipy("stats")
    spread = np.sqrt(stats.chi2.ppf(stats.norm.cdf(_NODES), degrees) / degrees)
    weights = stats.norm.pdf(_NODES) * (_NODES[1] - _NODES[0])
    return float(stats.t.isf(level / 2, degrees)) * spread, weights


def _power(d: float, limits: Floats, weights: Floats) -> float:
    ndtr = scipy("special").ndtr
    return float(weights @ (ndtr(d - limits) + ndtr(-d - limits)))


def equivalence_p_value(estimate: Estimate, margin: float) -> float:
    """Return the p-value of equivalence: that the true mean is within a margin of 0.

    Two one-sided t-tests, of the mean being at most -margin and of its being at least margin; the
    larger p-value of the two. It is small only where the mean is known well: what cannot be told
    from 0 for want of data is not equivalent to it.

    Args:
        estimate: Of a difference.
        margin: The largest difference that does not matter, above 0, in the unit of the mean.

    Returns:
        The p-value; NaN where the error is not known.

    Raises:
        ValueError: If ``margin`` is not above 0.

    Example:
        >>> round(equivalence_p_value(Estimate(0.001, 0.003, 4, 5), margin=0.01), 3)
        0.02

    Reference: Schuirmann, "A Comparison of the Two One-Sided Tests Procedure and the Power
    Approach", Journal of Pharmacokinetics and Biopharmaceutics 1987.
    """
    check_kind("estimate", estimate, Estimate, "an estimate")
    check_range("margin", margin, low=0, open_low=True)
    if math.isnan(estimate.error):
        return math.nan
    distance = margin - abs(estimate.mean)
    return student_tail(distance / estimate.error, estimate.degrees)
