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
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from multiprocessing import current_process
from pathlib import Path
from pickle import loads
from typing import TYPE_CHECKING, Any

from counterpoise.data.files.full_disk import ending_when_full
from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import TERMINATED, compute_cell
from counterpoise.training.record import versions

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


class DiedError(Exception):
    """The process died: it exited, crashed, or was killed."""


class TooLongError(Exception):
    """The call took longer than it may, and was ended."""


class Children:
    """Calls functions in a process of the thread that calls, which is started if there is none."""

    def __init__(self) -> None:
        self._pools: dict[int, ProcessPoolExecutor] = {}  # of one process each, by the thread

    def call(self, function: Callable[[], Any], limit: float | None = None) -> Any:
        """Return what a function returns, or raise what it raises.

        Args:
            function: Something that can be pickled.
            limit: How many seconds it may take.

        Raises:
            DiedError: If the process dies; the message says how.
            TooLongError: If it takes longer. The process is ended, and all that it started.
        """
        from loky import BrokenProcessPool, ProcessPoolExecutor

        thread = threading.get_ident()
        if thread not in self._pools:
            current_process().daemon = False  # as Dask makes its workers, which may start none
            self._pools[thread] = ProcessPoolExecutor(
                1, initializer=_depend_on, initargs=(os.getpid(),), env=_ONE_THREAD
            )
        try:
            future = self._pools[thread].submit(function)
            return future.result(limit)
        except BrokenProcessPool as death:
            del self._pools[thread]
            exits = re.search(r"exit codes of the workers are \{(.*)\}", str(death))
            raise DiedError(exits[1] if exits else f"{type(death).__name__}: {death}") from death
        except FutureTimeoutError:
            if future.done():  # it raised one itself
                raise
            self._pools.pop(thread).shutdown(kill_workers=True)
            raise TooLongError(f"It took longer than {limit:g} s.") from None

    def close(self) -> None:
        """End all processes, whatever they do."""
        for pool in list(self._pools.values()):
            pool.shutdown(kill_workers=True)


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


@dataclass(frozen=True)
class Parcel:
    """A cell with all that computing it in another process takes.

    Args:
        content: The pickled cell, to be opened when its modules can be found.
        path: The store.
        limit: Seconds that the cell may take.
        folder: The working directory, which paths of data may be relative to.
        modules: Where modules are looked for.
        versions: Of packages, which are part of the cell's key.
    """

    content: bytes
    path: Path
    limit: float | None
    folder: Path
    modules: tuple[str, ...]
    versions: dict[str, str]

    @classmethod
    def of(cls, cell: Cell, path: Path, limit: float | None = None) -> Parcel:
        """Pack a cell."""
        from cloudpickle import dumps  # type: ignore[import-untyped]

        modules = tuple(str(Path(folder).absolute()) for folder in sys.path)
        return cls(dumps(cell), path, limit, Path.cwd(), modules, versions())

    def check(self) -> None:
        """Raise unless the cell can be computed on this machine.

        Raises:
            ValueError: If the store is not here, or packages have other versions.
        """
        here = platform.node()
        if not self.path.is_dir():
            raise ValueError(
                f"`runs` should be a folder that all workers share; found no {str(self.path)!r} "
                f"on {here!r}. Choose one that they share."
            )
        differing = {k: v for k, v in versions().items() if self.versions.get(k) != v}
        if differing:
            present = ", ".join(f"{name} {number}" for name, number in differing.items())
            wanted = ", ".join(f"{name} {self.versions.get(name)}" for name in differing)
            raise ValueError(
                f"Workers should have the versions of the machine that started them, {wanted}; "
                f"found {present} on {here!r}. Install the same."
            )

    def compute(self) -> bool:
        """Compute the cell in this process, which is left where the cell belongs.

        Returns:
            Whether there is a result now; False if another process is computing the cell.
        """
        if self.folder.is_dir():  # or else paths that are relative to it are not found: it shows
            os.chdir(self.folder)
        sys.path.extend(folder for folder in self.modules if folder not in sys.path)
        with ending_when_full(self.path):
            return compute_cell(loads(self.content), self.path)


_CHILDREN = Children()


def attend(parcel: Parcel, children: Children | None = None) -> bool:
    """Have a cell computed in a process of its own.

    Args:
        parcel: The cell.
        children: Have the process. Default: those of a worker, which end with it.

    Returns:
        Whether there is a result now; False if another process is computing the cell.

    Raises:
        ValueError: If the cell cannot be computed on this machine.
        DiskFullError: If there is no more room.
        DiedError: If its process dies.
        TooLongError: If it takes longer than it may.
    """
    parcel.check()
    return bool((children or _CHILDREN).call(parcel.compute, parcel.limit))
