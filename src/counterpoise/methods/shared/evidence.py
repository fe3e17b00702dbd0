"""How sure each modality is, from its own logits: the evidence of which one is ahead.

Legend: M modalities, B batch; s_m mean probability that modality m gives to the right answer.
"""

from __future__ import annotations

from math import exp

import torch
from torch import Tensor

from counterpoise.core.autocast import without_autocast
from counterpoise.core.scores import CrossEntropy, mean_over_processes, score_responses
from counterpoise.methods.method import Signals

ROOM = 20.0
"""Losses up to this are taken as they are; exp(-20) is far above the least float32."""


def confidences(signals: Signals, counted_B: Tensor | None = None) -> Tensor:
    """Return s_m, how sure each modality is of the right answer, over the batch of all processes.

    It is the mean of exp(-score): with cross-entropy the softmax probability of the label, at
    least the score's floor; with another score the likelihood that it stands for. Only ratios
    mean something: where all likelihoods are next to nothing, as those of large errors, all are
    enlarged alike (see :func:`scaled_confidences`).

    Args:
        signals: Of the step, with unimodal logits (M, B, ...).
        counted_B: Boolean, shape (B,): the samples that count; None for all.

    Returns:
        Shape (M,), in [0, 1], detached, float32 or wider; NaN where no sample counts.

    Example:
        >>> logits = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0986]]])
        >>> confidences(Signals(None, torch.tensor([1]), unimodal_logits=logits))
        tensor([0.5000, 0.7500])
    """
    return scaled_confidences(signals, counted_B)[0]


def scaled_confidences(signals: Signals, counted_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return confidences times exp(shift), and the shift, so that no loss is too large.

    Args:
        signals: Of the step, with unimodal logits (M, B, ...).
        counted_B: Boolean, shape (B,): the samples that count; None for all.

    Returns:
        Shape (M,), and a scalar that is the same in all processes: 0 where the least loss of all
        is at most 20, as with a score whose probabilities are floored; else what it is beyond.

    Example:
        >>> from counterpoise.core.scores import SquaredError
        >>> guesses = torch.tensor([[[10.0]], [[12.0]]])  # losses 100 and 144
        >>> given = Signals(None, torch.zeros(1, 1), unimodal_logits=guesses, score=SquaredError())
        >>> s, shift = scaled_confidences(given)
        >>> shift, (s[0] / s[1]).log().round()
        (tensor(80.), tensor(44.))
    """
    logits, score = signals.unimodal_logits, signals.score or CrossEntropy()
    assert logits is not None
    labelled = getattr(score, "counted", None)  # scores may know samples without a label
    if labelled is not None:
        labelled_B = labelled(signals.target)
        counted_B = labelled_B if counted_B is None else counted_B & labelled_B
    with without_autocast(logits.device):
        wide = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
        losses_MB = score_responses(score, wide, signals.target)
        shift = losses_MB.new_zeros(())
        if getattr(score, "floor", 0.0) < exp(-ROOM):
            least = _least_over_processes(losses_MB, signals.process_group, counted_B)
            shift = (least - ROOM).clamp_min(0).where(least.isfinite(), shift)
        likelihoods_MB = (losses_MB - shift).neg().exp()
        return mean_over_processes(likelihoods_MB, signals.process_group, counted_B)[0], shift


def _least_over_processes(losses_MB: Tensor, group: object, counted_B: Tensor | None) -> Tensor:
    """Return the least finite loss of the samples that count, a scalar; inf if there is none."""
    counted_MB = losses_MB.isfinite()
    if counted_B is not None:
        counted_MB = counted_MB & counted_B
    losses = losses_MB.where(counted_MB, float("inf")).flatten()
    least = torch.cat([losses, losses.new_full((1,), float("inf"))]).min()
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(least, op=distributed.ReduceOp.MIN, group=group)
    return least


def mean_of_others(values: Tensor) -> Tensor:
    """Map (M,) values, or (M, M) of one modality by another, to the mean over j != m.

    Exact where two or three values are equal: no total is taken that m would be subtracted from.

    Example:
        >>> mean_of_others(torch.tensor([1.0, 2.0, 6.0]))
        tensor([4.0000, 3.5000, 1.5000])
    """
    num_modalities = values.shape[-1]
    own = torch.eye(num_modalities, dtype=torch.bool, device=values.device)
    others_MM = values.expand(num_modalities, num_modalities).masked_fill(own, 0)
    return others_MM.sum(dim=1) / (num_modalities - 1)
