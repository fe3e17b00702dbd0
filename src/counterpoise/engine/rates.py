"""Learning rates of branches, as the method says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from counterpoise.engine.arguments import check_wrapped


class BranchRates:
    """Scales the learning rate of each modality's branch, on top of any schedule.

    A factor of zero freezes the branch: its parameters stay, and it runs in eval mode, so that
    its batch-norm statistics stay too. Factors change between epochs only, so that no step has to
    wait for them. The optimiser's own rates are put back after each step: a scheduler sees none
    of it, and factors do not compound.

    Args:
        balanced: The wrapped model, a :class:`~counterpoise.Balanced`, whose method says the
            factors. The optimiser is to be made of ``balanced.parameter_groups()``.

    Example: the branch of "left" learns at half the optimiser's rate.

        >>> import torch, counterpoise as cp
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.one, self.two = nn.Linear(3, 2), nn.Linear(5, 2)
        ...     def forward(self, left, right):
        ...         return self.one(left) + self.two(right)
        >>> method = cp.MSLR("keep", factors=[0.5, 1.0])
        >>> balanced = cp.Balanced(Net(), {"left": "one", "right": "two"}, method)
        >>> optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
        >>> rates = cp.BranchRates(balanced)
        >>> rates.start_epoch(0)
        >>> with rates.applied(optimiser):
        ...     [group["lr"] for group in optimiser.param_groups]
        [0.05, 0.1]
        >>> [group["lr"] for group in optimiser.param_groups]
        [0.1, 0.1]
    """

    def __init__(self, balanced: Any) -> None:
        check_wrapped(balanced)
        self.balanced = balanced
        self._factors: dict[str | None, float] = {}
        self._frozen: list[nn.Module] = []

    def start_epoch(self, epoch: int) -> None:
        """Begin an epoch: train mode, the method told of it, and the branches' rates learnt."""
        self.balanced.train()
        self.balanced.method.set_epoch(epoch)
        self.refresh()

    def step(self, optimizer: Any) -> None:
        """Let the optimiser step with the branches' rates, frozen ones left out altogether."""
        self.exclude_frozen(optimizer)
        with self.applied(optimizer):
            optimizer.step()

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
        self.hold_frozen()

    def hold_frozen(self) -> None:
        """Put frozen branches in eval mode again, after ``train()`` of the whole model."""
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
