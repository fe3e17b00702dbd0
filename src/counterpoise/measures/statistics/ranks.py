"""Ranks of methods over many data sets: Friedman's test and the critical difference.

Legend: K methods, D data sets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from counterpoise.core.errors import check_mapping, check_range
from counterpoise.measures.statistics.runs import Floats, Run, numbers_of, scipy

FEWEST_DATA_SETS: Final = 8
"""Below it the distributions of rank statistics are rough, and their power next to nothing."""


class Ranking(NamedTuple):
    """Methods by their ranks over data sets.

    Attributes:
        mean_ranks: By method; 1 is the highest on every data set.
        p_value: Of all methods being the same, by Friedman's test in the form of Iman and
            Davenport.
        critical_difference: Mean ranks that differ by less cannot be told apart (Nemenyi).
        num_data_sets: D.
    """

    mean_ranks: Mapping[str, float]
    p_value: float
    critical_difference: float
    num_data_sets: int


def rank(results: Mapping[str, Sequence[Run]], *, level: float = 0.05) -> Ranking:
    """Map results of methods on data sets to mean ranks and what differences of them mean.

    The statistic is F = (D - 1) chi2 / (D (K - 1) - chi2), chi2 Friedman's with ties shared,
    against the F distribution of K - 1 and (K - 1)(D - 1) degrees; the critical difference
    q sqrt(K (K + 1) / (6 D)), q the studentised range of K groups divided by sqrt(2).

    Args:
        results: By method, D results, higher is better, one a data set in the same order: its mean
            over seeds. Diverged ones share the last rank.
        level: Of the critical difference.

    Returns:
        Mean ranks, p-value and critical difference.

    Raises:
        ValueError: If there are fewer than 8 data sets or 2 methods, lengths differ, or a result
            is not finite.
        ImportError: If SciPy is not installed.

    Example:
        >>> ranking = rank({"AGM": [0.9] * 8, "Joint": [0.8] * 8, "OGM": [0.7] * 8})
        >>> ranking.mean_ranks, round(ranking.critical_difference, 2)
        ({'AGM': 1.0, 'Joint': 2.0, 'OGM': 3.0}, 1.17)

    Reference: Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR
    2006, section 3.2.
    """
    check_range("level", level, low=0, high=1, open_low=True, open_high=True)
    values_KD = _table(results)
    K, D = values_KD.shape
    stats = scipy("stats")
    ranks_KD = stats.rankdata(-values_KD, axis=0)
    q = float(stats.studentized_range.isf(level, K, math.inf)) / math.sqrt(2)
    return Ranking(
        dict(zip(results, ranks_KD.mean(axis=1).tolist(), strict=True)),
        _p_value(ranks_KD),
        q * math.sqrt(K * (K + 1) / (6 * D)),
        D,
    )


def _p_value(ranks_KD: Floats) -> float:
    K, D = ranks_KD.shape
    spread = float(np.square(ranks_KD - (K + 1) / 2).sum())  # less where there are ties
    if spread == 0:
        return 1.0
    between = D * float(np.square(ranks_KD.mean(axis=1) - (K + 1) / 2).sum())
    chi2 = D * (K - 1) * between / spread
    if math.isclose(
        chi2, D * (K - 1)
    ):  # the same order everywhere: of (K!)^D orders K! are so regular
        return math.exp(-(D - 1) * math.lgamma(K + 1))
    f = (D - 1) * chi2 / (D * (K - 1) - chi2)
    return float(scipy("stats").f.sf(f, K - 1, (K - 1) * (D - 1)))


def _table(results: Mapping[str, Sequence[Run]]) -> Floats:
    check_mapping("results", results, None, "methods to lists of results")
    if len(results) < 2:
        raise ValueError(
            f"`results` should have at least 2 methods; found {len(results)}. Pass a mapping from "
            "methods to results."
        )
    lengths = sorted({len(values) for values in results.values()})
    if len(lengths) > 1:
        raise ValueError(
            f"`results` should have as many data sets for each method; found {lengths}. Leave out "
            "data sets that not all methods ran on."
        )
    if lengths[0] < FEWEST_DATA_SETS:
        raise ValueError(
            f"`results` should have at least {FEWEST_DATA_SETS} data sets for ranks to tell "
            f"anything; found {lengths[0]}. Use mean_differences, or add data sets."
        )
    return np.stack(
        [
            numbers_of(f"results[{method!r}]", values, diverged=-math.inf)
            for method, values in results.items()
        ]
    )
