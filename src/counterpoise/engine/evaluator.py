"""The values of coalitions, at three levels of cost.

``"inputs"`` runs the whole model once a coalition. ``"features"`` and ``"shared"`` run each
encoder a fixed number of times, replay its output, and run the rest of the model for the
coalitions, all of them in one call where the rest treats rows independently.

Legend: M modalities, S coalitions beside the full one, B rows of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.core.absence import AbsentValues
from counterpoise.core.coalitions import Coalition, Plan
from counterpoise.core.pytree import PyTree, map_tensors, shapes, versions
from counterpoise.engine.batch import Batch
from counterpoise.engine.passes import Passes
from counterpoise.engine.replay import EvaluationMode

__all__ = ["LEVELS", "Engine", "Observer", "Step", "Values"]

LEVELS = ("inputs", "features", "shared")

Observer = Callable[[int, Any], Any]
"""Sees the output of encoder number i in the full pass and returns what the model gets."""


class Values(NamedTuple):
    """What the coalitions of one batch came to.

    Attributes:
        raw: What the model returned for the full coalition, in the mode the model was in.
        full: Its logits, shape (B, ...).
        partial: Logits of the other coalitions in eval mode, shape (S, B, ...); or None.
        changed: Indices of encoders whose output the rest of the model changed in place.
    """

    raw: Any
    full: Tensor
    partial: Tensor | None
    changed: frozenset[int] = frozenset()


@dataclass
class Engine:
    """Evaluates coalitions of modalities on one batch of a model.

    The engine holds no module, so that wrapping never changes what a model owns; models come
    as arguments.

    Args:
        modalities: Names, in order.
        level: One of :data:`LEVELS`.
        encoders: Path of each modality's encoder in the model; all of them beyond ``"inputs"``.
        select: From the model's output to its logits.
        batched: Whether coalitions of the rest may be evaluated as one longer batch, whose
            inputs the rest does not look at. Right only where it was found to make no difference.
        separable: Whether the logits are a sum of what each modality's features give, whatever
            the weights, so that modalities alone tell the values of all coalitions.
        cloned: Indices of encoders whose output the rest of the model changes in place.
        rows: Names of other keywords whose tensors have a row for each sample.
        single: Whether encoders can be shown a single absent sample, and not a batch of them.
    """

    modalities: tuple[str, ...]
    level: str
    encoders: Mapping[str, str]
    select: Callable[[Any], Tensor]
    batched: bool = False
    separable: bool = False
    cloned: frozenset[int] = frozenset()
    rows: frozenset[str] = frozenset()
    single: bool = True

    def values(
        self,
        model: nn.Module,
        inputs: Mapping[str, PyTree],
        others: Mapping[str, Any],
        absent: AbsentValues,
        plan: Plan | None,
        *,
        gradient: bool = True,
        observer: Observer | None = None,
    ) -> Values:
        """Run the full coalition, then the partial ones.

        Args:
            model: The user's module.
            inputs: Modality to batch.
            others: Keywords that pass through.
            absent: What stands in for absent modalities.
            plan: Coalitions to evaluate; None for the full one alone.
            gradient: Whether the partial values carry gradients.
            observer: Sees, and may replace, the outputs of the encoders in the full pass.
        """
        batch = Batch(self.modalities, inputs, others, absent, self.rows)
        step = Step(self, self.passes(model), batch, observer)
        raw, full = step.full_pass()
        partial = None
        if plan is not None:
            gradient = gradient and torch.is_grad_enabled()
            mode = EvaluationMode(model, for_backward=gradient)
            with mode, torch.set_grad_enabled(gradient):
                partial = step.partial_passes(plan, full.shape[0])
        return Values(raw, full, partial, frozenset(step.passes.changed))

    def passes(self, model: nn.Module) -> Passes:
        """Return what runs the model's passes on one batch."""
        return Passes(model, self.modalities, self.encoders, self.select, self.cloned)


@dataclass
class Step:
    """One batch on its way through the coalitions.

    Attributes:
        features: By encoder, the output on the batch that replays use.
        absences: By encoder, the output on the absent value, broadcastable to the features.
        shapes: By encoder, the shapes of its output in the full pass.
    """

    engine: Engine
    passes: Passes
    batch: Batch
    observer: Observer | None = None
    features: dict[int, PyTree] = field(default_factory=dict)
    absences: dict[int, PyTree] = field(default_factory=dict)
    shapes: dict[int, list[torch.Size]] = field(default_factory=dict)

    def full_pass(self) -> tuple[Any, Tensor]:
        """Run the full coalition in the mode the model is in; return its output and logits."""
        before = {name: versions(value) for name, value in self.batch.inputs.items()}
        if self.engine.level == "inputs" and self.observer is None:
            result = self.passes.plain(self.batch.whole())
        else:
            result = self.passes.answered(self.batch.whole(), self._answer_full)
        for name, value in self.batch.inputs.items():
            if versions(value) != before[name]:
                raise RuntimeError(
                    f"The model should leave its inputs as they are; found modality {name!r} "
                    "changed in place. Replace the in-place operation, which would corrupt the "
                    "coalitions after the first."
                )
        return result

    def partial_passes(self, plan: Plan, num_rows: int) -> Tensor:
        """Run the other coalitions in the order of the plan; return their logits, stacked."""
        if self.engine.level == "inputs":
            return torch.stack([self.passes.plain(self.batch.of(c))[1] for c in plan.partial])
        resizable = self.batch.follows_rows(num_rows)
        if self.engine.single and resizable and self._lacks_absences():
            self._encode_one_absent_sample(num_rows)
        if not (self.engine.batched and resizable):
            return torch.stack([self._replayed(coalition) for coalition in plan.partial])
        everyone = set(range(len(self.engine.modalities)))
        if self.features.keys() != everyone:
            self.features |= self._encoded(self.batch.whole())
        if self.absences.keys() != everyone:
            self.absences |= self._encoded(self.batch.of(()))
        return self._together(plan.partial, num_rows)

    # -- the rest of the model, on features that are replayed --------------------------------

    def _replayed(self, coalition: Coalition) -> Tensor:
        """Run one coalition; an encoder whose output is not known yet runs too."""

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            if i in coalition:
                if i not in self.features:
                    self.features[i] = forward(*args, **kwargs)
                return self.passes.hand(i, self.features[i])
            if i not in self.absences:
                self.absences[i] = forward(*args, **kwargs)
            return self.passes.hand(i, self._expanded_absence(i))

        return self.passes.answered(self.batch.of(coalition), answer)[1]

    def _together(self, partial: Sequence[Coalition], num_rows: int) -> Tensor:
        """Run all coalitions as one longer batch."""
        times = len(partial)

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            present = [i in coalition for coalition in partial]
            return map_tensors(
                lambda feature, absence: _stack(present, feature, absence),
                self.features[i],
                self.absences[i],
            )

        # The rest was found not to look at the inputs: their number of rows is all that counts.
        logits = self.passes.answered(self.batch.many_absent(num_rows, times), answer)[1]
        return logits.view(times, num_rows, *logits.shape[1:])

    # -- encoders ----------------------------------------------------------------------------

    def _answer_full(self, i: int, forward: Any, args: Any, kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        if self.observer is not None:
            output = self.observer(i, output)
        self.shapes[i] = shapes(output)
        if self.engine.level == "shared":
            self.features[i] = output
        elif self.observer is None:
            return output  # nobody keeps it
        return self.passes.hand(i, output)

    def _encoded(self, keywords: Mapping[str, Any]) -> dict[int, PyTree]:
        """Run the model for what its encoders return; what the rest makes of it, nobody asks."""
        outputs: dict[int, PyTree] = {}

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            outputs[i] = forward(*args, **kwargs)
            if len(outputs) == len(self.passes.calls) and not torch.compiler.is_compiling():
                raise _EnoughError
            return self.passes.hand(i, outputs[i])

        with suppress(_EnoughError):
            self.passes.answered(keywords, answer)
        return outputs

    def _encode_one_absent_sample(self, num_rows: int) -> None:
        """Show the encoders one sample with all modalities absent, where one tells for all."""
        for i, output in self._encoded(self.batch.one_absent(num_rows)).items():
            if not self.batch.absent.varies(i) and _broadcasts(shapes(output), self.shapes[i]):
                self.absences[i] = output

    def _lacks_absences(self) -> bool:
        members = range(len(self.engine.modalities))
        return any(i not in self.absences and not self.batch.absent.varies(i) for i in members)

    def _expanded_absence(self, i: int) -> PyTree:
        targets = iter(self.shapes[i])
        return map_tensors(lambda t: t.expand(next(targets)), self.absences[i])


class _EnoughError(BaseException):
    """Ends a pass that was run for the encoders' outputs alone, whatever the model catches."""


def _broadcasts(given: list[torch.Size], wanted: list[torch.Size]) -> bool:
    return len(given) == len(wanted) and all(
        len(g) == len(w) and all(a in (1, b) for a, b in zip(g, w, strict=True))
        for g, w in zip(given, wanted, strict=True)
    )


def _stack(present: Sequence[bool], feature: Tensor, absence: Tensor) -> Tensor:
    """Stack, for each of S coalitions, the feature or the absence: (B, ...) -> (S B, ...)."""
    # Faster than torch.where: no mask is read, and the backward adds up slices where they lie.
    missing = absence.expand_as(feature)
    return torch.cat([feature if here else missing for here in present])
