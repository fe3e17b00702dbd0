"""Where cells run: in processes of this machine, or through Ray or Dask on a cluster.

Everything goes through joblib, which has a back end for each; the cells and the folder of
results are the same whichever is chosen. Other machines have to share that folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from counterpoise.compare.cells import Cell, Result, Store, code_digest, run_cell
from counterpoise.data.extras import require
from counterpoise.errors import check_choice, check_count

__all__ = ["BACKENDS", "Backend"]

BACKENDS = ("loky", "threading", "ray", "dask")
"""Names of back ends. ``threading`` stays in this process, where cells take turns."""


class Backend:
    """Runs cells, several at a time, and survives the death of a worker.

    Args:
        name: One of :data:`BACKENDS`.
        jobs: How many cells at a time, at least 1.
        address: Of a cluster of Ray or Dask that runs already. Default: one is started on this
            machine.

    Use it as a context, which starts what the back end needs.

    Raises:
        ValueError: If the name is not known (the nearest is suggested), ``jobs`` is below 1, or
            an address is given to a back end that has none.
        ImportError: If the package of the back end is not installed.
    """

    def __init__(self, name: str = "loky", jobs: int = 1, address: str | None = None) -> None:
        check_choice("backend", name, BACKENDS)
        check_count("jobs", jobs, at_least=1)
        if address is not None and name not in ("ray", "dask"):
            raise ValueError(
                f"`address` should be that of a cluster of ray or dask; found {address!r} for the "
                f"back end {name!r}, which has none. Leave it out."
            )
        require("Comparing", "train", {"joblib": "joblib"})
        if name == "ray":
            require("The back end 'ray'", "ray", {"ray": "ray"})
        if name == "dask":
            require("The back end 'dask'", "dask", {"distributed": "dask[distributed]"})
        self.name, self.jobs, self.address = name, jobs, address

    def run(self, cells: Sequence[Cell], store: Store) -> None:
        """Run cells that have no result yet; afterwards all have one.

        A worker that dies (killed, out of memory) takes the pool with it. The cells that were
        under way are then tried once more, one by one, so that it shows which of them is to
        blame: that one's result says that its worker died.
        """
        pending = _unfinished(cells, store)
        while pending:
            try:
                self._run_all(pending, store.path)
            except Exception as died:
                struck = [cell for cell in pending if store.started(cell.key)]
                if not struck:  # not a cell's fault: the back end itself does not work
                    raise
                for cell in struck:
                    self._try_again(cell, store, died)
            pending = _unfinished(pending, store)

    def _try_again(self, cell: Cell, store: Store, died: Exception) -> None:
        try:
            self._run_all([cell], store.path)
        except Exception as again:
            reason = f"The worker died, twice: {type(again).__name__}: {again}"
            store.write(
                Result(
                    cell.key,
                    cell.identity,
                    "failed",
                    None,
                    reason,
                    f"First: {type(died).__name__}: {died}",
                    [],
                    code_digest(),
                )
            )

    def _run_all(self, cells: Sequence[Cell], path: Path) -> None:
        from joblib import Parallel, delayed  # type: ignore[import-untyped]

        Parallel(batch_size=1)(delayed(run_cell)(cell, path) for cell in cells)

    def __enter__(self) -> Backend:
        from joblib import parallel_config

        # One thread a process, which loky has to be told before it starts them.
        threads = {"inner_max_num_threads": 1} if self.name == "loky" else {}
        with ExitStack() as stack:
            if self.name in ("ray", "dask"):
                stack.enter_context(_ray(self) if self.name == "ray" else _dask(self))
            stack.enter_context(parallel_config(self.name, n_jobs=self.jobs, **threads))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()


@contextmanager
def _ray(backend: Backend) -> Iterator[None]:
    import ray  # type: ignore[import-not-found]
    from ray.util.joblib import register_ray  # type: ignore[import-not-found]

    ours = not ray.is_initialized()
    if ours:
        ray.init(backend.address, num_cpus=None if backend.address else backend.jobs)
    try:
        register_ray()
        yield
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _dask(backend: Backend) -> Iterator[None]:
    from distributed import Client, LocalCluster  # type: ignore[import-not-found]

    with ExitStack() as stack:
        target = backend.address or stack.enter_context(
            LocalCluster(n_workers=backend.jobs, threads_per_worker=1, dashboard_address=None)
        )
        stack.enter_context(Client(target))
        yield


def _unfinished(cells: Sequence[Cell], store: Store) -> list[Cell]:
    done = store.keys()
    return [cell for cell in cells if cell.key not in done]
