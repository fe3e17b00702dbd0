"""Averaging maps to a grid of fixed size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def average_to_grid(maps: Tensor, grid: int) -> Tensor:
    """Average maps (B, C, height, width) over the cells of a grid: (B, C, grid, grid).

    Equal to adaptive average pooling, but written as two matrix products, for the gradient of
    that operation has no deterministic implementation on GPUs and a resumed run could not be
    bit-identical.
    """
    rows, columns = (_shares(maps, length, grid) for length in maps.shape[2:])
    return rows.mT @ maps @ columns


def _shares(maps: Tensor, length: int, grid: int) -> Tensor:
    """Share (length, grid) that each place of an axis has in the mean of each cell."""
    places = torch.eye(length, device=maps.device, dtype=maps.dtype)
    return F.adaptive_avg_pool1d(places, grid)
