"""When a method modulates: a window of epochs."""

from __future__ import annotations

from abc import ABC

from counterpoise.methods.method import Method

__all__ = ["Window", "Windowed", "check_window", "inside"]

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


def inside(window: Window, epoch: int) -> bool:
    """Return whether an epoch lies in the window.

    Example:
        >>> inside((2, 5), 4), inside((2, 5), 5), inside(None, 7)
        (True, False, True)
    """
    return window is None or window[0] <= epoch < window[1]


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
