"""A comparison from its grid to its report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.cells import (
    GridRun,
    Measuring,
    grid_runs,
    plan_measuring,
)
from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.compare.outcomes import Outcome, outcomes_of
from counterpoise.experiments.compare.planning import fingerprints
from counterpoise.experiments.compare.progress import Progress
from counterpoise.experiments.compare.report import write_comparison
from counterpoise.experiments.execution.full_disk import ending_when_full
from counterpoise.experiments.execution.settings import Execution, ExecutionOptions
from counterpoise.experiments.session import Session
from counterpoise.experiments.store import Keep, Result, Store
from counterpoise.training.record import write_yaml

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["compare"]


def compare(
    grid: Grid,
    output: str | os.PathLike[str] | None = None,
    *,
    runs: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **execution: Unpack[ExecutionOptions],
) -> Comparison:
    """Run every cell of a grid that has no result yet, and write the report.

    Killed and called again it goes on, in the middle of the runs that were under way: each
    cell's result is kept in the store under a key made of its complete configuration, the
    versions of all packages and the content of the data, and no cell is ever run twice, whoever
    asks for it. Cells that fail are kept and reported too, and do not stop the others.

    Args:
        grid: What to compare.
        output: Folder of the report. Default: the grid's name, in the folder "comparisons".
        runs: Folder of the store. Default: $COUNTERPOISE_RUNS, or "counterpoise-runs".
        progress: Whether to show a live table, or a line a cell where there is no terminal.
        **execution: How runs are made: the arguments of
            :class:`counterpoise.experiments.Execution`, such as ``jobs=2``.

    Returns:
        The numbers, and in ``failures`` the results of the cells that failed. ``report.html``,
        ``report.md`` and ``results.csv`` lie in the folder.

    Raises:
        ValueError: If the grid, the back end or the data are not as they should be.
        ImportError: If the back end's package is not installed.
        OtherPartsError: If only a part was to be run, and the others are not done.
        OSError: If there is no more room. What was under way goes on in the next call.
    """
    how = Execution(**execution)
    candidates = grid.candidates()
    data = fingerprints(candidates)
    measuring = plan_measuring(grid, data) if grid.competition else {}
    alone = [run for each in measuring.values() for run in each.runs]
    path = Path(output) if output is not None else Path("comparisons") / grid.name
    store = Store(runs)
    num_measured = len(measuring) * len(grid.methods) * len(grid.all_seeds)
    planned = grid_runs(candidates, grid.all_seeds, data, "no")
    taught = {run.key for cell in planned for run in cell.needs.values()}
    num_alone = len(taught | {run.key for run in alone})
    total = grid.num_cells + num_alone + num_measured
    path.mkdir(parents=True, exist_ok=True)
    with ending_when_full(path, "output"), Progress(total, show=progress) as shown:
        session = Session(store, how, shown)
        write_yaml(path / "grid.yaml", grid.describe())
        keep: Keep = "until measured" if measuring else "no"
        cells = grid_runs(candidates, grid.first_seeds, data, keep)
        results = session.finish(cells)
        tried = outcomes_of(cells, results, grid.first_seeds)
        best = [each.chosen.candidate for each in tried if each.chosen is not None]
        others = [seed for seed in grid.all_seeds if seed not in grid.first_seeds]
        cells += grid_runs(best, others, data, keep)
        results |= session.finish([*cells, *alone])
        outcomes = outcomes_of(cells, results, grid.first_seeds)
        measured = _measure(outcomes, cells, measuring, session)
        comparison = Comparison(grid, outcomes, path, measured)
        write_comparison(comparison, path)
    return comparison


def _measure(
    outcomes: Sequence[Outcome],
    cells: Sequence[GridRun],
    measuring: Mapping[tuple[str, str], Measuring],
    session: Session,
) -> dict[str, Result]:
    """Measure the chosen runs that succeeded; return what came out by the key of the run."""
    if not measuring:
        return {}
    chosen = {
        result.key
        for outcome in outcomes
        if outcome.chosen is not None
        for result in outcome.chosen.results.values()
        if result.state == "done"
    }
    wanted = [measuring[cell.candidate[:2]].of(cell) for cell in cells if cell.key in chosen]
    results = session.finish(wanted)
    for cell in cells:  # each model is measured once; those of single modalities stay
        session.store.release(cell.key)
    return {each.joint.key: results[each.key] for each in wanted}
