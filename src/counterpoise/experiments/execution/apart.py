"""A cell computed apart, exactly as here, in a process that may die or be ended alone."""

from __future__ import annotations

import os
import platform
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from multiprocessing import current_process
from pathlib import Path
from pickle import loads
from typing import Any

from counterpoise.data.files.full_disk import ending_when_full
from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import TERMINATED, compute_cell
from counterpoise.training.record import versions

Outcome = bool | str | Exception | None
"""What came of computing a cell: True if it has a result now, False if another process computes it;
how its process died; what it raised; None if it took longer than it may, and was ended."""

Children = dict[int, Any]
"""Executors of one process each, by the thread that waits for it."""

_CHILDREN = Children()  # of a worker: they end with it
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def pack(cell: Cell, path: Path) -> Callable[[], bool]:
    """Return what computes a cell into the store of a path, in whichever process it is called."""
    from cloudpickle import dumps  # type: ignore[import-untyped]

    content, folder, expected = dumps(cell), Path.cwd(), versions()
    modules = [str(Path(place).absolute()) for place in sys.path]

    def compute() -> bool:
        if not path.is_dir():
            raise ValueError(
                f"`runs` should be a folder that all workers share; found no {str(path)!r} on "
                f"{platform.node()!r}. Choose one that they share."
            )
        for name, number in versions().items():
            if number != expected.get(name):
                raise ValueError(
                    f"Workers should have {name} {expected.get(name)}, as where they were started "
                    f"from; found {number} on {platform.node()!r}. Install the same."
                )
        if folder.is_dir():  # or else paths that are relative to it are not found: it shows
            os.chdir(folder)
        sys.path.extend(place for place in modules if place not in sys.path)
        with ending_when_full(path):
            return compute_cell(loads(content), path)  # only now can its modules be found

    return compute


def attend(
    compute: Callable[[], bool], limit: float | None, children: Children = _CHILDREN
) -> Outcome:
    """Call a function in a process that this thread has to itself, for so many seconds at most.

    Started if there is none, it stays for the next call, with what it has imported and loaded.
    """
    from loky import BrokenProcessPool, ProcessPoolExecutor  # type: ignore[import-untyped]

    thread = threading.get_ident()
    if thread not in children:
        current_process().daemon = False  # as Dask makes its workers, which may start none
        children[thread] = ProcessPoolExecutor(
            1, initializer=_depend_on, initargs=(os.getpid(),), env=dict.fromkeys(_THREADS, "1")
        )
    try:
        future: Future[bool] = children[thread].submit(compute)
        if wait([future], limit).done:
            return future.result()
        children.pop(thread).shutdown(kill_workers=True)  # and all that it started
        return None
    except BrokenProcessPool as death:
        del children[thread]
        exits = re.search(r"exit codes of the workers are \{(.*)\}", str(death))
        return exits[1] if exits else f"{type(death).__name__}: {death}"
    except Exception as error:  # a value, since back ends would raise errors of their own around it
        return error


def _depend_on(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end soon after it, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Lightning calls a handler that is there; else it would go on, and make it the cell's failure.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
