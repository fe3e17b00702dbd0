"""What a search for settings came to: choices at the edge of their range, and budget curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from counterpoise.core.errors import check_range
from counterpoise.measures.statistics.runs import Floats, Run, numbers_of


def is_at_edge(
    choice: float, low: float, high: float, *, logarithmic: bool = False, share: float = 0.05
) -> bool:
    """Return whether a chosen setting lies at an end of its range, so that the best may lie beyond.

    Args:
        choice: What was chosen, from ``low`` to ``high``.
        low: Lower end of the range.
        high: Upper end, above ``low``.
        logarithmic: Whether the range was searched on a logarithmic scale; both ends above 0 then.
        share: The part of the range, on its scale, that counts as an end, in [0, 0.5). With 0 only
            the ends themselves, as for a list of values.

    Raises:
        ValueError: If the range is empty, the choice outside it, or an argument out of range.

    Example:
        >>> is_at_edge(0.09, 0.001, 0.1, logarithmic=True), is_at_edge(0.05, 0.001, 0.1)
        (True, False)
    """
    check_range("share", share, low=0, high=0.5, open_high=True)
    check_range("low", low, low=0 if logarithmic else -math.inf, open_low=logarithmic)
    check_range("high", high, low=low, open_low=True)
    check_range("choice", choice, low=low, high=high)
    at, start, end = (math.log(v) if logarithmic else v for v in (choice, low, high))
    place = (at - start) / (end - start)
    return place <= share or place >= 1 - share


def best_so_far(validation: Sequence[Run]) -> Floats:
    """Map trials in their order to the best validation result after each number of them.

    Args:
        validation: One result a trial, higher is better. One that diverged is no best.

    Returns:
        The budget curve, of shape (trials,), rising; NaN before the first that did not diverge.

    Raises:
        ValueError: If there is no trial, or a result is not finite.

    Example:
        >>> best_so_far(["diverged", 0.7, 0.6, 0.8]).tolist()
        [nan, 0.7, 0.7, 0.8]
    """
    best = np.maximum.accumulate(numbers_of("validation", validation, diverged=-math.inf))
    return np.where(np.isfinite(best), best, math.nan)


def expected_best(validation: Sequence[Run], *, diverged: float | None = None) -> Floats:
    """Map trials of a random search to the best result to expect of each number of them.

    E[best of n] = sum_i C(i - 1, n - 1) / C(T, n) v_(i), v_(1) <= ... <= v_(T): the mean over all
    choices of n of the T trials, which does not depend on their order and is unbiased. For a search
    that learns from its trials use :func:`best_so_far`.

    Args:
        validation: T results, higher is better.
        diverged: What a diverged trial counts with. Default: there should be none.

    Returns:
        For n = 1 ... T, of shape (T,), rising from the mean to the best.

    Raises:
        ValueError: If there is no trial, a result is not finite, or one diverged and ``diverged``
            is None.

    Example:
        >>> expected_best([0.6, 0.9, 0.6]).round(3).tolist()
        [0.7, 0.8, 0.9]

    Reference: Dodge et al., "Show Your Work", EMNLP 2019, of whose estimator with replacement Tang
    et al., "Showing Your Work Doesn't Always Work", ACL 2020, show the bias.
    """
    v_T = np.sort(numbers_of("validation", validation, diverged=diverged))
    T = len(v_T)
    shares_nT = np.array(
        [[math.comb(i, n - 1) / math.comb(T, n) for i in range(T)] for n in range(1, T + 1)]
    )
    expected: Floats = shares_nT @ v_T
    return expected
