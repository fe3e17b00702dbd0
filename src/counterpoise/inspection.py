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
from counterpoise.engine import Engine, Step
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
    versions = {name: _versions(value) for name, value in inputs.items()}
    with _random_state_kept(inputs), EvaluationMode(model):
        whole = replace(engine, level="inputs")
        step = Step(whole, model, inputs, others, absent)
        probe = _Probe(step)
        full = probe.run(tuple(range(len(engine.modalities))))
        for name, value in inputs.items():
            if _versions(value) != versions[name]:
                raise RuntimeError(
                    f"The model should leave its inputs as they are; found modality {name!r} "
                    "changed in place. Replace the in-place operation, which would corrupt the "
                    "coalitions after the first."
                )
        if full.shape[0] == 0:
            return None
        plan = _telling_plan(len(engine.modalities)).to(full.device)
        truth = torch.stack([probe.run(s) for s in plan.partial])
        if engine.level == "inputs":
            return engine
        engine = replace(engine, cloned=frozenset(probe.changed))
        looped = Step(engine, model, inputs, others, absent, stand_ins=step.stand_ins)
        looped.full_pass()
        _compare(looped.partial_passes(plan, full.shape[0]), truth, engine)
        return replace(
            engine,
            batched=_can_batch(engine, looped, plan, truth),
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
            outputs[i] = (output, _versions(output))
            return output

        inputs = self.step.inputs_of(coalition)
        _, logits = self.step.run(inputs, self.step.others, answer)
        self.changed |= {i for i, (output, old) in outputs.items() if _versions(output) != old}
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


def _can_batch(engine: Engine, looped: Step, plan: Plan, truth: Tensor) -> bool:
    """Try the coalitions as one longer batch; they may be so run only if nothing changes."""
    step = Step(
        replace(engine, batched=True), looped.model, looped.inputs, looped.others, looped.absent
    )
    step.features, step.absences = looped.features, looped.absences
    step.shapes, step.stand_ins = looped.shapes, looped.stand_ins
    try:
        together = step.partial_passes(plan, truth.shape[1])
    # A model may object to a longer batch in any way it likes; the loop, which has just been
    # found right, serves it.
    except Exception as error:
        logger.info("Coalitions run one by one: as one batch the model raised %r.", error)
        return False
    agree = together.shape == truth.shape and _close(together, truth)
    if not agree:
        logger.info("Coalitions run one by one: as one batch they come out differently.")
    return agree


def _is_separable(step: Step, num_rows: int) -> bool:
    """Find out whether the logits are a sum over modalities, by the structure of the model.

    The rest of the model is given random weights, three times over, and has to be additive to
    rounding each time: weights at hand could make any network look so (zeros, to begin with).
    """
    model, num_modalities = step.model, len(step.engine.modalities)
    everyone = tuple(range(num_modalities))
    subsets: list[Coalition] = [(), *((i,) for i in everyone), everyone[1:], everyone]
    plan = Plan.make(subsets, torch.zeros(num_modalities, len(subsets) + 1))
    looped = replace(step, engine=replace(step.engine, batched=False))
    for _ in range(3):
        weights = {name: _random_like(p) for name, p in _rest_of(step)}
        # As above: a model that cannot be called with other weights is taken as it is.
        try:
            with _weights_of(model, weights):
                values = looped.partial_passes(plan, num_rows).to(torch.float64)
        except Exception as error:
            logger.info("The model is not taken apart: with random weights it raised %r.", error)
            return False
        empty, alone, rest, full = values[0], values[1:-2], values[-2], values[-1]
        predicted = torch.stack(
            [empty + (alone[1:] - empty).sum(dim=0), empty + (alone - empty).sum(dim=0)]
        )
        found = torch.stack([rest, full])
        scale = found.abs().max()
        if not scale > 0 or not (found - predicted).abs().max() <= 100 * _eps(step) * scale:
            return False
    return True


def _rest_of(step: Step) -> list[tuple[str, nn.Parameter]]:
    encoders = tuple(f"{path}." for path in step.engine.encoders.values())
    named = step.model.named_parameters()
    return [(name, p) for name, p in named if not name.startswith(encoders)]


def _random_like(parameter: Tensor) -> Tensor:
    fan_in = max(parameter[0].numel(), 1) if parameter.dim() > 1 else 4
    return torch.randn_like(parameter) / sqrt(fan_in)


def _eps(step: Step) -> float:
    kinds = [t.dtype for t in tensors(step.features) if t.is_floating_point()]
    return max(torch.finfo(kind).eps for kind in kinds)


@contextmanager
def _weights_of(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a model compute with other values of some of its parameters for a while."""
    named = dict(model.named_parameters())
    own = {name: named[name].data for name in weights}
    try:
        for name, value in weights.items():
            named[name].data = value
        yield
    finally:
        for name, value in own.items():
            named[name].data = value


def _compare(found: Tensor, truth: Tensor, engine: Engine) -> None:
    if not _close(found, truth):
        worst = (found - truth).abs().nan_to_num().max().item()
        raise ValueError(
            f'`coalitions` = "{engine.level}" should give the values of whole-model passes; found '
            f"a difference of {worst:.3g} in eval mode. The rest of the model may be random in "
            "eval mode, keep state between calls, or use an encoder's internals: use "
            'coalitions="inputs".'
        )


def _close(found: Tensor, truth: Tensor) -> bool:
    tolerance = sqrt(torch.finfo(truth.dtype).eps)
    scale = truth.nan_to_num(posinf=0, neginf=0).abs().max().item()
    return torch.allclose(found, truth, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _versions(nest: Nest) -> list[int]:
    return [0 if t.is_inference() else t._version for t in tensors(nest)]


@contextmanager
def _random_state_kept(inputs: Mapping[str, Nest]) -> Iterator[None]:
    devices = {t.device for value in inputs.values() for t in tensors(value)}
    accelerators = [device for device in devices if device.type != "cpu"]
    kind = accelerators[0].type if accelerators else "cuda"
    with torch.random.fork_rng(devices=accelerators, device_type=kind):
        yield
    # Weights that autocast cast without gradient must not be found again by the training pass.
    torch.clear_autocast_cache()
