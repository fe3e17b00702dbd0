"""One step: let the method act on the results of the passes.

The places of the contract, in their order: the responses, the loss, the gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoise.core.criterion import check_loss
from counterpoise.core.modulation import modulate, value_factors
from counterpoise.engine.output import Output
from counterpoise.engine.passes import Observed, Tools
from counterpoise.methods.method import Method, Phase, Signals


def apply_method(
    tools: Tools, model: nn.Module, method: Method, observed: Observed, phase: Phase
) -> Output:
    """Let a method act on responses, loss and gradients.

    Args:
        tools: What a step works with.
        model: The user's module.
        method: What balances.
        observed: What the passes came to.
        phase: Whether the method acts in this step, only learns from it, or neither.

    Returns:
        What the step returns to the user.

    Raises:
        ValueError: If what the method answers has another form than the contract's.
    """
    signals, logits, values = observed.signals, observed.full, observed.values
    places, acts = tools.places, phase == "on"
    on_encoders = not places.isdisjoint(("encoder_factors", "encoder_gradient"))
    if on_encoders or tools.needs.owns == "encoders":
        signals = signals._replace(encoder_parameters=tools.ownership.encoder_parameters(model))
    asked = "coefficients" in places and phase != "off"  # as where a step is but monitored
    coefficients = method.coefficients(signals) if asked else None
    if coefficients is None or not acts:
        coefficients = torch.ones(len(method.modalities), device=logits.device)
    else:
        _check_coefficients(tools, method, coefficients)
        assert values is not None
        factors = value_factors(coefficients.to(values.weights), values.weights)
        logits = modulate(logits, values.partial, factors)
    loss = tools.criterion(logits, signals.target)
    if acts and not places.isdisjoint(("loss", "modality_losses", "combine")):
        loss = method.loss(loss, signals._replace(logits=logits))
    check_loss(loss)
    if acts and (on_encoders or "rest_gradient" in places):
        scales = _scale_gradients(tools, model, method, signals._replace(logits=logits))
        if scales is not None:
            coefficients = coefficients * scales
    return Output(
        logits,
        observed.raw,
        loss,
        signals.responses,
        signals.scores,
        coefficients,
        None if values is None else values.sampling_error,
        diagnostics=method.diagnostics(),
        modalities=method.modalities,
    )


def _scale_gradients(
    tools: Tools, model: nn.Module, method: Method, signals: Signals
) -> Tensor | None:
    attach_gradients(tools, model, method)
    scales = method.encoder_factors(signals)
    tools.gradients.set(
        signals.logits,
        scales,
        method.encoder_gradient,
        method.rest_gradient if "rest_gradient" in tools.places else None,
    )
    return scales


def attach_gradients(tools: Tools, model: nn.Module, method: Method) -> None:
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
    if tools.places & {"encoder_factors", "encoder_gradient"}:
        tools.gradients.attach(tools.ownership.encoder_parameters(model))
    if "rest_gradient" in tools.places:
        tools.gradients.attach_rest(tools.ownership.rest_parameters(model))


def _check_coefficients(tools: Tools, method: Method, coefficients: Tensor) -> None:
    name = type(method).__name__
    if tools.needs.responses != "gradients":
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
