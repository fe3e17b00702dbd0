"""A warning, once, that a method cannot act because the training loop leaves something out."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import torch

from counterpoise.methods.method import Method

_CALLS = {
    "set_epoch": "`method.set_epoch(epoch)` should be called when an epoch starts, from 0 on, for",
    "learning_rates": "`method.learning_rates()` should be asked for before the first step with",
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
