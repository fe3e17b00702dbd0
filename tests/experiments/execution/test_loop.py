"""Cells that exit, crash, hang, or lose their worker; commands that are killed or share a store."""

import os
import re
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException

from counterpoise.experiments.compare.cells import Runs
from counterpoise.experiments.compare.run import compare
from counterpoise.experiments.execution import loop, pools
from counterpoise.experiments.execution.loop import run_cells
from counterpoise.experiments.execution.pools import attend, pack
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.session import Counting, Session
from counterpoise.experiments.store import Store
from experiments.compare import made
from experiments.execution.watched import (
    Ending,
    killed_in_the_middle,
    lines,
    lives,
    outcome,
    until,
)

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("ray", "dask")]
EVERYWHERE = ["loky", *SLOW]
LOKY = Execution("loky", jobs=1)


def planned(methods, seeds=1):
    candidates = made.grid(methods=methods, baseline=next(iter(methods)), seeds=1).candidates()
    return Runs(redraw=True).all(candidates, range(seeds))


def one_cell():
    (cell,) = planned({"Joint": None})
    return cell


def ignore(cell, result):
    """Nobody is told."""


# -- cells that take their process with them -----------------------------------------------------


@pytest.mark.parametrize("name", EVERYWHERE)
def test_cells_that_take_their_process_with_them_have_failed_and_all_others_finish(tmp_path, name):
    cells = [Ending(how, tmp_path) for how in ("exit", "dies", "killed", "done")]
    store, results = Store(tmp_path), {}

    def tell(cell, result):
        results[cell.how] = result.state, result.error

    run_cells(cells, store, Execution(name, jobs=1, time_limit=3600), tell)
    assert results == {
        "exit": ("failed", "SystemExit: 3"),
        "dies": ("failed", "Its process died 2 times: EXIT(7); SIGSEGV(-11)"),
        "killed": ("done", None),
        "done": ("done", None),
    }
    assert not list(store.running.glob("*.deaths"))


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_cell_that_hangs_is_ended(tmp_path, name):
    (tmp_path / "hold").touch()
    cell, store = Ending("held", tmp_path), Store(tmp_path)
    run_cells([cell], store, Execution(name, jobs=1, time_limit=1), ignore)
    assert store.read(cell.key).error == "It took longer than 1 s."
    until(lambda: not any(lives(number) for number in lines(cell.journal)))


def test_where_no_process_waits_the_next_call_knows(tmp_path):
    """As after ``os._exit`` in this process: a note was left, and nobody took it back."""
    cell, store = one_cell(), Store(tmp_path)
    note = "This process ended while it computed the cell."
    for _ in range(2):
        store.note_death(cell.key, note)
    run_cells([cell], store, Execution("threading"), ignore)
    assert store.read(cell.key).error == f"Its process died 2 times: {note}"
    assert store.deaths(cell.key) == []


@pytest.mark.parametrize(
    ("interruption", "code"), [(KeyboardInterrupt, None), (SIGTERMException, 143)]
)
def test_a_call_that_is_interrupted_leaves_no_note(tmp_path, monkeypatch, interruption, code):
    cell, store = one_cell(), Store(tmp_path)

    def interrupted(*args, **options):
        assert len(store.deaths(cell.key)) == 1
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr("counterpoise.training.run.train", interrupted)
        with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
            run_cells([cell], store, Execution("threading"), ignore)
    assert getattr(raised.value, "code", None) == code
    assert (store.read(cell.key), store.deaths(cell.key)) == (None, [])
    run_cells([cell], store, Execution("threading"), ignore)
    assert store.read(cell.key).state == "done"


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_command_that_ends_ends_its_processes_and_blames_no_cell(tmp_path, name):
    (tmp_path / "hold").touch()
    held, done = Ending("held", tmp_path), Ending("done", tmp_path)
    store = Store(tmp_path)

    def stop(cell, result):
        until(lambda: lines(held.journal))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells([held, done], store, Execution(name, jobs=2), stop)
    until(lambda: not lives(lines(held.journal)[0]))
    assert (store.read(held.key), store.deaths(held.key)) == (None, [])


# -- commands that are killed, and several at a time ---------------------------------------------


@pytest.mark.parametrize("name", EVERYWHERE)
def test_killed_as_a_whole_and_started_again_it_goes_on(tmp_path, name):
    options = [f"--backend={name}", "--jobs=1"]
    given, finished = killed_in_the_middle(tmp_path, *options, terminated=name == "loky")
    journal = tmp_path / "journal"
    number = len(lines(journal))
    until(lambda: not lives(lines(journal)[-1]))  # its worker does not outlive it
    (tmp_path / "hold").unlink()
    before = finished.stat().st_mtime_ns
    where = {"backend": name if name != "loky" else "threading", "progress": False}
    found = compare(given, tmp_path / "out", runs=tmp_path / "runs", **where)
    assert finished.stat().st_mtime_ns == before
    assert len(lines(journal)) == number + 1
    results = outcome(found)
    assert results["held"] == results["Joint"]


def test_two_commands_share_a_store_and_run_no_cell_twice(tmp_path):
    """While one is held in a cell the other computes what is left, and waits for that cell."""
    (tmp_path / "hold").touch()
    held, free = Ending("held", tmp_path), Ending("done", tmp_path)
    first = threading.Thread(target=run_cells, args=([held], Store(tmp_path), LOKY, ignore))
    first.start()
    until(lambda: lines(held.journal))
    told = []

    def tell(cell, result):
        told.append(cell.key)
        (tmp_path / "hold").unlink(missing_ok=True)

    run_cells([held, free], Store(tmp_path), Execution("threading"), tell)
    first.join()
    assert told == [free.key, held.key]
    assert len(lines(held.journal)) == 1
    left = {path.suffix for path in (tmp_path / "running").iterdir()}
    assert left <= {".lock"}


def test_a_part_makes_again_only_what_failed_of_it(tmp_path):
    cells = [Ending("exit", tmp_path), Ending("done", tmp_path)]
    for part in (None, "1/2", "2/2"):
        again = Execution("threading", part=part, retry_failed=part is not None)
        results = Session(Store(tmp_path), again, Counting()).finish(cells)
        assert [results[cell.key].state for cell in cells] == ["failed", "done"]
    assert [len(lines(cell.journal)) for cell in cells] == [2, 1]


# -- workers that are lost -----------------------------------------------------------------------


class KilledWorker(Exception):
    """What stands for the loss of a worker, by its name."""


def pretending(monkeypatch, attended):
    """Let cells be attended to by a function in this process."""

    def submit(*cell):
        future = Future()
        try:
            future.set_result(attended(pack(*cell)))
        except Exception as error:
            future.set_exception(error)
        return future

    monkeypatch.setattr(loop, "open_pool", lambda stack, execution, *, gpu: submit)


def test_a_cell_whose_worker_is_lost_is_given_to_another(tmp_path, monkeypatch):
    losses = iter([KilledWorker] * 4)

    def attended(compute):
        for loss in losses:
            raise loss
        return compute()

    pretending(monkeypatch, attended)
    cell, store = one_cell(), Store(tmp_path)
    run_cells([cell], store, LOKY, ignore)
    assert store.read(cell.key).state == "done"


def test_a_cell_that_costs_worker_after_worker_has_failed(tmp_path, monkeypatch):
    def attended(compute):
        raise KilledWorker("no memory at all")

    pretending(monkeypatch, attended)
    cell, store = one_cell(), Store(tmp_path)
    run_cells([cell], store, LOKY, ignore)
    reason = "Its worker was lost 5 times: KilledWorker: no memory at all"
    assert store.read(cell.key).error == reason


@pytest.mark.parametrize("raised", [True, False])
def test_other_errors_are_raised(raised, tmp_path, monkeypatch):
    """Those of a back end, and those of a cell's process, which are handed on as values."""

    def attended(compute):
        error = TimeoutError("no connection")
        if raised:
            raise error
        return error

    pretending(monkeypatch, attended)
    with pytest.raises(TimeoutError, match="no connection"):
        run_cells([one_cell()], Store(tmp_path), LOKY, ignore)


def test_a_result_has_to_arrive(tmp_path, monkeypatch):
    pretending(monkeypatch, lambda compute: True)
    monkeypatch.setattr(loop, "_SECONDS_TO_ARRIVE", 0)
    message = f"share; found no result of 'blobs: Joint, seed 0' in '{tmp_path}'. Choose"
    with pytest.raises(ValueError, match=re.escape(message)):
        run_cells([one_cell()], Store(tmp_path), LOKY, ignore)


# -- workers elsewhere ---------------------------------------------------------------------------


def test_workers_have_to_share_the_folder(tmp_path):
    compute = pack(one_cell(), tmp_path / "not there")
    message = f"`runs` should be a folder that all workers share; found no '{tmp_path}/not there'"
    with pytest.raises(ValueError, match=re.escape(message)):
        compute()


def test_workers_have_to_have_the_same_versions(tmp_path, monkeypatch):
    compute = pack(one_cell(), tmp_path)
    others = pools.versions() | {"torch": "1.0"}
    monkeypatch.setattr(pools, "versions", lambda: others)
    with pytest.raises(ValueError, match=r"have torch 2.*; found 1\.0 on '.*'\. Install"):
        compute()


def test_paths_are_those_of_where_the_command_was_started(tmp_path, monkeypatch):
    (tmp_path / "started").mkdir()
    monkeypatch.chdir(tmp_path / "started")
    monkeypatch.syspath_prepend("modules")
    compute = pack(one_cell(), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [each for each in os.sys.path if each != "modules"])
    ran = []
    monkeypatch.setattr(pools, "compute_cell", lambda cell, path: ran.append(Path.cwd()))
    compute()
    assert ran == [tmp_path / "started"]
    assert str(tmp_path / "started" / "modules") in os.sys.path


def test_a_process_of_its_own_computes_on_one_thread_and_does_not_stay_behind(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    children, number = {}, partial(os.path.realpath, "/proc/self")
    call = partial(attend, children=children)
    assert call(partial(os.getenv, "OMP_NUM_THREADS"), None) == "1"
    first = Path(call(number, None)).name
    assert first != str(os.getpid())
    assert str(call(_late, 3600)) == "its own"  # an error of the call, which is its result
    assert Path(call(number, None)).name == first
    assert call(partial(time.sleep, 1e6), 0.5) is None
    until(lambda: not lives(first))
    assert call(partial(os._exit, 0), None) == "EXIT(0)"
    second = Path(call(number, None)).name
    children.popitem()[1].shutdown(kill_workers=True)
    until(lambda: not lives(second))


def _late():
    raise TimeoutError("its own")
