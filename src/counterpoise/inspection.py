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

from counterpoise.absence import AbsentValues
from counterpoise.coalitions import Coalition, Plan
from counterpoise.engine import Engine, Step, versions
from counterpoise.nests import Nest, map_tensors, tensors
from counterpoise.replay import EvaluationMode

__all__ = ["inspect"]

logger = logging.getLogger(__name__)


@torch.no_grad()
def inspect(
    engine: Engine,
    model: nn.Module,
    inputs: Mapping[str, Nest],
    others: Mapping[str, Any],
    absent: AbsentValues,
) -> Engine | None:
    """Hold the engine's values against whole-model passes; return it as cheap as is right.

    Returns:
        The engine to use from now on, or None if the batch is empty and tells nothing.
    """
    inputs = {name: map_tensors(torch.clone, value) for name, value in inputs.items()}
    num_modalities = len(engine.modalities)
    with _random_state_kept(model, inputs), EvaluationMode(model):
        step = Step(replace(engine, level="inputs"), model, inputs, others, absent)
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
            separable=_is_separable(looped, full.shape[0]),
        )


@dataclass
class _Probe:
    """Whole-model passes that watch what the encoders are given and what becomes of outputs."""

    step: Step
    given: dict[int, list[Tensor]] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)

    def run(self, coalition: Coalition) -> Tensor:
        """Run one coalition; the full one first."""
        outputs: dict[int, tuple[Nest, list[int]]] = {}

        def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            self.step.count(i)
            if i in coalition:
                self._check_given(i, tensors((args, kwargs)))
            output = forward(*args, **kwargs)
            outputs[i] = (output, versions(output))
            return output

        inputs = self.step.inputs_of(coalition)
        _, logits = self.step.run(inputs, self.step.others, answer)
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
        for name, value in whole.others.items()
        if tensors(value) and all(t.shape[:1] == (num_rows,) for t in tensors(value))
    }
    for names, single in ((rows, True), (set(), True), (set(), False)):
        tried = replace(engine, rows=frozenset(names), single=single, batched=False)
        step = Step(
            tried, whole.model, whole.inputs, whole.others, whole.absent, stand_ins=whole.stand_ins
        )
        try:
            step.full_pass()
            values = step.partial_passes(plan, num_rows)
        # With other numbers of rows than it was given a model may fail as it likes.
        except Exception as error:
            if not single:
                raise
            logger.info("With a single sample the model raised %r.", error)
            continue
        if _close(values, truth):
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
    inputs = {name: map_tensors(_other, value) for name, value in looped.inputs.items()}
    stand_ins = {i: map_tensors(_other, value) for i, value in looped.stand_ins.items()}
    step = replace(looped, inputs=inputs, stand_ins=stand_ins)
    # A model may object to inputs that make no sense in any way it likes, having looked at them.
    try:
        values = step.partial_passes(plan, truth.shape[1])
    except Exception as error:
        logger.info("Coalitions run one by one: with other inputs the model raised %r.", error)
        return False
    return _close(values, truth)


def _other(tensor: Tensor) -> Tensor:
    if tensor.is_floating_point():
        return torch.randn_like(tensor)
    coin = torch.rand(tensor.shape, device=tensor.device) < 0.5
    return coin if tensor.dtype == torch.bool else tensor.where(coin, 0)


def _can_batch(looped: Step, plan: Plan, truth: Tensor) -> bool:
    """Try the coalitions as one longer batch; they may be so run only if nothing changes."""
    step = replace(looped, engine=replace(looped.engine, batched=True))
    # As above: a model may object to a longer batch, and the loop serves it.
    try:
        together = step.partial_passes(plan, truth.shape[1])
    except Exception as error:
        logger.info("Coalitions run one by one: as one batch the model raised %r.", error)
        return False
    return together.shape == truth.shape and _close(together, truth)


def _is_separable(looped: Step, num_rows: int) -> bool:
    """Find out whether the logits are a sum over modalities, by the structure of the model.

    The rest of the model is given random features, weights, buffers and numbers among the other
    keywords, three times over, and has to be additive to rounding each time: those at hand could
    make any network look so (zeros, to begin with).
    """
    model, num_modalities = looped.model, len(looped.engine.modalities)
    everyone = tuple(range(num_modalities))
    subsets: list[Coalition] = [(), *((i,) for i in everyone), everyone[1:], everyone]
    plan = Plan.make(subsets, torch.zeros(num_modalities, len(subsets) + 1))
    eps = max(torch.finfo(t.dtype).eps for t in tensors(looped.features) if t.is_floating_point())
    for _ in range(3):
        step = replace(looped, others={k: _moved(v) for k, v in looped.others.items()})
        step.features = map_tensors(_other, looped.features)
        step.absences = map_tensors(_other, looped.absences)
        weights = _random_rest(step)
        # As above: a model that cannot be called with other weights is taken as it is.
        try:
            with _weights_of(model, weights):
                values = step.partial_passes(plan, num_rows).to(torch.float64)
        except Exception as error:
            logger.info("The model is not taken apart: with random weights it raised %r.", error)
            return False
        empty, alone, found = values[0], values[1:-2], values[-2:]
        given = alone - empty
        predicted = empty + torch.stack([given[1:].sum(dim=0), given.sum(dim=0)])
        scale = found.abs().max()
        if not scale > 0 or not (found - predicted).abs().max() <= 100 * eps * scale:
            return False
    return True


def _random_rest(step: Step) -> dict[str, Tensor]:
    """Return random values for whatever the rest of the model computes with, by name."""
    encoders = tuple(f"{path}." for path in step.engine.encoders.values())
    values = {}
    for name, p in step.model.named_parameters():
        if not name.startswith(encoders):
            fan_in = max(p[0].numel(), 1) if p.dim() > 1 else 4
            values[name] = torch.randn_like(p) / sqrt(fan_in)
    for name, buffer in step.model.named_buffers():
        if not name.startswith(encoders) and buffer.is_floating_point():
            values[name] = torch.rand_like(buffer)  # a variance has to stay positive
    return values


def _moved(value: Any) -> Any:
    """Return another value of a keyword, where it is a number or a tensor of numbers."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value + type(value)(3)
    return map_tensors(lambda t: torch.randn_like(t) if t.is_floating_point() else t, value)


@contextmanager
def _weights_of(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a model compute with other values of some parameters and buffers for a while."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    own = {name: named[name].data for name in weights}
    try:
        for name, value in weights.items():
            named[name].data = value
        yield
    finally:
        for name, value in own.items():
            named[name].data = value


def _close(found: Tensor, truth: Tensor) -> bool:
    tolerance = sqrt(torch.finfo(truth.dtype).eps)
    scale = truth.nan_to_num(posinf=0, neginf=0).abs().max().item()
    return torch.allclose(found, truth, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@contextmanager
def _random_state_kept(model: nn.Module, inputs: Mapping[str, Nest]) -> Iterator[None]:
    devices = {t.device for t in (*tensors(dict(inputs)), *model.parameters())}
    accelerators = [device for device in devices if device.type != "cpu"]
    kind = accelerators[0].type if accelerators else "cuda"
    with torch.random.fork_rng(devices=accelerators, device_type=kind):
        yield
    # Weights that autocast cast without gradient must not be found again by the training pass.
    torch.clear_autocast_cache()
