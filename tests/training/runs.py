"""What the training tests train: small, quick, and with everything that a resumed run may lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

import counterpoise as cp
from counterpoise.data import DataSource, MultimodalDataset, Splits
from counterpoise.training import SGD, Architecture, Recipe, StepLR, TrainerOptions

NUM_CLASSES = 3
SIZES = {"left": 5, "right": 7}


def dataset(num_samples: int, seed: int) -> MultimodalDataset:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(NUM_CLASSES, (num_samples,), generator=generator)
    inputs = {}
    for name, size in SIZES.items():
        noise = torch.randn(num_samples, size, generator=generator)
        inputs[name] = noise + nn.functional.one_hot(target, size)
    return MultimodalDataset(inputs, target)


@dataclass(frozen=True)
class Blobs(DataSource):
    name: ClassVar[str] = "blobs"
    num_train: int = 59
    seed: int = 0

    def load(self) -> Splits:
        parts = dataset(self.num_train, self.seed), dataset(23, 1), dataset(29, 2)
        return Splits("blobs", *parts, NUM_CLASSES, "Gaussian blobs.", "made here", "none")


class Net(nn.Module):
    """Batch-norm and dropout: buffers that move, and a forward that draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(size, 11), nn.BatchNorm1d(11), nn.Dropout(0.2))
                for name, size in SIZES.items()
            }
        )
        self.head = nn.Linear(22, NUM_CLASSES)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        features = [self.encoders["left"](left), self.encoders["right"](right)]
        return self.head(torch.cat(features, dim=1).relu())


@dataclass(frozen=True)
class Small(Architecture):
    def build(self, splits: Splits) -> nn.Module:
        return Net()

    def encoder_paths(self, model: nn.Module) -> dict[str, str]:
        return {name: f"encoders.{name}" for name in SIZES}


def recipe(**changes: object) -> Recipe:
    options = {"max_epochs": 5, "log_every_n_steps": 2, "accelerator": "cpu"}
    options |= changes.pop("trainer", {})
    settings = {
        "data": Blobs(),
        "method": cp.Windowed(cp.AGM(alpha=2.0, clamp=10.0), 1, 99),
        "model": Small(),
        "optimizer": SGD(learning_rate=0.05),
        "schedule": StepLR(every=2, factor=0.5),
        "batch_size": 13,
        "trainer": TrainerOptions(**options),
        "seed": 3,
    }
    return Recipe(**(settings | changes))


def flat(pytree: object) -> Sequence[object]:
    """Tensors and values of a pytree, in order, for comparison bit by bit."""
    if isinstance(pytree, dict):
        return [each for key in pytree for each in (key, *flat(pytree[key]))]
    if isinstance(pytree, (list, tuple)):
        return [each for item in pytree for each in flat(item)]
    return [pytree]


def same_bits(first: object, second: object) -> bool:
    ours, theirs = flat(first), flat(second)
    return len(ours) == len(theirs) and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(ours, theirs, strict=True)
    )
