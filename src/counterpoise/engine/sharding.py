"""Methods of a wrapper whose parameters processes hold in parts (``fully_shard``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import nn

_Method = TypeVar("_Method", bound=Callable[..., Any])


def gathers(method: _Method) -> _Method:
    """Let a method of a sharded module run as its forward does: with whole parameters.

    PyTorch gathers them for ``forward`` alone unless it is told of others, which is done when
    the method is first called.
    """
    name = method.__name__

    @wraps(method)
    def run(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if name in self.__dict__ or not hasattr(type(self), "unshard"):
            return method(self, *args, **kwargs)
        torch.distributed.fsdp.register_fsdp_forward_method(self, name)
        return getattr(self, name)(*args, **kwargs)

    return run  # type: ignore[return-value]
