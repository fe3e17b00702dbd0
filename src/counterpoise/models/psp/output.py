"""What the network returns, and the loss on the similarity of its two streams."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from counterpoise.core.errors import check_count, check_kind, check_range, described


class SegmentOutput(NamedTuple):
    """Logits of each segment, and how similar the two streams are in it.

    Attributes:
        logits: Shape (B, T, C).
        similarity: Cosine of the two streams in each segment, shape (B, T).

    Example:
        >>> import torch
        >>> output = SegmentOutput(torch.randn(2, 5, 3), torch.randn(2, 5))
        >>> SegmentOutput.select(output).shape
        torch.Size([2, 3, 5])
    """

    logits: Tensor
    similarity: Tensor

    def select(self) -> Tensor:
        """Return the logits with classes second, (B, C, T), as losses and scores expect them.

        ``Balanced(..., select=SegmentOutput.select)`` takes it.
        """
        return self.logits.transpose(1, 2)


def event_shares(target: Tensor, background: int) -> Tensor:
    """Map labels to weights that divide 1 equally among the segments that show an event.

    Args:
        target: Class of each segment, integers of shape (B, T).
        background: The class of segments without an event.

    Returns:
        1 / n on the n event segments of a clip and 0 elsewhere, shape (B, T), float32; all 0
        where a clip has no event.

    Example:
        >>> import torch
        >>> event_shares(torch.tensor([[2, 0, 0, 2], [2, 2, 2, 2]]), background=2)
        tensor([[0.0000, 0.5000, 0.5000, 0.0000],
                [0.0000, 0.0000, 0.0000, 0.0000]])
    """
    check_kind("target", target, Tensor, "a tensor of classes (B, T)")
    check_count("background", background, at_least=0)
    if target.dim() != 2 or target.is_floating_point():
        raise ValueError(
            f"`target` should be integers of shape (B, T); found {described(target)}. Pass the "
            "class of each segment."
        )
    events = target.ne(background).float()
    return events / events.sum(dim=1, keepdim=True).clamp_min(1)


def similarity_loss(
    output: SegmentOutput, target: Tensor, *, background: int | None = None, weight: float = 100.0
) -> Tensor:
    """Return the loss that draws the two streams together where there is an event.

    weight * mean over clips and segments of (p - q)^2, where p is the positive part of the
    similarities divided by its sum over the clip's segments, and q is :func:`event_shares`.

    Methods balance the logits alone: added to ``out.loss``, this loss keeps its plain gradient,
    as published: ``(out.loss + similarity_loss(out.raw, target)).backward()``.

    Args:
        output: What the network returned, ``out.raw`` of ``Balanced``.
        target: Class of each segment, shape (B, T).
        background: The class of segments without an event. Default: the last.
        weight: Factor of the loss beside the cross-entropy, at least 0. Default: 100, as
            published.

    Returns:
        A scalar.

    Raises:
        ValueError: If the target has another shape than the similarities, or the weight is
            negative.

    Reference:
        Zhou et al., "Positive sample propagation along the audio-visual event line", CVPR 2021,
        the similarity loss and its weight.

    Example:
        >>> import torch
        >>> output = SegmentOutput(torch.zeros(1, 3, 2), torch.tensor([[0.8, 0.8, -0.3]]))
        >>> similarity_loss(output, torch.tensor([[0, 0, 1]])).item()
        0.0
    """
    check_range("weight", weight, low=0.0)
    check_kind("output", output, SegmentOutput, "a SegmentOutput")
    check_kind("target", target, Tensor, "a tensor of classes (B, T)")
    if target.shape != output.similarity.shape:
        raise ValueError(
            f"`target` should have the shape {tuple(output.similarity.shape)} of clips and "
            f"segments; found {tuple(target.shape)}. Pass one class a segment."
        )
    last = output.logits.shape[-1] - 1
    if background is not None:
        check_count("background", background, at_least=0, at_most=last)
    shares = event_shares(target, last if background is None else background)
    positive = F.relu(output.similarity)
    # Published: where no segment is similar at all, the small term leaves zeros and not NaN.
    normalised = positive / (positive.sum(dim=1, keepdim=True) + 1e-8)
    return weight * F.mse_loss(normalised, shares.to(normalised.dtype))
