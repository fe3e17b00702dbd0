"""Where cells are computed: each in a process of its own, here or by a worker of Ray or Dask."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from multiprocessing import current_process
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch

from counterpoise.data.files.full_disk import ending_when_full
from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import TERMINATED, compute_cell
from counterpoise.experiments.execution.settings import Execution
from counterpoise.training.record import versions

_SECONDS_TO_ANSWER = 15  # that a cluster has
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_TOKEN = token_hex(32)  # the same for each Ray of this process, which reads it once

# Executors of one process each, by the thread that waits for it. Those of a worker end with it.
_CHILDREN: dict[int, Any] = {}

Outcome = bool | str | Exception | None
"""What came of computing a cell: True if it has a result now, False if another process computes it;
how its process died; what it raised; None if it took longer than it may, and was ended."""

Submit = Callable[[Cell, Path], Future[Outcome]]
"""Has a cell computed into the store of a path, as soon as there is a place for it."""


def open_pool(stack: ExitStack, execution: Execution, *, gpu: bool) -> Submit:
    """Start what a back end needs, which ends with the stack; cells may use a GPU if ``gpu``.

    Raises:
        ValueError: If no cluster answers at the address.
    """
    # Variables that are set for workers are set back in the end.
    stack.enter_context(patch.dict(os.environ, {"RAY_USAGE_STATS_ENABLED": "0"} | os.environ))
    start = {"loky": _local, "threading": _here, "ray": _ray, "dask": _dask}[execution.backend]
    try:
        return start(stack, execution, gpu)
    except (OSError, RuntimeError, ValueError) as error:
        if execution.address is None:
            raise
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"`address` should be that of a cluster of {execution.backend} that runs; found "
            f"{execution.address!r}, where none answers ({type(error).__name__}: {reason}). Start "
            "it, name it as HOST:PORT, or leave the address out."
        ) from error


def _local(stack: ExitStack, execution: Execution, gpu: bool) -> Submit:
    from loky import cpu_count  # type: ignore[import-untyped]

    number = execution.jobs or (1 if gpu and torch.cuda.is_available() else cpu_count())
    threads, children = ThreadPoolExecutor(number), dict[int, Any]()
    stack.callback(lambda: [child.shutdown(kill_workers=True) for child in [*children.values()]])
    stack.callback(threads.shutdown, wait=False, cancel_futures=True)
    return lambda *cell: threads.submit(attend, pack(*cell), execution.time_limit, children)


def _here(stack: ExitStack, execution: Execution, gpu: bool) -> Submit:
    def submit(cell: Cell, path: Path) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(compute_cell(cell, path, apart=False))
        return future

    return submit


def _ray(stack: ExitStack, execution: Execution, gpu: bool) -> Submit:
    import ray

    if execution.address is not None or not ray.is_initialized():
        _start_ray(stack, execution)
    num_gpus = ray.cluster_resources().get("GPU", 0) if gpu else 0
    share = int(1e4 * min(1, num_gpus / (execution.jobs or 1))) / 1e4  # of one, in Ray's unit
    remote: Any = ray.remote(num_cpus=1, num_gpus=share, max_retries=0)(attend)

    def submit(*cell: Any) -> Any:
        reference = remote.remote(pack(*cell), execution.time_limit)
        stack.callback(ray.cancel, reference, force=True)
        return reference.future()

    return submit


def _start_ray(stack: ExitStack, execution: Execution) -> None:
    import ray
    from loky import cpu_count

    address = execution.address
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        tokens = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
        if not tokens.exists():  # Ray would leave one there, and ask for it from then on
            os.environ.setdefault("RAY_AUTH_TOKEN", _TOKEN)
        short = None if os.name == "nt" else "/tmp"  # as paths of Ray's sockets have to be
        folder = TemporaryDirectory(prefix="ray", dir=short, ignore_cleanup_errors=True)
        options |= {"num_cpus": execution.jobs or cpu_count(), "include_dashboard": False}
        options |= {"_temp_dir": stack.enter_context(folder)}
    elif address != "auto":  # Ray itself would try for minutes
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
    if threading.current_thread() is threading.main_thread():  # Ray lays its own handler over it
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    stack.enter_context(ray.init(address or "local", **options))


def _dask(stack: ExitStack, execution: Execution, gpu: bool) -> Submit:
    from distributed import Client

    address = execution.address
    options: dict[str, Any] = {"timeout": _SECONDS_TO_ANSWER}
    if address is None:
        options |= {"n_workers": execution.jobs, "threads_per_worker": 1}
        options |= {"dashboard_address": None, "silence_logs": logging.CRITICAL}
        options["scheduler_kwargs"] = {"dashboard_address": ":0"}  # Dask's own may be another's
    elif address.endswith(".json"):  # for which Dask itself would wait without end
        address = json.loads(Path(address).read_text())["address"]
    client = stack.enter_context(Client(address, **options))
    executor = client.get_executor(pure=False)  # the same call again may end otherwise
    return lambda *cell: executor.submit(attend, pack(*cell), execution.time_limit)


def pack(cell: Cell, path: Path) -> Callable[[], bool]:
    """Return what computes a cell into the store of a path, in whichever process it is called."""
    from cloudpickle import dumps, loads  # type: ignore[import-untyped]

    content, folder, expected = dumps(cell), Path.cwd(), versions()
    modules = [str(Path(place).absolute()) for place in sys.path]

    def compute() -> bool:
        if not path.is_dir():
            raise ValueError(
                f"`runs` should be a folder that all workers share; found no {str(path)!r} on "
                f"{socket.gethostname()!r}. Choose one that they share."
            )
        for name, number in versions().items():
            if number != expected.get(name):
                raise ValueError(
                    f"Workers should have {name} {expected.get(name)}, as where they were started "
                    f"from; found {number} on {socket.gethostname()!r}. Install the same."
                )
        if folder.is_dir():  # or else paths that are relative to it are not found: it shows
            os.chdir(folder)
        sys.path.extend(place for place in modules if place not in sys.path)
        with ending_when_full(path):
            return compute_cell(loads(content), path)  # only now can its modules be found

    return compute


def attend(
    compute: Callable[[], bool], limit: float | None, children: dict[int, Any] = _CHILDREN
) -> Outcome:
    """Call a function in a process that this thread has to itself, for so many seconds at most.

    Started if there is none, it stays for the next call, with what it has imported and loaded.
    """
    from loky import BrokenProcessPool, ProcessPoolExecutor

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
        return str(death).rpartition("workers are ")[2].partition("\n")[0].strip("{}")  # exit code
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
