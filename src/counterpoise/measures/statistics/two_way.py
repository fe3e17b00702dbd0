"""Intervals that cover seeds and test samples: what to expect of other ones of both.

Legend: R seeds, N test samples; X (R, N) says whether the run of a seed was right on a sample, or
how large its error was.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from counterpoise.core.errors import check_range
from counterpoise.measures.statistics.estimates import Estimate
from counterpoise.measures.statistics.runs import Floats, floats_of

_ROUNDING = 1e-12
"""Relative to the mean, errors below which all differences are of rounding."""


def two_way_estimate(correct: ArrayLike, *, step: float = 1.0) -> Estimate:
    """Map what every run got right to the accuracy to expect of other seeds and samples.

    Seeds and samples are crossed random effects: x_rn = mean + seed_r + sample_n + rest_rn. With
    the mean squares a = var(means of seeds) / R, b = var(means of samples) / N and
    c = var(rest) / (R N), the variance of the mean is estimated without bias by a + b - c; at
    least the larger of a and b is taken, since the estimate can be too small by chance, and at
    least (step / N)^2: where nothing differed on N samples, it may still do so on one of the next.
    Degrees of freedom by Satterthwaite, at least R - 1.

    An interval over seeds alone tells what to expect of training again and testing on the *same*
    samples. With few test samples it is far too narrow for anything else.

    Args:
        correct: X, of shape (R, N), R and N at least 2: 1 where right and 0 where wrong, or
            another score of a sample whose mean is of interest, such as its absolute error.
        step: By how much the score of one sample changes at least, at least 0. Default: 1, as for
            right and wrong. 0 for a continuous one.

    Returns:
        The estimate. Its error is NaN where nothing varies and ``step`` is 0.

    Raises:
        ValueError: If the shape is another, a value is not finite, or ``step`` is below 0.

    Example:
        >>> correct = [[1, 1, 0, 1, 0, 1, 1], [1, 1, 0, 1, 1, 0, 1], [1, 1, 0, 1, 0, 1, 1]]
        >>> estimate = two_way_estimate(correct)
        >>> round(estimate.mean, 3), round(estimate.error, 3)
        (0.714, 0.153)

    Reference: Searle, Casella and McCulloch, "Variance Components", 1992, section 4.3;
    Satterthwaite, "An Approximate Distribution of Estimates of Variance Components", 1946.
    """
    return _crossed(_matrix("correct", correct), step)


def two_way_difference(correct: ArrayLike, baseline: ArrayLike, *, step: float = 1.0) -> Estimate:
    """Map what two methods got right, same seeds and samples, to their expected difference.

    As :func:`two_way_estimate` of the differences sample by sample, so that what all runs find
    hard or easy cancels.

    Args:
        correct: Of the method, (R, N).
        baseline: Of what it is compared with, (R, N), in the same order of seeds and samples.
        step: As in :func:`two_way_estimate`.

    Raises:
        ValueError: If the shapes differ, or as :func:`two_way_estimate`.

    Example:
        >>> ours = [[1, 1, 0, 1, 0, 1, 1], [1, 1, 0, 1, 1, 0, 1]]
        >>> joint = [[1, 0, 0, 1, 0, 1, 1], [1, 1, 0, 0, 1, 0, 1]]
        >>> round(two_way_difference(ours, joint).mean, 3)
        0.143
    """
    x_RN, base_RN = _matrix("correct", correct), _matrix("baseline", baseline)
    if x_RN.shape != base_RN.shape:
        raise ValueError(
            f"`baseline` should be of the shape of `correct`, {x_RN.shape}; found "
            f"{base_RN.shape}. Keep the seeds and samples that both have."
        )
    return _crossed(x_RN - base_RN, step)


def _crossed(x_RN: Floats, step: float) -> Estimate:
    check_range("step", step, low=0)
    R, N = x_RN.shape
    mean = float(x_RN.mean())
    by_seed, by_sample = x_RN.mean(axis=1), x_RN.mean(axis=0)
    rest = x_RN - by_seed[:, None] - by_sample + mean
    a = float(by_seed.var(ddof=1)) / R
    b = float(by_sample.var(ddof=1)) / N
    c = float(np.square(rest).sum()) / ((R - 1) * (N - 1)) / (R * N)
    estimated = max(a + b - c, a, b)
    variance = max(estimated, (step / N) ** 2)
    if variance <= (_ROUNDING * mean) ** 2:
        return Estimate(mean, math.nan, R - 1, R, "seeds and samples")
    spread = a**2 / (R - 1) + b**2 / (N - 1) + c**2 / ((R - 1) * (N - 1))
    degrees = max(estimated**2 / spread, R - 1.0) if spread else R - 1.0
    std = math.sqrt(a * R) or math.nan
    return Estimate(mean, math.sqrt(variance), degrees, R, "seeds and samples", std)


def _matrix(name: str, values: ArrayLike) -> Floats:
    x_RN = floats_of(name, values)
    if x_RN.ndim != 2 or min(x_RN.shape) < 2:
        raise ValueError(
            f"`{name}` should be of shape (seeds, samples), at least 2 of each; found shape "
            f"{x_RN.shape}. Pass a row for each seed."
        )
    odd = x_RN[~np.isfinite(x_RN)]
    if len(odd):
        raise ValueError(
            f"`{name}` should be finite; found {odd[0]:g}. Give a run that diverged the score of "
            "guessing on every sample, or leave it out."
        )
    return x_RN
