"""Intermediate fusions: the modalities act on each other's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_count
from counterpoise.models._checks import (
    check_index,
    check_modality_sizes,
    check_number,
    check_vectors,
)
from counterpoise.models.attention import Attention, masked_mean, read_sequence
from counterpoise.models.fusions.base import Fusion, linear_head


class FiLM(Fusion):
    """Intermediate fusion: the other modalities scale and shift the features of one.

    logits = head((1 + gamma) f_c + beta), where gamma and beta, of the size of f_c, are a linear
    map of the joined features of all modalities but the conditioned one, c.

    Args:
        sizes: D_m, the feature sizes of two or more modalities.
        num_classes: Number of logits, C.
        conditioned: Index of the modality that is scaled and shifted. Default: 0. The fused
            feature has its size.

    Raises:
        ValueError: If there are fewer than two modalities, a count is below 1 or ``conditioned``
            is no index of a modality; in the forward pass, if the features have other sizes.

    Reference:
        Perez et al., "FiLM: visual reasoning with a general conditioning layer", AAAI 2018,
        equation 2, with gamma predicted as a difference from 1, as the paper's appendix advises.

    Example:
        >>> import torch
        >>> from counterpoise.models import FiLM
        >>> fusion = FiLM((5, 7, 11), num_classes=3, conditioned=1)
        >>> fusion([torch.randn(2, 5), torch.randn(2, 7), torch.randn(2, 11)]).shape
        torch.Size([2, 3])
    """

    def __init__(self, sizes: Sequence[int], num_classes: int, *, conditioned: int = 0) -> None:
        sizes = check_modality_sizes(sizes)
        check_index("conditioned", conditioned, len(sizes))
        size = sizes[conditioned]
        super().__init__(sizes, linear_head(size, num_classes))
        self.conditioned = conditioned
        self.generator = nn.Linear(sum(sizes) - size, 2 * size)

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Scale and shift the conditioned modality's feature by the others'."""
        check_vectors(features, self.sizes)
        others = [f for index, f in enumerate(features) if index != self.conditioned]
        gamma, beta = self.generator(torch.cat(others, dim=-1)).chunk(2, dim=-1)
        fused: Tensor = (1 + gamma) * features[self.conditioned] + beta
        return fused


class Gated(Fusion):
    """Intermediate fusion: a mean of the modalities, weighted unit by unit by learned gates.

    logits = head(sum over m of z_m tanh(W_m f_m + b_m)), where the gates z, positive and of sum 1
    over modalities, are a softmax of a linear map of all joined features.

    Args:
        sizes: D_m, the feature sizes of two or more modalities.
        num_classes: Number of logits, C.
        width: Size of the fused feature. Default: 64.

    Raises:
        ValueError: If there are fewer than two modalities or a count is below 1; in the forward
            pass, if the features have other sizes.

    Reference:
        Arevalo et al., "Gated multimodal units for information fusion", ICLR workshop 2017.

    Differs from the paper: for two modalities the softmax is its gates z and 1 - z; for more, the
    paper's gates vary independently of each other, here they still sum to 1.

    Example:
        >>> import torch
        >>> from counterpoise.models import Gated
        >>> fusion = Gated((5, 7, 11), num_classes=3)
        >>> fusion([torch.randn(2, 5), torch.randn(2, 7), torch.randn(2, 11)]).shape
        torch.Size([2, 3])
    """

    def __init__(self, sizes: Sequence[int], num_classes: int, width: int = 64) -> None:
        sizes = check_modality_sizes(sizes)
        check_count("width", width, at_least=1)
        super().__init__(sizes, linear_head(width, num_classes))
        self.maps = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.gate = nn.Linear(sum(sizes), len(sizes) * width)

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Weigh the mapped features by the gates: (..., width)."""
        check_vectors(features, self.sizes)
        mapped = [linear(f) for linear, f in zip(self.maps, features, strict=True)]
        return (self.gates(features) * torch.stack(mapped, dim=-2).tanh()).sum(-2)

    def gates(self, features: Sequence[Tensor]) -> Tensor:
        """Map the features to the gates (..., M, width), which sum to 1 over modalities."""
        joined = torch.cat(list(features), dim=-1)
        gates: Tensor = self.gate(joined).unflatten(-1, (len(self.sizes), -1)).softmax(-2)
        return gates


class CrossAttention(Fusion):
    """Intermediate fusion: the tokens of one modality attend to the tokens of all others.

    logits = head(mean over query tokens of norm(q + attention(q, k))), where q are linear maps
    of the querying modality's tokens and k those of all other modalities, joined. A feature
    vector is one token, a feature map has one token per place. Keys have no order: an encoder
    that wants positions to count has to put them into its tokens, as
    :class:`~counterpoise.models.Transformer` does. Where there is but one key the attention to it
    is 1, whatever the query.

    Args:
        sizes: D_m: the lengths of feature vectors or tokens, or the channels of feature maps, of
            two or more modalities.
        num_classes: Number of logits, C.
        width: Length of the tokens inside, a multiple of ``num_heads``. Default: 64.
        num_heads: Heads of attention. Default: 4.
        query: Index of the modality whose tokens attend to the others'. Default: 0.
        dropout: Share of attention weights dropped in training, in [0, 1). Default: 0.

    Raises:
        ValueError: If there are fewer than two modalities, an argument is out of range or
            ``query`` is no index of a modality; in the forward pass, if a feature has another
            size or batch.
        TypeError: In the forward pass, if a feature is neither a tensor nor a mapping.

    Reference:
        Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1, with queries from
        one modality and keys and values from the others as in Tsai et al., "Multimodal
        transformer for unaligned multimodal language sequences", ACL 2019, equation 1.

    Example:
        >>> import torch
        >>> from counterpoise.models import CrossAttention
        >>> fusion = CrossAttention((5, 7, 11), num_classes=3)
        >>> features = [torch.randn(2, 5), torch.randn(2, 13, 7), torch.randn(2, 11, 4, 6)]
        >>> fusion(features).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_classes: int,
        width: int = 64,
        *,
        num_heads: int = 4,
        query: int = 0,
        dropout: float = 0.0,
    ) -> None:
        sizes = check_modality_sizes(sizes)
        check_index("query", query, len(sizes))
        check_count("width", width, at_least=1)
        super().__init__(sizes, linear_head(width, num_classes))
        self.query = query
        self.maps = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.attention = Attention(width, num_heads, dropout=dropout)
        self.norm = nn.LayerNorm(width)

    def fuse(self, features: Sequence[Any]) -> Tensor:
        """Let the query tokens attend to the others' and average them: (B, width)."""
        check_number(features, self.sizes)
        sequences = [_tokens(f, self.sizes[m], m) for m, f in enumerate(features)]
        lengths = [len(tokens) for tokens, _ in sequences]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"`features` should be over the same batch; found {lengths} samples. Pass features "
                f"of the same samples."
            )
        mapped = [linear(tokens) for linear, (tokens, _) in zip(self.maps, sequences, strict=True)]
        masks = [mask for _, mask in sequences]
        queries, query_mask = mapped.pop(self.query), masks.pop(self.query)
        mask = None
        if any(own is not None for own in masks):
            mask = torch.cat(
                [
                    tokens.new_ones(tokens.shape[:2], dtype=torch.bool) if own is None else own
                    for tokens, own in zip(mapped, masks, strict=True)
                ],
                dim=1,
            )
        attended = self.attention(queries, torch.cat(mapped, dim=1), mask)
        return masked_mean(self.norm(queries + attended), query_mask)


def _tokens(feature: Any, size: int, index: int) -> tuple[Tensor, Tensor | None]:
    """Read a vector (B, D), tokens (B, T, D) or a map (B, D, height, width) as tokens."""
    tokens, mask = read_sequence(feature)
    shape = tuple(tokens.shape)
    if tokens.ndim == 2:
        tokens = tokens[:, None]
    elif tokens.ndim == 4:
        tokens = tokens.flatten(2).transpose(1, 2)
    if tokens.ndim != 3 or tokens.shape[2] != size:
        raise ValueError(
            f"`features[{index}]` should be vectors (batch, {size}), tokens (batch, tokens, "
            f"{size}) or maps (batch, {size}, height, width); found shape {shape}. "
            f"Build the fusion with the encoders' num_features."
        )
    return tokens, mask
