"""A process for each thread that has cells computed: it dies alone, and can be ended alone."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from multiprocessing import current_process
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

__all__ = ["ONE_THREAD", "Children", "DiedError", "TooLongError"]

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""Environment in which libraries compute on one thread."""


class DiedError(Exception):
    """The process died: it exited, crashed, or was killed."""


class TooLongError(Exception):
    """The call took longer than it may, and was ended."""


class Children:
    """Calls functions in a process of the thread that calls, which is started if there is none."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[ProcessPoolExecutor] = []
        self._closed = False

    def call(self, function: Callable[[Any], Any], argument: Any, limit: float | None) -> Any:
        """Return what a function returns, or raise what it raises.

        Args:
            function: Something that another process can import.
            argument: Its argument, which can be pickled.
            limit: How many seconds it may take.

        Raises:
            DiedError: If the process dies; the message says how.
            TooLongError: If it takes longer. The process is ended, and all that it started.
        """
        from loky import BrokenProcessPool

        future = self._pool().submit(function, argument)
        try:
            return future.result(limit)
        except BrokenProcessPool as death:
            del self._own.pool
            if self._closed:  # it was ended, which is not its fault
                raise
            raise DiedError(_how(death)) from death
        except FutureTimeoutError:
            if future.done():  # it raised one itself
                raise
            self._own.pool.shutdown(kill_workers=True)
            del self._own.pool
            raise TooLongError(f"It took longer than {limit:g} s.") from None

    def _pool(self) -> ProcessPoolExecutor:
        from loky import ProcessPoolExecutor

        devices = os.environ.get("CUDA_VISIBLE_DEVICES")  # Ray gives each task its own
        if getattr(self._own, "devices", devices) != devices and hasattr(self._own, "pool"):
            self._own.pool.shutdown()
            del self._own.pool
        if not hasattr(self._own, "pool"):
            current_process().daemon = False  # as Dask makes its workers, which may start none
            self._own.devices = devices
            self._own.pool = ProcessPoolExecutor(
                1, initializer=_depend_on, initargs=(os.getpid(),), env=ONE_THREAD
            )
            self._all.append(self._own.pool)
        return self._own.pool

    def close(self) -> None:
        """End all processes, whatever they do."""
        self._closed = True
        for pool in self._all:
            pool.shutdown(kill_workers=True)


def _how(death: BaseException) -> str:
    match = re.search(r"exit codes of the workers are \{(.*)\}", str(death))
    return match[1] if match else f"{type(death).__name__}: {death}"


def _depend_on(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end soon after it: it may be killed and cannot say so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
