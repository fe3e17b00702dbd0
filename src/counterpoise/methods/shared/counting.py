"""A counter on the device whose value the host knows."""

from __future__ import annotations

from torch import Tensor

from counterpoise.core.pytree import versions


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
