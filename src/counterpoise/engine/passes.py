"""The passes of one step, and the signals that are made of their results.

Features first, then responses and scores, then unimodal logits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.core.autocast import without_autocast
from counterpoise.core.coalitions import Plan, Sampling
from counterpoise.core.gradient_scaling import GradientScaling
from counterpoise.core.pytree import PyTree
from counterpoise.core.scores import Criterion, Score, known_finite
from counterpoise.engine.batch import Batch
from counterpoise.engine.demands import Demand
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.ownership import Ownership
from counterpoise.engine.runner import Runner
from counterpoise.engine.setup import Facts
from counterpoise.engine.signals import finite_modalities, respond, scored
from counterpoise.methods.method import Method, Needs, Signals


@dataclass(frozen=True)
class Tools:
    """What a step works with beside the model and the method; fixed when a model is wrapped.

    Attributes:
        runner: Knows how coalitions are evaluated.
        ownership: Knows of encoders and heads.
        gradients: Scales the gradients of parameters.
        score: The loss of each sample.
        criterion: The joint loss.
        process_group: Processes that train together; None for all.
        needs: Of the method.
        places: At which the method answers.
    """

    runner: Runner
    ownership: Ownership
    gradients: GradientScaling
    score: Score
    criterion: Criterion
    process_group: Any
    needs: Needs
    places: frozenset[str]


class Values(NamedTuple):
    """The values of the coalitions of one step, and the responses that they make.

    Attributes:
        partial: Logits of the coalitions other than the full one, (S - 1, B, ...).
        all: Logits of all, (S, B, ...), the full coalition last; float32 or wider.
        weights: W, shape (M, S), of the same type.
        responses: Shape (M, B, ...), of the same type.
        sampling_error: Standard error of each response, shape (M,); None where exact.
    """

    partial: Tensor
    all: Tensor
    weights: Tensor
    responses: Tensor
    sampling_error: Tensor | None


class Observed(NamedTuple):
    """The results of the passes of one step.

    Attributes:
        raw: What the model returned for the full coalition.
        full: Its logits.
        signals: For the method.
        values: Those that responses are made of; None where nobody asked for responses.
    """

    raw: Any
    full: Tensor
    signals: Signals
    values: Values | None


def observe(
    tools: Tools,
    model: nn.Module,
    method: Method,
    batch: Batch,
    target: PyTree,
    wanted: Demand,
    facts: Facts,
    *,
    acting: bool,
    check: Callable[[Tensor], None] | None = None,
) -> Observed:
    """Run the passes of one step and make signals of them.

    Args:
        tools: What a step works with.
        model: The user's module.
        method: Sees features, and may replace them where it is ``acting``.
        batch: Of this step.
        target: What the score compares with; None: no scores.
        wanted: What the passes have to give.
        facts: What the engine may make use of.
        acting: Whether this is a training step, in which scores are means over all processes.
        check: Looks at the logits before anything is made of them.
    """
    features: dict[int, PyTree] = {}

    def observer(i: int, feature: PyTree) -> PyTree:
        features[i] = feature
        return method.feature(i, feature) if acting else feature

    setup = tools.runner.setup
    if not wanted.passes:
        statistics = setup.statistics if wanted.features else "running"
        setup = replace(setup, level="inputs", statistics=statistics)
    if setup.heads and not wanted.heads:
        setup = replace(setup, heads={})
    looks = observer if wanted.features else None
    evaluator = Evaluator(setup, facts, model, batch, looks, tools.runner.modules)
    told: dict[str, Any] = {}
    values = None
    with nullcontext() if setup.level == "inputs" else evaluator.taps:
        raw, full = evaluator.full()
        if check is not None:
            check(full)
        if wanted.passes:
            told, values = _passed(tools, evaluator, full, target, wanted, acting=acting)
    if features:
        told |= {"features": tuple(features[i] for i in sorted(features)), "rest": evaluator.rest}
    logits = _of_heads(method, evaluator, told.get("features"), full)
    if logits is not None:
        told["unimodal_logits"] = logits
    told.setdefault("unimodal_logits", told.get("responses"))
    signals = Signals(
        full,
        target,
        criterion=tools.criterion,
        score=tools.score,
        process_group=tools.process_group,
        **told,
    )
    return Observed(raw, full, signals, values)


def _passed(
    tools: Tools,
    evaluator: Evaluator,
    full: Tensor,
    target: PyTree,
    wanted: Demand,
    *,
    acting: bool,
) -> tuple[dict[str, Any], Values | None]:
    """Evaluate the other coalitions; return the signals made of them, and their values."""
    told: dict[str, Any] = {}
    values = None
    # Who sees the values themselves wants all of them, and not those that tell the others.
    facts = replace(evaluator.facts, separable=False) if wanted.values else evaluator.facts
    plan = tools.runner.plan(facts, full)
    if wanted.responses != "nothing":
        values = _evaluated(evaluator, plan, full, wanted)
        told = _shown("responses", values, plan, wanted) | {"responses": values.responses}
        if target is not None:
            told |= _scores(tools, evaluator, plan, values, target, acting=acting)
    if wanted.unimodal != "nothing":
        alone = _evaluated(evaluator, plan, full, wanted, alone=True)
        told |= _shown("unimodal", alone, plan, wanted) | {"unimodal_logits": alone.responses}
    if acting:
        tools.runner.settle(evaluator.taps.changed)
    return told, values


def _evaluated(
    evaluator: Evaluator, plan: Plan, full: Tensor, wanted: Demand, *, alone: bool = False
) -> Values:
    """Evaluate the other coalitions; ``alone``: those of one feature each, the others zero."""
    gradient = (wanted.unimodal if alone else wanted.responses) == "gradients"
    partial = evaluator.others(
        plan, gradient=gradient, zero_features=alone, rest_frozen=wanted.rest_frozen
    )
    # Differences of half-precision logits are noise: from here on float32 at least.
    # To modulate, the graph of the partial values is enough: no other is recorded for nothing.
    parts = (partial, full) if wanted.graph else (partial.detach(), full.detach())
    with without_autocast(full.device):
        values_SB = torch.cat([parts[0], parts[1].unsqueeze(0)])
        values_SB = values_SB.to(torch.promote_types(values_SB.dtype, torch.float32))
        weights = plan.weights.to(values_SB)
        responses = respond(values_SB, weights)
        error = None if plan.groups is None else Sampling.error(plan, values_SB)
    return Values(partial, values_SB, weights, responses if gradient else responses.detach(), error)


def _shown(kind: str, values: Values, plan: Plan, wanted: Demand) -> dict[str, Any]:
    """Return the signals of the values themselves, for a method that sees those of the kind."""
    if wanted.values != kind:
        return {}
    everyone = tuple(range(len(values.weights)))
    return {"values": values.all, "coalitions": (*plan.partial, everyone)}


def _scores(
    tools: Tools,
    evaluator: Evaluator,
    plan: Plan,
    values: Values,
    target: PyTree,
    *,
    acting: bool,
) -> dict[str, Tensor]:
    """Return the signals of scores, and which modalities are finite where one is not."""
    with without_autocast(values.all.device):
        scores, num_samples = scored(
            tools.score,
            values.responses.detach(),
            target,
            over_processes=acting,
            group=tools.process_group,
        )
    told = {"scores": scores, "num_samples": num_samples}
    if acting and not known_finite(scores):
        inputs = list(evaluator.batch.inputs.values())
        told["finite"] = finite_modalities(
            inputs, plan.members, values.all.detach(), tools.process_group
        )
    return told


def _of_heads(
    method: Method, evaluator: Evaluator, features: tuple[PyTree, ...] | None, full: Tensor
) -> Tensor | None:
    """Return the logits of heads, those of the method before those of the model; or None."""
    own = None if features is None else method.unimodal_logits(features, full)
    heads = evaluator.taps.logits
    if own is None and heads:
        return torch.stack([heads[i] for i in sorted(heads)])
    return own
