"""What a comparison shows while it runs: a live table on a terminal, a line a cell elsewhere.

Validation accuracy is shown, never that of the test data, which nobody shall choose by.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.cells import Cell
from counterpoise.experiments.compare.cells import GridRun
from counterpoise.experiments.compare.outcomes import validation_accuracy
from counterpoise.experiments.store import Result
from counterpoise.report.formats import duration
from counterpoise.training.results import headline


class _Seen(NamedTuple):
    """A cell that is finished: what became of it, and its validation accuracy if it has one."""

    cell: Cell
    state: str
    accuracy: float | None
    form: MetricForm = MetricForm("accuracy")


class Progress:
    """Shows which cells are finished, and their validation results.

    Args:
        num_cells: How many cells there will be in all.
        show: Whether to show anything.
        console: Where to. Default: the standard output.

    Use it as a context, which observes a session.
    """

    def __init__(
        self, num_cells: int, *, show: bool = True, console: Console | None = None
    ) -> None:
        self.num_cells, self.show = num_cells, show
        self.console = console or Console()
        self._waiting: dict[str, Cell] = {}
        self._seen: dict[str, _Seen] = {}
        self._found_before = 0
        self._start = time.monotonic()
        self._lock = threading.Lock()  # against the thread that draws
        self._live = Live(
            console=self.console, get_renderable=self._draw, refresh_per_second=2, transient=True
        )

    def expect(self, cells: Sequence[Cell], results: Mapping[str, Result]) -> None:
        """Wait for cells; those that have a result already count as found."""
        with self._lock:
            for cell in cells:
                if cell.key in self._seen or cell.key in self._waiting:
                    continue
                if cell.key in results:
                    self._found_before += 1
                    self._seen[cell.key] = _seen(cell, results[cell.key])
                else:
                    self._waiting[cell.key] = cell

    def finished(self, cell: Cell, result: Result) -> None:
        """Take in what became of a cell."""
        with self._lock:
            self._waiting.pop(cell.key, None)
            self._seen[cell.key] = _seen(cell, result)
        if self.show and not self.console.is_terminal:
            line = self._line(self._seen[cell.key])
            self.console.print(line, highlight=False, soft_wrap=True)

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        if self.show and self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live.is_started:
            self._live.stop()
        if self.show:
            self.console.print(self._summary(), highlight=False)

    def _line(self, seen: _Seen) -> str:
        text = "done" if seen.accuracy is None else f"{seen.form.text(seen.accuracy)} on validation"
        text = text if seen.state == "done" else seen.state
        return f"{len(self._seen)}/{self.num_cells} {seen.cell.title}: {text}"

    # -- the live table ----------------------------------------------------------------------

    def _draw(self) -> RenderableType:
        with self._lock:
            bar = ProgressBar(total=self.num_cells, completed=len(self._seen), width=40)
            metrics = dict.fromkeys(seen.form.title for seen in self._seen.values()) or ["accuracy"]
            title = Text(f"Validation: {', '.join(metrics)} (cells done)", style="bold")
            # A bar ends without a new line; padding gives it a line of its own.
            return Group(title, self._table(), Padding(bar, 0), Text(self._summary()))

    def _table(self) -> Table:
        table = Table()
        cells = [*(seen.cell for seen in self._seen.values()), *self._waiting.values()]
        tried = [cell.candidate for cell in cells if isinstance(cell, GridRun)]
        blocks = list(dict.fromkeys((candidate.data, candidate.fusion) for candidate in tried))
        table.add_column("method")
        for data, fusion in blocks:
            table.add_column(" ".join(filter(None, (data, fusion))), justify="right")
        for method in dict.fromkeys(candidate.method for candidate in tried):
            table.add_row(method, *(self._entry(method, *block) for block in blocks))
        return table

    def _entry(self, method: str, data: str, fusion: str) -> Text:
        place = data, fusion, method
        seen = [
            run
            for run in self._seen.values()
            if isinstance(run.cell, GridRun) and run.cell.candidate[:3] == place
        ]
        known = [run.accuracy for run in seen if run.accuracy is not None]
        text = f"({len(seen)})"
        if known:
            text = f"{seen[0].form.text(mean(known)).rstrip('%')} {text}"
        return Text(text, style="red" if any(run.state != "done" for run in seen) else "")

    def _summary(self) -> str:
        elapsed = time.monotonic() - self._start
        num_run = len(self._seen) - self._found_before
        text = f"{len(self._seen)} of {self.num_cells} cells done"
        if self._found_before:
            text += f", {self._found_before} of them before"
        states = [seen.state for seen in self._seen.values()]
        for state in ("failed", "diverged"):
            if state in states:
                text += f"; {states.count(state)} {state}"
        text += f"; {duration(round(elapsed))}"
        left = self.num_cells - len(self._seen)
        if num_run and left > 0:
            text += f", about {duration(round(elapsed / num_run * left))} to go"
        return text + "."


def _seen(cell: Cell, result: Result) -> _Seen:
    accuracy = validation_accuracy(result) if isinstance(cell, GridRun) else None
    return _Seen(cell, result.state, accuracy, headline(result.record or {}))
