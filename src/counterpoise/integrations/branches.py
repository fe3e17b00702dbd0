"""Learning rates of branches in a training loop of another library."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Protocol

from torch.optim import Optimizer

from counterpoise.balanced import Balanced
from counterpoise.engine.rates import BranchRates
from counterpoise.methods import answers


class Handle(Protocol):
    """What undoes a registration."""

    def remove(self) -> None:
        """Undo it."""


def scale_steps(optimizer: Optimizer, rates: BranchRates) -> list[Handle]:
    """Let every step of an optimiser use the branches' rates; schedulers see none of it.

    Args:
        optimizer: With groups that carry "modality".
        rates: What the method says.

    Returns:
        Handles to undo it with.
    """
    scaled = ExitStack()

    def before(*_: Any) -> None:
        scaled.enter_context(rates.applied(optimizer))

    def after(*_: Any) -> None:
        scaled.close()

    return [
        optimizer.register_step_pre_hook(before),
        optimizer.register_step_post_hook(after),
    ]


def check_groups(balanced: Balanced, optimizer: Any) -> None:
    """Raise if the method sets rates of branches and the optimiser cannot tell branches apart.

    Raises:
        ValueError: If no group of the optimiser names a modality.
    """
    if not answers(balanced.method, "learning_rates"):
        return
    if not any(group.get("modality") for group in optimizer.param_groups):
        raise ValueError(
            f"The optimiser should have a group of parameters for each modality: "
            f"{balanced.method.title()} sets learning rates of branches; found "
            f"{len(optimizer.param_groups)} without a modality. Make it of "
            "balanced.parameter_groups()."
        )
