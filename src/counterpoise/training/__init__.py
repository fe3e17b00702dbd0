"""Training by Lightning: from a recipe to a record, resumable to the bit.

Settings import PyTorch alone; what needs Lightning is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from counterpoise.training.architectures import Architecture, Network
from counterpoise.training.config.reading import read_recipe
from counterpoise.training.optimization import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Optimizer,
    Schedule,
    StepLR,
)
from counterpoise.training.options import TrainerOptions
from counterpoise.training.own_classes import Module, TorchOptimizer, TorchSchedule
from counterpoise.training.paper import PaperNetwork
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
    from counterpoise.training.batch_norm import PreciseBatchNorm
    from counterpoise.training.callbacks import Checkpoints, RandomState
    from counterpoise.training.data import MultimodalDataModule
    from counterpoise.training.divergence import DivergedError
    from counterpoise.training.module import BalancedModule
    from counterpoise.training.recorder import Recorder
    from counterpoise.training.run import train

_LAZY = {
    "BalancedModule": "module",
    "Checkpoints": "callbacks",
    "DivergedError": "divergence",
    "MultimodalDataModule": "data",
    "PreciseBatchNorm": "batch_norm",
    "RandomState": "callbacks",
    "Recorder": "recorder",
    "train": "run",
}

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Architecture",
    "BalancedModule",
    "Checkpoints",
    "Constant",
    "Cosine",
    "DivergedError",
    "Module",
    "MultimodalDataModule",
    "Network",
    "Optimizer",
    "PaperNetwork",
    "PreciseBatchNorm",
    "RandomState",
    "Recipe",
    "Recorder",
    "Schedule",
    "StepLR",
    "TorchOptimizer",
    "TorchSchedule",
    "TrainerOptions",
    "read_recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
