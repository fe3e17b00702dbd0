"""Cells run several at a time: in processes of this machine, or through Ray or Dask on a cluster.

The cells and the folder of results are the same whichever runs them. Other machines have to share
that folder.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import loads
from types import TracebackType
from typing import Any

from filelock import FileLock  # comes with PyTorch

from counterpoise.core.errors import check_choice, check_count
from counterpoise.data.files.extras import require
from counterpoise.experiments.execution.clusters import dask_workers, ray_workers
from counterpoise.experiments.execution.full_disk import ending_when_full
from counterpoise.experiments.execution.workers import Workers, processes, threads
from counterpoise.experiments.store import Cell, Result, Store, code_digest, run_cell
from counterpoise.training.record import versions

__all__ = ["BACKENDS", "Backend"]

_KINDS = {"loky": processes, "threading": threads, "ray": ray_workers, "dask": dask_workers}

BACKENDS = tuple(_KINDS)
"""Names of back ends. ``threading`` stays in this process, where cells take turns."""

_MOST_BEGINNINGS = 2  # that a cell has whose worker dies
_MOST_DEATHS = 10  # of workers before a cell has begun at all
_SECONDS_TO_ARRIVE = 90.0  # of a result; network file systems look for new files once a minute


class Backend:
    """Runs cells, several at a time, and survives the death of a worker.

    Args:
        name: One of :data:`BACKENDS`.
        jobs: How many cells at a time, at least 1. With 1, ``loky`` stays in this process.
            Default: as many as there are cores, or workers of the cluster, or GPUs of one of Ray
            if the cells use them.
        address: Of a cluster of Ray or Dask that runs already, for Dask also a scheduler file.
            Default: one is started on this machine.

    Use it as a context, which starts what the back end needs and ends it.

    Raises:
        ValueError: If the name is not known (the nearest is suggested), ``jobs`` is below 1, or
            an address is given to a back end that has none.
        ImportError: If the package of the back end is not installed.

    Example:
        >>> Backend("threading", jobs=2).jobs
        2
    """

    def __init__(
        self, name: str = "loky", jobs: int | None = 1, address: str | None = None
    ) -> None:
        check_choice("backend", name, BACKENDS)
        if jobs is not None:
            check_count("jobs", jobs, at_least=1)
        if address is not None and name not in ("ray", "dask"):
            raise ValueError(
                f"`address` should be that of a cluster of ray or dask; found {address!r} for the "
                f"back end {name!r}, which has none. Leave it out."
            )
        require("Comparing", "train", {"loky": "loky", "cloudpickle": "cloudpickle"})
        if name == "ray":
            require("The back end 'ray'", "ray", {"ray": "ray"})
        if name == "dask":
            require("The back end 'dask'", "dask", {"distributed": "distributed"})
        self.name, self.jobs, self.address = name, jobs, address
        self._workers: Workers | None = None

    def run(self, cells: Sequence[Cell], store: Store) -> None:
        """Run cells that have no result yet; afterwards all have one.

        A cell whose worker dies (killed, out of memory) is tried once more, and goes on where it
        was. If its worker dies again, that is its result.

        Args:
            cells: The cells, each once.
            store: The folder of results.

        Raises:
            ValueError: If workers do not share the folder, or have other versions of packages.
            DiskFullError: If there is no more room. Called again when there is, it goes on.
        """
        assert self._workers is not None, "a context that was not entered"
        done = store.keys()
        waiting = deque(cell for cell in cells if cell.key not in done)
        for cell in waiting:
            _notes(cell, store).unlink(missing_ok=True)
        at_a_time = self._at_a_time(waiting)
        under_way: dict[Future[Any], Cell] = {}
        num_deaths: Counter[str] = Counter()
        while waiting or under_way:
            while waiting and len(under_way) < at_a_time:
                cell = waiting.popleft()
                under_way[self._submit(cell, store)] = cell
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                cell = under_way.pop(future)
                try:
                    future.result()
                except self._workers.deaths as death:
                    num_deaths[cell.key] += 1
                    if _num_beginnings(cell, store) >= _MOST_BEGINNINGS:
                        _give_up(cell, store, death)
                    elif num_deaths[cell.key] < _MOST_DEATHS:
                        waiting.appendleft(cell)
                    else:  # not the cell's fault: workers die before they begin with it
                        raise
                except Exception as error:
                    _raise_cause(error)
                    raise
                else:
                    _await_result(cell, store)

    def _at_a_time(self, cells: Sequence[Cell]) -> int:
        assert self._workers is not None
        if self.jobs is not None:
            return self.jobs
        if self._workers.num_gpus and any(map(_uses_gpu, cells)):
            return self._workers.num_gpus
        return self._workers.number or len(cells)

    def _submit(self, cell: Cell, store: Store) -> Future[Any]:
        assert self._workers is not None
        if self._workers.same_process:
            return self._workers.submit(_run_alone, (cell, store.path), _uses_gpu(cell))
        return self._workers.submit(_unpack, _Parcel.of(cell, store.path), _uses_gpu(cell))

    def __enter__(self) -> Backend:
        with ExitStack() as stack:
            self._workers = stack.enter_context(_KINDS[self.name](self.jobs, self.address))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workers = None
        self._open.close()


def _raise_cause(error: Exception) -> None:
    """Raise what a worker raised, where Ray hands it on within an error that is pages long."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        raise cause from None


def _uses_gpu(cell: Cell) -> bool:
    return cell.recipe.trainer.accelerator != "cpu"


def _notes(cell: Cell, store: Store) -> Path:
    """Where each worker that begins with a cell leaves a mark: it may die before it does."""
    return store.running / f"{cell.key}.begun"


def _num_beginnings(cell: Cell, store: Store) -> int:
    notes = _notes(cell, store)
    return len(notes.read_text(encoding="utf-8")) if notes.exists() else 0


def _give_up(cell: Cell, store: Store, death: BaseException) -> None:
    reason = f"The worker died each time: {type(death).__name__}: {death}"
    result = Result(cell.key, cell.identity, "failed", None, reason, None, [], code_digest())
    store.write(result)
    _tidy_up(cell, store)


def _tidy_up(cell: Cell, store: Store) -> None:
    for path in (_notes(cell, store), _lock(cell, store)):
        path.unlink(missing_ok=True)


def _await_result(cell: Cell, store: Store) -> None:
    deadline = time.monotonic() + _SECONDS_TO_ARRIVE
    while store.read(cell.key) is None:
        if time.monotonic() > deadline:
            raise ValueError(
                f"`output` should be a folder that all workers share; found no result of "
                f"{cell.title!r} in {str(store.path)!r}. Choose one that they share."
            )
        time.sleep(0.5)


# -- in the worker ---------------------------------------------------------------------------


def _run_alone(task: tuple[Cell, Path]) -> None:
    """Run a cell unless it has a result, or wait for whoever runs it to finish.

    That may be a worker of a comparison that was killed, or one that its cluster lost sight of.
    """
    cell, path = task
    store = Store(path)
    with ending_when_full(path), FileLock(_lock(cell, store), poll_interval=0.5):
        if store.read(cell.key) is None:
            with _notes(cell, store).open("a", encoding="utf-8") as notes:
                notes.write("x")
            run_cell(cell, path)
        _tidy_up(cell, store)  # whoever waits for the lock will find a result


def _lock(cell: Cell, store: Store) -> Path:
    return store.running / f"{cell.key}.lock"


@dataclass(frozen=True)
class _Parcel:
    """A cell, and what it takes to run it elsewhere as it would be run here.

    Args:
        content: The pickled cell and folder, to be opened when its modules can be found.
        output: The folder.
        folder: The working directory, which paths of data may be relative to.
        modules: Where modules are looked for.
        versions: Of packages, which are part of the cell's key.
    """

    content: bytes
    output: Path
    folder: Path
    modules: tuple[str, ...]
    versions: dict[str, str]

    @classmethod
    def of(cls, cell: Cell, path: Path) -> _Parcel:
        from cloudpickle import dumps  # type: ignore[import-untyped]

        modules = tuple(str(Path(each).absolute()) for each in sys.path)
        return cls(dumps((cell, path)), path, Path.cwd(), modules, versions())


def _unpack(parcel: _Parcel) -> None:
    here = platform.node()
    if not parcel.output.is_dir():
        raise ValueError(
            f"`output` should be a folder that all workers share; found no "
            f"{str(parcel.output)!r} on {here!r}. Choose one that they share."
        )
    differing = {k: v for k, v in versions().items() if parcel.versions.get(k) != v}
    if differing:
        found = ", ".join(f"{name} {number}" for name, number in differing.items())
        wanted = ", ".join(f"{name} {parcel.versions.get(name)}" for name in differing)
        raise ValueError(
            f"Workers should have the versions of the machine that started the comparison, "
            f"{wanted}; found {found} on {here!r}. Install the same."
        )
    with _working_in(parcel.folder):
        sys.path.extend(each for each in parcel.modules if each not in sys.path)
        _run_alone(loads(parcel.content))


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    if folder.is_dir():  # or else paths that are relative to it are not found, and it shows
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
