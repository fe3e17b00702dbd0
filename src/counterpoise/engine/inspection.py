"""What a batch shows about a model, and whether that still holds on another batch.

The engine's values are held against whole-model passes: so a wrong level is an error before the
first training step, and what makes coalitions cheap is used only where it changes nothing.
Everything is looked at in high precision, outside autocast.

Legend: S coalitions beside the full one, B rows of the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf, nan
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Coalition, Plan
from counterpoise.core.pytree import PyTree, map_tensors, tensors, versions
from counterpoise.engine.agreement import adds_up, are_probabilities, compare, equal
from counterpoise.engine.attributes import check_untouched, fingerprint
from counterpoise.engine.batch import Batch
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.precision import left_as_it_was, precise, precise_type, weights_of, widened
from counterpoise.engine.probes import (
    first_row_spoilt,
    other_values,
    poisoned,
    random_like,
    random_rest,
)
from counterpoise.engine.separability import Structure, structure
from counterpoise.engine.setup import Facts, Setup

_Seen = TypeVar("_Seen")

logger = logging.getLogger(__name__)

_FEW, _SEVERAL = 3, 8
"""Samples that an inspection and an audit look at. Audits are fewer in passes, and what they look
for may be in few samples."""

_SCALES = (0.3, 3.0, 30.0)
"""Sizes of the random features that the rest of a model is tried with: caps and gates may only
show at some."""


@dataclass(frozen=True)
class Findings:
    """The conclusions of an inspection.

    Attributes:
        facts: What makes coalitions cheap.
        probabilities: Whether, in eval mode, the model returns probabilities of classes.
    """

    facts: Facts
    probabilities: bool = False


@torch.no_grad()
def conclude(setup: Setup, model: nn.Module, batch: Batch) -> Findings | None:
    """Find out what makes the coalitions of a model cheap without changing their values.

    Args:
        setup: How coalitions are to be evaluated.
        model: The user's module; it is left as it was.
        batch: To look at it with.

    Returns:
        The findings; None where the batch tells nothing: it is empty, or values are not finite.

    Raises:
        ValueError: If an encoder sees another modality, an absent value has the wrong shape or
            makes the model non-finite, or replayed coalitions differ from whole passes.
        RuntimeError: If an encoder is not called exactly once, or inputs change in place.
    """
    return _look(setup, model, batch, _Inspection.conclude)


@torch.no_grad()
def holds(setup: Setup, facts: Facts, model: nn.Module, batch: Batch) -> bool:
    """Return whether values with these facts are those of whole passes, on a few rows."""
    return _look(setup, model, batch, lambda own: own.holds(facts))


def _look(
    setup: Setup, model: nn.Module, batch: Batch, look: Callable[[_Inspection], _Seen]
) -> _Seen:
    """Look at a model in the highest precision that it can be run in."""
    with left_as_it_was(model, batch.inputs):
        # A model may insist on the type that it is in, by states that it makes or by casts. What
        # is wrong in any type it will raise in its own too.
        for dtype in dict.fromkeys([precise_type(model, batch.inputs), torch.float32]):
            try:
                with precise(model, dtype):
                    return look(_Inspection(setup, model, _copied(batch, dtype)))
            except Exception as error:  # noqa: PERF203 - there are two
                logger.info("In %s, without autocast, the model raised %r.", dtype, error)
        return look(_Inspection(setup, model, _copied(batch, None)))


@dataclass
class _Inspection:
    """One batch, of few rows where the model's rows are independent, and whole passes on it."""

    setup: Setup
    model: nn.Module
    batch: Batch
    rows_first: bool = False  # whether fewer rows give the same logits for them
    all_rows: Batch | None = None  # the batch that few rows were taken from
    given: dict[int, list[Tensor]] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)

    # -- conclusions -----------------------------------------------------------------------------

    def conclude(self) -> Findings | None:
        plan = _telling_plan(len(self.setup.modalities))
        full = self._whole_pass(self._everyone)
        if not len(full) or full.isnan().any():
            return None
        self._cut(full)
        truth = self._truth(plan)
        _check_absent(self.setup, plan, truth[-1], truth[:-1])
        summable, truth = len(plan.partial) == 2 or adds_up(truth), truth[:-1]
        rows = self.batch.rows if self.rows_first else frozenset()
        facts = Facts(rows=rows, cloned=frozenset(self.changed))
        probabilities = are_probabilities(full)
        if self.setup.level == "inputs":
            return Findings(facts, probabilities)
        looped, values = self._replayed(facts, plan)
        verdict = compare(values, truth)
        if verdict == "different":
            raise ValueError(_replay_differs(self.setup, values, truth))
        if verdict == "nothing":
            return None
        made = self._structure(looped)
        if self.rows_first:
            facts = self._single(looped, facts)
            facts = self._batched(facts, plan, truth, reads_inputs=made.of_inputs)
            facts = self._on_all_rows(facts, plan)
        return Findings(replace(facts, separable=made.is_sum and summable), probabilities)

    def holds(self, facts: Facts) -> bool:
        """Return whether values with some facts are those of whole passes."""
        full = self._whole_pass(self._everyone)
        if not len(full) or full.isnan().any():
            return True  # which tells nothing
        self._cut(full, facts.rows, at_most=_SEVERAL)
        plan = _telling_plan(len(self.setup.modalities))
        _, values = self._replayed(replace(facts, separable=False), plan)
        truth = self._truth(plan)
        if compare(values, truth[:-1]) == "different":
            return False
        return len(plan.partial) == 2 or not facts.separable or adds_up(truth)

    def _cut(self, full: Tensor, rows: frozenset[str] | None = None, at_most: int = _FEW) -> None:
        """Go on with few rows if the model takes them; a single row is doubled instead."""
        num_rows = len(full)
        self.batch.rows = self.batch.looks_like_rows(num_rows) if rows is None else rows
        if not self.batch.follows_rows(num_rows):
            return
        few, chosen = _some(self.batch, num_rows, min(at_most, max(num_rows - 1, 1)))
        if num_rows == 1:
            few = self.batch.doubled()
        own, self.batch = self.batch, few
        self.given.clear()
        # With another number of rows than it was given a model may fail as it likes.
        try:
            fewer = self._whole_pass(self._everyone)
        except Exception as error:
            logger.info("With another number of rows the model raised %r.", error)
            self.batch = own
            return
        expected = full[chosen][: len(fewer)] if num_rows > 1 else full.expand(2, *full.shape[1:])
        self.rows_first = fewer.shape == expected.shape and (
            compare(fewer.unsqueeze(0), expected.unsqueeze(0)) != "different"
        )
        self.all_rows = own
        if not self.rows_first:
            self.batch = own

    def _single(self, looped: Evaluator, facts: Facts) -> Facts:
        """Learn for which encoders one absent sample tells what a batch of them becomes."""
        try:
            one = looped.encoded(self.batch.one_absent(looped.num_rows))
        except Exception as error:  # as above
            logger.info("With a single sample the model raised %r.", error)
            return facts
        many = looped.encoded(self.batch.of(()))
        readers = self._readers(looped, many, looped.arguments)
        single = frozenset(
            i
            for i in many
            if i not in readers
            and not self.batch.absent.varies(i)
            and looped.fits(i, one[i])
            and equal(one[i], many[i])
        )
        return replace(facts, single=single)

    def _readers(
        self,
        looped: Evaluator,
        outputs: Mapping[int, PyTree],
        arguments: Mapping[int, PyTree],
    ) -> set[int]:
        """Return the encoders of an absent sample that are given, or go by, other keywords."""
        rows = self.batch.rows
        readers: set[int] = set()
        for _ in range(2 if rows else 0):
            others = {
                name: map_tensors(other_values, value) if name in rows else value
                for name, value in self.batch.others.items()
            }
            try:
                varied = looped.encoded(replace(self.batch, others=others).of(()))
            except Exception as error:  # as above
                logger.info("With other keywords the model raised %r.", error)
                return set(outputs)
            given = looped.arguments
            readers |= {
                i
                for i in outputs
                if not (
                    equal(varied[i], outputs[i]) and equal(tensors(given[i]), tensors(arguments[i]))
                )
            }
        return readers

    def _batched(self, facts: Facts, plan: Plan, truth: Tensor, *, reads_inputs: bool) -> Facts:
        """Learn whether the rest takes coalitions as one batch, and what it has to be given."""
        looped, values = self._replayed(facts, plan)
        if compare(values, truth) == "different":
            return replace(facts, single=frozenset())
        reads_inputs = reads_inputs or self._reads_inputs(looped, plan, values)
        cheap = replace(facts, batched=True, reads_inputs=reads_inputs)
        # A model may object to longer batches, or to features and weights that make no sense.
        try:
            fine = self._agree(looped, cheap, plan) and self._agree_elsewhere(looped, cheap, plan)
            fine = fine and self._rows_apart(looped, cheap, plan)
        except Exception as error:
            logger.info("Coalitions run one by one: as one batch the model raised %r.", error)
            fine = False
        return cheap if fine else facts

    def _reads_inputs(self, looped: Evaluator, plan: Plan, values: Tensor) -> bool:
        """Find out whether the rest of the model looks at more than the encoders' outputs.

        It is given other inputs, and the same outputs: inputs at hand may be ones that happen to
        make no difference, such as a mask of a batch without padding.
        """
        for spoil in (poisoned, other_values):
            batch = replace(
                self.batch,
                one_stand_in=None,
                inputs={n: map_tensors(spoil, value) for n, value in self.batch.inputs.items()},
                stand_ins={
                    i: map_tensors(spoil, value) for i, value in self.batch.stand_ins.items()
                },
            )
            try:
                elsewhere = _with(looped, batch=batch).others(plan, gradient=False)
            except Exception as error:
                logger.info("With other inputs the model raised %r.", error)
                return True
            if compare(elsewhere, values) == "different":
                return True
        return False

    def _agree(self, looped: Evaluator, cheap: Facts, plan: Plan) -> bool:
        """Return whether one batch gives the values of one coalition after the other."""
        expected = looped.others(plan, gradient=False)
        cheap_values = _with(looped, facts=cheap).others(plan, gradient=False)
        return compare(cheap_values, expected) == "same"

    def _on_all_rows(self, facts: Facts, plan: Plan) -> Facts:
        """Return the facts that hold for the whole batch: a limit may be met by many rows alone."""
        assert self.all_rows is not None
        slow = replace(facts, single=frozenset(), batched=False)
        if facts == slow:
            return slow
        looped, values = replace(self, batch=self.all_rows)._replayed(slow, plan)
        for cheap in (facts, replace(facts, batched=False)):
            other = _with(looped, facts=cheap)
            other.absences.clear()
            try:
                if compare(other.others(plan, gradient=False), values) != "different":
                    return cheap
            except Exception as error:
                logger.info("With all samples of several coalitions the model raised %r.", error)
        return slow

    def _agree_elsewhere(self, looped: Evaluator, cheap: Facts, plan: Plan) -> bool:
        """Return the same for other features, with the model's own weights and with others.

        Where nothing depends on the features there is nothing to be learned: then others count.
        """
        own: dict[str, Tensor] = {}
        told = 0
        for weights in (own, random_rest(self.setup, self.model)):
            for scale in _SCALES:
                other = _with(looped, features=random_like(looped.features, scale))
                other.absences = random_like(looped.absences, scale)
                with weights_of(self.model, weights):
                    expected = other.others(plan, gradient=False)
                    cheap_values = _with(other, facts=cheap).others(plan, gradient=False)
                verdict = compare(cheap_values, expected)
                if verdict == "different":
                    return False
                told += verdict == "same"
        return told > 0

    def _rows_apart(self, looped: Evaluator, cheap: Facts, plan: Plan) -> bool:
        """Return whether NaN and infinities in the features of one row stay in that row.

        Unlike numbers, NaN get through paths whose weights are zero today, and infinities reach
        any threshold.
        """
        values = _with(looped, facts=cheap).others(plan, gradient=False)
        for number in (nan, inf):
            spoil = partial(first_row_spoilt, number)
            spoilt = {i: map_tensors(spoil, f) for i, f in looped.features.items()}
            cheap_values = _with(looped, facts=cheap, features=spoilt).others(plan, gradient=False)
            if compare(cheap_values[:, 1:], values[:, 1:]) == "different":
                return False
        return True

    def _structure(self, looped: Evaluator) -> Structure:
        """Find out what the logits are made of: a sum over modalities, features alone."""
        alone = Plan.unweighted([self._everyone], len(self.setup.modalities))
        # An encoder may return its input, or a view of it.
        features = {i: map_tensors(torch.clone, f) for i, f in looped.features.items()}
        copied = _with(looped, features=features)
        inputs = dict(enumerate(self.batch.inputs[name] for name in self.setup.modalities))
        try:
            return structure(lambda: copied.others(alone, gradient=False), features, inputs)
        except Exception as error:  # of operations that tracing does not support
            logger.info("The model is not taken apart: tracing it raised %r.", error)
            return Structure()

    # -- passes ----------------------------------------------------------------------------------

    @property
    def _everyone(self) -> Coalition:
        return tuple(range(len(self.setup.modalities)))

    def _truth(self, plan: Plan) -> Tensor:
        """Return the values of the plan's coalitions by whole passes, the full one last."""
        self.given.clear()
        full = self._whole_pass(self._everyone)
        before = fingerprint(self.model)
        values = torch.stack([*(self._whole_pass(s) for s in plan.partial), full])
        check_untouched(self.model, before)
        return values

    def _replayed(self, facts: Facts, plan: Plan) -> tuple[Evaluator, Tensor]:
        evaluator = Evaluator(self.setup, facts, self.model, self.batch)
        evaluator.full()
        return evaluator, evaluator.others(plan, gradient=False)

    def _whole_pass(self, coalition: Coalition) -> Tensor:
        """Run one coalition; the full one first, whose batch statistics the others use."""
        outputs: dict[int, tuple[PyTree, list[int]]] = {}

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            if i in coalition:
                self._check_given(i, tensors((args, kwargs)))
            output = forward(*args, **kwargs)
            outputs[i] = (output, versions(output))
            return output

        setup = replace(self.setup, level="inputs")
        if coalition == self._everyone:
            self._whole = Evaluator(setup, Facts(rows=self.batch.rows), self.model, self.batch)
            watched = answer if self.setup.level != "inputs" else None
            _, logits = self._whole.full(watched)
        else:
            watched = answer if self.setup.level != "inputs" else None
            with self._whole.aside():
                logits = self._whole.logits(self.batch.of(coalition), watched)
        self.changed |= {i for i, (output, old) in outputs.items() if versions(output) != old}
        return logits

    def _check_given(self, i: int, given: list[Tensor]) -> None:
        first = self.given.setdefault(i, [tensor.clone() for tensor in given])
        same = len(first) == len(given) and all(
            torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
            for a, b in zip(first, given, strict=True)
        )
        if not same:
            name = self.setup.modalities[i]
            raise ValueError(
                f"The encoder of modality {name!r}, {self.setup.encoders[name]!r}, should see that "
                "modality alone; found that its input changes when another modality is absent. "
                'Name a module that runs before modalities meet, or use coalitions="inputs".'
            )


def _copied(batch: Batch, dtype: torch.dtype | None) -> Batch:
    """Return a copy of a batch, in a type if one is given."""
    inputs, others, absent = batch.inputs, batch.others, batch.absent
    if dtype is None:
        inputs = {name: map_tensors(torch.clone, value) for name, value in inputs.items()}
    else:
        inputs = {name: widened(value, dtype) for name, value in inputs.items()}
        others = {name: widened(value, dtype) for name, value in others.items()}
        absent = deepcopy(absent).to(dtype)
    return Batch(batch.modalities, inputs, others, absent)


def _with(evaluator: Evaluator, **changes: Any) -> Evaluator:
    """Return a copy of an evaluator whose full pass was run, with other attributes."""
    other = copy(evaluator)
    for name, value in changes.items():
        setattr(other, name, value)
    other.absences = dict(other.absences)
    return other


def _some(batch: Batch, num_rows: int, count: int) -> tuple[Batch, list[int] | slice]:
    """Return a batch of a few of its samples, and which they are.

    They are spread over the batch, the last among them: of samples that are treated in order the
    first do not show it.
    """
    if any(t.shape[:1] != (num_rows,) for t in tensors(dict(batch.inputs))):
        return batch.first(count), slice(None)
    last = num_rows - 1
    chosen = [last - i * last // max(count - 1, 1) for i in reversed(range(count))]
    inputs = {name: map_tensors(lambda t: t[chosen], x) for name, x in batch.inputs.items()}
    others = {
        name: map_tensors(lambda t: t[chosen], value) if name in batch.rows else value
        for name, value in batch.others.items()
    }
    return replace(batch, inputs=inputs, others=others, stand_ins={}, one_stand_in=None), chosen


def _telling_plan(num_modalities: int) -> Plan:
    """Plan each modality alone, and all but each: every encoder present, and absent."""
    everyone = range(num_modalities)
    alone: list[Coalition] = [(i,) for i in everyone]
    rest: list[Coalition] = [tuple(j for j in everyone if j != i) for i in everyone]
    partial = list(dict.fromkeys(alone + rest))
    return Plan.unweighted(partial, num_modalities)


def _check_absent(setup: Setup, plan: Plan, full: Tensor, truth: Tensor) -> None:
    # Those with one modality absent first: they blame that one, and not several.
    for coalition, values in sorted(
        zip(plan.partial, truth, strict=True), key=lambda pair: -len(pair[0])
    ):
        if not (values.isfinite() | ~full.isfinite()).all():
            absent = [repr(n) for i, n in enumerate(setup.modalities) if i not in coalition]
            raise ValueError(
                f"`absent` for modality {' and '.join(absent)} should leave the model's output "
                "finite; found inf or NaN with it absent. Choose another absent value, such as "
                "`absence.Keep()` for a mask."
            )


def _replay_differs(setup: Setup, values: Tensor, truth: Tensor) -> str:
    worst = (values - truth).abs().nan_to_num().max().item() if values.shape == truth.shape else 0
    return (
        f'`coalitions` = "{setup.level}" should give the values of whole-model passes; found '
        f"a difference of {worst:.3g} in eval mode. The rest of the model may be random in eval "
        "mode, keep state between calls, or use an encoder's internals: use "
        'coalitions="inputs".'
    )
