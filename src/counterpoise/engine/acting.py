"""Letting a method act on one step whose passes have been run.

The places of the contract, in their order: the responses, the loss, the encoders' gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoise.core.gradient_scaling import GradientScaling
from counterpoise.core.modulation import modulate, value_factors
from counterpoise.core.scores import Criterion, Score
from counterpoise.engine.output import Output
from counterpoise.engine.responses import Evaluated
from counterpoise.engine.watch import Watch
from counterpoise.methods.method import Method, Need

__all__ = ["act"]


def act(
    evaluated: Evaluated,
    need: Need,
    watch: Watch,
    gradients: GradientScaling,
    *,
    criterion: Criterion,
    score: Score,
    process_group: Any,
) -> Output:
    """Let a method act on responses, loss and gradients.

    Args:
        evaluated: What the passes came to.
        need: What they were run for.
        watch: Knows the method, and what was picked up for it.
        gradients: Scales those of encoders where the method does.
        criterion: The joint loss of logits and target.
        score: The loss of each sample.
        process_group: Processes that statistics are averaged over; None: all.

    Returns:
        What the step returns to the user.

    Raises:
        ValueError: If what the method answers has another form than the contract's.
    """
    method, values = watch.method, evaluated.values
    signals = watch.complete(evaluated.signals)._replace(
        criterion=criterion, score=score, process_group=process_group
    )
    num_modalities, logits = len(method.modalities), values.full
    asked = method.needs() != "nothing" or method.needs_unimodal() != "nothing"
    coefficients = method.coefficients(signals) if asked else None
    if coefficients is None:
        coefficients = torch.ones(num_modalities, device=logits.device)
    else:
        _check_coefficients(method, coefficients, need)
        assert values.partial is not None
        assert evaluated.weights is not None
        factors = value_factors(coefficients.to(evaluated.weights), evaluated.weights)
        logits = modulate(values.full, values.partial, factors)
    signals = signals._replace(logits=logits)
    loss = method.loss(criterion(logits, signals.target), signals)
    _check_loss(loss)
    if watch.scales_gradients:
        if not torch.compiler.is_compiling():
            gradients.attach(signals.encoder_parameters)
        elif not gradients.attached:
            raise RuntimeError(
                f"A model that is compiled with {type(method).__name__}, which scales gradients of "
                "encoders, should have been validated, as should each copy of it; found that it "
                "was not. Call `balanced.validate(**batch)` before `torch.compile`."
            )
        scales = method.encoder_factors(signals)
        gradients.set(logits, scales, method.encoder_gradient)
        if scales is not None:
            coefficients = coefficients * scales
    return evaluated.output(logits, loss, coefficients)


def _check_coefficients(method: Method, coefficients: Tensor, need: Need) -> None:
    name = type(method).__name__
    if need != "gradients":
        raise ValueError(
            f"`{name}.coefficients` should return factors only in steps for which `needs()` "
            f'returned "gradients"; found {need!r}, which leaves nothing to scale. Return '
            '"gradients" from `needs()`, or None here.'
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
