"""Networks, optimisers and schedules from outside this package, named by class path."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn, optim
from torch.optim.lr_scheduler import LRScheduler

from counterpoise.core.errors import check_choice, check_mapping
from counterpoise.training.architectures import Architecture
from counterpoise.training.by_path import class_at, made, path_of
from counterpoise.training.optimization import Groups, Optimizer, Schedule

if TYPE_CHECKING:
    from counterpoise.data import Splits


@dataclass(frozen=True)
class Module(Architecture):
    """Builds any ``torch.nn.Module`` that takes its modalities as keywords.

    Arguments of its constructor that are called ``num_outputs``, ``num_classes`` or
    ``sample_shapes`` and are not given come from the data. What the module tells of itself is
    heeded: ``encoder_paths`` and ``head_paths``, mappings of modalities to paths; ``select``, from
    its output to logits; ``extra_loss``, of its output and the target, which no method balances.

    Args:
        module: The class, or its path: "package.module.Class".
        arguments: Of its constructor. Default: none.
        encoders: Path of each modality's encoder in it. Default: its ``encoder_paths``.
        heads: Path of each modality's head, where heads add up to logits. Default: its
            ``head_paths``.

    Raises:
        ValueError: If there is no such class, or it is no module.

    Example:
        >>> from counterpoise.data import Synthetic
        >>> from counterpoise.models import MultimodalNetwork, build
        >>> class Plain(nn.Module):
        ...     def __init__(self, sample_shapes, num_outputs, width):
        ...         super().__init__()
        ...         self.net = build(sample_shapes, num_outputs, num_features=width)
        ...     def forward(self, **inputs):
        ...         return self.net(**inputs)
        >>> architecture = Module(Plain, {"width": 7}, encoders={"m1": "net.encoders.m1"})
        >>> model = architecture.build(Synthetic().load())
        >>> model.net.encoders["m1"].num_features, architecture.encoder_paths(model)
        (7, {'m1': 'net.encoders.m1'})
    """

    module: str | type
    arguments: dict[str, Any] = field(default_factory=dict)
    encoders: dict[str, str] | None = None
    heads: dict[str, str] | None = None

    def __post_init__(self) -> None:
        class_at("model", self.module, nn.Module)
        check_mapping("arguments", self.arguments, None, "names of arguments to values")
        for name in ("encoders", "heads"):
            check_mapping(name, getattr(self, name) or {}, str, "modalities to paths of modules")

    def build(self, splits: Splits) -> nn.Module:
        """Return the module."""
        kind = class_at("model", self.module, nn.Module)
        known = inspect.signature(kind).parameters
        from_data = {
            name: getattr(splits, name)
            for name in ("num_outputs", "num_classes", "sample_shapes")
            if name in known
        }
        model: nn.Module = made(
            "model", {"class_path": kind, "init_args": {**from_data, **self.arguments}}
        )
        return model

    def encoder_paths(self, model: nn.Module) -> dict[str, str] | None:
        """Return the paths as told, or as the module tells them."""
        return self.encoders or getattr(model, "encoder_paths", None) or None

    def head_paths(self, model: nn.Module) -> dict[str, str] | None:
        """Return the paths as told, or as the module tells them."""
        return self.heads or getattr(model, "head_paths", None) or None

    def settings(self) -> dict[str, Any]:
        """Return the arguments as a record holds them: the class by its path."""
        own = {"module": path_of(self.module), "arguments": self.arguments}
        return {**own, "encoders": self.encoders, "heads": self.heads}


@dataclass(frozen=True)
class TorchOptimizer(Optimizer):
    """Builds any ``torch.optim.Optimizer``.

    Args:
        optimizer: The class, or its path, such as "torch.optim.Adagrad".
        arguments: Of its constructor, beside the parameters. Default: none.

    Raises:
        ValueError: If there is no such class, or it is no optimiser.

    Example:
        >>> import torch
        >>> settings = TorchOptimizer("torch.optim.Adagrad", {"lr": 0.5})
        >>> settings.build([{"params": [torch.zeros(3)]}]).defaults["lr"]
        0.5
    """

    optimizer: str | type
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        class_at("optimizer", self.optimizer, optim.Optimizer)
        check_mapping("arguments", self.arguments, None, "names of arguments to values")

    def build(self, groups: Groups) -> optim.Optimizer:
        """Return the optimiser."""
        kind: Any = class_at("optimizer", self.optimizer)
        built: optim.Optimizer = kind(groups, **self.arguments)
        return built

    def settings(self) -> dict[str, Any]:
        """Return the arguments as a record holds them: the class by its path."""
        return {"optimizer": path_of(self.optimizer), "arguments": self.arguments}


@dataclass(frozen=True)
class TorchSchedule(Schedule):
    """Builds any scheduler of ``torch.optim.lr_scheduler``.

    Args:
        schedule: The class, or its path, such as "torch.optim.lr_scheduler.ExponentialLR".
            ``ReduceLROnPlateau`` goes by the validation loss.
        arguments: Of its constructor, beside the optimiser. Default: none.
        interval: Whether it moves once an "epoch" or once a "step". Default: "epoch".

    Raises:
        ValueError: If there is no such class, it is no scheduler, or the interval is another.

    Example:
        >>> import torch
        >>> optimizer = TorchOptimizer("torch.optim.SGD").build([{"params": [torch.zeros(3)]}])
        >>> path = "torch.optim.lr_scheduler.ExponentialLR"
        >>> TorchSchedule(path, {"gamma": 0.5}).build(optimizer, max_epochs=3).gamma
        0.5
    """

    schedule: str | type
    arguments: dict[str, Any] = field(default_factory=dict)
    interval: str = "epoch"  # type: ignore[misc]  # a setting here, fixed elsewhere

    def __post_init__(self) -> None:
        class_at("schedule", self.schedule, LRScheduler)
        check_mapping("arguments", self.arguments, None, "names of arguments to values")
        check_choice("interval", self.interval, ("epoch", "step"))

    def build(self, optimizer: optim.Optimizer, max_epochs: int) -> LRScheduler:
        """Return the scheduler."""
        kind: Any = class_at("schedule", self.schedule)
        built: LRScheduler = kind(optimizer, **self.arguments)
        return built

    def settings(self) -> dict[str, Any]:
        """Return the arguments as a record holds them: the class by its path."""
        own = {"schedule": path_of(self.schedule), "arguments": self.arguments}
        return {**own, "interval": self.interval}
