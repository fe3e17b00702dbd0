"""When a method is told of epochs and evaluations under the Trainer of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transformers import TrainerCallback

from counterpoise.engine.rates import BranchRates
from counterpoise.integrations.branches import Handle, scale_steps
from counterpoise.methods import Evaluation, answers


class MethodSchedule(TrainerCallback):
    """Tells the method of a Trainer's wrapped model what happens between its steps.

    Args:
        trainer: Whose model it is, a ``BalancedTrainerMixin``.

    Attributes:
        rates: Learning rates of branches.
        measured: What the last evaluation came to, until the method has heard of it.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self.rates = BranchRates(trainer.balanced)
        self.measured: Evaluation | None = None
        self._due = False
        self._handles: list[Handle] = []

    def before_batch(self) -> None:
        """Ask for rates after an evaluation, and hold frozen branches in eval mode.

        The Trainer puts the whole model into train mode before each batch.
        """
        if self._due:
            self.rates.refresh()
            self._due = False
        self.rates.hold_frozen()

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Begin with a model that may be new, and with the optimiser's steps."""
        self.rates = BranchRates(self._trainer.balanced)
        optimizer: Any = self._trainer.optimizer
        # accelerate wraps the optimiser; the steps are those of the one inside.
        self._handles = scale_steps(getattr(optimizer, "optimizer", optimizer), self.rates)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Tell the method of the epoch; a resumed run may start within one."""
        self.rates.start_epoch(int(state.epoch or 0))
        if self._trainer.balanced.method.finished():
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Hand on an evaluation within training, never one of other data afterwards."""
        evaluation, self.measured = self.measured, None
        balanced = self._trainer.balanced
        if evaluation is None or not self._trainer.is_in_train:
            return
        if answers(balanced.method, "on_validation"):
            balanced.on_validation(evaluation)
            self._due = True
        if balanced.method.finished():
            control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Let a method that looks at features have those of the data in their own order."""
        trainer = self._trainer
        if answers(trainer.balanced.method, "on_epoch"):
            label = trainer.label_names[0]
            trainer.balanced.on_epoch(
                _Targets(trainer.get_eval_dataloader(trainer.train_dataset), label),
                _Targets(trainer.get_eval_dataloader(), label),
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Leave the optimiser as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


class _Targets:
    """Batches of a loader, their labels named "target"."""

    def __init__(self, loader: Iterable[Mapping[str, Any]], label: str) -> None:
        self._loader, self._label = loader, label

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._loader:
            others = {name: value for name, value in batch.items() if name != self._label}
            yield {**others, "target": batch[self._label]}
