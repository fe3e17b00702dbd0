"""Clusters: workers of Ray and of Dask, of a cluster that runs already or one started here."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import cache
from math import ceil, floor
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from counterpoise.experiments.execution.workers import ONE_THREAD, Call, Workers, num_cores

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

__all__ = ["dask_workers", "gpu_share", "ray_workers"]

_SECONDS_TO_ANSWER = 15  # that a cluster has
_TOKEN = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}


# -- Ray -------------------------------------------------------------------------------------


@contextmanager
def ray_workers(jobs: int | None, address: str | None = None) -> Iterator[Workers]:
    """Workers of Ray.

    Args:
        jobs: How many calls at a time. Default: all that the cluster has room for; one for each
            core if it is started here.
        address: Of a cluster that runs already. Default: one is started on this machine.

    Raises:
        ValueError: If no cluster answers there.
    """
    with ExitStack() as stack:
        stack.enter_context(_environment({"RAY_USAGE_STATS_ENABLED": "0", **ONE_THREAD}))
        import ray
        from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

        if address is not None or not ray.is_initialized():
            _start_ray(stack, jobs, address)
        found = ray.cluster_resources()
        num_gpus = int(found.get("GPU", 0))
        number = jobs or int(found.get("CPU", 0))
        under_way: set[Any] = set()

        @cache
        def remote(call: Call, gpu: bool) -> Any:
            share = gpu_share(num_gpus, jobs or num_gpus) if gpu else 0
            return ray.remote(num_cpus=1, num_gpus=share, max_retries=0)(call)

        def submit(call: Call, argument: Any, gpu: bool) -> Future[Any]:
            reference = remote(call, gpu).remote(argument)
            under_way.add(reference)
            future: Future[Any] = reference.future()
            future.add_done_callback(lambda _: under_way.discard(reference))
            return future

        try:
            deaths = (WorkerCrashedError, OutOfMemoryError, NodeDiedError)
            yield Workers(submit, number, num_gpus, deaths)
        finally:
            for reference in list(under_way):
                ray.cancel(reference, force=True)


def gpu_share(num_gpus: int, number: int) -> float:
    """Return which share of a GPU a call gets, so that so many fit at a time; at most all of one.

    Example:
        >>> gpu_share(8, 4), gpu_share(8, 12), gpu_share(1, 3), gpu_share(0, 4)
        (1.0, 0.5, 0.3333, 0.0)
    """
    if num_gpus == 0:
        return 0.0
    return floor(1e4 / max(1, ceil(number / num_gpus))) / 1e4  # Ray counts in 1/10,000


def _start_ray(stack: ExitStack, jobs: int | None, address: str | None) -> None:
    import ray

    if threading.current_thread() is threading.main_thread():  # Ray lays its own handler over it
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    if address is None:
        _give_token()
        folder = stack.enter_context(_short_folder())
        where: dict[str, Any] = {
            "address": "local",
            "num_cpus": jobs or num_cores(),
            "include_dashboard": False,
            "object_store_memory": 80 * 2**20,  # near the least that there can be: calls are small
            "_temp_dir": folder,
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
            "clients outside it. Start the comparison on one of its machines."
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        raise _no_cluster("ray", address, error) from error


def _give_token() -> None:
    """Let only this process use what it starts, without the file that Ray would leave at home.

    Ray reads the token once, so it stays for all that this process starts.
    """
    known = (Path.home() / ".ray" / "auth_token").exists()
    if not known and not _TOKEN & set(os.environ):
        os.environ["RAY_AUTH_TOKEN"] = token_hex(32)


@contextmanager
def _short_folder() -> Iterator[str]:
    """A temporary folder whose path leaves room for those of Ray's sockets, of 107 bytes."""
    root = tempfile.gettempdir()
    with TemporaryDirectory(
        prefix="ray", dir=root if len(root) < 30 else "/tmp", ignore_cleanup_errors=True
    ) as folder:
        yield folder


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set; at the end, all are as they were but Ray's token."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in values.items() if name not in before})
    try:
        yield
    finally:
        token = {name: value for name, value in os.environ.items() if name in _TOKEN}
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before | token)


# -- Dask ------------------------------------------------------------------------------------


@contextmanager
def dask_workers(jobs: int | None, address: str | None = None) -> Iterator[Workers]:
    """Workers of Dask.

    Args:
        jobs: How many calls at a time. Default: all that the cluster has room for; one for each
            core if it is started here.
        address: Of a cluster that runs already. Default: one is started on this machine.

    Raises:
        ValueError: If no cluster answers there.
    """
    import dask
    from distributed import Client, KilledWorker

    with ExitStack() as stack:
        stack.enter_context(_environment({}))  # Dask adds to it for its workers
        if address is None:
            folder = TemporaryDirectory(prefix="dask", ignore_cleanup_errors=True)
            options = {
                "temporary-directory": stack.enter_context(folder),
                "distributed.worker.daemon": False,  # or else cells could start no processes
            }
            stack.enter_context(dask.config.set(options))
            client = stack.enter_context(Client(stack.enter_context(_local_cluster(jobs))))
        else:
            client = stack.enter_context(_client(address))
        number = jobs or len(client.nthreads())
        pool = client.get_executor(pure=False)
        stack.callback(pool.shutdown, wait=False)
        yield Workers(lambda call, of, gpu: pool.submit(call, of), number, deaths=(KilledWorker,))


def _local_cluster(jobs: int | None) -> LocalCluster:
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=jobs or num_cores(),
            threads_per_worker=1,
            memory_limit=0,  # as for other processes; mapped files would count
            dashboard_address=None,
            host="127.0.0.1",
            silence_logs=logging.CRITICAL,
            scheduler_kwargs={"allowed_failures": 0},  # who is to blame is found out by the caller
        )
    except RuntimeError as error:
        raise RuntimeError(
            f"The processes of Dask should start; found that they did not ({error}). In a script, "
            'compare below `if __name__ == "__main__":`, since they read it again.'
        ) from error


def _client(address: str) -> Client:
    from distributed import Client

    try:
        if address.endswith(".json"):  # where `dask scheduler --scheduler-file` writes it
            if not Path(address).is_file():  # for which Dask would wait without end
                raise FileNotFoundError(f"no file {address!r}")
            return Client(scheduler_file=address, timeout=_SECONDS_TO_ANSWER)
        return Client(address, timeout=_SECONDS_TO_ANSWER)
    except (OSError, ValueError) as error:
        raise _no_cluster("dask", address, error) from error


def _no_cluster(name: str, address: str, error: Exception) -> ValueError:
    reason = str(error).partition("\n")[0]
    return ValueError(
        f"`address` should be that of a cluster of {name} that runs; found {address!r}, where none "
        f"answers ({type(error).__name__}: {reason}). Start it, or leave the address out."
    )
