"""A comparison from its grid to its report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout  # comes with PyTorch

from counterpoise.compare.analysis import Comparison
from counterpoise.compare.backends import Backend
from counterpoise.compare.cells import Cell, Result, Store, fingerprints
from counterpoise.compare.grid import Candidate, Grid
from counterpoise.compare.outcomes import outcomes_of
from counterpoise.compare.progress import Progress
from counterpoise.compare.report import write_comparison
from counterpoise.training.record import write_yaml

__all__ = ["compare"]


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
        The numbers. ``report.html``, ``report.md`` and ``results.csv`` lie in the folder.

    Raises:
        ValueError: If the grid, the back end or the data are not as they should be, or another
            comparison is running in the folder.
        ImportError: If the back end's package is not installed.
    """
    runner = Backend(backend, jobs, address)
    candidates = grid.candidates()
    data = fingerprints(candidates)
    store = Store(Path(output) if output is not None else Path("comparisons") / grid.name)
    with _alone(store), runner, Progress(store, grid.num_cells, show=progress) as shown:
        write_yaml(store.path / "grid.yaml", grid.describe())

        def finish(chosen: Sequence[Candidate], seeds: Sequence[int]) -> list[Cell]:
            cells = [Cell(each, seed, data[each.data]) for each in chosen for seed in seeds]
            if retry_failed:
                _forget_failed(cells, store)
            shown.expect(cells)
            runner.run(cells, store)
            return cells

        cells = finish(candidates, grid.first_seeds)
        tried = outcomes_of(cells, _results(cells, store), grid.first_seeds)
        best = [each.chosen.candidate for each in tried if each.chosen is not None]
        cells += finish(best, [seed for seed in grid.all_seeds if seed not in grid.first_seeds])
    outcomes = outcomes_of(cells, _results(cells, store), grid.first_seeds)
    comparison = Comparison(grid, outcomes, store.path)
    write_comparison(comparison, store.path)
    return comparison


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
