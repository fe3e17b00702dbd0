"""Inference from few runs: intervals, tests and verdicts that cannot contradict each other.

Pure functions of arrays; they know nothing of runs on disk, methods or reports. NumPy is imported
with them; SciPy and statsmodels when first needed. What each means, and how often each is wrong in
simulation, is in the documentation's page on statistics.
"""

from counterpoise.measures.statistics.correlations import (
    correlation,
    correlation_interval,
    mean_correlation,
    rank_correlation,
    share_interval,
    slope,
)
from counterpoise.measures.statistics.data_sets import (
    mean_differences,
    mean_share,
    performance_profile,
    probability_of_improvement,
    share_of_wins,
)
from counterpoise.measures.statistics.estimates import (
    FEWEST,
    Estimate,
    mean_estimate,
    paired_difference,
)
from counterpoise.measures.statistics.families import (
    Correction,
    Judgement,
    Verdict,
    corrected_p_values,
    judge,
)
from counterpoise.measures.statistics.intervals import Interval, mean_interval
from counterpoise.measures.statistics.power import (
    detectable_difference,
    equivalence_p_value,
    power,
)
from counterpoise.measures.statistics.ranks import FEWEST_DATA_SETS, Ranking, rank
from counterpoise.measures.statistics.runs import DIVERGED, Floats, Run
from counterpoise.measures.statistics.selection import best_so_far, expected_best, is_at_edge
from counterpoise.measures.statistics.two_way import two_way_difference, two_way_estimate

__all__ = [
    "DIVERGED",
    "FEWEST",
    "FEWEST_DATA_SETS",
    "Correction",
    "Estimate",
    "Floats",
    "Interval",
    "Judgement",
    "Ranking",
    "Run",
    "Verdict",
    "best_so_far",
    "corrected_p_values",
    "correlation",
    "correlation_interval",
    "detectable_difference",
    "equivalence_p_value",
    "expected_best",
    "is_at_edge",
    "judge",
    "mean_correlation",
    "mean_differences",
    "mean_estimate",
    "mean_interval",
    "mean_share",
    "paired_difference",
    "performance_profile",
    "power",
    "probability_of_improvement",
    "rank",
    "rank_correlation",
    "share_interval",
    "share_of_wins",
    "slope",
    "two_way_difference",
    "two_way_estimate",
]
