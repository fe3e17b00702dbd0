"""A loop over cells that have no result yet, on any executor."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import compute_cell, keep_failure
from counterpoise.experiments.execution.full_disk import ending_when_full
from counterpoise.experiments.execution.parcels import Parcel
from counterpoise.experiments.execution.pools import Pool, open_pool
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.store import Result, Store

__all__ = ["Told", "run_cells"]

Told = Callable[[Cell, Result], None]
"""Is told of each cell that has got a result, and which."""

_MOST_LOSSES = 5  # of workers that take a cell with them
_SECONDS_TO_ARRIVE = 90.0  # of a result; network file systems look for new files once a minute


def run_cells(cells: Sequence[Cell], store: Store, execution: Execution, told: Told) -> None:
    """Compute cells that have no result, so that each has one, even if some fail.

    A cell that another process is computing already is left to it, and comes last.

    Args:
        cells: The cells, each once.
        store: Where results are kept.
        execution: How they are run.
        told: Told of each cell as soon as it has a result.

    Raises:
        ValueError: If workers do not share the store, or have other versions of packages.
        DiskFullError: If there is no more room. Called again when there is, it goes on.
    """
    if not cells:
        return
    with ending_when_full(store.path):
        if execution.backend == "threading":
            _in_turn(deque(cells), store, told)
        else:
            with open_pool(execution, gpu=any(cell.uses_gpu for cell in cells)) as pool:
                _at_a_time(deque(cells), store, pool, execution.time_limit, told)


def _in_turn(waiting: deque[Cell], store: Store, told: Told) -> None:
    while waiting:
        cell = waiting.popleft()
        if compute_cell(cell, store.path, apart=False):
            told(cell, _arrived(cell, store))
        else:
            waiting.append(cell)


def _at_a_time(
    waiting: deque[Cell], store: Store, pool: Pool, limit: float | None, told: Told
) -> None:
    under_way: dict[Future[bool], Cell] = {}
    losses: Counter[str] = Counter()
    while waiting or under_way:
        while waiting and len(under_way) < (pool.number or len(waiting)):
            cell = waiting.popleft()
            under_way[pool.submit(Parcel.of(cell, store.path, limit))] = cell
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            cell = under_way.pop(future)
            if _attended(future, cell, store, pool, losses):
                told(cell, _arrived(cell, store))
            else:
                waiting.append(cell)


def _attended(
    future: Future[bool], cell: Cell, store: Store, pool: Pool, losses: Counter[str]
) -> bool:
    """Return whether a cell has a result, now that its future is done."""
    try:
        return future.result()
    except pool.losses as loss:  # of a worker or its machine; the cell need not be to blame
        losses[cell.key] += 1
        reason = f"Its worker was lost {losses[cell.key]} times: {type(loss).__name__}: {loss}"
        if losses[cell.key] < _MOST_LOSSES:
            return False
        return keep_failure(cell.key, cell.identity, store, reason)
    except Exception as error:
        cause = getattr(error, "cause", None)  # Ray hands it on within an error of pages
        if isinstance(cause, Exception):
            raise cause from None
        raise


def _arrived(cell: Cell, store: Store) -> Result:
    deadline = time.monotonic() + _SECONDS_TO_ARRIVE
    while (result := store.read(cell.key)) is None:
        if time.monotonic() > deadline:
            raise ValueError(
                f"`runs` should be a folder that all workers share; found no result of "
                f"{cell.title!r} in {str(store.path)!r}. Choose one that they share."
            )
        time.sleep(0.5)
    return result
