"""Where cells are computed: processes of this machine, workers of Ray or Dask, or this process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import torch

from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import compute_cell
from counterpoise.experiments.execution.apart import Children, Parcel, attend
from counterpoise.experiments.execution.settings import Execution

_SECONDS_TO_ANSWER = 15  # that a cluster has


class Pool(NamedTuple):
    """Workers that are ready.

    Attributes:
        submit: Has a cell computed, given the store and the seconds that it may take, and returns
            whether it has a result, as an executor of :mod:`concurrent.futures` does.
        number: How many at a time; 0 if no worker has come yet.
        losses: Errors of a future that say that its worker was lost.
    """

    submit: Callable[[Cell, Path, float | None], Future[bool]]
    number: int
    losses: tuple[type[BaseException], ...] = ()


@contextmanager
def open_pool(execution: Execution, *, gpu: bool) -> Iterator[Pool]:
    """Start what a back end needs, and end it.

    Args:
        execution: Which back end, and how many at a time.
        gpu: Whether cells use a GPU where there is one.

    Raises:
        ValueError: If no cluster answers at the address.
    """
    opened = {"loky": _local, "ray": _ray, "dask": _dask, "threading": _here}[execution.backend]
    with ExitStack() as stack:
        yield opened(stack, execution, gpu)


def _local(stack: ExitStack, execution: Execution, gpu: bool) -> Pool:
    from loky import cpu_count  # type: ignore[import-untyped]

    number = execution.jobs or (1 if gpu and torch.cuda.is_available() else cpu_count())
    threads, children = ThreadPoolExecutor(number), Children()
    stack.callback(children.close)
    stack.callback(threads.shutdown, wait=False, cancel_futures=True)
    return Pool(lambda *cell: threads.submit(attend, Parcel.of(*cell), children), number)


def _here(stack: ExitStack, execution: Execution, gpu: bool) -> Pool:
    def submit(cell: Cell, path: Path, limit: float | None) -> Future[bool]:
        future: Future[bool] = Future()
        future.set_result(compute_cell(cell, path, apart=False))
        return future

    return Pool(submit, 1)


def _ray(stack: ExitStack, execution: Execution, gpu: bool) -> Pool:
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    if execution.address is not None or not ray.is_initialized():
        _start_ray(stack, execution)
    resources = ray.cluster_resources()
    num_gpus = int(resources.get("GPU", 0)) if gpu else 0
    number = execution.jobs or num_gpus or int(resources.get("CPU", 0))
    share = 1.0 if number <= num_gpus else int(1e4 * num_gpus / number) / 1e4  # Ray's unit
    remote: Any = ray.remote(num_cpus=1, num_gpus=share, max_retries=0)(attend)
    under_way: set[Any] = set()

    def submit(*cell: Any) -> Future[bool]:
        reference = remote.remote(Parcel.of(*cell))
        under_way.add(reference)
        future: Future[bool] = reference.future()
        future.add_done_callback(lambda _: under_way.discard(reference))
        return future

    stack.callback(lambda: [ray.cancel(reference, force=True) for reference in list(under_way)])
    return Pool(submit, number, (WorkerCrashedError, OutOfMemoryError, NodeDiedError))


def _start_ray(stack: ExitStack, execution: Execution) -> None:
    import ray

    address = execution.address
    if threading.current_thread() is threading.main_thread():  # Ray lays its own handler over it
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    if address is None:
        _bring_token()
        where = _ray_of_its_own(stack, execution)
    else:
        _check_answers(address)
        where = {"address": address}
    # What Ray sets is set back when it has ended.
    stack.enter_context(patch.dict(os.environ, {"RAY_USAGE_STATS_ENABLED": "0"} | os.environ))
    stack.callback(ray.shutdown)
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise
        raise _no_cluster("ray", address, error) from error


def _bring_token() -> None:
    """Have a token for Ray, which would else leave one at home."""
    given = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if not given and not (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_TOKEN"] = token_hex(32)  # it stays, since Ray reads it once


def _ray_of_its_own(stack: ExitStack, execution: Execution) -> dict[str, Any]:
    from loky import cpu_count

    root = tempfile.gettempdir()  # paths of Ray's sockets have to fit 107 bytes
    short = root if len(root) < 30 else "/tmp"
    folder = TemporaryDirectory(prefix="ray", dir=short, ignore_cleanup_errors=True)
    return {
        "address": "local",
        "num_cpus": execution.jobs or cpu_count(),
        "include_dashboard": False,
        "object_store_memory": 80 * 2**20,  # near the least that there can be: calls are small
        "_temp_dir": stack.enter_context(folder),
    }


def _check_answers(address: str) -> None:
    """Raise unless something listens there: Ray itself would try for minutes."""
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise ValueError(
            f"`address` should be HOST:PORT of a cluster of ray, or 'auto'; found {address!r}, for "
            "clients outside it. Start the command on one of its machines."
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        raise _no_cluster("ray", address, error) from error


def _dask(stack: ExitStack, execution: Execution, gpu: bool) -> Pool:
    from distributed import Client, KilledWorker

    address = execution.address
    if address is None:
        where = _dask_of_its_own(stack, execution)
    else:
        where = {"scheduler_file" if address.endswith(".json") else "address": address}
    try:
        if "scheduler_file" in where and not Path(where["scheduler_file"]).is_file():
            raise FileNotFoundError(f"no file {address!r}")  # for which Dask would wait without end
        client = stack.enter_context(Client(**where, timeout=_SECONDS_TO_ANSWER))
    except (OSError, RuntimeError, ValueError) as error:
        if address is not None:
            raise _no_cluster("dask", address, error) from error
        raise RuntimeError(
            f"The processes of Dask should start; found that they did not ({error}). In a script, "
            'call it below `if __name__ == "__main__":`, since they read it again.'
        ) from error
    executor = client.get_executor(pure=False)
    stack.callback(executor.shutdown, wait=False)
    number = execution.jobs or len(client.nthreads())
    return Pool(
        lambda *cell: executor.submit(attend, Parcel.of(*cell)), number, losses=(KilledWorker,)
    )


def _dask_of_its_own(stack: ExitStack, execution: Execution) -> dict[str, Any]:
    import dask

    # Or Dask would set variables of its workers in this process, and leave them.
    stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": {}}))
    folder = TemporaryDirectory(prefix="dask", ignore_cleanup_errors=True)
    return {
        "n_workers": execution.jobs,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "silence_logs": logging.CRITICAL,
        "local_directory": stack.enter_context(folder),
    }


def _no_cluster(name: str, address: str, error: Exception) -> ValueError:
    reason = str(error).partition("\n")[0]
    return ValueError(
        f"`address` should be that of a cluster of {name} that runs; found {address!r}, where none "
        f"answers ({type(error).__name__}: {reason}). Start it, or leave the address out."
    )
