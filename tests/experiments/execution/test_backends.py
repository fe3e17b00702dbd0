import os
import re
import signal
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from counterpoise.experiments.compare.planning import fingerprints
from counterpoise.experiments.compare.run import compare
from counterpoise.experiments.execution import backends
from counterpoise.experiments.execution.backends import Backend
from counterpoise.experiments.execution.workers import Workers
from counterpoise.experiments.store import Cell, Store
from experiments.compare import made
from experiments.execution.watched import (
    killed_in_the_middle,
    lines,
    lives,
    outcome,
    until,
    watched,
)


def one_cell(**changes):
    (candidate,) = made.grid(methods={"Joint": None}, seeds=1, **changes).candidates()
    return Cell(candidate, 0, fingerprints([candidate])["blobs"])


# -- workers that live, and that die ---------------------------------------------------------

ELSEWHERE = ["loky", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ray", "dask"))]


@pytest.mark.parametrize("name", ["ray", "dask"])
def test_whatever_runs_the_cells_the_results_are_the_same(tmp_path, name):
    given = made.grid(methods={"Joint": None, "AGM": None}, seeds=1)
    there = compare(given, tmp_path / "there", backend=name, jobs=1, progress=False)
    here = compare(given, tmp_path / "here", progress=False)
    assert outcome(there) == outcome(here)
    assert not list((tmp_path / "there" / "running").iterdir())


@pytest.mark.parametrize("name", ELSEWHERE)
def test_workers_that_die_cost_nothing_but_their_own_cell(tmp_path, name):
    once, always = (
        {"method": "experiments.compare.made.Dies", "method.marker": str(tmp_path / each)}
        for each in ("once", "always")
    )
    always["method.always"] = True
    methods = {"Joint": None, "once": once, "beside": watched(tmp_path / "journal")}
    given = made.grid(methods=methods | {"always": always}, seeds=1)
    found = compare(given, tmp_path / "out", backend=name, jobs=2, progress=False)
    failed = found.blocks[0].rows.pop()
    results = outcome(found)
    assert results["Joint"] == results["once"] == results["beside"]
    assert len(lines(tmp_path / "journal")) == 1
    ((_, _, result),) = failed.outcome.failures
    error = {"loky": "TerminatedWorkerError", "ray": "WorkerCrashedError", "dask": "KilledWorker"}
    assert result.error.startswith(f"The worker died each time: {error[name]}: ")
    assert (tmp_path / "always").read_text() == "xx"
    assert not list((tmp_path / "out" / "running").glob("*.*"))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_killed_as_a_whole_and_started_again_it_goes_on(tmp_path, name):
    given, finished = killed_in_the_middle(tmp_path, f"--backend={name}", "--jobs=2")
    journal = tmp_path / "journal"
    until(lambda: not lives(lines(journal)[0]))  # its worker does not outlive it
    (tmp_path / "hold").unlink()
    before = finished.stat().st_mtime_ns
    jobs = 1 if name == "loky" else 2
    found = compare(given, tmp_path / "out", backend=name, jobs=jobs, progress=False)
    assert finished.stat().st_mtime_ns == before
    assert len(lines(journal)) == 2
    results = outcome(found)
    assert results["held"] == results["Joint"]


class Death(Exception):
    """What stands for the death of a worker."""


def pretending(monkeypatch, submit):
    """A back end whose calls come to what ``submit`` says."""

    def submitted(call, argument, gpu):
        future = Future()
        try:
            future.set_result(submit(call, argument))
        except Exception as error:
            future.set_exception(error)
        return future

    backend = Backend("loky", jobs=2)
    backend._workers = Workers(submitted, 2, deaths=(Death,))
    return backend


def test_a_cell_is_not_blamed_for_deaths_before_it_has_begun(tmp_path, monkeypatch):
    deaths = iter([Death] * 5)

    def die(call, argument):
        for death in deaths:
            raise death
        call(argument)

    ours, store = one_cell(), Store(tmp_path)
    pretending(monkeypatch, die).run([ours], store)
    assert store.read(ours.key).state == "done"


def test_workers_that_cannot_begin_with_any_cell_are_an_error(tmp_path, monkeypatch):
    def die(call, argument):
        raise Death("no memory at all")

    store = Store(tmp_path)
    with pytest.raises(Death, match="no memory at all"):
        pretending(monkeypatch, die).run([one_cell()], store)
    assert not store.keys()


def test_other_errors_of_a_back_end_are_raised(tmp_path, monkeypatch):
    def fail(call, argument):
        raise OSError("no connection")

    with pytest.raises(OSError, match="no connection"):
        pretending(monkeypatch, fail).run([one_cell()], Store(tmp_path))


# -- workers elsewhere -----------------------------------------------------------------------


def test_workers_have_to_share_the_folder(tmp_path, monkeypatch):
    ours, store = one_cell(), Store(tmp_path)
    parcel = backends._Parcel.of(ours, tmp_path / "not there")
    message = f"`output` should be a folder that all workers share; found no '{tmp_path}/not there'"
    with pytest.raises(ValueError, match=re.escape(message)):
        backends._unpack(parcel)
    monkeypatch.setattr(backends, "_SECONDS_TO_ARRIVE", 0)
    message = f"share; found no result of 'blobs: Joint, seed 0' in '{tmp_path}'. Choose"
    with pytest.raises(ValueError, match=re.escape(message)):
        pretending(monkeypatch, lambda call, argument: None).run([ours], store)


def test_workers_have_to_have_the_same_versions(tmp_path):
    parcel = backends._Parcel.of(one_cell(), tmp_path)
    other = replace(parcel, versions=parcel.versions | {"torch": "1.0"})
    with pytest.raises(
        ValueError, match=r"comparison, torch 1\.0; found torch \d.* on '.*'\. Inst"
    ):
        backends._unpack(other)


def test_paths_are_those_of_where_the_comparison_was_started(tmp_path, monkeypatch):
    (tmp_path / "started").mkdir()
    monkeypatch.chdir(tmp_path / "started")
    monkeypatch.setattr(sys, "path", [*sys.path, "modules"])
    parcel = backends._Parcel.of(one_cell(), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:-1])
    ran = []
    monkeypatch.setattr(backends, "run_cell", lambda cell, path: ran.append(Path.cwd()))
    backends._unpack(parcel)
    assert ran == [tmp_path / "started"]
    assert sys.path[-1] == str(tmp_path / "started" / "modules")
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("name", ELSEWHERE)
def test_one_thread_computes_in_a_worker_and_nothing_stays_behind(name, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    handler, variables = signal.getsignal(signal.SIGTERM), set(os.environ)
    with Backend(name, jobs=2) as backend:
        submit = backend._workers.submit
        assert submit(os.getenv, "OMP_NUM_THREADS", False).result() == "1"
        worker = Path(submit(os.path.realpath, "/proc/self", False).result()).name
    assert worker != str(os.getpid())
    until(lambda: not lives(worker))
    assert signal.getsignal(signal.SIGTERM) == handler
    assert {name for name in set(os.environ) - variables if "RAY_AUTH" not in name} == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "lokey"}, "found 'lokey'. Did you mean 'loky'?"),
        ({"jobs": 0}, "`jobs` should be at least 1; found 0."),
        (
            {"address": "host:1"},
            "`address` should be that of a cluster of ray or dask; found 'host",
        ),
    ],
)
def test_a_back_end_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Backend(**options)


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("dask", "distributed")])
def test_a_back_end_whose_package_is_missing_says_how_to_get_it(monkeypatch, name, module):
    monkeypatch.setattr(
        "counterpoise.data.files.extras.find_spec", lambda wanted: None if wanted == module else 1
    )
    message = (
        f"The back end '{name}' needs {module}; not installed: {module}. "
        f'Run: pip install "counterpoise[{name}]"'
    )
    with pytest.raises(ImportError, match=re.escape(message)):
        Backend(name)
