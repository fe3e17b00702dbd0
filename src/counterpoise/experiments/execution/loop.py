"""A loop over cells that have no result yet, on any executor."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from counterpoise.data.files.full_disk import ending_when_full
from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import MOST_DEATHS, keep_failure
from counterpoise.experiments.execution.apart import DiedError, TooLongError
from counterpoise.experiments.execution.pools import Pool, open_pool
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.store import Result, Store

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
    waiting, under_way = deque(cells), dict[Future[bool], Cell]()
    losses: Counter[str] = Counter()
    gpu = any(cell.uses_gpu for cell in cells)
    with ending_when_full(store.path), open_pool(execution, gpu=gpu) as pool:
        while waiting or under_way:
            while waiting and len(under_way) < (pool.number or len(waiting)):
                cell = waiting.popleft()
                under_way[pool.submit(cell, store.path, execution.time_limit)] = cell
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                cell = under_way.pop(future)
                if _has_result(future, cell, store, pool, losses):
                    told(cell, _arrived(cell, store))
                else:
                    waiting.append(cell)


def _has_result(
    future: Future[bool], cell: Cell, store: Store, pool: Pool, losses: Counter[str]
) -> bool:
    """Return whether a cell has a result, now that its future is done; keep why it has failed."""
    try:
        return future.result()
    except Exception as error:
        cause = getattr(error, "cause", None)  # Ray hands it on within an error of pages
        fault = cause if isinstance(cause, Exception) else error
        if isinstance(fault, TooLongError):
            return keep_failure(cell, store, str(fault))
        if isinstance(fault, DiedError):
            store.note_death(cell.key, str(fault))
            return len(store.deaths(cell.key)) >= MOST_DEATHS and keep_failure(cell, store)
        if isinstance(fault, pool.losses):  # of a machine, maybe: the cell need not be to blame
            losses[cell.key] += 1
            number = losses[cell.key]
            reason = f"Its worker was lost {number} times: {type(fault).__name__}: {fault}"
            return number >= _MOST_LOSSES and keep_failure(cell, store, reason)
        if fault is not error:
            raise fault from None
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
