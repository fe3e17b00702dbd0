"""When a method modulates: a window of epochs."""

from __future__ import annotations

__all__ = ["Window", "check_window", "inside"]

Window = tuple[float, float] | None
"""(start, stop): from ``start`` on and before ``stop``. None: always."""


def check_window(window: Window) -> Window:
    """Return the window, or raise unless 0 <= start < stop."""
    if window is not None and not 0 <= window[0] < window[1]:
        raise ValueError(
            "`window` should be (start, stop) with 0 <= start < stop; found "
            f"{tuple(window)}. Use float('inf') as stop for no end."
        )
    return window


def inside(window: Window, epoch: int) -> bool:
    """Return whether an epoch lies in the window.

    Example:
        >>> inside((2, 5), 4), inside((2, 5), 5), inside(None, 7)
        (True, False, True)
    """
    return window is None or window[0] <= epoch < window[1]
