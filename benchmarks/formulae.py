"""What formulae in plain Python are written with, and what both they and methods are given."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor

import counterpoise as cp

__all__ = [
    "Pair",
    "bound",
    "cross_entropy",
    "entropy",
    "exact",
    "logits",
    "numbers",
    "others",
    "sized",
    "softmax",
]

Pair = tuple[Sequence[float], Sequence[float]]
"""What a method computes, and what its formula says."""


def softmax(row: Sequence[float]) -> list[float]:
    """Map logits to probabilities."""
    exps = [math.exp(z - max(row)) for z in row]
    return [e / sum(exps) for e in exps]


def entropy(row: Sequence[float]) -> float:
    """Map logits to the entropy of their softmax."""
    return -sum(p * math.log(p) for p in softmax(row))


def others(values: Sequence[float], m: int) -> float:
    """Return the mean of all values but one."""
    rest = [value for j, value in enumerate(values) if j != m]
    return sum(rest) / len(rest)


def numbers(count: int, low: float = 0.1, high: float = 1.0) -> list[float]:
    """Draw positive numbers."""
    return [random.uniform(low, high) for _ in range(count)]


def logits(*shape: int) -> Tensor:
    """Draw logits from the generator that everything here is drawn from."""
    flat = [random.gauss(0, 2) for _ in range(math.prod(shape))]
    return torch.tensor(flat, dtype=torch.float64).view(shape)


def exact(numbers: object) -> Tensor:
    """Make a tensor of the numbers as they are."""
    return torch.tensor(numbers, dtype=torch.float64)


def bound(method: cp.Method, count: int) -> cp.Method:
    """Bind a method to some modalities."""
    method.bind([f"m{index}" for index in range(count)], torch.float64)
    return method


def sized() -> int:
    """Draw a number of modalities."""
    return random.choice((2, 3, 5))


def cross_entropy(rows: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    """Map logits of several samples to their mean cross-entropy."""
    pairs = zip(rows, labels, strict=True)
    return -sum(math.log(softmax(row)[label]) for row, label in pairs) / len(labels)
