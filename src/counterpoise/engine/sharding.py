"""Methods of a wrapper whose parameters processes hold in parts (``fully_shard``)."""

from __future__ import annotations

import torch
from torch import nn


def newly_gathers(module: nn.Module, method: str) -> bool:
    """Let a method of a sharded module run as its forward does: with whole parameters.

    PyTorch gathers them for ``forward`` alone unless it is told of others.

    Returns:
        Whether that is new, so that who is in the method already should call it again.
    """
    if method in module.__dict__ or not hasattr(type(module), "unshard"):
        return False
    torch.distributed.fsdp.register_fsdp_forward_method(module, method)
    return True
