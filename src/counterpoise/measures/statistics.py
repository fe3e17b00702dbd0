"""How methods differ over the same seeds: paired differences, corrected tests, effects, ranks.

Pure functions of arrays. Legend: N repeats (seeds), K methods, D data sets.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats  # type: ignore[import-untyped]

from counterpoise.measures.bootstrap import Floats, bootstrap_interval, deviation_of, finite_values

__all__ = [
    "PairedDifference",
    "Verdict",
    "effect_size",
    "holm",
    "mean_ranks",
    "paired_difference",
    "paired_p_value",
    "verdict",
]

Verdict = Literal[
    "higher", "lower", "not distinguishable", "not distinguishable after correction", "not tested"
]


class PairedDifference(NamedTuple):
    """How a method differs from a baseline over the same seeds.

    Attributes:
        mean: Mean of the differences, method less baseline.
        low: Lower end of the interval for it; NaN for one pair.
        high: Upper end.
        p_value: Of the paired test, not corrected; NaN where there is none.
        effect: Effect size, see :func:`effect_size`.
        num_pairs: N.
    """

    mean: float
    low: float
    high: float
    p_value: float
    effect: float
    num_pairs: int


def paired_difference(
    values: ArrayLike, baseline: ArrayLike, *, confidence: float = 0.95, seed: int = 0
) -> PairedDifference:
    """Compare a method with a baseline, run by run of the same seed.

    Args:
        values: N results of the method.
        baseline: N results of the baseline, in the order of the same seeds.
        confidence: As in :func:`bootstrap_interval`.
        seed: Of the bootstrap.

    Returns:
        Mean difference with interval, p-value of the paired t-test, effect size and N.

    Raises:
        ValueError: If the lengths differ, or as :func:`bootstrap_interval`.

    Example:
        >>> paired_difference([0.8, 0.7, 0.9], [0.8, 0.7, 0.9])
        PairedDifference(mean=0.0, low=0.0, high=0.0, p_value=1.0, effect=0.0, num_pairs=3)
    """
    x_N, base_N = finite_values("values", values), finite_values("baseline", baseline)
    if len(x_N) != len(base_N):
        raise ValueError(
            f"`baseline` should have a value for each of {len(x_N)} in `values`; found "
            f"{len(base_N)}. Pair them by seed, and leave out what has no partner."
        )
    # Rounded, since 0.3 - 0.2 and 0.2 - 0.1 are the same difference.
    d_N = np.round(x_N - base_N, 12)
    interval = bootstrap_interval(d_N, confidence=confidence, seed=seed)
    p_value, effect = paired_p_value(d_N), effect_size(d_N)
    return PairedDifference(float(d_N.mean()), *interval, p_value, effect, len(d_N))


def paired_p_value(differences: ArrayLike) -> float:
    """Map paired differences to the two-sided p-value of their mean being 0, by the t-test.

    With 5 seeds a signed-rank or sign-flipping test cannot fall below 0.0625, whatever is
    measured; the t-test, which assumes that differences are normal, can.

    Args:
        differences: N finite numbers.

    Returns:
        The p-value; 1 if all differences are 0, 0 if all are the same other number, NaN for a
        single one.

    Raises:
        ValueError: If there is no difference, or one is not finite.

    Example:
        >>> round(paired_p_value([0.02, 0.01, 0.04, 0.03, 0.02]), 4)
        0.0093
    """
    d_N = finite_values("differences", differences)
    if len(d_N) == 1:
        return math.nan
    deviation = deviation_of(d_N)
    if deviation == 0:
        return 1.0 if d_N[0] == 0 else 0.0
    t = abs(float(d_N.mean())) / (deviation / math.sqrt(len(d_N)))
    return float(2 * stats.t.sf(t, len(d_N) - 1))


def effect_size(differences: ArrayLike) -> float:
    """Map paired differences to their mean in units of their standard deviation.

    g = J mean / deviation, where J = Gamma(f/2) / (sqrt(f/2) Gamma((f-1)/2)) with f = N - 1
    removes the bias that few values have (Hedges).

    Args:
        differences: N finite numbers.

    Returns:
        Hedges' g. It is 0 if all differences are 0, infinite if all are the same other number,
        NaN for fewer than 3, where the bias cannot be removed.

    Raises:
        ValueError: If there is no difference, or one is not finite.

    Example:
        >>> round(effect_size([0.02, 0.01, 0.04, 0.03, 0.02]), 2)
        1.68
    """
    d_N = finite_values("differences", differences)
    if len(d_N) < 3:
        return math.nan
    deviation, mean = deviation_of(d_N), float(d_N.mean())
    if deviation == 0:
        return math.copysign(math.inf, mean) if d_N[0] else 0.0
    half = (len(d_N) - 1) / 2
    correction = math.exp(special.gammaln(half) - special.gammaln(half - 0.5)) / math.sqrt(half)
    return correction * mean / deviation


def holm(p_values: ArrayLike) -> Floats:
    """Correct p-values for how many of them there are, by Holm's step-down procedure.

    The probability that any true hypothesis has a corrected p-value below a level is at most
    that level, however the tests depend on each other.

    Args:
        p_values: Numbers in [0, 1]; NaN stands for no test and does not count.

    Returns:
        Corrected p-values in the same order, at least as large; NaN where there was none.

    Raises:
        ValueError: If a number is outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
        [0.03, 0.06, 0.06, 0.02]
    """
    p = np.asarray(p_values, dtype=float)
    outside = p[(p < 0) | (p > 1)]
    if len(outside):
        raise ValueError(
            f"`p_values` should be in [0, 1]; found {outside[0]:g}. Pass what a test returns."
        )
    corrected = np.full(p.shape, math.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return corrected


def verdict(difference: PairedDifference, corrected: float, *, level: float = 0.05) -> Verdict:
    """Say what a paired difference shows.

    Args:
        difference: From :func:`paired_difference`.
        corrected: Its p-value after :func:`holm`, with all others that are told beside it.
        level: Below which a corrected p-value counts.

    Returns:
        "not distinguishable" wherever the interval holds 0; "not distinguishable after
        correction" if it does not, but the corrected test leaves chance as an explanation;
        "higher" or "lower" if neither; "not tested" for a single pair.

    Example:
        >>> verdict(PairedDifference(0.02, -0.01, 0.05, 0.12, 0.7, 5), 0.12)
        'not distinguishable'
        >>> verdict(PairedDifference(0.02, 0.01, 0.03, 0.01, 1.9, 5), 0.13)
        'not distinguishable after correction'
    """
    if math.isnan(difference.low) or math.isnan(corrected):
        return "not tested"
    if difference.low <= 0 <= difference.high:
        return "not distinguishable"
    if corrected >= level:
        return "not distinguishable after correction"
    return "higher" if difference.mean > 0 else "lower"


def mean_ranks(values: ArrayLike) -> Floats:
    """Rank methods on each data set, and take the mean over data sets.

    Args:
        values: Results, higher is better, of shape (..., D, K), all finite.

    Returns:
        Mean rank of each method, shape (..., K). 1 is the highest on every data set. Ties share
        the mean of their ranks.

    Example:
        >>> mean_ranks([[0.9, 0.8, 0.7], [0.6, 0.6, 0.5]]).tolist()
        [1.25, 1.75, 3.0]
    """
    ranks: Floats = stats.rankdata(-np.asarray(values, dtype=float), axis=-1).mean(axis=-2)
    return ranks
