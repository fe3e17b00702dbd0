"""Mixed precision, and where it has to be left for a while."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def is_autocast(device: torch.device) -> bool:
    """Return whether operations on a device choose their precision now."""
    try:
        return torch.is_autocast_enabled(device.type)
    except RuntimeError:  # of a device that knows none, such as "meta"
        return False


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the precision of the operands for a while."""
    return torch.autocast(device.type, enabled=False) if is_autocast(device) else nullcontext()
