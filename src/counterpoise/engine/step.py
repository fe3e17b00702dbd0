"""One step: run the passes that somebody asks for, and let the method act on what they came to.

The places of the contract, in their order: the features, the responses, the loss, the gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Plan, Sampling
from counterpoise.core.gradient_scaling import GradientScaling
from counterpoise.core.modulation import modulate, value_factors
from counterpoise.core.pytree import PyTree
from counterpoise.core.scores import Criterion, Score, are_finite, surely
from counterpoise.engine.batch import Batch
from counterpoise.engine.evaluator import Evaluator, Facts
from counterpoise.engine.output import Output
from counterpoise.engine.ownership import Ownership
from counterpoise.engine.runner import Runner
from counterpoise.engine.signals import finite_modalities, respond, scored
from counterpoise.methods.method import Method, Needs, Signals

__all__ = ["Demand", "Observed", "Tools", "apply_method", "demand", "observe"]

_DEPTHS = ("nothing", "values", "gradients")


@dataclass(frozen=True)
class Tools:
    """What a step works with beside the model and the method; fixed when a model is wrapped."""

    runner: Runner
    ownership: Ownership
    gradients: GradientScaling
    score: Score
    criterion: Criterion
    process_group: Any


class Demand(NamedTuple):
    """What the passes of a step have to give.

    Attributes:
        responses: "nothing", "values" or "gradients".
        unimodal: The same of unimodal logits that take passes of their own.
        features: Whether the method sees features.
        heads: Whether it sees the logits of additive heads.
        values: Whether it sees the values of coalitions.
        rest_frozen: Whether gradients of coalitions reach the encoders alone.
    """

    responses: str = "nothing"
    unimodal: str = "nothing"
    features: bool = False
    heads: bool = False
    values: bool = False
    rest_frozen: bool = False

    @property
    def passes(self) -> bool:
        """Whether coalitions are evaluated."""
        return self.responses != "nothing" or self.unimodal != "nothing"

    @property
    def is_plain(self) -> bool:
        """Whether a pass of the model is all that it takes."""
        return self == Demand()


def demand(needs: Needs, ownership: Ownership, *, own_heads: bool, monitor: bool) -> Demand:
    """Return what a method that acts asks of the passes.

    Args:
        needs: Of the method.
        ownership: Knows of encoders and heads.
        own_heads: Whether the method makes unimodal logits by heads of its own.
        monitor: Whether the user wants responses in any case.
    """
    responses, unimodal = needs.responses, needs.unimodal_logits
    given = bool(ownership.heads) or own_heads
    heads = bool(ownership.heads) and unimodal != "nothing"
    if given and not needs.values:
        unimodal = "nothing"
    elif not ownership.encoders:  # responses serve then
        responses, unimodal = max(responses, unimodal, key=_DEPTHS.index), "nothing"
    if monitor and responses == "nothing":
        responses = "values"
    return Demand(responses, unimodal, needs.features, heads, needs.values, needs.rest_frozen)


class Observed(NamedTuple):
    """What the passes of one step came to.

    Attributes:
        raw: What the model returned for the full coalition.
        full: Its logits.
        signals: For the method.
        partial: Logits of the other coalitions, (S - 1, B, ...); None where nobody asked.
        weights: W, shape (M, S), float32 or wider; None likewise.
        sampling_error: Standard error of each response, shape (M,); None where exact.
    """

    raw: Any
    full: Tensor
    signals: Signals
    partial: Tensor | None = None
    weights: Tensor | None = None
    sampling_error: Tensor | None = None


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
    evaluator = Evaluator(setup, facts, model, batch, observer if wanted.features else None)
    raw, full = evaluator.full()
    if check is not None:
        check(full)
    signals = Signals(
        full,
        target,
        criterion=tools.criterion,
        score=tools.score,
        process_group=tools.process_group,
        features=tuple(features[i] for i in sorted(features)),
    )
    if features:
        signals = signals._replace(rest=evaluator.rest)
    observed = Observed(raw, full, signals)
    if wanted.passes:
        # Who sees the values themselves wants all of them, and not those that tell the others.
        whole = replace(facts, separable=False) if wanted.values else facts
        plan = tools.runner.plan(full.device, whole)
        if wanted.responses != "nothing":
            observed = _responded(tools, evaluator, plan, observed, wanted, acting=acting)
        if wanted.unimodal != "nothing":
            observed = _apart(evaluator, plan, observed, wanted)
        if acting:
            tools.runner.settle(evaluator.taps.changed)
    return _completed(method, evaluator, observed)


def _responded(
    tools: Tools,
    evaluator: Evaluator,
    plan: Plan,
    observed: Observed,
    wanted: Demand,
    *,
    acting: bool,
) -> Observed:
    """Evaluate the other coalitions; make responses of all, and scores where there is a target."""
    gradient = wanted.responses == "gradients"
    partial = evaluator.others(plan, gradient=gradient, rest_frozen=wanted.rest_frozen)
    signals, full = observed.signals, observed.full
    # Differences of half-precision logits are noise: from here on float32 at least.
    with _without_autocast(full):
        values_SB = torch.cat([partial, full.unsqueeze(0)])
        values_SB = values_SB.to(torch.promote_types(values_SB.dtype, torch.float32))
        weights = plan.weights.to(values_SB)
        responses = respond(values_SB, weights)
        error = None if plan.groups is None else Sampling.error(plan, values_SB)
        signals = signals._replace(responses=responses if gradient else responses.detach())
        if wanted.values:
            everyone = tuple(range(len(weights)))
            signals = signals._replace(values=values_SB, coalitions=(*plan.partial, everyone))
        if signals.target is not None:
            scores, num_samples = scored(
                tools.score,
                responses.detach(),
                signals.target,
                over_processes=acting,
                group=tools.process_group,
            )
            signals = signals._replace(scores=scores, num_samples=num_samples)
            if acting and not surely(are_finite(scores)):
                inputs = list(evaluator.batch.inputs.values())
                finite = finite_modalities(
                    inputs, plan.members, values_SB.detach(), tools.process_group
                )
                signals = signals._replace(finite=finite)
    return observed._replace(
        signals=signals, partial=partial, weights=weights, sampling_error=error
    )


def _without_autocast(logits: Tensor) -> AbstractContextManager[Any]:
    kind = logits.device.type
    active = torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if active else nullcontext()


def _apart(evaluator: Evaluator, plan: Plan, observed: Observed, wanted: Demand) -> Observed:
    """Make unimodal logits of each feature by itself, the others being zero."""
    gradient = wanted.unimodal == "gradients"
    partial = evaluator.others(
        plan, gradient=gradient, zero_features=True, rest_frozen=wanted.rest_frozen
    )
    full = observed.full
    with _without_autocast(full):
        values_SB = torch.cat([partial, full.unsqueeze(0)])
        values_SB = values_SB.to(torch.promote_types(values_SB.dtype, torch.float32))
        logits = respond(values_SB, plan.weights.to(values_SB))
    signals = observed.signals._replace(unimodal_logits=logits if gradient else logits.detach())
    if wanted.values and wanted.responses == "nothing":
        everyone = tuple(range(len(plan.weights)))
        signals = signals._replace(values=values_SB, coalitions=(*plan.partial, everyone))
    return observed._replace(signals=signals)


def _completed(method: Method, evaluator: Evaluator, observed: Observed) -> Observed:
    """Add the logits of heads, those of the method before those of the model."""
    signals, heads = observed.signals, evaluator.taps.logits
    if heads:
        logits = torch.stack([heads[i] for i in sorted(heads)])
        signals = signals._replace(unimodal_logits=logits)
    if signals.features:
        own = method.unimodal_logits(signals.features, observed.full)
        if own is not None:
            signals = signals._replace(unimodal_logits=own)
    if signals.unimodal_logits is None:
        signals = signals._replace(unimodal_logits=signals.responses)
    return observed._replace(signals=signals)


def apply_method(
    tools: Tools, model: nn.Module, method: Method, places: frozenset[str], observed: Observed
) -> Output:
    """Let a method act on responses, loss and gradients.

    Args:
        tools: What a step works with.
        model: The user's module.
        method: In phase "on" or "watch".
        places: Those that the method answers.
        observed: What the passes came to.

    Returns:
        What the step returns to the user.

    Raises:
        ValueError: If what the method answers has another form than the contract's.
    """
    signals, logits = observed.signals, observed.full
    num_modalities = len(method.modalities)
    acts = method.phase() == "on"
    on_encoders = not places.isdisjoint(("encoder_factors", "encoder_gradient"))
    if on_encoders or method.needs().owns == "encoders":
        signals = signals._replace(encoder_parameters=tools.ownership.encoder_parameters(model))
    coefficients = method.coefficients(signals) if "coefficients" in places else None
    if coefficients is None or not acts:
        coefficients = torch.ones(num_modalities, device=logits.device)
    else:
        _check_coefficients(method, coefficients, observed)
        assert observed.partial is not None
        assert observed.weights is not None
        factors = value_factors(coefficients.to(observed.weights), observed.weights)
        logits = modulate(observed.full, observed.partial, factors)
    signals = signals._replace(logits=logits)
    loss = tools.criterion(logits, signals.target)
    if acts and not places.isdisjoint(("loss", "modality_losses", "combine")):
        loss = method.loss(loss, signals)
    _check_loss(loss)
    if acts and (on_encoders or "rest_gradient" in places):
        scales = _scale_gradients(tools, model, method, places, signals)
        if scales is not None:
            coefficients = coefficients * scales
    return Output(
        logits,
        observed.raw,
        loss,
        signals.responses,
        signals.scores,
        coefficients,
        observed.sampling_error,
        diagnostics=method.diagnostics(),
        modalities=method.modalities,
    )


def _scale_gradients(
    tools: Tools, model: nn.Module, method: Method, places: frozenset[str], signals: Signals
) -> Tensor | None:
    attach_gradients(tools, model, method, places)
    scales = method.encoder_factors(signals)
    tools.gradients.set(
        signals.logits,
        scales,
        method.encoder_gradient,
        method.rest_gradient if "rest_gradient" in places else None,
    )
    return scales


def attach_gradients(
    tools: Tools, model: nn.Module, method: Method, places: frozenset[str]
) -> None:
    """Hook the parameters whose gradients the method changes.

    Raises:
        RuntimeError: In a compiled step, if that was not done before.
    """
    if torch.compiler.is_compiling():
        if not tools.gradients.attached:
            raise RuntimeError(
                f"A model that is compiled with {type(method).__name__}, which changes gradients, "
                "should have been validated, as should each copy of it; found that it was not. "
                "Call `balanced.validate(**batch)` before `torch.compile`."
            )
        return
    if places & {"encoder_factors", "encoder_gradient"}:
        tools.gradients.attach(tools.ownership.encoder_parameters(model))
    if "rest_gradient" in places:
        tools.gradients.attach_rest(tools.ownership.rest_parameters(model))


def _check_coefficients(method: Method, coefficients: Tensor, observed: Observed) -> None:
    name = type(method).__name__
    if observed.partial is None or not method.needs().responses == "gradients":
        raise ValueError(
            f"`{name}.coefficients` should return factors only where `needs()` asks for responses "
            'with "gradients"; found that it does not, which leaves nothing to scale. Return '
            'cp.Needs(responses="gradients") from `needs()`, or None here.'
        )
    if coefficients.shape != (len(method.modalities),):
        raise ValueError(
            f"`{name}.coefficients` should return one factor a modality, shape "
            f"({len(method.modalities)},); found {tuple(coefficients.shape)}. Correct the method."
        )


def _check_loss(loss: Tensor) -> None:
    if loss.numel() != 1:
        raise ValueError(
            f"`criterion`, and the method's loss, should be one number; found shape "
            f"{tuple(loss.shape)}. Reduce it, with `.mean()` or reduction='mean' for example."
        )
