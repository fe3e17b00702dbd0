"""MMCosine: additive late fusion by angles, in which no modality's feature or weight is long."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoise.core.errors import check_count, check_range
from counterpoise.models._checks import check_modality_sizes, check_vectors
from counterpoise.models.fusions.base import Fusion
from counterpoise.models.fusions.late import Heads


class CosineHead(nn.Module):
    """Maps a feature to scaled cosines with the weight of each class: s cos(f, W_c), no bias.

    Args:
        size: D of the feature.
        num_classes: C.
        scale: s, above 0.

    Example:
        >>> head = CosineHead(2, 3, scale=10.0)
        >>> _ = nn.init.constant_(head.weight, 0.5)
        >>> head(torch.tensor([[7.0, 7.0]])).round()  # each weight points where the feature does
        tensor([[10., 10., 10.]], grad_fn=<RoundBackward0>)
    """

    def __init__(self, size: int, num_classes: int, scale: float = 10.0) -> None:
        super().__init__()
        check_count("size", size, at_least=1)
        check_count("num_classes", num_classes, at_least=1)
        check_range("scale", scale, low=0, open_low=True)
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, size))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, feature: Tensor) -> Tensor:
        """Map (..., D) to logits (..., C), each between -s and s."""
        return self.scale * F.linear(_unit(feature), _unit(self.weight))


def _unit(vectors: Tensor) -> Tensor:
    """Divide vectors by their lengths; zeros stay. float16 has no number as small or large."""
    wide = torch.promote_types(vectors.dtype, torch.float32)
    return F.normalize(vectors.to(wide), dim=-1).to(vectors.dtype)


class Cosine(Fusion):
    """Late fusion: the scaled cosines of each modality's feature with class weights, summed.

    logits = s sum_m cos(f_m, W_m,c). Whatever the length of a feature, its modality counts for no
    more than s in a logit. The heads are the sub-modules ``head.0``, ``head.1``, ..., whose outputs
    add up to the logits.

    Args:
        sizes: D_m, the feature sizes of two or more modalities.
        num_classes: Number of logits, C.
        scale: s, above 0. Released setting: 10.

    Raises:
        ValueError: If there are fewer than two modalities, a count is below 1 or the scale not
            above 0; in the forward pass, if the features have other sizes.

    Example:
        >>> fusion = Cosine((5, 7), num_classes=3, scale=10.0)
        >>> features = [torch.randn(2, 5), torch.randn(2, 7)]
        >>> logits = fusion(features)
        >>> longer = fusion([1000 * features[0], features[1]])
        >>> torch.allclose(logits, longer, rtol=1e-4), bool(logits.abs().max() <= 20)
        (True, True)

    Reference: Xu et al., "MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual
    Fine-Grained Learning", ICASSP 2023.
    """

    def __init__(self, sizes: Sequence[int], num_classes: int, scale: float = 10.0) -> None:
        make = partial(CosineHead, scale=scale)
        super().__init__(sizes, Heads(check_modality_sizes(sizes), num_classes, make))

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Join the features, (..., sum of sizes)."""
        check_vectors(features, self.sizes)
        return torch.cat(list(features), dim=-1)
