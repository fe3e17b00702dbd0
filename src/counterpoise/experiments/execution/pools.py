"""Where cells are computed: processes of this machine, workers of Ray or Dask, or this process."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch

from counterpoise.experiments.cells import Cell
from counterpoise.experiments.computing import compute_cell
from counterpoise.experiments.execution.apart import Children, Outcome, attend, pack
from counterpoise.experiments.execution.settings import Execution

_SECONDS_TO_ANSWER = 15  # that a cluster has
_TOKEN = token_hex(32)  # the same for each Ray of this process, which reads it once

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
    threads, children = ThreadPoolExecutor(number), Children()
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

    def submit(*cell: Any) -> Future[Outcome]:
        reference = remote.remote(pack(*cell), execution.time_limit)
        stack.callback(ray.cancel, reference, force=True)
        future: Future[Outcome] = reference.future()
        return future

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
        options |= {"object_store_memory": 80 * 2**20}  # near the least: calls are small
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
    elif address.endswith(".json"):  # for which Dask itself would wait without end
        address = json.loads(Path(address).read_text())["address"]
    client = stack.enter_context(Client(address, **options))
    executor = client.get_executor(pure=False)  # the same call again may end otherwise
    return lambda *cell: executor.submit(attend, pack(*cell), execution.time_limit)
