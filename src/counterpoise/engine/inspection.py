"""The inspection of a set-up on its first batch.

It holds the engine's values against whole-model passes, so that a wrong level is an error before
the first training step, and finds out what the engine may do to be cheap: whether coalitions of
the rest of the model can be evaluated as one longer batch, whether modalities alone tell all, and
whose outputs have to be cloned.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.absence import AbsentValues
from counterpoise.core.coalitions import Coalition, Plan
from counterpoise.core.pytree import PyTree, map_tensors, tensors, versions
from counterpoise.engine.batch import Batch
from counterpoise.engine.evaluator import Engine, Step
from counterpoise.engine.replay import EvaluationMode
from counterpoise.engine.separability import is_separable, other_values

__all__ = ["close", "inspect", "left_as_it_was"]

logger = logging.getLogger(__name__)


@torch.no_grad()
def inspect(
    engine: Engine,
    model: nn.Module,
    inputs: Mapping[str, PyTree],
    others: Mapping[str, Any],
    absent: AbsentValues,
) -> Engine | None:
    """Hold the engine's values against whole-model passes; return it as cheap as is right.

    Returns:
        The engine to use from now on, or None if the batch is empty and tells nothing.
    """
    inputs = {name: map_tensors(torch.clone, value) for name, value in inputs.items()}
    num_modalities = len(engine.modalities)
    with left_as_it_was(model, inputs):
        whole = replace(engine, level="inputs")
        batch = Batch(engine.modalities, inputs, others, absent)
        step = Step(whole, whole.passes(model), batch)
        _, full = step.full_pass()
        if full.shape[0] == 0:
            return None
        probe = _Probe(step)
        probe.run(tuple(range(num_modalities)))
        plan = _telling_plan(num_modalities).to(full.device)
        truth = torch.stack([probe.run(s) for s in plan.partial])
        _check_absent(engine, plan, full, truth)
        engine = replace(engine, cloned=frozenset(probe.changed))
        if engine.level == "inputs":
            return engine
        looped = _replay(engine, step, plan, truth)
        engine = replace(engine, rows=looped.engine.rows, single=looped.engine.single)
        if not _ignores_inputs(looped, plan, truth):
            return engine
        return replace(
            engine,
            batched=_can_batch(looped, plan, truth),
            separable=is_separable(looped, full.shape[0]),
        )


@dataclass
class _Probe:
    """Whole-model passes that watch what the encoders are given and what becomes of outputs."""

    step: Step
    given: dict[int, list[Tensor]] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)

    def run(self, coalition: Coalition) -> Tensor:
        """Run one coalition; the full one first."""
        outputs: dict[int, tuple[PyTree, list[int]]] = {}

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            if i in coalition:
                self._check_given(i, tensors((args, kwargs)))
            output = forward(*args, **kwargs)
            outputs[i] = (output, versions(output))
            return output

        _, logits = self.step.passes.answered(self.step.batch.of(coalition), answer)
        self.changed |= {i for i, (output, old) in outputs.items() if versions(output) != old}
        return logits

    def _check_given(self, i: int, given: list[Tensor]) -> None:
        first = self.given.setdefault(i, [tensor.clone() for tensor in given])
        engine = self.step.engine
        same = len(first) == len(given) and all(
            torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
            for a, b in zip(first, given, strict=True)
        )
        if not same:
            name = engine.modalities[i]
            raise ValueError(
                f"`encoders[{name!r}]` = {engine.encoders[name]!r} should see modality {name!r} "
                "alone; found that its input changes when another modality is absent. Name a "
                'module that runs before modalities meet, or use coalitions="inputs".'
            )


def _telling_plan(num_modalities: int) -> Plan:
    """Plan each modality alone, and all but each: every encoder present, and absent."""
    everyone = range(num_modalities)
    alone: list[Coalition] = [(i,) for i in everyone]
    rest: list[Coalition] = [tuple(j for j in everyone if j != i) for i in everyone]
    partial = list(dict.fromkeys(alone + rest))
    return Plan.make(partial, torch.zeros(num_modalities, len(partial) + 1))


def _check_absent(engine: Engine, plan: Plan, full: Tensor, truth: Tensor) -> None:
    if not full.isfinite().all():
        return  # the data are to blame, and the training loop will say so
    # Those with one modality absent first: they blame that one, and not several.
    for coalition, values in sorted(
        zip(plan.partial, truth, strict=True), key=lambda pair: -len(pair[0])
    ):
        if not values.isfinite().all():
            absent = [repr(n) for i, n in enumerate(engine.modalities) if i not in coalition]
            raise ValueError(
                f"`absent` for modality {' and '.join(absent)} should leave the model's output "
                "finite; found inf or NaN with it absent. Choose another absent value, such as "
                "`absence.Keep()` for a mask."
            )


def _replay(engine: Engine, whole: Step, plan: Plan, truth: Tensor) -> Step:
    """Run the plan by replaying, one coalition after the other, and compare.

    Keywords beside the modalities may go with the samples, row by row, or not: those that look
    so are taken so if that gives the same values. A model that insists on the size of its batch
    is not given a single sample.
    """
    num_rows = truth.shape[1]
    rows = {
        name
        for name, value in whole.batch.others.items()
        if tensors(value) and all(t.shape[:1] == (num_rows,) for t in tensors(value))
    }
    for names, single in ((rows, True), (set(), True), (set(), False)):
        tried = replace(engine, rows=frozenset(names), single=single, batched=False)
        batch = replace(whole.batch, rows=tried.rows)
        step = Step(tried, tried.passes(whole.passes.model), batch)
        try:
            step.full_pass()
            values = step.partial_passes(plan, num_rows)
        # With other numbers of rows than it was given a model may fail as it likes.
        except Exception as error:
            if not single:
                raise
            logger.info("With a single sample the model raised %r.", error)
            continue
        if close(values, truth):
            return step
    worst = (values - truth).abs().nan_to_num().max().item()
    raise ValueError(
        f'`coalitions` = "{engine.level}" should give the values of whole-model passes; found '
        f"a difference of {worst:.3g} in eval mode. The rest of the model may be random in eval "
        "mode, keep state between calls, or use an encoder's internals: use "
        'coalitions="inputs".'
    )


def _ignores_inputs(looped: Step, plan: Plan, truth: Tensor) -> bool:
    """Find out whether the rest of the model looks at nothing but the encoders' outputs.

    It is given other inputs, and the same outputs: inputs at hand may be ones that happen to make
    no difference, such as a mask of a batch without padding.
    """
    batch = looped.batch
    inputs = {name: map_tensors(other_values, value) for name, value in batch.inputs.items()}
    stand_ins = {i: map_tensors(other_values, value) for i, value in batch.stand_ins.items()}
    step = replace(looped, batch=replace(batch, inputs=inputs, stand_ins=stand_ins))
    # A model may object to inputs that make no sense in any way it likes, having looked at them.
    try:
        values = step.partial_passes(plan, truth.shape[1])
    except Exception as error:
        logger.info("Coalitions run one by one: with other inputs the model raised %r.", error)
        return False
    return close(values, truth)


def _can_batch(looped: Step, plan: Plan, truth: Tensor) -> bool:
    """Try the coalitions as one longer batch; they may be so run only if nothing changes."""
    step = replace(looped, engine=replace(looped.engine, batched=True))
    # As above: a model may object to a longer batch, and the loop serves it.
    try:
        together = step.partial_passes(plan, truth.shape[1])
    except Exception as error:
        logger.info("Coalitions run one by one: as one batch the model raised %r.", error)
        return False
    return together.shape == truth.shape and close(together, truth)


def close(found: Tensor, truth: Tensor) -> bool:
    """Return whether values are the same but for rounding, as far as their type allows."""
    tolerance = sqrt(torch.finfo(truth.dtype).eps)
    scale = truth.nan_to_num(posinf=0, neginf=0).abs().max().item()
    return torch.allclose(found, truth, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@contextmanager
def left_as_it_was(model: nn.Module, inputs: Mapping[str, PyTree]) -> Iterator[None]:
    """Keep a model in eval mode for a while, and give modes and random states back."""
    devices = {t.device for t in (*tensors(dict(inputs)), *model.parameters())}
    accelerators = [device for device in devices if device.type != "cpu"]
    kind = accelerators[0].type if accelerators else "cuda"
    with torch.random.fork_rng(devices=accelerators, device_type=kind), EvaluationMode(model):
        yield
    # Weights that autocast cast without gradient must not be found again by the training pass.
    torch.clear_autocast_cache()
