"""What a batch shows about a model, and whether that still holds on another batch.

The engine's values are held against whole-model passes: so a wrong level is an error before the
first training step, and what makes coalitions cheap is used only where it changes nothing.
Everything is looked at in high precision, outside autocast.

Legend: S coalitions beside the full one, B rows of the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from math import inf, nan
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Plan
from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.engine.agreement import adds_up, compare, equal
from counterpoise.engine.batch import Batch
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.precision import left_as_it_was, precise, precise_type, weights_of
from counterpoise.engine.probes import (
    first_row_spoilt,
    other_values,
    poisoned,
    random_like,
    random_rest,
)
from counterpoise.engine.separability import Structure, structure
from counterpoise.engine.setup import Facts, Setup
from counterpoise.engine.whole_passes import (
    SEVERAL,
    WholePasses,
    check_absent,
    copied,
    telling_plan,
)

_Seen = TypeVar("_Seen")

logger = logging.getLogger(__name__)

_SCALES = (0.3, 3.0, 30.0)
"""Sizes of the random features that the rest of a model is tried with: caps and gates may only
show at some."""


@torch.no_grad()
def conclude(setup: Setup, model: nn.Module, batch: Batch) -> Facts | None:
    """Find out what makes the coalitions of a model cheap without changing their values.

    Args:
        setup: How coalitions are to be evaluated.
        model: The user's module; it is left as it was.
        batch: To look at it with.

    Returns:
        The facts; None where the batch tells nothing: it is empty, or values are not finite.

    Raises:
        ValueError: If an encoder sees another modality, an absent value has the wrong shape or
            makes the model non-finite, or replayed coalitions differ from whole passes.
        RuntimeError: If an encoder is not called exactly once, or inputs change in place.
    """
    return in_high_precision(model, batch, lambda own: _Inspection(setup, model, own).conclude())


@torch.no_grad()
def holds(setup: Setup, facts: Facts, model: nn.Module, batch: Batch) -> bool:
    """Return whether values with these facts are those of whole passes, on a few rows."""
    return in_high_precision(model, batch, lambda own: _Inspection(setup, model, own).holds(facts))


def in_high_precision(model: nn.Module, batch: Batch, look: Callable[[Batch], _Seen]) -> _Seen:
    """Look at a model, left as it was, in the highest precision that it can be run in.

    Args:
        model: The user's module, in eval mode for the while.
        batch: To look at it with.
        look: Called with a copy of the batch in that precision.
    """
    # A model may insist on the type that it is in, by states that it makes or by casts. What is
    # wrong in any type it will raise in its own too. Each time it is as it was before.
    for dtype in dict.fromkeys([precise_type(model, batch.inputs), torch.float32]):
        try:
            with left_as_it_was(model, batch.inputs), precise(model, dtype):
                return look(copied(batch, dtype))
        except Exception as error:
            logger.info("In %s, without autocast, the model raised %r.", dtype, error)
    with left_as_it_was(model, batch.inputs):
        return look(copied(batch, None))


class _Inspection(WholePasses):
    """Concludes from one batch."""

    def conclude(self) -> Facts | None:
        plan = telling_plan(len(self.setup.modalities))
        full = self.whole_pass(self.everyone)
        if not len(full) or full.isnan().any():
            return None
        self.cut(full)
        truth = self.truth(plan)
        check_absent(self.setup, plan, truth[-1], truth[:-1])
        summable, truth = len(plan.partial) == 2 or adds_up(truth), truth[:-1]
        rows = self.batch.rows if self.rows_first else frozenset()
        facts = Facts(rows=rows, cloned=frozenset(self.changed))
        if self.setup.level == "inputs":
            return facts
        looped, values = self.replayed(facts, plan)
        verdict = compare(values, truth)
        if verdict == "different":
            raise ValueError(_replay_differs(self.setup, values, truth))
        if verdict == "nothing":
            return None
        made = self._structure(looped)
        if self.rows_first:
            facts = self._single(looped, facts)
            if not made.decides:
                facts = self._batched(facts, plan, truth, reads_inputs=made.of_inputs)
            facts = self._on_all_rows(facts, plan)
        return replace(facts, separable=made.is_sum and summable)

    def holds(self, facts: Facts) -> bool:
        """Return whether values with some facts are those of whole passes."""
        if facts.batched:  # its rows were apart: if they no longer are, values differ
            self.take_few(facts.rows)
        else:
            full = self.whole_pass(self.everyone)
            if not len(full) or full.isnan().any():
                return True  # which tells nothing
            self.cut(full, facts.rows, at_most=SEVERAL)
        plan = telling_plan(len(self.setup.modalities))
        truth = self.truth(plan)
        if not len(truth[-1]) or truth[-1].isnan().any():
            return True  # as above
        _, values = self.replayed(replace(facts, separable=False), plan)
        if compare(values, truth[:-1]) == "different":
            return False
        return len(plan.partial) == 2 or not facts.separable or adds_up(truth)

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
        looped, values = self.replayed(facts, plan)
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
        looped, values = replace(self, batch=self.all_rows).replayed(slow, plan)
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
        alone = Plan.unweighted([self.everyone], len(self.setup.modalities))
        # An encoder may return its input, or a view of it.
        features = {i: map_tensors(torch.clone, f) for i, f in looped.features.items()}
        copied = _with(looped, features=features)
        inputs = dict(enumerate(self.batch.inputs[name] for name in self.setup.modalities))
        try:
            return structure(lambda: copied.others(alone, gradient=False), features, inputs)
        except Exception as error:  # of operations that tracing does not support
            logger.info("The model is not taken apart: tracing it raised %r.", error)
            return Structure()


def _with(evaluator: Evaluator, **changes: Any) -> Evaluator:
    """Return a copy of an evaluator whose full pass was run, with other attributes."""
    other = copy(evaluator)
    for name, value in changes.items():
        setattr(other, name, value)
    other.absences = dict(other.absences)
    return other


def _replay_differs(setup: Setup, values: Tensor, truth: Tensor) -> str:
    worst = (values - truth).abs().nan_to_num().max().item() if values.shape == truth.shape else 0
    return (
        f'`coalitions` = "{setup.level}" should give the values of whole-model passes; found '
        f"a difference of {worst:.3g} in eval mode. The rest of the model may be random in eval "
        "mode, keep state between calls, or use an encoder's internals: use "
        'coalitions="inputs".'
    )
