"""What a call of ``Balanced`` returns."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Output"]


class Output(NamedTuple):
    """What ``Balanced`` returns.

    Attributes:
        logits: Equal to the model's own bit for bit, shape (B, ...). Under modulation their
            gradient is spread over the coalitions.
        raw: What the model returned, before ``select``.
        loss: The scalar to minimise: ``criterion(logits, target)`` and what the method adds to
            it. None without a target.
        responses: Mono-modal responses, shape (M, B, ...), float32 or wider. Under Shapley
            attribution they sum to the logits over M. None where they were not asked for.
        scores: Mean loss of each response over the batch, shape (M,), detached, in the units of
            the score (nats). None without responses or target.
        coefficients: Factor of the gradient of each modality, of its response or of its encoder,
            shape (M,), detached. Ones where the method scales neither. None outside training.
        sampling_error: Standard error of each response, root mean square over its entries,
            shape (M,). None where coalitions are exact.
        unimodal_logits: From ``respond``: logits of each modality on its own, shape (M, B, ...),
            those of the method's own heads, of additive heads, or the responses. Else None.
    """

    logits: Tensor
    raw: Any
    loss: Tensor | None = None
    responses: Tensor | None = None
    scores: Tensor | None = None
    coefficients: Tensor | None = None
    sampling_error: Tensor | None = None
    unimodal_logits: Tensor | None = None
