"""When a method modulates: a window of epochs, or of steps."""

from __future__ import annotations

from abc import ABC

from torch import Tensor

from counterpoise.core.pytree import versions
from counterpoise.methods.method import Method, Need

__all__ = ["HostCount", "Window", "Windowed", "check_window", "inside", "need_in"]

Window = tuple[float, float] | None
"""(start, stop): from ``start`` on and before ``stop``. None: always."""


def check_window(window: Window) -> Window:
    """Return the window, or raise unless 0 <= start < stop."""
    pair = isinstance(window, (tuple, list)) and len(window) == 2
    if window is not None and not (pair and 0 <= window[0] < window[1]):
        raise ValueError(
            "`window` should be (start, stop) with 0 <= start < stop; found "
            f"{window}. Use float('inf') as stop for no end."
        )
    return window


def inside(window: Window, now: int) -> bool:
    """Return whether an epoch or step lies in the window.

    Example:
        >>> inside((2, 5), 4), inside((2, 5), 5), inside(None, 7)
        (True, False, True)
    """
    return window is None or window[0] <= now < window[1]


def need_in(window: Window, now: int) -> Need:
    """Return what learning up to the end of a window, and modulating inside, takes at present.

    Args:
        window: (start, stop), or None for always.
        now: The epoch or the step.

    Example:
        >>> [need_in((2, 4), now) for now in (1, 2, 4)]
        ['values', 'gradients', 'nothing']
    """
    if inside(window, now):
        return "gradients"
    assert window is not None
    return "values" if now < window[0] else "nothing"


class HostCount:
    """Knows what a counter on the device stands at, and asks the device only if it cannot know.

    The counter is a buffer, which checkpoints keep; what the host knows of it holds as long as it
    is the tensor that was noted, and was not written into since.

    Example:
        >>> import torch
        >>> counter, count = torch.tensor(3), HostCount()
        >>> count.read(counter)  # asks the device
        3
        >>> counter = counter + 1
        >>> count.note(counter, 4)
        >>> count.read(counter)  # does not
        4
    """

    def __init__(self) -> None:
        self._counter: Tensor | None = None
        self._version: list[int] = []
        self._value = 0

    def note(self, counter: Tensor, value: int) -> None:
        """Remember what a counter stands at."""
        self._counter, self._version, self._value = counter, versions(counter), value

    def read(self, counter: Tensor) -> int:
        """Return what a counter stands at."""
        if counter is not self._counter or versions(counter) != self._version:
            self.note(counter, int(counter))
        return self._value


class Windowed(Method, ABC):
    """A method that modulates in a window of epochs, and costs a plain step outside.

    Args:
        window: (start, stop), or None for the whole run.
    """

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = check_window(window)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Learn the epoch, and whether it lies in the window."""
        super().set_epoch(epoch)
        # Not worked out in a step: a compiled one would be compiled anew in each epoch.
        self.modulates = inside(self.window, epoch)
