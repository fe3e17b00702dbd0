"""What makes a run resumable: checkpoints and the state of random generators."""

from __future__ import annotations

import random
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.model_helpers import is_overridden

from counterpoise.core.errors import check_count, check_flag, check_path, check_text
from counterpoise.training.sealing import seal, sync_folder


class RandomState(Callback):
    """Keeps the state of every random generator in checkpoints: torch's, NumPy's and Python's.

    Restored when training starts, after everything that Lightning prepares, so that what
    preparation draws makes no difference. Each process keeps its own.

    Raises:
        ValueError: If a run is resumed with another number of processes.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes, as plain numbers and tensors."""
        version, numbers, gauss = random.getstate()
        # NumPy's old global generator is the one that users' code may draw from.
        kept: Any = np.random.get_state()  # noqa: NPY002
        kind, keys, position, has_gauss, cached = kept
        state: dict[str, Any] = {
            "python": [version, list(numbers), gauss],
            "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        states: list[Any] = [state]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            states = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(states, state)
        return {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts."""
        self._restored = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore what was loaded, once."""
        if self._restored is None:
            return
        states, self._restored = self._restored["processes"], None
        if len(states) != trainer.world_size:
            raise ValueError(
                f"The number of processes should be {len(states)}, as when the checkpoint was "
                f"made; found {trainer.world_size}. Resume with the same number of devices."
            )
        state = states[trainer.global_rank]
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"]:
            torch.cuda.set_rng_state_all([saved.cpu() for saved in state["cuda"]])


class Checkpoints(Checkpoint):
    """Writes ``last.ckpt`` after each epoch, and ``best.ckpt`` whenever validation improved.

    Each file appears whole or not at all, with a digest of itself: it is written under another
    name, brought to the disk and renamed. The ``last.ckpt`` before it stays as ``previous.ckpt``,
    to go on from if the new one is damaged. Among epochs of equal value the first is the best.

    Args:
        directory: Where to write.
        monitor: The logged value that decides.
        higher_is_better: Whether a larger value is the better one.
        every_n_steps: Optimiser steps between two further ``last.ckpt`` within an epoch.

    Attributes:
        best_epoch: The best so far, from 0; None before the first validation.
        best_value: Its value.
    """

    def __init__(
        self,
        directory: Path,
        monitor: str = "validation/accuracy",
        every_n_steps: int | None = None,
        *,
        higher_is_better: bool = True,
    ) -> None:
        check_path("directory", directory, optional=False)
        check_text("monitor", monitor)
        check_flag("higher_is_better", higher_is_better)
        if every_n_steps is not None:
            check_count("every_n_steps", every_n_steps, at_least=1)
        self.higher_is_better = higher_is_better
        self.directory, self.monitor = Path(directory), monitor
        self.every_n_steps = every_n_steps
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self._ended = False

    @property
    def best(self) -> Path:
        """Weights after the best epoch."""
        return self.directory / "best.ckpt"

    @property
    def last(self) -> Path:
        """Everything that a run needs to go on."""
        return self.directory / "last.ckpt"

    @property
    def previous(self) -> Path:
        """What ``last`` was before."""
        return self.directory / "previous.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once where the run had ended before its last epoch, as by early stopping."""
        if self._ended:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch, after every optimiser step that is due."""
        # The last batch's checkpoint follows after validation; one before it would resume
        # without ever validating the epoch.
        accumulating = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        if self.every_n_steps is None or trainer.is_last_batch or accumulating:
            return
        if trainer.global_step % self.every_n_steps == 0:
            self._save(trainer, self.last)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the weights that were validated, if they are the best; the method acts later."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.consider(trainer, trainer.current_epoch)

    def consider(self, trainer: Trainer, epoch: int) -> None:
        """Save the weights as they are after an epoch, if those last validated are the best."""
        value = trainer.callback_metrics[self.monitor].item()
        if self.best_value is None or self._better(value, self.best_value):
            self.best_value, self.best_epoch = value, epoch
            # A callback that validates other weights than those trained, their mean over steps
            # say, puts them into checkpoints; only one of everything asks for that.
            others: Any = trainer
            asks = any(is_overridden("on_save_checkpoint", each) for each in others.callbacks)
            self._save(trainer, self.best, weights_only=not asks)

    def _better(self, value: float, other: float) -> bool:
        if isnan(other):  # as a correlation may be in the first epochs
            return not isnan(value)
        return value > other if self.higher_is_better else value < other

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save everything."""
        self._ended = trainer.should_stop
        self._save(trainer, self.last)

    def _save(self, trainer: Trainer, path: Path, *, weights_only: bool = False) -> None:
        partial = path.with_name(path.name + ".partial")
        trainer.save_checkpoint(partial, weights_only=weights_only)
        if trainer.is_global_zero:
            seal(partial)
            if path == self.last and path.exists():
                path.replace(self.previous)
            partial.replace(path)
            sync_folder(path.parent)

    def state_dict(self) -> dict[str, Any]:
        """Return which epoch is the best, and whether training ended with the last one."""
        best = {"best_epoch": self.best_epoch, "best_value": self.best_value}
        return best | {"ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best so far."""
        self.best_epoch, self.best_value = state_dict["best_epoch"], state_dict["best_value"]
        self._ended = state_dict.get("ended", False)
