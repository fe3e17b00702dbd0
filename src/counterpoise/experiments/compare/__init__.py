"""Comparing methods on equal terms: a grid, runs that are never repeated, honest statistics.

Everything is imported when it is first asked for: the statistics need SciPy, running a grid
needs what training does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterpoise.experiments.compare.analysis import Comparison
    from counterpoise.experiments.compare.files import read_grid
    from counterpoise.experiments.compare.grid import Candidate, Grid
    from counterpoise.experiments.compare.outcomes import Outcome, Trial
    from counterpoise.experiments.compare.report import comparison_page, write_comparison
    from counterpoise.experiments.compare.rows import Block, Pair, Row
    from counterpoise.experiments.compare.run import compare
    from counterpoise.experiments.store import Result
    from counterpoise.measures.bootstrap import Interval, Summary, bootstrap_interval, summarize
    from counterpoise.measures.statistics import (
        PairedDifference,
        effect_size,
        holm,
        mean_ranks,
        paired_difference,
        paired_p_value,
        verdict,
    )

_LAZY = {
    "Block": ".rows",
    "Candidate": ".grid",
    "Comparison": ".analysis",
    "Grid": ".grid",
    "Interval": "counterpoise.measures.bootstrap",
    "Outcome": ".outcomes",
    "Pair": ".rows",
    "PairedDifference": "counterpoise.measures.statistics",
    "Result": "counterpoise.experiments.store",
    "Row": ".rows",
    "Summary": "counterpoise.measures.bootstrap",
    "Trial": ".outcomes",
    "bootstrap_interval": "counterpoise.measures.bootstrap",
    "compare": ".run",
    "comparison_page": ".report",
    "effect_size": "counterpoise.measures.statistics",
    "holm": "counterpoise.measures.statistics",
    "mean_ranks": "counterpoise.measures.statistics",
    "paired_difference": "counterpoise.measures.statistics",
    "paired_p_value": "counterpoise.measures.statistics",
    "read_grid": ".files",
    "summarize": "counterpoise.measures.bootstrap",
    "verdict": "counterpoise.measures.statistics",
    "write_comparison": ".report",
}

__all__ = [
    "Block",
    "Candidate",
    "Comparison",
    "Grid",
    "Interval",
    "Outcome",
    "Pair",
    "PairedDifference",
    "Result",
    "Row",
    "Summary",
    "Trial",
    "bootstrap_interval",
    "compare",
    "comparison_page",
    "effect_size",
    "holm",
    "mean_ranks",
    "paired_difference",
    "paired_p_value",
    "read_grid",
    "summarize",
    "verdict",
    "write_comparison",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)
