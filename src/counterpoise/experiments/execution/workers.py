"""Workers: threads and processes of this machine, and what every kind of worker promises.

A call's future raises what the call raised, or that its worker died, which harms no other call;
one thread computes in each worker; and what was started ends with its context, or soon after the
process that opened it was killed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

__all__ = ["ONE_THREAD", "Call", "Workers", "num_cores", "processes", "threads"]

Call = Callable[[Any], Any]
"""What workers do: something with a picklable argument."""

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""Environment in which libraries compute on one thread."""


class Workers(NamedTuple):
    """Workers that are ready.

    Attributes:
        submit: Starts ``call(argument)``; the third argument tells whether it uses a GPU if its
            worker has one. At most ``number`` calls should be under way at a time.
        number: How many there are; 0 if none has come yet.
        num_gpus: How many GPUs are shared out among calls; 0 if that is left to the workers.
        deaths: Exceptions of a future that say that the call's worker died.
        same_process: Whether calls run in this process.
    """

    submit: Callable[[Call, Any, bool], Future[Any]]
    number: int
    num_gpus: int = 0
    deaths: tuple[type[BaseException], ...] = ()
    same_process: bool = False


def num_cores() -> int:
    """Return how many cores this process may use."""
    from loky import cpu_count

    return int(cpu_count())


@contextmanager
def threads(jobs: int | None, address: str | None = None) -> Iterator[Workers]:
    """Threads of this process. What is under way is finished first if they are to end.

    Args:
        jobs: How many. Default: one for each core.
        address: Not used.
    """
    number = jobs or num_cores()
    pool = ThreadPoolExecutor(number)
    try:
        yield Workers(lambda call, of, gpu: pool.submit(call, of), number, same_process=True)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def processes(jobs: int | None, address: str | None = None) -> Iterator[Workers]:
    """Processes of this machine; for one job, this process.

    Args:
        jobs: How many. Default: one for each core.
        address: Not used.
    """
    number = jobs or num_cores()
    if number == 1:
        yield Workers(_at_once, 1, same_process=True)
        return
    from loky import BrokenProcessPool

    callers, pools = ThreadPoolExecutor(number), _PoolsOfOne()
    try:
        yield Workers(
            lambda call, of, gpu: callers.submit(pools.call, call, of),
            number,
            deaths=(BrokenProcessPool,),
        )
    finally:
        callers.shutdown(wait=False, cancel_futures=True)
        pools.close()


def _at_once(call: Call, argument: Any, gpu: bool) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(call(argument))
    except Exception as error:  # raised by the future, as elsewhere
        future.set_exception(error)
    return future


class _PoolsOfOne:
    """A process for each thread that calls: a pool of several would die with any one of them."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[ProcessPoolExecutor] = []

    def call(self, call: Call, argument: Any) -> Any:
        """Run a call in the thread's process, which is started if there is none."""
        from loky import BrokenProcessPool, ProcessPoolExecutor

        if not hasattr(self._own, "pool"):
            self._own.pool = ProcessPoolExecutor(
                1, initializer=_die_with, initargs=(os.getpid(),), env=ONE_THREAD
            )
            self._all.append(self._own.pool)
        try:
            return self._own.pool.submit(call, argument).result()
        except BrokenProcessPool:
            del self._own.pool
            raise

    def close(self) -> None:
        """End all processes, whatever they do."""
        for pool in self._all:
            pool.shutdown(kill_workers=True)


def _die_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed and cannot say so then."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
