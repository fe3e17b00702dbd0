"""A comparison from its grid to its report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from filelock import FileLock, Timeout  # comes with PyTorch

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.grid import Candidate, Grid
from counterpoise.experiments.compare.measurements import Alone, plan_alone, without_model
from counterpoise.experiments.compare.outcomes import Outcome, outcomes_of
from counterpoise.experiments.compare.planning import fingerprints
from counterpoise.experiments.compare.report import write_comparison
from counterpoise.experiments.execution.backends import Backend
from counterpoise.experiments.execution.full_disk import ending_when_full
from counterpoise.experiments.execution.progress import Progress
from counterpoise.experiments.store import Cell, Result, Store
from counterpoise.training.record import write_yaml

__all__ = ["compare"]

Place = tuple[str, str]
"""Labels of data set and fusion."""


def compare(
    grid: Grid,
    output: str | os.PathLike[str] | None = None,
    *,
    backend: str = "loky",
    jobs: int | None = 1,
    address: str | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> Comparison:
    """Run every cell of a grid that has no result yet, and write the report.

    Killed and called again it goes on, in the middle of the runs that were under way: each
    cell's result is kept in the folder under a key made of its complete configuration, the
    versions of all packages and the content of the data, and no cell is ever run twice. Cells
    that fail are kept and reported too, and do not stop the others.

    Args:
        grid: What to compare.
        output: Folder of results and report, which may hold those of other grids. Default: the
            grid's name, in the folder "comparisons".
        backend: "loky" (processes of this machine), "threading" (in this process, where cells
            take turns), "ray" or "dask".
        jobs: How many cells to run at a time, each on one thread. None: as many as there are
            cores, or workers of the cluster.
        address: Of a cluster of Ray or Dask that runs already, which has to share the folder; for
            Dask also its scheduler file.
        retry_failed: Run failed cells of an earlier call again.
        progress: Whether to show a live table, or a line a cell where there is no terminal.

    Returns:
        The numbers, and in ``failures`` the results of the cells that failed. ``report.html``,
        ``report.md`` and ``results.csv`` lie in the folder.

    Raises:
        ValueError: If the grid, the back end or the data are not as they should be, or another
            comparison is running in the folder.
        ImportError: If the back end's package is not installed.
        OSError: If there is no more room. What was under way goes on in the next call.
    """
    runner = Backend(backend, jobs, address)
    candidates = grid.candidates()
    data = fingerprints(candidates)
    alone = plan_alone(grid, data) if grid.competition else {}
    store = Store(Path(output) if output is not None else Path("comparisons") / grid.name)
    total = grid.num_cells + _num_measuring(grid, alone)
    shown = Progress(store, total, show=progress)
    with ending_when_full(store.path), _alone(store), runner, shown:
        write_yaml(store.path / "grid.yaml", grid.describe())

        def finish(cells: Sequence[Cell]) -> Mapping[str, Result]:
            distinct = list({cell.key: cell for cell in cells}.values())
            if retry_failed:
                _forget_failed(distinct, store)
            shown.expect(cells)
            runner.run(distinct, store)
            return _results(distinct, store)

        def planned(chosen: Iterable[Candidate], seeds: Iterable[int]) -> list[Cell]:
            return [
                Cell(each, seed, data[each.data], keep=bool(grid.competition))
                for each, seed in product(chosen, seeds)
            ]

        cells = planned(candidates, grid.first_seeds)
        tried = outcomes_of(cells, finish(cells), grid.first_seeds)
        best = [each.chosen.candidate for each in tried if each.chosen is not None]
        later = planned(best, [seed for seed in grid.all_seeds if seed not in grid.first_seeds])
        finish([*later, *(cell for each in alone.values() for cell in each.all_cells)])
        cells += later
        outcomes = outcomes_of(cells, _results(cells, store), grid.first_seeds)
        measured = _measure(outcomes, cells, alone, store, finish)
        comparison = Comparison(grid, outcomes, store.path, measured)
        write_comparison(comparison, store.path)
    return comparison


def _num_measuring(grid: Grid, alone: Mapping[Place, Alone]) -> int:
    """How many cells measuring takes, if no run fails."""
    seeds = len(grid.all_seeds)
    return sum(len(each.all_cells) + len(grid.methods) * seeds for each in alone.values())


def _measure(
    outcomes: Sequence[Outcome],
    cells: Sequence[Cell],
    alone: Mapping[Place, Alone],
    store: Store,
    finish: Callable[[Sequence[Cell]], Mapping[str, Result]],
) -> dict[str, Result]:
    """Measure the chosen runs that succeeded; return what came out by the key of the run."""
    if not alone:
        return {}
    chosen = {
        result.key
        for outcome in outcomes
        if outcome.chosen is not None
        for result in outcome.chosen.results.values()
        if result.state == "done"
    }
    measurements = [
        alone[cell.candidate[:2]].measurement(cell) for cell in cells if cell.key in chosen
    ]
    done = store.keys()
    unmeasured = [each for each in measurements if each.key not in done]
    needed = {cell.key: cell for each in unmeasured for cell in each.alone.values()}
    lost = without_model(needed.values(), store)
    for cell in lost:  # several measurements would else train it at the same time
        store.forget(cell.key)
    finish(lost)
    results = finish(measurements)
    for cell in cells:  # each model is measured once; those of single modalities stay
        store.release(cell.key)
    return {each.joint.key: results[each.key] for each in measurements}


def _results(cells: Sequence[Cell], store: Store) -> Mapping[str, Result]:
    found = {cell.key: store.read(cell.key) for cell in cells}
    return {key: result for key, result in found.items() if result is not None}


def _forget_failed(cells: Sequence[Cell], store: Store) -> None:
    for key, result in _results(cells, store).items():
        if result.state == "failed":
            store.forget(key)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Keep other comparisons out of the folder, whose runs would write over each other."""
    lock = FileLock(store.path / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout as error:
        raise ValueError(
            f"`output` should not be in use by another comparison; found one running in "
            f"{str(store.path)!r}. Wait for it, or choose another folder."
        ) from error
