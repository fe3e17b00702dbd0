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

_LAZY = {
    "Block": ".rows",
    "Candidate": ".grid",
    "Comparison": ".analysis",
    "Grid": ".grid",
    "Outcome": ".outcomes",
    "Pair": ".rows",
    "Result": "counterpoise.experiments.store",
    "Row": ".rows",
    "Trial": ".outcomes",
    "compare": ".run",
    "comparison_page": ".report",
    "read_grid": ".files",
    "write_comparison": ".report",
}

__all__ = [
    "Block",
    "Candidate",
    "Comparison",
    "Grid",
    "Outcome",
    "Pair",
    "Result",
    "Row",
    "Trial",
    "compare",
    "comparison_page",
    "read_grid",
    "write_comparison",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)
