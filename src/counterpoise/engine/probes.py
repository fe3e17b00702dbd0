"""Values that a model is tried with: random features and weights, other inputs, NaN."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree, map_tensors
from counterpoise.engine.setup import Setup


def random_rest(setup: Setup, model: nn.Module) -> dict[str, Tensor]:
    """Return random values for whatever the rest of the model computes with, by name."""
    encoders = tuple(f"{path}." for path in setup.encoders.values())
    kinds = (torch.float32, torch.float64)
    values = {}
    for name, p in model.named_parameters():
        if not name.startswith(encoders) and p.dtype in kinds and p.numel():
            fan_in = max(p[0].numel(), 1) if p.dim() > 1 else 4
            values[name] = torch.randn_like(p) / sqrt(fan_in)
    for name, buffer in model.named_buffers():
        if not name.startswith(encoders) and buffer.dtype in kinds:
            values[name] = torch.rand_like(buffer)  # a variance has to stay positive
    return values


def random_like(trees: Mapping[int, PyTree], scale: float) -> dict[int, PyTree]:
    """Return normal random numbers of a size in place of features; integers as they are."""
    return {
        i: map_tensors(
            lambda t: scale * torch.randn_like(t) if t.is_floating_point() else t.clone(), tree
        )
        for i, tree in trees.items()
    }


def other_values(tensor: Tensor) -> Tensor:
    """Return random values of the same kind: normal, fair coins, or the given ones or 0."""
    if tensor.is_floating_point():
        return torch.randn_like(tensor)
    coin = torch.rand(tensor.shape, device=tensor.device) < 0.5
    return coin if tensor.dtype == torch.bool else tensor.where(coin, 0)


def poisoned(tensor: Tensor) -> Tensor:
    """Return NaN throughout; integers as they are."""
    return torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor


def first_row_spoilt(number: float, tensor: Tensor) -> Tensor:
    """Return the tensor with plus or minus a number in its first row; integers as they are."""
    spoilt = tensor.clone()
    if tensor.is_floating_point():
        spoilt[0] = torch.randn_like(tensor[0]).sign() * number
    return spoilt
