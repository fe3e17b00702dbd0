"""How a run shows that it moves: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

__all__ = ["Bar", "Lines", "progress_callbacks"]

_SHOWN = ("train_loss", "validation_loss", "validation_accuracy")


def progress_callbacks(show: bool) -> list[Callback]:
    """Return what shows progress on the standard output as it is; nothing if it shall not."""
    if not show:
        return []
    return [Bar() if sys.stdout.isatty() else Lines()]


class Bar(RichProgressBar):
    """Lightning's Rich bar, which here waits for the device only once an epoch."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)
        self._shown: dict[str, Any] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fetch the values that the bar shows during the next epoch."""
        metrics = trainer.callback_metrics
        self._shown = {name: metrics[name].item() for name in _SHOWN if name in metrics}
        super().on_train_epoch_end(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what was fetched last; Lightning asks for it after every batch."""
        return self._shown


class Lines(Callback):
    """Prints one line after each validated epoch: for log files and pipes."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        start = "validation_response_accuracy/"
        responses = ", ".join(
            f"{name.removeprefix(start)} {value.item():.1%}"
            for name, value in metrics.items()
            if name.startswith(start)
        )
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: validation loss "
            f"{metrics['validation_loss'].item():.4f}, "
            f"accuracy {metrics['validation_accuracy'].item():.1%} ({responses})",
            flush=True,
        )
