"""Learning rates of branches, as the method says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from counterpoise.balanced import Balanced

__all__ = ["BranchRates"]


class BranchRates:
    """Scales the learning rate of each modality's branch, on top of any schedule.

    A factor of zero freezes the branch: its parameters stay, and it runs in eval mode, so that
    its batch-norm statistics stay too. Factors change between epochs only, so that no step has to
    wait for them.

    Args:
        balanced: The wrapped model, whose method says the factors.
    """

    def __init__(self, balanced: Balanced) -> None:
        self.balanced = balanced
        self._factors: dict[str | None, float] = {}
        self._frozen: list[nn.Module] = []

    def refresh(self) -> None:
        """Ask the method, and freeze and thaw branches."""
        factors = self.balanced.method.learning_rates()
        names = self.balanced.modalities
        listed = [] if factors is None else factors.tolist()
        self._factors = dict(zip(names, listed, strict=False))
        for module in self._frozen:
            module.training = True
        branches = self.balanced.ownership.modules(self.balanced.model)
        self._frozen = [
            part
            for name, modules in zip(names, branches, strict=True)
            if self._factors.get(name) == 0
            for module in modules
            for part in module.modules()
            if part.training
        ]
        for module in self._frozen:
            module.training = False

    def exclude_frozen(self, optimizer: Any) -> None:
        """Drop the gradients of frozen branches, so that a step leaves them out altogether.

        A rate of zero alone would let infinite gradients through, and their norm into clipping.
        """
        for group in optimizer.param_groups:
            if self._factors.get(group.get("modality")) == 0:
                for parameter in group["params"]:
                    parameter.grad = None

    @contextmanager
    def applied(self, optimizer: Any) -> Iterator[None]:
        """Scale the rates of the optimiser's groups for one step; the schedule sees its own."""
        groups = [g for g in optimizer.param_groups if g.get("modality") in self._factors]
        rates = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = group["lr"] * self._factors[group["modality"]]
        try:
            yield
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate
