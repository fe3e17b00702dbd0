"""What holds over data sets: mean differences, probability of improvement, profiles.

Legend: D data sets, K methods, R and Q runs of two methods on one data set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from counterpoise.core.errors import check_mapping, check_range
from counterpoise.measures.statistics.estimates import Estimate, mean_estimate
from counterpoise.measures.statistics.intervals import Interval
from counterpoise.measures.statistics.runs import (
    Floats,
    Run,
    finite_values,
    numbers_of,
    scipy,
    student_quantile,
)

_ROUNDING = 1e-12
"""Below which a share is 0 but for rounding, or 1."""


def mean_differences(differences: Mapping[str, Mapping[str, float]]) -> dict[str, Estimate]:
    """Map differences to a baseline on each data set to what to expect on data sets like these.

    The mixed model difference_kd = method_k + data set_d + rest_kd, with methods fixed and data
    sets random, fitted by restricted maximum likelihood. A data set counts once a method, with
    the mean over seeds and fusions: how a method fares on one says little of others, however
    often it is repeated there, so that seeds are no replacement for data sets. The model takes all
    methods to vary alike; the error of one that varies more is at least that of its own mean by
    Student's t. For one method
    alone, for two data sets, and where the model leaves no rest, it is the mean over data sets by
    Student's t.

    Args:
        differences: By method, by data set, the mean difference to the baseline. A method need not
            have run on all data sets.

    Returns:
        By method, the expected difference, with (number of its data sets - 1) degrees of freedom.
        The error is NaN for a single data set, and where no difference varies.

    Raises:
        ValueError: If there is no method, one has no data set, or a difference is not finite.
        ImportError: If SciPy is not installed.

    Example:
        >>> estimates = mean_differences({
        ...     "AGM": {"digits": 0.01, "mfeat": 0.03, "wikipedia": -0.01},
        ...     "OGM": {"digits": 0.00, "mfeat": 0.02, "wikipedia": -0.03},
        ... })
        >>> {method: round(estimate.mean, 4) for method, estimate in estimates.items()}
        {'AGM': 0.01, 'OGM': -0.0033}

    Reference: Pinheiro and Bates, "Mixed-Effects Models in S and S-PLUS", 2000, chapter 1.
    """
    if not differences:
        raise ValueError(
            "`differences` should have at least one method; found none. Pass a mapping from "
            "methods to differences by data set."
        )
    by_method = {
        method: finite_values(f"differences[{method!r}]", list(by_data.values()))
        for method, by_data in differences.items()
    }
    repeated = {d for by_data in differences.values() for d in by_data}
    counts = [len(values) for values in by_method.values()]
    flat = np.concatenate(list(by_method.values()))
    design, labels = _design(differences, counts)
    if len(repeated) < 3 or _is_exact(flat, design, labels):  # as of a single method
        return {
            method: mean_estimate(values.tolist(), unit="data sets")
            for method, values in by_method.items()
        }
    means, errors = _fit(flat, design, labels)
    return {
        method: _estimate(values, float(mean), float(error))
        for (method, values), mean, error in zip(by_method.items(), means, errors, strict=True)
    }


def _estimate(values_D: Floats, mean: float, error: float) -> Estimate:
    """Return an estimate of the mixed model, as sure as the method's own spread lets it be."""
    own = mean_estimate(values_D.tolist(), unit="data sets")
    larger = math.nan if len(values_D) == 1 else float(np.fmax(error, own.error))  # NaN aside
    return replace(own, mean=mean, error=larger)


def _design(
    differences: Mapping[str, Mapping[str, float]], counts: Sequence[int]
) -> tuple[Floats, list[str]]:
    """Return which method each difference is of, as 0 and 1, and its data set."""
    methods = np.repeat(np.arange(len(counts)), counts)
    return np.eye(len(counts))[methods], [data for d in differences.values() for data in d]


def _is_exact(y: Floats, design: Floats, groups: Sequence[str]) -> bool:
    """Return whether methods and data sets explain all, so that there is no rest to estimate."""
    names, by_data = np.unique(groups, return_inverse=True)
    both = np.hstack([design, np.eye(len(names))[by_data]])
    rest = y - both @ np.linalg.lstsq(both, y, rcond=None)[0]
    return bool(np.abs(rest).max() <= 1e-9 * np.abs(y).max())


def _fit(y: Floats, design: Floats, groups: Sequence[str]) -> tuple[Floats, Floats]:
    """Return fixed effects and their standard errors at the share of variance that fits best.

    With r the share of data sets, cov(y) = variance ((1 - r) 1 + r Z), Z saying which differences
    are of the same one; r by restricted maximum likelihood, Pinheiro and Bates, section 2.2.5.
    """
    # Statsmodels looks for the ratio r / (1 - r) without an end, where it meets singular matrices,
    # and takes errors from a numerical second derivative, NaN in small unbalanced tables.
    labels = np.asarray(groups)
    same = (labels[:, None] == labels).astype(float)
    degrees = len(y) - design.shape[1]

    def fitted(share: float) -> tuple[float, Floats, Floats]:
        covariance = share * same + (1 - share) * np.eye(len(y))
        information = design.T @ np.linalg.solve(covariance, design)
        weighed = design.T @ np.linalg.solve(covariance, y)
        means = np.asarray(np.linalg.solve(information, weighed), float)
        rest = y - design @ means
        variance = float(rest @ np.linalg.solve(covariance, rest)) / degrees
        deviance = degrees * math.log(variance)
        deviance += float(np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1])
        return deviance, means, np.sqrt(variance * np.diag(np.linalg.inv(information)))

    best = scipy("optimize").minimize_scalar(
        lambda z: fitted(_logistic(z))[0], bounds=(-20, 20), method="bounded"
    )
    return fitted(_logistic(best.x))[1:]


def _logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def probability_of_improvement(
    runs: Mapping[str, Sequence[Run]], baseline: Mapping[str, Sequence[Run]]
) -> Interval:
    """Map runs of two methods to how probably one of the first beats one of the second.

    On a data set the share of all R x Q pairs of runs in which the first is higher, ties counting
    half (the Mann-Whitney statistic); over data sets the mean. A diverged run loses to any other
    and ties with another diverged one.

    Args:
        runs: By data set, the runs of the method; higher is better.
        baseline: By data set, those of what it is compared with; data sets that both have count.

    Returns:
        The probability, 0.5 where neither is better, with an interval over data sets, see
        :func:`mean_share`.

    Raises:
        ValueError: If no data set is in both.

    Example:
        >>> ours = {"digits": [0.9, 0.8], "mfeat": [0.7, 0.6]}
        >>> joint = {"digits": [0.7, 0.6], "mfeat": [0.65, "diverged"]}
        >>> probability_of_improvement(ours, joint).mean
        0.875

    Reference: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", NeurIPS 2021, section 4.3.
    """
    check_mapping("runs", runs, None, "data sets to lists of runs")
    check_mapping("baseline", baseline, None, "data sets to lists of runs")
    both = [data for data in runs if data in baseline]
    if not both:
        raise ValueError(
            f"`runs` and `baseline` should have a data set in common; found {list(runs)} and "
            f"{list(baseline)}. Pass runs by the same labels of data sets."
        )
    wins_D = [share_of_wins(runs[data], baseline[data]) for data in both]
    step = max(0.5 / (len(runs[data]) * len(baseline[data])) for data in both)
    return mean_share(wins_D, step=step)


def mean_share(shares: ArrayLike, confidence: float = 0.95, *, step: float = 0.0) -> Interval:
    """Map shares, one a data set, to their mean and its interval.

    Wilson's interval, whose variance p (1 - p) / D is that of data sets won or lost whole, with
    the factor by which shares vary less, s^2 / (m (1 - m)), m their mean, and Student's t in
    place of the normal distribution: it ends within [0, 1], and holds what it should where the
    mean is near an end and Student's t alone does not. Shares that are all 0 or all 1 are taken
    for data sets won or lost whole.

    Args:
        shares: D values in [0, 1]; a single one has no interval.
        confidence: In (0, 1).
        step: The least by which a share can change, as in :func:`mean_estimate`.

    Raises:
        ValueError: If there is no share, or one is outside [0, 1].

    Example:
        >>> interval = mean_share([0.9, 1.0, 0.7, 0.95, 1.0])
        >>> round(interval.mean, 2), round(interval.low, 2), round(interval.high, 2)
        (0.91, 0.65, 0.98)

    Reference: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
    JASA 1927.
    """
    check_range("confidence", confidence, low=0, high=1, open_low=True, open_high=True)
    x_D = finite_values("shares", shares)
    outside = x_D[(x_D < 0) | (x_D > 1)]
    if len(outside):
        raise ValueError(
            f"`shares` should be in [0, 1]; found {outside[0]:g}. Pass shares, not percentages."
        )
    mean, count = float(x_D.mean()), len(x_D)
    if count == 1:
        return Interval(mean, None, None, 1)
    std, whole = float(x_D.std(ddof=1)), mean * (1 - mean)
    factor = min((std**2 + step**2 / 12) / whole, 1) if whole > _ROUNDING else 1.0
    quantile = student_quantile((1 - confidence) / 2, count - 1)
    k = quantile**2 * factor / count
    middle, half = (mean + k / 2) / (1 + k), math.sqrt(k * whole + k**2 / 4) / (1 + k)
    return Interval(mean, max(middle - half, 0.0), min(middle + half, 1.0), count, std)


def share_of_wins(runs: Sequence[Run], baseline: Sequence[Run]) -> float:
    """Return the share of pairs of runs in which the first is higher, ties counting half.

    Example:
        >>> share_of_wins([0.8, 0.7], [0.7, "diverged"])
        0.875
    """
    x_R = numbers_of("runs", runs, diverged=-math.inf)
    y_Q = numbers_of("baseline", baseline, diverged=-math.inf)
    higher, equal = x_R[:, None] > y_Q, x_R[:, None] == y_Q
    return float((higher + 0.5 * equal).mean())


def performance_profile(runs: Mapping[str, Sequence[Run]], thresholds: ArrayLike) -> Floats:
    """Map runs on several data sets to the share of them above each threshold.

    P(threshold) = mean over data sets of the share of runs above it: the whole distribution in one
    curve, where the curve of a method that lies above another's everywhere is better at every
    quantile. Pass what is comparable over data sets, such as differences to the baseline's mean.

    Args:
        runs: By data set, the runs; one that diverged is above no threshold.
        thresholds: Of shape (T,), finite.

    Returns:
        Shares in [0, 1], of shape (T,), falling.

    Raises:
        ValueError: If there is no data set, a run or a threshold is not finite.

    Example:
        >>> performance_profile({"a": [0.5, 0.7], "b": [0.9, "diverged"]}, [0.4, 0.6, 0.8])
        array([0.75, 0.5 , 0.25])

    Reference: Agarwal et al. 2021, section 4.2; Dolan and More, "Benchmarking Optimization
    Software with Performance Profiles", 2002.
    """
    check_mapping("runs", runs, None, "data sets to lists of runs")
    tau_T = finite_values("thresholds", thresholds)
    if not runs:
        raise ValueError(
            "`runs` should have at least one data set; found none. Pass a mapping from data sets "
            "to runs."
        )
    shares = [
        (numbers_of(f"runs[{data!r}]", results, diverged=-math.inf)[:, None] > tau_T).mean(axis=0)
        for data, results in runs.items()
    ]
    profile: Floats = np.mean(shares, axis=0)
    return profile
