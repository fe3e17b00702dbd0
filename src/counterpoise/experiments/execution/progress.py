"""What a comparison shows while it runs: a live table on a terminal, a line a cell elsewhere.

Validation accuracy is shown, never that of the test data, which nobody shall choose by.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from statistics import mean
from types import TracebackType
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.compare.outcomes import validation_accuracy
from counterpoise.experiments.store import Cell, Store
from counterpoise.training.results import headline

__all__ = ["Progress"]

_INTERVAL = 0.5  # seconds between two looks at the folder


class _Seen(NamedTuple):
    """A cell that is finished: whether it failed, and its validation accuracy if it has one."""

    cell: Cell
    failed: bool
    accuracy: float | None
    form: MetricForm = MetricForm("accuracy")


class Progress:
    """Follows the folder of results while cells run, wherever they do.

    Args:
        store: The folder.
        num_cells: How many cells there will be in all.
        show: Whether to show anything.
        console: Where to. Default: the standard output.

    Use it as a context, and tell of the cells that are to be run by :meth:`expect`.
    """

    def __init__(
        self, store: Store, num_cells: int, *, show: bool = True, console: Console | None = None
    ) -> None:
        self.store, self.num_cells, self.show = store, num_cells, show
        self.console = console or Console()
        self._waiting: dict[str, Cell] = {}
        self._seen: list[_Seen] = []
        self._found_before = 0
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._live = Live(
            console=self.console, get_renderable=self._draw, refresh_per_second=2, transient=True
        )

    def expect(self, cells: Sequence[Cell]) -> None:
        """Wait for cells; those that have a result already count as found."""
        done = self.store.keys()
        with self._lock:
            new = {cell.key: cell for cell in cells if cell.key not in self._waiting}
            self._waiting |= new
            known = [key for key in new if key in done]
            self._found_before += len(known)
            self._seen += [self._take(key) for key in known]

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        if self.show and self.console.is_terminal:
            self._live.start()
        if self.show:
            self._follower.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self.show:
            self._follower.join()
            self._look()
        if self._live.is_started:
            self._live.stop()
        if self.show:
            self.console.print(self._summary(), highlight=False)

    def _follow(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        """Take in what has been finished since the last look."""
        with self._lock:
            done = self.store.keys()
            for key in [key for key in self._waiting if key in done]:
                seen = self._take(key)
                self._seen.append(seen)
                if not self.console.is_terminal:
                    self.console.print(self._line(seen), highlight=False, soft_wrap=True)

    def _take(self, key: str) -> _Seen:
        result = self.store.read(key)
        assert result is not None
        cell = self._waiting.pop(key)
        accuracy = validation_accuracy(result) if cell.trains else None
        form = headline(result.record or {})
        return _Seen(cell, result.state == "failed", accuracy, form)

    def _line(self, seen: _Seen) -> str:
        found = (
            "done" if seen.accuracy is None else f"{seen.form.text(seen.accuracy)} on validation"
        )
        found = "failed" if seen.failed else found
        return f"{len(self._seen)}/{self.num_cells} {seen.cell.title}: {found}"

    # -- the live table ----------------------------------------------------------------------

    def _draw(self) -> RenderableType:
        with self._lock:
            bar = ProgressBar(total=self.num_cells, completed=len(self._seen), width=40)
            metrics = dict.fromkeys(seen.form.title for seen in self._seen) or ["accuracy"]
            title = Text(f"Validation: {', '.join(metrics)} (cells done)", style="bold")
            # A bar ends without a new line; padding gives it a line of its own.
            return Group(title, self._table(), Padding(bar, 0), Text(self._summary()))

    def _table(self) -> Table:
        table = Table()
        cells = [*(seen.cell for seen in self._seen), *self._waiting.values()]
        tried = [cell.candidate for cell in cells if cell.trains]
        blocks = list(dict.fromkeys((each.data, each.fusion) for each in tried))
        table.add_column("method")
        for data, fusion in blocks:
            table.add_column(" ".join(filter(None, (data, fusion))), justify="right")
        for method in dict.fromkeys(each.method for each in tried):
            table.add_row(method, *(self._entry(method, *block) for block in blocks))
        return table

    def _entry(self, method: str, data: str, fusion: str) -> Text:
        place = data, fusion, method
        seen = [
            each for each in self._seen if each.cell.trains and each.cell.candidate[:3] == place
        ]
        known = [each.accuracy for each in seen if each.accuracy is not None]
        text = f"({len(seen)})"
        if known:
            text = f"{seen[0].form.text(mean(known)).rstrip('%')} {text}"
        return Text(text, style="red" if any(each.failed for each in seen) else "")

    def _summary(self) -> str:
        elapsed = time.monotonic() - self._start
        num_run = len(self._seen) - self._found_before
        text = f"{len(self._seen)} of {self.num_cells} cells done"
        if self._found_before:
            text += f", {self._found_before} of them before"
        num_failed = sum(seen.failed for seen in self._seen)
        if num_failed:
            text += f"; {num_failed} failed"
        text += f"; {_duration(elapsed)}"
        left = self.num_cells - len(self._seen)
        if num_run and left > 0:
            text += f", about {_duration(elapsed / num_run * left)} to go"
        return text + "."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
