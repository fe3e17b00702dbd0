"""Cells that exit, crash, hang, or lose their worker; commands that are killed or share a store."""

import os
import re
import signal
import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from counterpoise.experiments.compare.cells import Runs
from counterpoise.experiments.compare.run import compare
from counterpoise.experiments.execution import loop, parcels
from counterpoise.experiments.execution.children import Children, DiedError
from counterpoise.experiments.execution.loop import run_cells
from counterpoise.experiments.execution.parcels import Parcel
from counterpoise.experiments.execution.pools import Pool
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.store import Store
from experiments.compare import made
from experiments.execution.watched import (
    killed_in_the_middle,
    lines,
    lives,
    outcome,
    until,
    watched,
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


def ending(how):
    return {"method": "experiments.compare.made.Exits", "method.how": how}


# -- cells that take their process with them -----------------------------------------------------


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_cell_that_ends_its_process_is_a_failed_cell_and_all_others_finish(tmp_path, name):
    reasons = {
        "exit": r"SystemExit: 3",
        "at once": r"Its process died 2 times: EXIT\(7\)",
        "crash": r"Its process died 2 times: SIGSEGV\(-11\)",
    }
    methods = {"Joint": None, **{how: ending(how) for how in reasons}}
    given = made.grid(methods=methods, seeds=1)
    found = made.compared(given, tmp_path, backend=name, jobs=1)
    joint, *failed = found.blocks[0].rows
    assert joint.accuracy is not None
    for row, reason in zip(failed, reasons.values(), strict=True):
        ((_, _, result),) = row.outcome.failures
        assert re.fullmatch(reason, result.error)
    assert not list((tmp_path / "running").glob("*.deaths"))


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_cell_that_hangs_is_ended(tmp_path, name):
    hangs, beside = planned({"hangs": ending("hang"), "Joint": None})
    store, told = Store(tmp_path), []
    # Long enough for the other cell on any machine that is not all but dead.
    how = Execution(name, jobs=2, time_limit=120 if name != "loky" else 90)
    run_cells([beside], store, how, ignore)
    short = replace(how, time_limit=1)
    run_cells([hangs], store, short, lambda cell, result: told.append((cell, result)))
    ((cell, result),) = told
    assert (cell.key, result.error) == (hangs.key, "It took longer than 1 s.")
    assert store.read(beside.key).state == "done"


def test_a_cell_whose_process_dies_once_goes_on(tmp_path):
    once = {"method": "experiments.compare.made.Dies", "method.marker": str(tmp_path / "once")}
    found = made.compared(
        made.grid(methods={"Joint": None, "once": once}, seeds=1), tmp_path, backend="loky", jobs=2
    )
    results = outcome(found)
    assert results["Joint"] == results["once"]


def test_where_no_process_waits_the_next_call_knows(tmp_path):
    """As after ``os._exit`` in this process: a note was left, and nobody took it back."""
    cell, store = one_cell(), Store(tmp_path)
    note = "This process ended while it computed the cell."
    for _ in range(2):
        store.note_death(cell.key, note)
    run_cells([cell], store, Execution("threading"), ignore)
    assert store.read(cell.key).error == f"Its process died 2 times: {note}"
    assert store.deaths(cell.key) == []


def test_a_call_that_ends_in_whatever_way_leaves_no_note(tmp_path, monkeypatch):
    cell, store = one_cell(), Store(tmp_path)

    def interrupted(*args, **options):
        assert len(store.deaths(cell.key)) == 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("counterpoise.training.run.train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_cells([cell], store, Execution("threading"), ignore)
    assert store.deaths(cell.key) == []
    run_cells([cell], store, Execution("threading"), ignore)
    assert store.read(cell.key).state == "done"


def test_processes_that_are_ended_with_their_command_are_not_to_blame():
    children = Children()
    errors = []

    def call():
        try:
            children.call(signal.sigwait, [signal.SIGUSR1], None)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: children._all)
    children.close()
    thread.join()
    assert not isinstance(errors[0], DiedError)


# -- commands that are killed, and several at a time ---------------------------------------------


@pytest.mark.parametrize("name", EVERYWHERE)
def test_killed_as_a_whole_and_started_again_it_goes_on(tmp_path, name):
    given, finished = killed_in_the_middle(tmp_path, f"--backend={name}", "--jobs=2")
    journal = tmp_path / "journal"
    until(lambda: not lives(lines(journal)[0]))  # its worker does not outlive it
    (tmp_path / "hold").unlink()
    before = finished.stat().st_mtime_ns
    where = {"backend": name if name != "loky" else "threading", "progress": False}
    found = compare(given, tmp_path / "out", runs=tmp_path / "runs", **where)
    assert finished.stat().st_mtime_ns == before
    assert len(lines(journal)) == 2
    results = outcome(found)
    assert results["held"] == results["Joint"]


def test_two_commands_share_a_store_and_run_no_cell_twice(tmp_path):
    """While one is held in a cell the other computes what is left, and waits for that cell."""
    methods = {"held": watched(tmp_path / "journal", tmp_path / "hold"), "Joint": None}
    (tmp_path / "hold").touch()
    held, free = planned(methods)
    first = threading.Thread(target=run_cells, args=([held], Store(tmp_path), LOKY, ignore))
    first.start()
    until(lambda: lines(tmp_path / "journal"))
    told = []

    def tell(cell, result):
        told.append(cell.key)
        (tmp_path / "hold").unlink(missing_ok=True)

    run_cells([held, free], Store(tmp_path), Execution("threading"), tell)
    first.join()
    assert told == [free.key, held.key]
    assert len(lines(tmp_path / "journal")) == 1
    left = {path.suffix for path in (tmp_path / "running").iterdir()}
    assert left <= {".lock"}


# -- workers that are lost -----------------------------------------------------------------------


class Loss(Exception):
    """What stands for the loss of a worker."""


def pretending(monkeypatch, attended):
    """Let cells be attended to by a function in this process."""

    def submit(parcel):
        future = Future()
        try:
            future.set_result(attended(parcel))
        except Exception as error:
            future.set_exception(error)
        return future

    class Opened:
        def __init__(self, execution, *, gpu):
            assert not gpu

        def __enter__(self):
            return Pool(submit, 2, (Loss,))

        def __exit__(self, *exception):
            """Nothing to end."""

    monkeypatch.setattr(loop, "open_pool", Opened)


def test_a_cell_whose_worker_is_lost_is_given_to_another(tmp_path, monkeypatch):
    losses = iter([Loss] * 4)

    def attended(parcel):
        for loss in losses:
            raise loss
        return parcels._open(parcel)

    pretending(monkeypatch, attended)
    cell, store = one_cell(), Store(tmp_path)
    run_cells([cell], store, LOKY, ignore)
    assert store.read(cell.key).state == "done"


def test_a_cell_that_costs_worker_after_worker_has_failed(tmp_path, monkeypatch):
    def attended(parcel):
        raise Loss("no memory at all")

    pretending(monkeypatch, attended)
    cell, store = one_cell(), Store(tmp_path)
    run_cells([cell], store, LOKY, ignore)
    assert store.read(cell.key).error == "Its worker was lost 5 times: Loss: no memory at all"


def test_other_errors_of_a_back_end_are_raised(tmp_path, monkeypatch):
    def attended(parcel):
        raise OSError("no connection")

    pretending(monkeypatch, attended)
    with pytest.raises(OSError, match="no connection"):
        run_cells([one_cell()], Store(tmp_path), LOKY, ignore)


def test_a_result_has_to_arrive(tmp_path, monkeypatch):
    pretending(monkeypatch, lambda parcel: True)
    monkeypatch.setattr(loop, "_SECONDS_TO_ARRIVE", 0)
    message = f"share; found no result of 'blobs: Joint, seed 0' in '{tmp_path}'. Choose"
    with pytest.raises(ValueError, match=re.escape(message)):
        run_cells([one_cell()], Store(tmp_path), LOKY, ignore)


# -- workers elsewhere ---------------------------------------------------------------------------


def test_workers_have_to_share_the_folder(tmp_path):
    parcel = Parcel.of(one_cell(), tmp_path / "not there")
    message = f"`runs` should be a folder that all workers share; found no '{tmp_path}/not there'"
    with pytest.raises(ValueError, match=re.escape(message)):
        parcels.attend(parcel)


def test_workers_have_to_have_the_same_versions(tmp_path):
    parcel = Parcel.of(one_cell(), tmp_path)
    other = replace(parcel, versions=parcel.versions | {"torch": "1.0"})
    with pytest.raises(ValueError, match=r"them, torch 1\.0; found torch \d.* on '.*'\. Install"):
        parcels.attend(other)


def test_paths_are_those_of_where_the_command_was_started(tmp_path, monkeypatch):
    (tmp_path / "started").mkdir()
    monkeypatch.chdir(tmp_path / "started")
    monkeypatch.syspath_prepend("modules")
    parcel = Parcel.of(one_cell(), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [each for each in os.sys.path if each != "modules"])
    ran = []
    monkeypatch.setattr(parcels, "compute_cell", lambda cell, path: ran.append(Path.cwd()))
    parcels._open(parcel)
    assert ran == [tmp_path / "started"]
    assert str(tmp_path / "started" / "modules") in os.sys.path
    assert Path.cwd() == tmp_path


def test_one_thread_computes_in_a_process_of_its_own_and_nothing_stays_behind(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    children = Children()
    assert children.call(os.getenv, "OMP_NUM_THREADS", None) == "1"
    worker = Path(children.call(os.path.realpath, "/proc/self", None)).name
    assert worker != str(os.getpid())
    children.close()
    until(lambda: not lives(worker))


def test_an_error_that_a_call_raises_is_raised_even_one_of_time():
    children = Children()
    with pytest.raises(TimeoutError, match="its own"):
        children.call(_late, None, 120)
    children.close()


def _late(_):
    raise TimeoutError("its own")
