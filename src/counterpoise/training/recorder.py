"""The curves of a run: what its record says about each recorded step and each epoch."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from statistics import median
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from counterpoise.core.errors import check_count, check_names, check_text


# Lightning calls callbacks of this type last, when the module has logged the epoch.
class Recorder(Checkpoint):
    """Gathers what the run record says about training, and survives a kill with the checkpoint.

    The values of recorded steps stay on the device until ``flush_every`` of them are there. In
    distributed runs, loss and accuracy of a recorded step are those of the first process's part
    of the batch; scores, coefficients and all values of epochs are those of all processes.

    Args:
        modalities: Names, in order.
        headline: Name of the metric that is kept of each epoch.
        flush_every: How many recorded steps are moved to the host together.
    """

    def __init__(
        self, modalities: tuple[str, ...], headline: str = "accuracy", flush_every: int = 50
    ) -> None:
        check_names("modalities", modalities)
        check_text("headline", headline)
        check_count("flush_every", flush_every, at_least=1)
        self.modalities, self.headline, self.flush_every = modalities, headline, flush_every
        self._pending: list[tuple[int, int, list[str], Tensor]] = []
        self._rows: list[dict[str, float]] = []
        self._epochs: list[dict[str, float]] = []
        self._seconds_per_step: list[float] = []
        self._processor_seconds_per_step: list[float] = []
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._seconds = 0.0
        self._epoch_seconds = 0.0
        self._clock = self._mark = time.perf_counter()
        self._processor_mark = time.process_time()
        self._steps_since_mark = 0

    # -- what is asked of it -----------------------------------------------------------------

    @property
    def rows(self) -> list[dict[str, float]]:
        """Values of each recorded step, with "step" and "epoch"."""
        self._flush()
        return self._rows

    @property
    def epoch_rows(self) -> list[dict[str, float]]:
        """What was logged after each epoch, with "epoch", "step" and "seconds"."""
        return self._epochs

    @property
    def started(self) -> str:
        """When the run first started, in ISO 8601."""
        return self._started

    @property
    def seconds(self) -> float:
        """Wall time of training in seconds, without what a kill has lost."""
        return self._seconds

    @property
    def seconds_per_step(self) -> float | None:
        """Median over the intervals between recorded steps of the seconds that a step took."""
        return median(self._seconds_per_step) if self._seconds_per_step else None

    @property
    def processor_seconds_per_step(self) -> float | None:
        """The same of the time that this process had of the processor, all threads together.

        It hardly depends on what else the machine does, and tells nothing of a GPU.
        """
        per_step = self._processor_seconds_per_step
        return median(per_step) if per_step else None

    def curves(self) -> dict[str, Any]:
        """Return step, loss, scores and coefficients as columns; None where there were none."""
        rows = self.rows
        return {
            "step": [int(row["step"]) for row in rows],
            "loss": [row["train/loss_step"] for row in rows],
            "scores": self._columns("response/{}/score"),
            "coefficients": self._columns("coefficient/{}"),
        }

    def epochs(self) -> list[dict[str, Any]]:
        """Return loss and headline metric of training and validation after each epoch."""
        kept = [f"{s}/{name}" for s in ("train", "validation") for name in ("loss", self.headline)]
        kept += [f"validation/response/{name}/{self.headline}" for name in self.modalities]
        return [
            {
                "epoch": int(row["epoch"]),
                **{name: row.get(name) for name in kept},
                "seconds": row["seconds"],
            }
            for row in self._epochs
        ]

    def _columns(self, metric: str) -> dict[str, list[float | None]] | None:
        columns = {
            name: [row.get(metric.format(name)) for row in self.rows] for name in self.modalities
        }
        seen = any(value is not None for column in columns.values() for value in column)
        return columns if seen else None

    # -- gathering ---------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._clock = time.perf_counter()
        self._restart_interval()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave validation out of the interval."""
        self._restart_interval()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the values of a recorded step."""
        self._steps_since_mark += 1
        values: dict[str, Tensor] | None = outputs.get("values")
        if values is None:
            return
        num_steps = self._steps_since_mark
        self._seconds_per_step.append((time.perf_counter() - self._mark) / num_steps)
        busy = time.process_time() - self._processor_mark
        self._processor_seconds_per_step.append(busy / num_steps)
        self._restart_interval()
        stacked = torch.stack([value.float() for value in values.values()])
        self._pending.append((trainer.global_step, trainer.current_epoch, list(values), stacked))
        if len(self._pending) >= self.flush_every:
            self._flush()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what was logged for the epoch."""
        self._flush()
        self._tick()
        values = {
            name: value.item()
            for name, value in trainer.callback_metrics.items()
            if name.startswith("validation/") or _of_epoch(name)
        }
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self._epochs.append(row | values | {"seconds": self._epoch_seconds})
        self._epoch_seconds = 0.0

    def _restart_interval(self) -> None:
        self._mark, self._steps_since_mark = time.perf_counter(), 0
        self._processor_mark = time.process_time()

    def _tick(self) -> None:
        now = time.perf_counter()
        self._seconds += now - self._clock
        self._epoch_seconds += now - self._clock
        self._clock = now

    def _flush(self) -> None:
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        values = iter(torch.cat([stacked for *_, stacked in pending]).tolist())
        for step, epoch, names, _ in pending:
            row = {name: next(values) for name in names}
            self._rows.append({"epoch": epoch, "step": step, **row})

    # -- surviving a kill --------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything gathered so far."""
        self._flush()
        self._tick()
        return {
            "rows": self._rows,
            "epochs": self._epochs,
            "seconds_per_step": self._seconds_per_step,
            "processor_seconds_per_step": self._processor_seconds_per_step,
            "started": self._started,
            "seconds": self._seconds,
            "epoch_seconds": self._epoch_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what was gathered."""
        self._rows = state_dict["rows"]
        self._epochs = state_dict["epochs"]
        self._seconds_per_step = state_dict["seconds_per_step"]
        self._processor_seconds_per_step = state_dict.get("processor_seconds_per_step", [])
        self._started = state_dict["started"]
        self._seconds = state_dict["seconds"]
        self._epoch_seconds = state_dict["epoch_seconds"]


def _of_epoch(name: str) -> bool:
    return name.startswith("train/") and not name.endswith("_step")
