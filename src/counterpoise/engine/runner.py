"""Running the coalitions of a step: which ones, and by an engine that was inspected.

The engine knows how to evaluate coalitions; the runner decides which ones (exact, sampled, or the
few that do for models that add up their modalities), and keeps what inspections found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from counterpoise.core.absence import AbsentValues
from counterpoise.core.coalitions import Plan, Sampling, exact_plan, separable_plan
from counterpoise.core.pytree import PyTree, tensors
from counterpoise.engine.evaluator import Engine, Observer, Values
from counterpoise.engine.inspection import inspect

__all__ = ["Runner"]


class Runner:
    """Evaluates the coalitions of one batch after another.

    Args:
        engine: As the user asked for; nothing is yet known of the model.
        attribution: How responses are made of values.
        sampling: How to sample coalitions; None for exact ones.
        requested: Whether the user asked for ``sampling``, which then stays.
    """

    def __init__(
        self, engine: Engine, attribution: str, sampling: Sampling | None, *, requested: bool
    ) -> None:
        # Until it is known which outputs are changed in place, all are cloned.
        self.engine = replace(engine, cloned=frozenset(range(len(engine.modalities))))
        self.attribution, self.sampling, self.requested = attribution, sampling, requested
        self._exact = self._exact_plan(separable=False)
        self._placed: Plan | None = None
        self._seen: set[Any] = set()
        self._changed: frozenset[int] | None = None

    def inspect(
        self,
        model: nn.Module,
        inputs: Mapping[str, PyTree],
        others: Mapping[str, Any],
        absent: AbsentValues,
    ) -> None:
        """Inspect the model on a batch; what was concluded before has to hold on it too."""
        found = inspect(self.engine, model, inputs, others, absent)
        if found is None:
            return
        first = not self._seen
        self._seen.add(_signature(others))
        self._changed = found.cloned | (self._changed or frozenset())
        self.engine = replace(
            self.engine,
            batched=found.batched and (first or self.engine.batched),
            separable=found.separable and (first or self.engine.separable),
            rows=found.rows | (self.engine.rows - set(others)),
            single=found.single and self.engine.single,
        )
        self._exact = self._exact_plan(separable=self.engine.separable)
        self._placed = None
        self._plan(inputs)

    @property
    def exact(self) -> bool:
        """Whether coalitions are exact by now."""
        return self._exact is not None

    def inspected(self, others: Mapping[str, Any]) -> bool:
        """Return whether the model was inspected under such other keywords."""
        return _signature(others) in self._seen

    def run(
        self,
        model: nn.Module,
        inputs: Mapping[str, PyTree],
        others: Mapping[str, Any],
        absent: AbsentValues,
        *,
        coalitions: bool,
        gradient: bool,
        observer: Observer | None,
    ) -> tuple[Values, Plan | None]:
        """Run the full pass and, if asked, the other coalitions of the plan of this step."""
        plan = self._plan(inputs) if coalitions else None
        values = self.engine.values(
            model, inputs, others, absent, plan, gradient=gradient, observer=observer
        )
        if self._changed is not None and model.training and not torch.compiler.is_compiling():
            self._settle(values.changed)
        return values, plan

    def _settle(self, changed: frozenset[int]) -> None:
        """After the first pass in train mode, clone only what was ever changed in place."""
        assert self._changed is not None
        needed = self._changed | changed
        self._changed = needed
        if needed != self.engine.cloned:
            self.engine = replace(self.engine, cloned=needed)

    def _plan(self, inputs: Mapping[str, PyTree]) -> Plan:
        num_modalities, device = len(self.engine.modalities), tensors(inputs)[0].device
        if self._exact is None:
            assert self.sampling is not None
            return self.sampling.plan(num_modalities).to(device)
        if self._placed is None or self._placed.weights.device != device:
            self._placed = self._exact.to(device)
        return self._placed

    def _exact_plan(self, *, separable: bool) -> Plan | None:
        num_modalities = len(self.engine.modalities)
        if separable and self.attribution == "shapley" and not self.requested:
            return separable_plan(num_modalities)
        return None if self.sampling else exact_plan(num_modalities, self.attribution)


def _signature(others: Mapping[str, Any]) -> Any:
    """Return what tells apart calls that may make the model compute something else."""
    switches = (bool, str, type(None))
    return frozenset((k, v if isinstance(v, switches) else type(v)) for k, v in others.items())
