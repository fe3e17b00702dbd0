"""Progress of a run: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def progress_callbacks(show: bool, console: Console | None = None) -> list[Callback]:
    """Return the callbacks that show progress on this console; none if it is switched off."""
    console = console or Console()
    if not show:
        return []
    return [Bar(console)] if console.is_terminal else [Lines(console)]


class Bar(Callback):
    """One bar for the whole run, with the results of the last validation.

    It is drawn by a thread of its own and waits for the device only at the end of an epoch.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=12),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[results]}"),
            console=console,
        )
        self._task = self._progress.add_task("", total=None, epoch="", results="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start, in the middle where a run is resumed."""
        total = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
        done = trainer.fit_loop.total_batch_idx + 1
        self._progress.update(self._task, total=total, completed=done)
        if trainer.is_global_zero:
            self._progress.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch, counted from 1."""
        self._progress.update(self._task, epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on by a batch."""
        self._progress.advance(self._task)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the results."""
        self._progress.update(self._task, results=_results(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it is."""
        self._progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self._progress.stop()


class Lines(Callback):
    """Prints a line after each validated epoch, and others where one takes long: for log files.

    Args:
        console: Where to.
        every: Seconds without a line after which one tells how far the epoch has come.
        clock: What tells seconds.
    """

    def __init__(
        self, console: Console, every: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._every, self._clock = console, every, clock
        self._began = self._last = clock()
        self._first = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, in the middle where a run is resumed."""
        self._began = self._last = self._clock()
        self._first = trainer.fit_loop.total_batch_idx + 1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print how far the epoch has come, if nothing was said for a while."""
        now = self._clock()
        if now - self._last < self._every or trainer.is_last_batch:
            return
        size, done = int(trainer.num_training_batches), trainer.fit_loop.total_batch_idx + 1
        rest = size * (trainer.max_epochs or 1) - done
        left = (now - self._began) / (done - self._first) * rest
        self._say(trainer, f", batch {batch_idx + 1} of {size}, about {_in_words(left)} left")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the results."""
        self._say(trainer, f": {_results(trainer)}")

    def _say(self, trainer: Trainer, what: str) -> None:
        self._last = self._clock()
        if trainer.is_global_zero:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._console.print(f"{epoch}{what}", highlight=False, soft_wrap=True)


def _in_words(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 2:
        return f"{hours:.0f} h"
    return f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"


def _results(trainer: Trainer) -> str:
    module: Any = trainer.lightning_module
    form, metrics = module.task.form, trainer.callback_metrics
    responses = [
        f"{name} {form.text(metrics[f'validation/response/{name}/{form.name}'].item())}"
        for name in module.balanced.modalities
    ]
    value = form.text(metrics[f"validation/{form.name}"].item())
    title = "" if form.name == "accuracy" else f" {form.title}"
    return f"validation{title} {value} ({', '.join(responses)})"
