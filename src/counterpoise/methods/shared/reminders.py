"""Telling once that a method cannot act, because the training loop leaves something out."""

from __future__ import annotations

import warnings

import torch

__all__ = ["Reminder"]


class Reminder:
    """Warns at the end of the first step if something should have been done before it, and was not.

    Args:
        message: What to say, as a sentence in the form of our errors.

    Example:
        >>> reminder = Reminder("`set_epoch` should be called when an epoch starts.")
        >>> reminder.done()
        >>> reminder.step_over()  # says nothing
    """

    def __init__(self, message: str) -> None:
        self.message, self._due = message, True

    def done(self) -> None:
        """Note that it was done."""
        self._due = False

    def step_over(self) -> None:
        """Warn if it is still to be done, once."""
        if self._due and not torch.compiler.is_compiling():
            self._due = False
            warnings.warn(self.message, UserWarning, stacklevel=2)
