"""Values that are wrong in many places, and calls that are right but for one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from counterpoise.data import MultimodalDataset

Row = tuple[Callable[..., Any], dict[str, Any], dict[str, tuple[Any, ...]]]
"""A call, arguments with which it works, and for some of them values that they must not have."""

NAN, INF = float("nan"), float("inf")
NOT_NUMBERS = ("1", None, True, [1.0], 1j)
NOT_COUNTS = (0, -3, 1.5, "7", None, True)
NOT_RATES = (-0.1, NAN, INF, "0.1", None, True)
NOT_FLAGS = ("no", 1, None)
NOT_SEEDS = (-1, 1.5, 2**70, "x", None, True)


class Net(nn.Module):
    """The sum of two linear layers, one a modality."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(5, 2)

    def forward(self, a, b):
        return self.a(a) + self.b(b)


def function(a, b):
    """What is no module."""
    return a + b


ENCODERS = {"a": "a", "b": "b"}


def dataset(num_samples: int = 13) -> MultimodalDataset:
    inputs = {"a": torch.zeros(num_samples, 3), "b": torch.ones(num_samples, 5)}
    return MultimodalDataset(inputs, torch.arange(num_samples) % 2)


def features(rows: int = 17, columns: int = 3, **changes: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows * columns)
    made = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    for place, value in changes.items():
        made[int(place[1:]), 0] = value
    return made


def batch(num_samples: int = 7) -> dict[str, torch.Tensor]:
    """What ``Net`` takes, and labels."""
    a, b = features(num_samples, 3).float(), features(num_samples, 5).float()
    return {"a": a, "b": b, "target": torch.arange(num_samples) % 2}
