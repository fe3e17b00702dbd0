"""Comparing methods on equal terms: a grid, runs that are never repeated, honest statistics.

Everything is imported when it is first asked for: the statistics need SciPy, running a grid
needs what training does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterpoise.compare.analysis import Comparison
    from counterpoise.compare.bootstrap import Interval, Summary, bootstrap_interval, summarize
    from counterpoise.compare.cells import Result
    from counterpoise.compare.files import read_grid
    from counterpoise.compare.grid import Candidate, Grid
    from counterpoise.compare.outcomes import Outcome, Trial
    from counterpoise.compare.report import comparison_page, write_comparison
    from counterpoise.compare.rows import Block, Pair, Row
    from counterpoise.compare.run import compare
    from counterpoise.compare.statistics import (
        PairedDifference,
        effect_size,
        holm,
        mean_ranks,
        paired_difference,
        paired_p_value,
        verdict,
    )

_LAZY = {
    "Block": "rows",
    "Candidate": "grid",
    "Comparison": "analysis",
    "Grid": "grid",
    "Interval": "bootstrap",
    "Outcome": "outcomes",
    "Pair": "rows",
    "PairedDifference": "statistics",
    "Result": "cells",
    "Row": "rows",
    "Summary": "bootstrap",
    "Trial": "outcomes",
    "bootstrap_interval": "bootstrap",
    "compare": "run",
    "comparison_page": "report",
    "effect_size": "statistics",
    "holm": "statistics",
    "mean_ranks": "statistics",
    "paired_difference": "statistics",
    "paired_p_value": "statistics",
    "read_grid": "files",
    "summarize": "bootstrap",
    "verdict": "statistics",
    "write_comparison": "report",
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
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
