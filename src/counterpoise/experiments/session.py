"""Computing cells: those that others need come first, and none that has a result is repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from counterpoise.experiments.cells import Cell, Run
from counterpoise.experiments.execution.loop import run_cells
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.store import Result, Store

Progress = Callable[[int, int, str], None]
"""Is told how many things are done, of how many, and what was done last."""


class Observer(Protocol):
    """Follows what a session does."""

    def expect(self, cells: Sequence[Cell], results: Mapping[str, Result]) -> None:
        """Called with cells that are to be finished, and with results that there are already."""

    def finished(self, cell: Cell, result: Result) -> None:
        """Called with a cell that has a result now."""


class Counting:
    """Counts what is left to do.

    Args:
        progress: Told of each count. Default: nobody.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = (lambda *told: None) if progress is None else progress
        self._done = self._total = 0

    def expect(self, cells: Sequence[Cell], results: Mapping[str, Result]) -> None:
        """Add cells that have no result."""
        self._total += sum(cell.key not in results for cell in cells)
        self._progress(self._done, self._total, "" if self._total else "all is there already")

    def finished(self, cell: Cell, result: Result) -> None:
        """Count a cell."""
        self._done += 1
        verb = "trained" if isinstance(cell, Run) else "measured"
        state = "" if result.state == "done" else f" ({result.state})"
        self._progress(self._done, self._total, f"{verb} {cell.title}{state}")


class FailedCellsError(RuntimeError):
    """Cells failed whose results are needed; all others were finished."""


class OtherPartsError(RuntimeError):
    """This part is done, and cells of other parts have no result yet."""


class Session:
    """Cells of one command, in a store.

    Args:
        store: Where results are kept.
        execution: How cells are run.
        observer: Follows what is done.
    """

    def __init__(self, store: Store, execution: Execution, observer: Observer) -> None:
        self.store, self.execution, self.observer = store, execution, observer
        self._tried: set[str] = set()

    def finish(self, cells: Iterable[Cell]) -> dict[str, Result]:
        """Compute cells that have no result, and the runs before them that they need.

        Args:
            cells: Cells, of which several may have the same key.

        Returns:
            The result of each, by key.

        Raises:
            OtherPartsError: If what is left belongs to other parts.
            DiskFullError: If there is no more room.
        """
        distinct = list({cell.key: cell for cell in cells}.values())
        results = self._results(distinct, self.execution.mine(distinct))
        pending = [cell for cell in distinct if cell.key not in results]
        runs = self._missing(run for cell in pending for run in cell.needs.values())
        before = self._missing(run for cell in runs for run in cell.needs.values())
        self.observer.expect([*before, *runs, *distinct], results)
        made = self._run(before)
        made |= self._run([run for run in runs if run.key not in made])
        results |= {cell.key: made[cell.key] for cell in pending if cell.key in made}
        pending = [cell for cell in pending if cell.key not in made]
        return results | self._run(pending, among=distinct)

    def provide(self, runs: Iterable[Run]) -> None:
        """Train runs whose models are not there; one may fail.

        Raises:
            OtherPartsError: If what is left belongs to other parts.
            DiskFullError: If there is no more room.
        """
        missing = self._missing(runs)
        self.observer.expect(missing, {})
        self._run(missing)

    def _missing(self, runs: Iterable[Run]) -> list[Run]:
        """Return the runs whose models are not there."""
        needed = {run.key: run for run in runs}
        results, missing = self._results(list(needed.values()), list(needed.values())), []
        for key, run in needed.items():
            result = results.get(key)
            if result is not None and result.state != "done":
                continue  # what needs it will say so
            if not self.store.has_model(key):
                self.store.forget(key)
                missing.append(run)
            elif run.keep == "always":
                self.store.hold(key)
        return missing

    def _results(self, cells: Sequence[Cell], again: Sequence[Cell] = ()) -> dict[str, Result]:
        """Return the results that there are, without those to be made ``again`` if they failed."""
        results, mine = {}, {cell.key for cell in again}
        for cell in cells:
            result = self.store.read(cell.key)
            if result is None:
                continue
            retry = self.execution.retry_failed and result.state != "done" and cell.key in mine
            if retry and cell.key not in self._tried:  # once a session
                self._tried.add(cell.key)
                self.store.forget(cell.key)
            else:
                results[cell.key] = result
        return results

    def _run(self, cells: Sequence[Cell], among: Sequence[Cell] = ()) -> dict[str, Result]:
        """Compute this part of cells; return the results of all."""
        mine = {cell.key for cell in self.execution.mine(among or cells)}
        results: dict[str, Result] = {}

        def told(cell: Cell, result: Result) -> None:
            results[cell.key] = result
            self._tried.add(cell.key)
            self.observer.finished(cell, result)

        run_cells([c for c in cells if c.key in mine], self.store, self.execution, told)
        others = [cell for cell in cells if cell.key not in mine]
        results |= self._results(others)
        missing = [cell for cell in others if cell.key not in results]
        if missing:
            raise OtherPartsError(
                f"Part {self.execution.part} is done; of other parts {len(missing)} of "
                f"{len(cells)} have no result yet, such as {missing[0].title!r}. When all parts "
                "have ended, start them again, or once without a part, to go on from there."
            )
        return results


def require_done(cells: Iterable[Cell], results: Mapping[str, Result]) -> None:
    """Raise if a cell has failed.

    Raises:
        FailedCellsError: If one failed, with how many did and why the first.
    """
    distinct = {cell.key: cell for cell in cells}
    failed = [cell for key, cell in distinct.items() if results[key].record is None]
    if failed:
        error = results[failed[0].key].error
        raise FailedCellsError(
            f"{len(failed)} of {len(distinct)} failed, first {failed[0].title!r}: {error} All "
            "others are kept. Correct it, and start again with retry_failed."
        )
