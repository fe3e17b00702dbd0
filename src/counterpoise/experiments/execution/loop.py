"""A loop over cells that have no result yet, on any executor."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack

from counterpoise.data.files.full_disk import ending_when_full
from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import MOST_DEATHS, keep_failure
from counterpoise.experiments.execution.pools import Outcome, open_pool
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.store import Result, Store

Told = Callable[[Cell, Result], None]

_SECONDS_TO_ARRIVE = 90  # of a result; network file systems look for new files once a minute
_MOST_UNDER_WAY = 1000  # more than a back end has room for, few enough to wait for each
_MOST_LOSSES = 5  # of workers that take a cell with them, by these errors of Ray and Dask
_LOSSES = {"KilledWorker", "NodeDiedError", "OutOfMemoryError", "WorkerCrashedError"}


def run_cells(cells: Sequence[Cell], store: Store, execution: Execution, told: Told) -> None:
    """Compute cells that have no result, so that each has one, even if some fail.

    A cell that another process is computing already is left to it, and comes last.

    Args:
        cells: The cells, each once.
        store: Where results are kept.
        execution: How they are run.
        told: Told of each cell as soon as it has a result, and which.

    Raises:
        ValueError: If workers do not share the store, or have other versions of packages.
        DiskFullError: If there is no more room. Called again when there is, it goes on.
    """
    if not cells:
        return
    waiting, under_way = deque(cells), dict[Future[Outcome], Cell]()
    losses: Counter[str] = Counter()
    most = 1 if execution.backend == "threading" else execution.jobs or _MOST_UNDER_WAY
    with ending_when_full(store.path), ExitStack() as stack:
        submit = open_pool(stack, execution, gpu=any(cell.uses_gpu for cell in cells))
        while waiting or under_way:
            while waiting and len(under_way) < most:
                cell = waiting.popleft()
                under_way[submit(cell, store.path)] = cell
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                cell = under_way.pop(future)
                if _has_result(future, cell, store, execution, losses):
                    told(cell, _arrived(cell, store))
                else:
                    waiting.append(cell)


def _has_result(
    future: Future[Outcome], cell: Cell, store: Store, execution: Execution, losses: Counter[str]
) -> bool:
    """Return whether a cell has a result, now that its future is done; keep why it has failed."""
    try:
        outcome = future.result()
    except Exception as error:
        if type(error).__name__ not in _LOSSES:
            raise
        losses[cell.key] += 1  # of a machine, maybe: the cell need not be to blame
        reason = f"Its worker was lost {losses[cell.key]} times: {type(error).__name__}: {error}"
        return losses[cell.key] >= _MOST_LOSSES and keep_failure(cell, store, reason)
    if isinstance(outcome, Exception):
        raise outcome
    if isinstance(outcome, str):
        store.note_death(cell.key, outcome)
        return len(store.deaths(cell.key)) >= MOST_DEATHS and keep_failure(cell, store)
    if outcome is None:
        return keep_failure(cell, store, f"It took longer than {execution.time_limit:g} s.")
    return outcome


def _arrived(cell: Cell, store: Store) -> Result:
    for _ in range(_SECONDS_TO_ARRIVE):
        if (result := store.read(cell.key)) is not None:
            return result
        time.sleep(1)
    raise ValueError(
        f"`runs` should be a folder that all workers share; found no result of {cell.title!r} in "
        f"{str(store.path)!r}. Choose one that they share."
    )
