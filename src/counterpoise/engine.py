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

from counterpoise.absence import AbsentValues
from counterpoise.coalitions import Coalition, Plan
from counterpoise.nests import Nest, expand_rows, map_tensors, repeat_rows, shapes, tensors
from counterpoise.replay import Answer, EvaluationMode, Interception, resolve

__all__ = ["LEVELS", "Engine", "Observer", "Step", "Values", "versions"]

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
        inputs: Mapping[str, Nest],
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
        step = Step(self, model, inputs, others, absent, observer)
        raw, full = step.full_pass()
        partial = None
        if plan is not None:
            gradient = gradient and torch.is_grad_enabled()
            mode = EvaluationMode(model, for_backward=gradient)
            with mode, torch.set_grad_enabled(gradient):
                partial = step.partial_passes(plan, full.shape[0])
        return Values(raw, full, partial, frozenset(step.changed))


@dataclass
class Step:
    """One batch on its way through the coalitions.

    Attributes:
        features: By encoder, the output on the batch that replays use.
        absences: By encoder, the output on the absent value, broadcastable to the features.
        shapes: By encoder, the shapes of its output in the full pass.
        stand_ins: By modality, the batch that stands for its absence.
        changed: Encoders whose output was changed in place by the rest of the model.
        calls: By encoder, how often it was called in the present pass.
        handed: By encoder, what the rest was given in the present pass, with its versions.
    """

    engine: Engine
    model: nn.Module
    inputs: Mapping[str, Nest]
    others: Mapping[str, Any]
    absent: AbsentValues
    observer: Observer | None = None
    features: dict[int, Nest] = field(default_factory=dict)
    absences: dict[int, Nest] = field(default_factory=dict)
    shapes: dict[int, list[torch.Size]] = field(default_factory=dict)
    stand_ins: dict[int, Nest] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    calls: dict[int, int] = field(default_factory=dict)
    handed: dict[int, tuple[Nest, list[int]]] = field(default_factory=dict)

    # -- passes ------------------------------------------------------------------------------

    def full_pass(self) -> tuple[Any, Tensor]:
        """Run the full coalition in the mode the model is in; return its output and logits."""
        before = {name: versions(value) for name, value in self.inputs.items()}
        if self.engine.level == "inputs" and self.observer is None:
            raw = self.model(**self.inputs, **self.others)
            result = raw, self.engine.select(raw)
        else:
            result = self.run(self.inputs, self.others, self._answer_full)
        for name, value in self.inputs.items():
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
            return torch.stack([self._whole(coalition) for coalition in plan.partial])
        known = "unknown" not in self._kinds_of_others(num_rows)
        if self.engine.single and known and self._lacks_absences():
            self._encode_one_absent_sample(num_rows)
        if not (self.engine.batched and known):
            return torch.stack([self._replayed(coalition) for coalition in plan.partial])
        everyone = set(range(len(self.engine.modalities)))
        if self.features.keys() != everyone:
            self.features |= self._encoded(self.inputs, self.others)
        if self.absences.keys() != everyone:
            self.absences |= self._encoded(self.inputs_of(()), self.others)
        return self._together(plan.partial, num_rows)

    def _whole(self, coalition: Coalition) -> Tensor:
        return self.engine.select(self.model(**self.inputs_of(coalition), **self.others))

    def _encode_one_absent_sample(self, num_rows: int) -> None:
        """Show the encoders one sample with all modalities absent, where one tells for all."""
        outputs = self._encoded(self._one_absent_sample(num_rows), self._rows_of_others(slice(1)))
        for i, output in outputs.items():
            if not self.absent.varies(i) and _broadcasts(shapes(output), self.shapes[i]):
                self.absences[i] = output

    def _encoded(self, inputs: Mapping[str, Nest], others: Mapping[str, Any]) -> dict[int, Nest]:
        """Run the model for what its encoders return; what the rest makes of it, nobody asks."""
        outputs: dict[int, Nest] = {}

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            self.count(i)
            outputs[i] = forward(*args, **kwargs)
            if len(outputs) == len(self.calls) and not torch.compiler.is_compiling():
                raise _EnoughError
            return self._hand(i, outputs[i])

        with suppress(_EnoughError):
            self.run(inputs, others, answer)
        return outputs

    def _replayed(self, coalition: Coalition) -> Tensor:
        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            self.count(i)
            if i in coalition:
                if i not in self.features:
                    self.features[i] = forward(*args, **kwargs)
                return self._hand(i, self.features[i])
            if i not in self.absences:
                self.absences[i] = forward(*args, **kwargs)
            return self._hand(i, self._expanded_absence(i))

        return self.run(self.inputs_of(coalition), self.others, answer)[1]

    def _together(self, partial: Sequence[Coalition], num_rows: int) -> Tensor:
        times = len(partial)

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            self.count(i)
            present = [i in coalition for coalition in partial]
            return map_tensors(
                lambda feature, absence: _stack(present, feature, absence),
                self.features[i],
                self.absences[i],
            )

        # The rest was found not to look at the inputs: their number of rows is all that counts.
        one = self._one_absent_sample(num_rows)
        inputs = {name: expand_rows(value, times * num_rows) for name, value in one.items()}
        others = {
            name: repeat_rows(value, times) if name in self.engine.rows else value
            for name, value in self.others.items()
        }
        logits = self.run(inputs, others, answer)[1]
        return logits.view(times, num_rows, *logits.shape[1:])

    def run(
        self, inputs: Mapping[str, Nest], others: Mapping[str, Any], answer: Answer
    ) -> tuple[Any, Tensor]:
        """Run the model with its encoders' calls answered; return its output and logits."""
        encoders = resolve(self.model, self.engine.encoders, self.engine.modalities)
        self.calls = dict.fromkeys((i for i, e in enumerate(encoders) if e is not None), 0)
        self.handed = {}
        with Interception(encoders, answer):
            raw = self.model(**inputs, **others)
        for i, count in self.calls.items():
            if count != 1:
                raise RuntimeError(self._miscounted(i, count))
        self._check_handed()
        return raw, self.engine.select(raw)

    # -- encoders ----------------------------------------------------------------------------

    def _answer_full(self, i: int, forward: Any, args: Any, kwargs: Any) -> Any:
        self.count(i)
        output = forward(*args, **kwargs)
        if self.observer is not None:
            output = self.observer(i, output)
        self.shapes[i] = shapes(output)
        if self.engine.level == "shared":
            self.features[i] = output
        elif self.observer is None:
            return output  # nobody keeps it
        return self._hand(i, output)

    def _hand(self, i: int, output: Nest) -> Nest:
        """Return an output that is kept, for the rest of the model to use, in a nest of its own."""
        handed = map_tensors(torch.clone if i in self.engine.cloned else _itself, output)
        self.handed[i] = (handed, versions(handed))
        return handed

    def _check_handed(self) -> None:
        for i, (handed, before) in self.handed.items():
            if versions(handed) == before:
                continue
            self.changed.add(i)
            if i not in self.engine.cloned:
                name = self.engine.modalities[i]
                raise RuntimeError(
                    f"The output of `encoders[{name!r}]` = {self.engine.encoders[name]!r} should "
                    "stay as it was in earlier steps; found it changed in place. Replace the "
                    'in-place operation, or use coalitions="inputs".'
                )

    def _expanded_absence(self, i: int) -> Nest:
        targets = iter(self.shapes[i])
        return map_tensors(lambda t: t.expand(next(targets)), self.absences[i])

    def _lacks_absences(self) -> bool:
        members = range(len(self.engine.modalities))
        return any(i not in self.absences and not self.absent.varies(i) for i in members)

    # -- inputs ------------------------------------------------------------------------------

    def inputs_of(self, coalition: Coalition) -> dict[str, Nest]:
        """Return the model's inputs with every modality outside the coalition absent."""
        return {
            name: self.inputs[name] if i in coalition else self._stand_in(i)
            for i, name in enumerate(self.engine.modalities)
        }

    def _stand_in(self, i: int) -> Nest:
        if i not in self.stand_ins:
            self.stand_ins[i] = self.absent(i, self.inputs[self.engine.modalities[i]])
        return self.stand_ins[i]

    def _one_absent_sample(self, num_rows: int) -> dict[str, Nest]:
        def first(tensor: Tensor) -> Tensor:
            return tensor[:1] if tensor.shape[:1] == (num_rows,) else tensor

        return {
            name: self.absent(i, map_tensors(first, self.inputs[name]))
            for i, name in enumerate(self.engine.modalities)
        }

    def _rows_of_others(self, rows: slice) -> dict[str, Any]:
        return {
            name: map_tensors(lambda t: t[rows], value) if name in self.engine.rows else value
            for name, value in self.others.items()
        }

    def _kinds_of_others(self, num_rows: int) -> set[str]:
        """Tell whether other keywords go with the samples ("rows"), not, or possibly."""
        kinds = set()
        for name, value in self.others.items():
            by_rows = [t.shape[:1] == (num_rows,) for t in tensors(value)]
            if name in self.engine.rows:
                kinds.add("rows" if all(by_rows) else "unknown")
            else:
                kinds.add("unknown" if any(by_rows) else "fixed")
        return kinds

    # -- calls -------------------------------------------------------------------------------

    def count(self, i: int) -> None:
        """Note a call of encoder number ``i``; the second in a pass is an error."""
        self.calls[i] += 1
        if self.calls[i] > 1:
            raise RuntimeError(self._miscounted(i, self.calls[i]))

    def _miscounted(self, i: int, count: int) -> str:
        name = self.engine.modalities[i]
        found = "none" if count == 0 else "a second call"
        return (
            f"`encoders[{name!r}]` = {self.engine.encoders[name]!r} should be called exactly once "
            f"in a forward pass of the model; found {found}. Name a module that is called once "
            '(by `module(...)`, not by another method), or use coalitions="inputs".'
        )


class _EnoughError(BaseException):
    """Ends a pass that was run for the encoders' outputs alone, whatever the model catches."""


def versions(nest: Nest) -> list[int]:
    """Return the counters that in-place operations move; nothing while compiling."""
    if torch.compiler.is_compiling():
        return []
    return [0 if t.is_inference() else t._version for t in tensors(nest)]


def _itself(tensor: Tensor) -> Tensor:
    return tensor


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
