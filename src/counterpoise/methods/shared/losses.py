"""Losses of several logits at once."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoise.methods.method import Signals


def criteria(logits_M: Tensor, signals: Signals) -> Tensor:
    """Return the criterion of each of several logits, (M, B, ...) to (M,)."""
    assert signals.criterion is not None
    return torch.stack([signals.criterion(logits, signals.target) for logits in logits_M])


def log_probabilities(logits: Tensor, *, dim: int) -> Tensor:
    """Return log-probabilities, finite also where a class is masked by minus infinity.

    So that a probability of zero times its logarithm is zero, and its gradient too.

    Example:
        >>> log_p = log_probabilities(torch.tensor([0.0, 0.0, -torch.inf]), dim=0)
        >>> log_p[:2], (log_p.exp() * log_p)[2]
        (tensor([-0.6931, -0.6931]), tensor(-0.))
    """
    log_p = logits.log_softmax(dim=dim)
    return log_p.clamp_min(torch.finfo(log_p.dtype).min / 4)


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of two predictions, the mean over the batch.

    JS(p, q) = (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, from logits, in nats.

    Args:
        one: Logits, classes in axis 1, shape (B, C, ...).
        other: Likewise.

    Returns:
        A scalar from 0, where they are equal, to log 2, where no class is common.

    Example:
        >>> sure = torch.tensor([[100.0, 0.0]])
        >>> divergence(sure, sure), divergence(sure, -sure)
        (tensor(0.), tensor(0.6931))
    """
    log_p, log_q = log_probabilities(one, dim=1), log_probabilities(other, dim=1)
    log_m = torch.logaddexp(log_p, log_q) - torch.log(log_p.new_tensor(2.0))
    of_p = (log_p.exp() * (log_p - log_m)).sum(dim=1)
    of_q = (log_q.exp() * (log_q - log_m)).sum(dim=1)
    return (of_p + of_q).mean() / 2
