"""A comparison from its grid to its report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from counterpoise.core.errors import check_flag, check_kind, check_path
from counterpoise.core.files import check_folder
from counterpoise.data.files.full_disk import ending_when_full
from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.cells import GridRun, Measuring, Runs, plan_measuring
from counterpoise.experiments.compare.declaration import declare
from counterpoise.experiments.compare.grid import Candidate, Grid, Place
from counterpoise.experiments.compare.outcomes import Outcome, Trial
from counterpoise.experiments.compare.planning import by_label, fingerprints
from counterpoise.experiments.compare.progress import Progress
from counterpoise.experiments.compare.report import write_comparison
from counterpoise.experiments.compare.search import search_of, write_search
from counterpoise.experiments.compare.searching import run_searches
from counterpoise.experiments.execution.settings import Execution, ExecutionOptions
from counterpoise.experiments.session import Session
from counterpoise.experiments.store import Keep, Result, Store
from counterpoise.training.record import describe, write_yaml

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
    asks for it. Before the first run ``grid.json`` says what is to be compared, with a digest;
    what is added later shows as such. Cells that fail are kept and reported too, and do not stop
    the others.

    Args:
        grid: What to compare.
        output: Folder of the report. Default: the grid's name, in the folder "comparisons".
        runs: Folder of the store. Default: $COUNTERPOISE_RUNS, or "counterpoise-runs".
        progress: Whether to show a live table, or a line a cell where there is no terminal.
        **execution: How runs are made: the arguments of
            :class:`counterpoise.experiments.Execution`, such as ``jobs=2``.

    Returns:
        The numbers, and in ``failures`` the results of the cells that failed. ``report.html``,
        ``report.md``, ``results.csv`` and ``search.csv`` lie in the folder.

    Raises:
        ValueError: If the grid, the back end or the data are not as they should be.
        ImportError: If the back end's package is not installed.
        OtherPartsError: If only a part was to be run, and the others are not done.
        OSError: If there is no more room. What was under way goes on in the next call.
    """
    check_kind("grid", grid, Grid, "a Grid")
    check_path("output", output)
    check_path("runs", runs)
    check_flag("progress", progress)
    how = Execution(**execution)
    checked = fingerprints(grid.candidates())
    runs_of = Runs(redraw=grid.redraw, fingerprints=checked)
    measuring = plan_measuring(grid, runs_of) if grid.competition else {}
    path = Path(output) if output is not None else Path("comparisons") / grid.name
    check_folder("output", path)
    store = Store(runs)
    path.mkdir(parents=True, exist_ok=True)
    with ending_when_full(path, "output"), Progress(_total(grid, measuring), show=progress) as seen:
        write_yaml(path / "grid.yaml", describe(grid.describe()))
        declare(grid, by_label(grid, checked), path, store)
        session = Session(store, how, seen)  # one, in which what failed is made again once
        outcomes, cells = _outcomes(grid, runs_of, measuring, session)
        values = _sample_values(outcomes, store)  # before runs are made again to be measured
        measured = _measure(outcomes, cells, measuring, session)
        comparison = Comparison(grid, outcomes, path, measured, values)
        write_comparison(comparison, path)
        write_search(comparison, path)
    return comparison


def _total(grid: Grid, measuring: Mapping[tuple[str, str], Measuring]) -> int:
    """Return how many cells there are: runs, those on single modalities, measurements."""
    alone = sum(len(plan.runs) for plan in measuring.values())
    return grid.num_cells + alone + len(measuring) * len(grid.methods) * len(grid.all_seeds)


def _outcomes(
    grid: Grid,
    runs: Runs,
    measuring: Mapping[tuple[str, str], Measuring],
    session: Session,
) -> tuple[list[Outcome], list[GridRun]]:
    """Search, and judge what was chosen; return what came out, and the runs that judge."""
    searches = [search_of(grid, place) for place in grid.places]
    if grid.choosing_seeds:
        searches = run_searches(grid, runs, session)
        tried = [Outcome(search.trials) for search in searches]
    else:
        tried = [Outcome([Trial(c, {}) for c in search.ask()]) for search in searches]
    best = [_best(outcome) for outcome in tried]
    keep: Keep = "until measured" if measuring else "no"
    cells = runs.all([chosen for chosen in best if chosen is not None], grid.all_seeds, keep)
    alone = [run for plan in measuring.values() for run in plan.runs]
    results = session.finish([*cells, *alone])
    by_place: dict[Place, dict[int, Result]] = {}
    for cell in cells:
        by_place.setdefault(cell.candidate[:3], {})[cell.seed] = results[cell.key]
    return [outcome.judged(by_place.get(outcome.place, {})) for outcome in tried], cells


def _best(outcome: Outcome) -> Candidate | None:
    """Return what the search chose; where nothing was tried, the only configuration there is."""
    if not outcome.trials[0].results:
        return outcome.trials[0].candidate
    return None if outcome.chosen is None else outcome.chosen.candidate


def _sample_values(outcomes: Sequence[Outcome], store: Store) -> dict[str, NDArray[Any]]:
    """Load the headline metric of each test sample of the chosen runs."""
    judged = [
        result
        for outcome in outcomes
        if outcome.chosen is not None
        for seed, result in outcome.chosen.results.items()
        if seed in outcome.chosen.records
    ]
    stored = {result.key: store.predictions(result) for result in judged}
    return {key: arrays["value"] for key, arrays in stored.items() if arrays and "value" in arrays}


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
    return {measurement.joint.key: results[measurement.key] for measurement in wanted}
