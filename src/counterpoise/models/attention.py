"""Multi-head attention over tokens with masks, shared by the transformer and the fusion.

A mask is true where a token is real. What padded tokens hold is never read, not even where it is
not finite, and a query without any real key receives zeros instead of NaN: that is what an
all-zero absent modality looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterpoise.core.errors import check_range
from counterpoise.models._checks import check_heads


class Attention(nn.Module):
    """Map queries and keys of one width to, for each query, a weighted mean of the keys' values.

    Args:
        width: Length of every token.
        num_heads: Number of heads; divides ``width``. Default: 4.
        dropout: Share of attention weights dropped in training, in [0, 1). Default: 0.

    Raises:
        ValueError: If ``width`` is no multiple of ``num_heads``, or an argument is out of range.

    Reference:
        Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1.
    """

    def __init__(self, width: int, num_heads: int = 4, *, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(width, num_heads)
        check_range("dropout", dropout, low=0.0, high=1.0)
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map queries (B, Q, width) and keys (B, K, width), mask (B, K), to (B, Q, width)."""
        key, value = self.key_value(keys).chunk(2, dim=-1)
        q, k, v = self._split(self.query(queries)), self._split(key), self._split(value)
        dropout = self.dropout if self.training else 0.0
        if mask is None:
            return self._join(F.scaled_dot_product_attention(q, k, v, dropout_p=dropout))
        # Without a key the softmax is not defined on every device: attend to all, then drop it.
        some = mask.any(-1)[:, None]
        attended = (mask | ~some)[:, None, None]
        output = F.scaled_dot_product_attention(q, k, v, attn_mask=attended, dropout_p=dropout)
        return self._join(output) * some[..., None]

    def _split(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        heads = tokens.reshape(batch, length, self.num_heads, width // self.num_heads)
        return heads.transpose(1, 2)

    def _join(self, heads: Tensor) -> Tensor:
        joined: Tensor = self.out(heads.transpose(1, 2).flatten(2))
        return joined


def masked_mean(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Average tokens (B, T, D) over the real ones; zeros where there are none.

    Args:
        tokens: Shape (B, T, D).
        mask: Shape (B, T), true where a token is real; None if all are.

    Returns:
        Shape (B, D).

    Example:
        >>> import torch
        >>> from counterpoise.models.attention import masked_mean
        >>> masked_mean(torch.tensor([[[1.0], [5.0]]]), torch.tensor([[True, False]]))
        tensor([[1.]])
    """
    if mask is None:
        return tokens.mean(1)
    kept = torch.where(mask[..., None], tokens, 0)
    return kept.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def read_sequence(value: Any) -> tuple[Tensor, Tensor | None]:
    """Take tokens and their mask out of a tensor or a mapping, padded tokens replaced by zeros.

    Args:
        value: A tensor of tokens, or a mapping with ``"tokens"`` and, optionally, ``"mask"`` of
            shape (B, T), not 0 where a token is real.

    Returns:
        The tokens, and the mask as booleans or None.

    Raises:
        TypeError: If ``value`` is neither.
        ValueError: If the mapping has other entries, or the mask another shape.

    Example:
        >>> import torch
        >>> from counterpoise.models.attention import read_sequence
        >>> read_sequence({"tokens": torch.tensor([[7, 3]]), "mask": torch.tensor([[1, 0]])})
        (tensor([[7, 0]]), tensor([[ True, False]]))
    """
    if isinstance(value, Tensor):
        return value, None
    if not isinstance(value, Mapping):
        raise TypeError(
            f"`inputs` should be a tensor of tokens or a mapping of 'tokens' and 'mask'; found "
            f"{type(value).__name__}. Pass one of the two."
        )
    if "tokens" not in value or not set(value) <= {"tokens", "mask"}:
        raise ValueError(
            f"`inputs` should have the entries 'tokens' and, optionally, 'mask'; found "
            f"{sorted(map(str, value))}. Rename the entries, or leave the others out."
        )
    tokens, mask = value["tokens"], value.get("mask")
    if mask is None:
        return tokens, None
    if mask.shape != tokens.shape[:2]:
        raise ValueError(
            f"`mask` should have the shape {tuple(tokens.shape[:2])} of batch and tokens; found "
            f"{tuple(mask.shape)}. Pass one entry per token, not 0 where the token is real."
        )
    mask = mask != 0
    # Not a product: 0 times a padded NaN is NaN.
    return torch.where(mask.reshape(*mask.shape, *[1] * (tokens.ndim - 2)), tokens, 0), mask
