"""Whole passes of a model on one batch, by which all else is judged.

Legend: S coalitions beside the full one, B rows of the batch.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Coalition, Plan
from counterpoise.core.pytree import PyTree, map_tensors, tensors, versions
from counterpoise.engine.agreement import compare
from counterpoise.engine.attributes import check_untouched, fingerprint
from counterpoise.engine.batch import Batch
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.precision import widened
from counterpoise.engine.setup import Facts, Setup

logger = logging.getLogger(__name__)

FEW, SEVERAL = 3, 8
"""Samples that an inspection and an audit look at. Audits are fewer in passes, and what they look
for may be in few samples."""


@dataclass
class WholePasses:
    """Whole passes on one batch, of few rows where the model's rows are independent.

    Args:
        setup: How coalitions are to be evaluated.
        model: The user's module.
        batch: To run it on; after :meth:`cut` the few rows.

    Attributes:
        rows_first: Whether fewer rows give the same logits for them.
        all_rows: The batch that few rows were taken from.
        given: By encoder, what it was given first.
        changed: Encoders whose output the rest changed in place.
    """

    setup: Setup
    model: nn.Module
    batch: Batch
    rows_first: bool = False
    all_rows: Batch | None = None
    given: dict[int, list[Tensor]] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)

    def cut(self, full: Tensor, rows: frozenset[str] | None = None, at_most: int = FEW) -> None:
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
            fewer = self.whole_pass(self.everyone)
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

    def take_few(self, rows: frozenset[str]) -> None:
        """Go on with few rows of a model that is known to take them."""
        self.batch.rows = rows
        counts = {t.shape[:1] for t in tensors(dict(self.batch.inputs))}
        num_rows = counts.pop().numel() if len(counts) == 1 else 0
        if num_rows > SEVERAL and self.batch.follows_rows(num_rows):
            self.batch, _ = _some(self.batch, num_rows, SEVERAL)

    @property
    def everyone(self) -> Coalition:
        """All modalities."""
        return tuple(range(len(self.setup.modalities)))

    def truth(self, plan: Plan) -> Tensor:
        """Return the values of the plan's coalitions by whole passes, the full one last."""
        self.given.clear()
        full = self.whole_pass(self.everyone)
        before = fingerprint(self.model)
        values = torch.stack([*(self.whole_pass(s) for s in plan.partial), full])
        check_untouched(self.model, before)
        return values

    def replayed(self, facts: Facts, plan: Plan) -> tuple[Evaluator, Tensor]:
        """Return what evaluated the plan's coalitions with some facts, and their values.

        Raises:
            RuntimeError: If the rest of the model fails where encoders do not run.
        """
        evaluator = Evaluator(self.setup, facts, self.model, self.batch)
        evaluator.full()
        try:
            return evaluator, evaluator.others(plan, gradient=False)
        except Exception as error:
            raise RuntimeError(
                "The rest of the model should run on what its encoders have returned; found that "
                f"it raised {type(error).__name__}: {error}. It may use what is computed inside an "
                'encoder, which does not run then, by a hook say: use coalitions="inputs".'
            ) from error

    def whole_pass(self, coalition: Coalition) -> Tensor:
        """Run one coalition; the full one first, whose batch statistics the others use."""
        outputs: dict[int, tuple[PyTree, list[int]]] = {}

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            if i in coalition:
                self._check_given(i, tensors((args, kwargs)))
            output = forward(*args, **kwargs)
            outputs[i] = (output, versions(output))
            return output

        setup = replace(self.setup, level="inputs")
        if coalition == self.everyone:
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


def copied(batch: Batch, dtype: torch.dtype | None) -> Batch:
    """Return a copy of a batch, in a type if one is given."""
    inputs, others, absent = batch.inputs, batch.others, batch.absent
    if dtype is None:
        inputs = {name: map_tensors(torch.clone, value) for name, value in inputs.items()}
    else:
        inputs = {name: widened(value, dtype) for name, value in inputs.items()}
        others = {name: widened(value, dtype) for name, value in others.items()}
        absent = deepcopy(absent).to(dtype)
    return Batch(batch.modalities, inputs, others, absent)


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


def telling_plan(num_modalities: int) -> Plan:
    """Plan each modality alone, and all but each: every encoder present, and absent."""
    everyone = range(num_modalities)
    alone: list[Coalition] = [(i,) for i in everyone]
    rest: list[Coalition] = [tuple(j for j in everyone if j != i) for i in everyone]
    partial = list(dict.fromkeys(alone + rest))
    return Plan.unweighted(partial, num_modalities)


def check_absent(setup: Setup, plan: Plan, full: Tensor, truth: Tensor) -> None:
    """Raise unless values are finite where the full coalition's are."""
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
