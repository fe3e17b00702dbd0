"""Where cells are attended to: threads of this process, workers of Ray, workers of Dask.

Each is an executor as :mod:`concurrent.futures` has them, how many calls it takes at a time, and
which errors of a future say that its worker was lost.
"""

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
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from counterpoise.experiments.execution.children import ONE_THREAD, Children
from counterpoise.experiments.execution.parcels import Parcel, attend
from counterpoise.experiments.execution.settings import Execution

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Pool", "open_pool"]

_SECONDS_TO_ANSWER = 15  # that a cluster has
_TOKEN = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}


class Pool(NamedTuple):
    """Workers that are ready.

    Attributes:
        submit: Has a cell attended to.
        number: How many at a time; 0 if no worker has come yet.
        losses: Errors of a future that say that its worker was lost.
    """

    submit: Callable[[Parcel], Future[bool]]
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
    opened = {"loky": _local, "ray": _ray, "dask": _dask}[execution.backend]
    with ExitStack() as stack:
        yield opened(stack, execution, gpu)


def _num_cores() -> int:
    from loky import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())


def _local(stack: ExitStack, execution: Execution, gpu: bool) -> Pool:
    number = execution.jobs or (1 if gpu and torch.cuda.is_available() else _num_cores())
    threads, children = ThreadPoolExecutor(number), Children()
    stack.callback(children.close)
    stack.callback(threads.shutdown, wait=False, cancel_futures=True)
    return Pool(lambda parcel: threads.submit(attend, parcel, children), number)


# -- Ray -------------------------------------------------------------------------------------


def _ray(stack: ExitStack, execution: Execution, gpu: bool) -> Pool:
    stack.enter_context(_environment({"RAY_USAGE_STATS_ENABLED": "0", **ONE_THREAD}))
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    if execution.address is not None or not ray.is_initialized():
        _start_ray(stack, execution)
    resources = ray.cluster_resources()
    num_gpus = int(resources.get("GPU", 0)) if gpu else 0
    number = execution.jobs or num_gpus or int(resources.get("CPU", 0))
    share = 1.0 if number <= num_gpus else int(1e4 * num_gpus / number) / 1e4  # Ray's unit
    remote: Any = ray.remote(num_cpus=1, num_gpus=share, max_retries=0)(_attended)
    under_way: set[Any] = set()

    def submit(parcel: Parcel) -> Future[bool]:
        reference = remote.remote(parcel)
        under_way.add(reference)
        future: Future[bool] = reference.future()
        future.add_done_callback(lambda _: under_way.discard(reference))
        return future

    stack.callback(lambda: [ray.cancel(reference, force=True) for reference in list(under_way)])
    return Pool(submit, number, (WorkerCrashedError, OutOfMemoryError, NodeDiedError))


def _attended(parcel: Parcel) -> bool:
    return attend(parcel)


def _start_ray(stack: ExitStack, execution: Execution) -> None:
    import ray

    address = execution.address
    if threading.current_thread() is threading.main_thread():  # Ray lays its own handler over it
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    if address is None:
        if not _TOKEN & set(os.environ) and not (Path.home() / ".ray" / "auth_token").exists():
            os.environ["RAY_AUTH_TOKEN"] = token_hex(32)  # or Ray would leave one at home
        root = tempfile.gettempdir()  # paths of Ray's sockets have to fit 107 bytes
        short = TemporaryDirectory(
            prefix="ray", dir=root if len(root) < 30 else "/tmp", ignore_cleanup_errors=True
        )
        where: dict[str, Any] = {
            "address": "local",
            "num_cpus": execution.jobs or _num_cores(),
            "include_dashboard": False,
            "object_store_memory": 80 * 2**20,  # near the least that there can be: calls are small
            "_temp_dir": stack.enter_context(short),
        }
    else:
        _check_answers(address)
        where = {"address": address}
    stack.callback(ray.shutdown)
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address is None:
            raise
        raise _no_cluster("ray", address, error) from error


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


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set; at the end, all are as they were but Ray's token."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in values.items() if name not in before})
    try:
        yield
    finally:  # Ray reads the token once: it stays for all that this process starts
        token = {name: value for name, value in os.environ.items() if name in _TOKEN}
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before | token)


# -- Dask ------------------------------------------------------------------------------------


def _dask(stack: ExitStack, execution: Execution, gpu: bool) -> Pool:
    from distributed import KilledWorker

    stack.enter_context(_environment({}))  # Dask adds to it for its workers
    if execution.address is None:
        client = stack.enter_context(_local_dask(stack, execution))
    else:
        client = stack.enter_context(_client(execution.address))
    executor = client.get_executor(pure=False)
    stack.callback(executor.shutdown, wait=False)
    number = execution.jobs or len(client.nthreads())
    return Pool(lambda parcel: executor.submit(attend, parcel), number, (KilledWorker,))


def _local_dask(stack: ExitStack, execution: Execution) -> Client:
    import dask
    from distributed import Client, LocalCluster

    folder = stack.enter_context(TemporaryDirectory(prefix="dask", ignore_cleanup_errors=True))
    stack.enter_context(dask.config.set({"temporary-directory": folder}))
    try:
        cluster = LocalCluster(
            n_workers=execution.jobs or _num_cores(),
            threads_per_worker=1,
            memory_limit=0,  # as for other processes; mapped files would count
            dashboard_address=None,
            host="127.0.0.1",
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise RuntimeError(
            f"The processes of Dask should start; found that they did not ({error}). In a script, "
            'call it below `if __name__ == "__main__":`, since they read it again.'
        ) from error
    return Client(stack.enter_context(cluster))


def _client(address: str) -> Client:
    from distributed import Client

    try:
        if not address.endswith(".json"):
            return Client(address, timeout=_SECONDS_TO_ANSWER)
        if not Path(address).is_file():  # for which Dask would wait without end
            raise FileNotFoundError(f"no file {address!r}")
        return Client(scheduler_file=address, timeout=_SECONDS_TO_ANSWER)
    except (OSError, ValueError) as error:
        raise _no_cluster("dask", address, error) from error


def _no_cluster(name: str, address: str, error: Exception) -> ValueError:
    reason = str(error).partition("\n")[0]
    return ValueError(
        f"`address` should be that of a cluster of {name} that runs; found {address!r}, where none "
        f"answers ({type(error).__name__}: {reason}). Start it, or leave the address out."
    )
