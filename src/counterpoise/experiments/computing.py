"""Computing one cell in this process, and keeping its result or its failure."""

from __future__ import annotations

import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout

from counterpoise.data.files.fingerprints import file_digest
from counterpoise.data.files.full_disk import lacks_room
from counterpoise.experiments.cells import Cell, code_digest
from counterpoise.experiments.store import Result, Store

MOST_DEATHS = 2
"""Of processes, after which a cell counts as failed. Once may be an accident, as of memory."""

TERMINATED = 143
"""Exit code of a process that was asked to end, as by a scheduler whose time is up; of shells."""

_SECONDS_TO_WAIT = 1.0  # for whoever computes the same cell, before something else is computed
_ONE_AT_A_TIME = threading.Lock()
_SAME_PROCESS = "This process ended while it computed the cell."


def compute_cell(cell: Cell, path: Path | str, *, apart: bool = True) -> bool:
    """Compute a cell and keep its result in the store, unless it has one.

    Whatever goes wrong becomes its result and is not raised, but for a full disk, after which a
    run can go on once there is room: of that nothing is kept. One thread computes unless the
    recipe says otherwise, so that results do not depend on what runs the cell; and one cell at a
    time in a process, since runs share its random generators.

    Args:
        cell: The cell.
        path: The store.
        apart: Whether another process waits for this one, and will tell if it dies. Else a note
            is left that tells it to the next call.

    Returns:
        Whether there is a result now; False if another process is computing the cell.

    Raises:
        OSError: If a disk or a quota is full.
    """
    store = Store(path)
    lock = store.lock(cell.key)
    with suppress(Timeout), lock.acquire(timeout=_SECONDS_TO_WAIT):
        if store.read(cell.key) is None:
            deaths = store.deaths(cell.key)
            if len(deaths) >= MOST_DEATHS:
                _keep(cell, store, error=_told(deaths))
            else:
                with _noting(cell, store, unless=apart):
                    _compute(cell, store)
        # Whoever waits for the lock will find a result, and so does who makes it anew.
        Path(lock.lock_file).unlink(missing_ok=True)
        return True
    return False


def keep_failure(cell: Cell, store: Store, reason: str = "") -> bool:
    """Keep that a cell failed for a reason, by default that its processes died.

    Returns:
        Whether there is a result now; False if another process is computing the cell.
    """
    with suppress(Timeout), store.lock(cell.key).acquire(timeout=_SECONDS_TO_WAIT):
        if store.read(cell.key) is None:
            _keep(cell, store, error=reason or _told(store.deaths(cell.key)))
        return True
    return False


def _told(deaths: list[str]) -> str:
    return f"Its process died {len(deaths)} times: {'; '.join(dict.fromkeys(deaths))}"


@contextmanager
def _noting(cell: Cell, store: Store, *, unless: bool) -> Iterator[None]:
    if unless:
        yield
        return
    store.note_death(cell.key, _SAME_PROCESS)
    try:
        yield
    finally:  # it did not
        before = store.deaths(cell.key)[:-1]
        store.deaths_file(cell.key).unlink(missing_ok=True)
        for reason in before if store.read(cell.key) is None else ():
            store.note_death(cell.key, reason)


def _compute(cell: Cell, store: Store) -> None:
    folder = store.running / cell.key
    fields: dict[str, Any] = {}
    start = time.monotonic()
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True) as caught, _one_thread():
        try:
            fields["record"] = cell.compute(store, folder)
        except BaseException as raised:  # shown and reported: others are to go on
            failure = _failure(raised)
            if failure is None or lacks_room(failure):
                raise
            fields["error"] = f"{type(failure).__name__}: {failure}"
            fields["traceback"] = traceback.format_exc()
    best = folder / "checkpoints" / "best.ckpt"
    if best.is_file() and "record" in fields:
        fields["model"] = file_digest(best)
    fields["seconds"] = time.monotonic() - start
    fields["warnings"] = sorted({str(warning.message) for warning in caught})
    _keep(cell, store, **fields)


def _failure(raised: BaseException) -> BaseException | None:
    """Return the cell's own failure; None if it was interrupted from outside."""
    if type(raised).__name__ == "SIGTERMException":  # of Lightning, which has no code
        raise SystemExit(TERMINATED) from raised
    if isinstance(raised, (Exception, SystemExit)):
        return raised
    # Lightning exits after Ctrl-C; training takes any exit for it.
    exited = raised.__cause__
    if isinstance(exited, SystemExit) and not isinstance(exited.__context__, KeyboardInterrupt):
        return exited
    return None


def _keep(cell: Cell, store: Store, **fields: Any) -> None:
    record = fields.get("record")
    diverged = record is not None and record.get("outcome") == "diverged"
    state: Any = "failed" if record is None else "diverged" if diverged else "done"
    known: dict[str, Any] = dict.fromkeys(("record", "traceback"))
    known["error"] = record.get("divergence") if record is not None and diverged else None
    known |= {"key": cell.key, "identity": cell.identity, "state": state, "code": code_digest()}
    result = Result(**{**known, "warnings": [], **fields})
    store.write(result, keep=cell.keep if state == "done" else "no")


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
