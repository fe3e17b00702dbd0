"""Runs that diverge: how it is detected, and distinguished from other errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor


class DivergedError(FloatingPointError):
    """Training has left the finite numbers, whatever the method: the run ends with that."""


def check_finite(what: str, loss: Tensor | float, *, epoch: int, step: int) -> None:
    """Raise unless a loss is finite; waits for the device.

    Args:
        what: Which loss, such as "validation loss".
        loss: A scalar, in nats or whatever the criterion measures.
        epoch: At which epoch, from 0, for the message.
        step: After how many optimiser steps, for the message.

    Raises:
        DivergedError: If it is infinite or no number.

    Example:
        >>> check_finite("training loss", float("nan"), epoch=2, step=57)
        Traceback (most recent call last):
        ...
        counterpoise.training.divergence.DivergedError: `training loss` should be finite; found ...
    """
    value = float(loss)
    if value - value != 0:
        raise DivergedError(
            f"`{what}` should be finite; found {value} in epoch {epoch + 1}, after {step} "
            f"{'step' if step == 1 else 'steps'}. "
            "Lower the learning rate, or clip the gradient."
        )


@contextmanager
def diverging() -> Iterator[None]:
    """Let what a method says of scores that are not finite mean that the run has diverged.

    Raises:
        DivergedError: In place of any other ``FloatingPointError``, with the same message.
    """
    try:
        yield
    except FloatingPointError as error:
        raise DivergedError(str(error)) from error
