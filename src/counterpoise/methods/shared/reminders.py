"""Warnings, once, that a method cannot act because the training loop leaves something out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from counterpoise.methods.method import Evaluation, Method

_CALLS = {
    "set_epoch": "`method.set_epoch(epoch)` should be called when an epoch starts, from 0 on, for",
    "learning_rates": "`method.learning_rates()` should be asked for before the first step with",
    "on_validation": "`balanced.on_validation(balanced.evaluate(loader))` should be called now and "
    "then between epochs for",
}
_REMEDIES = {
    "set_epoch": "Call it in the training loop",
    "learning_rates": "Let `cp.BranchRates` set them in the training loop",
}


class Reminding(Method):
    """Warns after the first step if the training loop left out a call that the method needs.

    Attributes:
        awaits: What has to be called before the first step.
        because: Why, in a clause that begins with "which" or "whose".
        until: What training is until then; empty where there is no saying.

    Example:
        >>> from counterpoise import PMR
        >>> method = PMR()
        >>> method.bind(["audio", "image"])
        >>> method.set_epoch(0)
        >>> method.advance()  # says nothing
    """

    awaits: ClassVar[Literal["set_epoch", "learning_rates"]] = "set_epoch"
    because: ClassVar[str]
    until: ClassVar[str] = ""
    _due = True

    def set_epoch(self, epoch: int) -> None:
        """Learn the epoch."""
        super().set_epoch(epoch)
        if self.awaits == "set_epoch":
            self._due = False

    def advance(self) -> None:
        """Warn, once."""
        if torch.compiler.is_compiling() or not self._due:
            return
        self._due = False
        until = f": until then {self.until}." if self.until else "."
        warnings.warn(
            f"{_CALLS[self.awaits]} {self.title()}, {self.because}; found that it was not. "
            f"{_REMEDIES[self.awaits]}{until}",
            UserWarning,
            stacklevel=2,
        )


_PATIENCE = 10


class Validated(Method):
    """Warns if many epochs go by without a validation, by whose results the method goes.

    Some loops validate every few epochs. That none does is told when 10 epochs are over.
    """

    _num_unseen: int | None = 0

    @property
    def goes_by_validation(self) -> bool:
        """Whether the method does something else without results than with them."""
        return True

    def set_epoch(self, epoch: int) -> None:
        """Learn the epoch; warn, once, if all before it went by without results."""
        super().set_epoch(epoch)
        if self._num_unseen is None:
            return
        self._num_unseen += 1
        if self._num_unseen == _PATIENCE + 1 and self.goes_by_validation:
            warnings.warn(
                f"{_CALLS['on_validation']} {self.title()}, which goes by its results; found that "
                f"it was not in {_PATIENCE} epochs, in which the method changed nothing. Call it "
                "with validation data.",
                UserWarning,
                stacklevel=2,
            )

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """Note that there was one."""
        self._num_unseen = None
