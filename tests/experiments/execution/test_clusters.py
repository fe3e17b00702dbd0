import json
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory

import psutil
import pytest

from counterpoise.experiments.compare.run import compare
from counterpoise.experiments.execution import pools
from counterpoise.experiments.execution.loop import run_cells
from counterpoise.experiments.execution.pools import open_pool
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.store import Store
from experiments.compare import made
from experiments.execution.watched import (
    Meeting,
    killed_in_the_middle,
    lines,
    outcome,
    until,
    watched,
)


@contextmanager
def opened(name, **options):
    with ExitStack() as stack:
        yield open_pool(stack, Execution(name, **options), gpu=False)


@pytest.mark.parametrize(
    ("name", "address", "reason"),
    [
        ("ray", "127.0.0.1:{port}", "ConnectionRefusedError: "),
        ("ray", "head", "ValueError: "),
        ("ray", "ray://head:10001", "gaierror: "),  # for clients, which are none of its machines
        ("ray", "auto", "ConnectionError: Could not find any running Ray instance"),
        ("dask", "tcp://127.0.0.1:{port}", "OSError: "),
        ("dask", "nonsense://", "ValueError: "),
        ("dask", "scheduler.json", "FileNotFoundError: [Errno 2] No such file"),
    ],
)
def test_an_address_where_no_cluster_answers_is_one_clear_line(monkeypatch, name, address, reason):
    if address == "auto" and any(p.name() == "gcs_server" for p in psutil.process_iter()):
        pytest.skip("a Ray runs on this machine, which 'auto' would find")
    monkeypatch.setattr(pools, "_SECONDS_TO_ANSWER", 1)
    monkeypatch.setenv("RAY_TMPDIR", "/nowhere")
    address = address.format(port=free_port())
    message = (
        f"`address` should be that of a cluster of {name} that runs; found {address!r}, where none "
        f"answers ({reason}"
    )
    with pytest.raises(ValueError, match=re.escape(message)), opened(name, address=address):
        pass


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(*arguments):
    """A program that runs for as long as the context."""
    program = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=-3
    )
    try:
        yield
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait(60)


@pytest.fixture
def dask_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    file = tmp_path / "scheduler.json"
    options = ["--scheduler-file", file, "--no-dashboard"]
    with (
        running("distributed.cli.dask_scheduler", "--host=127.0.0.1", "--port=0", *options),
        running(
            "distributed.cli.dask_worker",
            *("--nworkers=2", "--nthreads=1", *options),
        ),
    ):
        until(file.exists)
        yield file


@pytest.fixture
def ray_cluster():
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True))
        port = free_port()
        options = ["--head", f"--port={port}", "--num-cpus=2", "--num-gpus=2", "--block"]
        options += ["--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}"]
        stack.enter_context(running("ray.scripts.scripts", "start", *options))
        address = f"127.0.0.1:{port}"
        until(lambda: answers(port))
        yield address


def answers(port):
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_a_cluster_of_dask_is_started_beside_another():
    """Nothing is said of the port that its pages have elsewhere: warnings are errors here."""
    with opened("dask", jobs=1), opened("dask", jobs=1):
        pass


@pytest.mark.slow
def test_a_cluster_of_dask_that_runs_already(tmp_path, dask_cluster):
    address = json.loads(dask_cluster.read_text())["address"]
    check_cluster(tmp_path, "dask", address)
    assert met(tmp_path, Execution("dask", address=str(dask_cluster))) == {None}


@pytest.mark.slow
def test_a_cluster_of_ray_that_runs_already(tmp_path, ray_cluster):
    check_cluster(tmp_path, "ray", ray_cluster)
    assert met(tmp_path, Execution("ray", address=ray_cluster)) == {"0", "1"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_begun"), [("ray", 2), ("dask", 1)])
def test_a_cluster_whose_comparison_is_killed(tmp_path, request, name, num_begun):
    """Ray ends its cells; Dask finishes them, and nobody else may run them meanwhile."""
    cluster = str(request.getfixturevalue(f"{name}_cluster"))
    options = [f"--backend={name}", f"--address={cluster}"]
    given, finished = killed_in_the_middle(tmp_path, *options)
    before = finished.stat().st_mtime_ns
    where = {"runs": tmp_path / "runs", "backend": name, "address": cluster}
    with ThreadPoolExecutor() as pool:
        release = (tmp_path / "hold").unlink
        pool.submit(lambda: time.sleep(8) or release())
        found = compare(given, tmp_path / "out", **where, progress=False)
    assert finished.stat().st_mtime_ns == before
    assert len(lines(tmp_path / "journal")) == num_begun
    results = outcome(found)
    assert results["held"] == results["Joint"]


def met(path, execution):
    """The GPUs that two cells were given that were computed at a time, as they have to be."""
    cells, store = [Meeting(how, path) for how in ("here", "there")], Store(path)
    run_cells(cells, store, replace(execution, time_limit=300), lambda cell, result: None)
    return {store.read(cell.key).record["gpu"] for cell in cells}


def check_cluster(path, name, address):
    dies = {"method": "experiments.compare.made.Dies", "method.marker": str(path / "marker")}
    methods = {"Joint": None, "dies": dies, "watched": watched(path / "journal")}
    given = made.grid(methods=methods, seeds=2)
    for _ in range(2):  # it outlives the comparisons that it serves
        found = made.compared(given, path / "there", backend=name, address=address, jobs=2)
        made_out = outcome(found)
        assert made_out["Joint"] == made_out["dies"] == made_out["watched"]
        assert len(lines(path / "journal")) == 2
