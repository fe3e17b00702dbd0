"""Finding out whether a model's logits are a sum of what each modality's features give.

Then modalities alone tell the values of all coalitions, M passes in place of 2^M - 1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Coalition, Plan
from counterpoise.core.pytree import map_tensors, tensors
from counterpoise.engine.evaluator import Step

__all__ = ["is_separable", "other_values"]

logger = logging.getLogger(__name__)


def is_separable(looped: Step, num_rows: int) -> bool:
    """Find out whether the logits are a sum over modalities, by the structure of the model.

    The rest of the model is given random features, weights, buffers and numbers among the other
    keywords, three times over, and has to be additive to rounding each time: those at hand could
    make any network look so (zeros, to begin with).
    """
    model, num_modalities = looped.passes.model, len(looped.engine.modalities)
    everyone = tuple(range(num_modalities))
    subsets: list[Coalition] = [(), *((i,) for i in everyone), everyone[1:], everyone]
    plan = Plan.make(subsets, torch.zeros(num_modalities, len(subsets) + 1))
    eps = max(torch.finfo(t.dtype).eps for t in tensors(looped.features) if t.is_floating_point())
    for _ in range(3):
        others = {name: _moved(value) for name, value in looped.batch.others.items()}
        step = replace(
            looped,
            batch=replace(looped.batch, others=others),
            features=map_tensors(other_values, looped.features),
            absences=map_tensors(other_values, looped.absences),
        )
        weights = _random_rest(step)
        # A model may object to other weights in any way it likes; it is then taken as it is.
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
    for name, p in step.passes.model.named_parameters():
        if not name.startswith(encoders):
            fan_in = max(p[0].numel(), 1) if p.dim() > 1 else 4
            values[name] = torch.randn_like(p) / sqrt(fan_in)
    for name, buffer in step.passes.model.named_buffers():
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


def other_values(tensor: Tensor) -> Tensor:
    """Return random values of the same kind: normal, fair coins, or the given ones or 0."""
    if tensor.is_floating_point():
        return torch.randn_like(tensor)
    coin = torch.rand(tensor.shape, device=tensor.device) < 0.5
    return coin if tensor.dtype == torch.bool else tensor.where(coin, 0)
