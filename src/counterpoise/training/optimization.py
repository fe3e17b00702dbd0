"""Optimisers and learning rate schedules as plain settings, which a configuration file can hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import optim
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from counterpoise.core.errors import check_count, check_flag, check_range
from counterpoise.methods import Evaluation

Groups = list[dict[str, Any]]


class Optimizer(ABC):
    """Settings of an optimiser. Subclass it as a frozen dataclass to add one."""

    @abstractmethod
    def build(self, groups: Groups) -> optim.Optimizer:
        """Return the optimiser of the given groups of parameters."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, the published choice.

    Args:
        learning_rate: Step size, at least 0.
        momentum: In [0, 1). Default 0.9, as published.
        weight_decay: Strength of the L2 penalty, at least 0. Default 1e-4, as published.
        nesterov: Whether the momentum looks ahead.

    Raises:
        ValueError: If a value is out of range.

    Example:
        >>> import torch
        >>> SGD(learning_rate=0.1).build([{"params": [torch.zeros(3)]}]).defaults["momentum"]
        0.9
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = False

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, low=0)
        check_range("momentum", self.momentum, low=0, high=1, open_high=True)
        check_flag("nesterov", self.nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError(
                "`nesterov` should go with a momentum above 0; found momentum=0. Set `momentum`."
            )
        check_range("weight_decay", self.weight_decay, low=0)

    def build(self, groups: Groups) -> optim.Optimizer:
        """Return ``torch.optim.SGD``."""
        return optim.SGD(
            groups,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )


@dataclass(frozen=True)
class _Adaptive(Optimizer):
    """Steps of each parameter by its own moments; below it, how weights decay."""

    kind: ClassVar[Any]

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, low=0)
        check_range("weight_decay", self.weight_decay, low=0)
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise TypeError(f"`betas` should be two numbers; found {self.betas!r}. Pass a pair.")
        for index, beta in enumerate(self.betas):
            check_range(f"betas[{index}]", beta, low=0, high=1, open_high=True)

    def build(self, groups: Groups) -> optim.Optimizer:
        """Return the optimiser of ``torch.optim`` that has the class's name."""
        settings = {"lr": self.learning_rate, "betas": self.betas}
        built: optim.Optimizer = self.kind(groups, weight_decay=self.weight_decay, **settings)
        return built


@dataclass(frozen=True)
class Adam(_Adaptive):
    """Adam, with weight decay as an L2 penalty.

    Args:
        learning_rate: Step size, at least 0.
        betas: Decays of the first and the second moment, each in [0, 1).
        weight_decay: Strength of the L2 penalty, at least 0.

    Raises:
        ValueError: If a value is out of range.

    Example:
        >>> import torch
        >>> Adam().build([{"params": [torch.zeros(3)]}]).defaults["lr"]
        0.001
    """

    kind: ClassVar[Any] = optim.Adam


@dataclass(frozen=True)
class AdamW(_Adaptive):
    """Adam, with weight decay apart from the gradient: the usual choice for transformers.

    Args:
        learning_rate: Step size, at least 0.
        betas: Decays of the first and the second moment, each in [0, 1).
        weight_decay: Share of the weights that a step of rate 1 would take away, at least 0.

    Raises:
        ValueError: If a value is out of range.

    Example:
        >>> import torch
        >>> AdamW().build([{"params": [torch.zeros(3)]}]).defaults["weight_decay"]
        0.01
    """

    kind: ClassVar[Any] = optim.AdamW

    weight_decay: float = 0.01


class Schedule(ABC):
    """Settings of a learning rate schedule.

    Attributes:
        interval: Whether it moves once an "epoch" or once a "step".
    """

    interval: ClassVar[str] = "epoch"

    @abstractmethod
    def build(self, optimizer: optim.Optimizer, max_epochs: int) -> LRScheduler:
        """Return the scheduler of an optimiser for a run of so many epochs."""


@dataclass(frozen=True)
class Constant(Schedule):
    """Leaves the learning rate as it is.

    Example:
        >>> import torch
        >>> Constant().build(SGD(0.5).build([{"params": [torch.zeros(1)]}]), 7).get_last_lr()
        [0.5]
    """

    def build(self, optimizer: optim.Optimizer, max_epochs: int) -> LRScheduler:
        """Return a scheduler that does nothing."""
        return optim.lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)


@dataclass(frozen=True)
class StepLR(Schedule):
    """Multiplies the learning rate by a factor every so many epochs, the published choice.

    Args:
        every: Epochs between two drops, at least 1. Default 70, as published.
        factor: What the rate is multiplied by, in (0, 1]. Default 0.1, as published.

    Raises:
        ValueError: If a value is out of range.

    Example:
        >>> import torch
        >>> StepLR(every=5).build(SGD().build([{"params": [torch.zeros(1)]}]), 7).step_size
        5
    """

    every: int = 70
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_count("every", self.every, at_least=1)
        check_range("factor", self.factor, low=0, high=1, open_low=True)

    def build(self, optimizer: optim.Optimizer, max_epochs: int) -> LRScheduler:
        """Return ``torch.optim.lr_scheduler.StepLR``."""
        return optim.lr_scheduler.StepLR(optimizer, step_size=self.every, gamma=self.factor)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Lowers the learning rate along half a cosine, to zero after the last epoch.

    Example:
        >>> import torch
        >>> Cosine().build(SGD().build([{"params": [torch.zeros(1)]}]), 7).T_max
        7
    """

    def build(self, optimizer: optim.Optimizer, max_epochs: int) -> LRScheduler:
        """Return ``torch.optim.lr_scheduler.CosineAnnealingLR``."""
        return optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max_epochs)


def follow_plateau(schedule: object, evaluation: Evaluation | None) -> None:
    """Move a schedule that goes by the validation loss, after an epoch; leave any other alone.

    Raises:
        ValueError: If nothing was validated yet.
    """
    if not isinstance(schedule, ReduceLROnPlateau):
        return
    if evaluation is None:
        raise ValueError(
            "`schedule` should have a validation loss to go by; found none after the first epoch. "
            "Give the Trainer validation data, or take another schedule."
        )
    schedule.step(evaluation.loss)
