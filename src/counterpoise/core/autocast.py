"""Mixed precision, and where it has to be left for a while."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def is_autocast(device: torch.device) -> bool:
    """Return whether operations on a device choose their precision now."""
    # Asked of a device that knows no autocast, such as "meta", PyTorch raises; asked whether it
    # knows it, older compilers do.
    kind = device.type
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(kind)
    return known and torch.is_autocast_enabled(kind)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the precision of the operands for a while."""
    return torch.autocast(device.type, enabled=False) if is_autocast(device) else nullcontext()
