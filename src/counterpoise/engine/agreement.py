"""Whether values of coalitions agree, but for rounding.

Values are compared entry by entry, with differences between coalitions as the measure: logits of
-1e9 would hide all others. What is the same for all coalitions, or not finite, tells nothing, and
nothing is concluded from it.

Legend: M modalities, S coalitions, B rows of the batch.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from counterpoise.core.pytree import PyTree, tensors

Verdict = Literal["same", "different", "nothing"]
"""Whether values are the same but for rounding; "nothing" if they could not have differed."""


def compare(values: Tensor, truth: Tensor) -> Verdict:
    """Compare the values of coalitions, shape (S, B, ...), entry by entry.

    The measure is how much coalitions differ at the entry, beside rounding errors of numbers of
    its size.
    """
    if values.shape != truth.shape:
        return "different"
    finite = truth.isfinite().all(dim=0)
    if not (values.isfinite() == truth.isfinite())[:, finite].all():
        return "different"
    values, truth = values[:, finite], truth[:, finite]
    if not truth.numel():
        return "nothing"
    eps = torch.finfo(truth.dtype).eps
    size = truth.abs().amax(dim=0)
    rounding = 256 * eps * (size + size.median())
    spread = truth.amax(dim=0) - truth.amin(dim=0)
    if not ((values - truth).abs().amax(dim=0) <= sqrt(eps) * spread + rounding).all():
        return "different"
    return "same" if (spread > 16 * rounding).any() else "nothing"


def adds_up(truth: Tensor) -> bool:
    """Return whether values are sums of what members give alone: M alone, all but each, all."""
    M = len(truth) // 2
    alone, rest, full = truth[:M], truth[M:-1], truth[-1]
    empty = (alone.sum(dim=0) - full) / (M - 1)
    predicted = torch.cat([alone, full - alone + empty])
    return compare(predicted, torch.cat([alone, rest])) != "different"


def are_probabilities(logits: Tensor) -> bool:
    """Return whether every row of logits is one of probabilities of classes."""
    if logits.dim() < 2 or logits.shape[1] < 2:
        return False
    total = logits.sum(dim=1)
    return bool(logits.ge(0).all() and total.sub(1).abs().le(1e-4).all())


def equal(tree: PyTree, expected: PyTree) -> bool:
    """Return whether trees are the same but for rounding; fewer rows stand for all."""
    pairs = list(zip(tensors(tree), tensors(expected), strict=False))
    if len(tensors(tree)) != len(tensors(expected)):
        return False
    for a, b in pairs:
        if a.dim() != b.dim() or any(
            n not in (1, m) for n, m in zip(a.shape, b.shape, strict=True)
        ):
            return False
        if not (a.is_floating_point() or a.is_complex()):
            if not torch.equal(a.expand_as(b), b):
                return False
            continue
        eps = torch.finfo(b.dtype).eps
        size = float(b.abs().max()) if b.numel() else 0.0
        if not torch.allclose(a.expand_as(b), b, rtol=256 * eps, atol=256 * eps * size):
            return False
    return True
