"""A transformer encoder for sequences of feature vectors or of token ids, with padding masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_count, check_flag, check_range
from counterpoise.models.attention import Attention, read_sequence


class _Block(nn.Module):
    """Add to the tokens what attention, then a two-layer network, make of them, normed first."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads, dropout=dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        normed = self.norm1(tokens)
        attended: Tensor = tokens + self.dropout(self.attention(normed, normed, mask))
        changed: Tensor = self.dropout(self.feedforward(self.norm2(attended)))
        return attended + changed


class Transformer(nn.Module):
    """Map sequences of any length, with padding, to feature vectors, or to sequences of tokens.

    A learned class token is put before the sequence and its last state is the feature vector.
    It is always there to attend to, so that a sequence without any real token, such as an absent
    modality whose mask is all zeros, has a well-defined feature. Padded tokens change nothing,
    whatever they hold. Blocks normalise first; positions are added as sines and cosines, so that
    there is no greatest length.

    Args:
        num_inputs: Length of a token's feature vector; with ``ids``, the number of distinct ids.
        width: Length of the tokens inside, even and a multiple of ``num_heads``. Default: 64.
        num_layers: Number of blocks. Default: 2.
        num_heads: Heads of attention. Default: 4.
        dropout: Share of attention weights and activations dropped in training, in [0, 1).
            Default: 0.1.
        ids: Whether tokens are integer ids, which are embedded, instead of feature vectors.
            Default: False.
        positions: Whether to add positions. Default: True. Without them the feature does not
            depend on the order of the tokens.
        output: ``"vector"``: features (B, width). ``"sequence"``: all last states, the class
            token first, (B, 1 + T, width), for cross-attention: a tensor for a tensor, a mapping
            of tokens and mask for a mapping with a mask. Default: ``"vector"``.

    Attributes:
        num_features: Length of the feature vector or of each token: ``width``.

    Raises:
        ValueError: If an argument is out of its range; in the forward pass, if the tokens or the
            mask have another shape.
        TypeError: If a count is no integer, or the input is neither tensor nor mapping.

    Reference:
        Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Example:
        >>> import torch
        >>> from counterpoise.models import Transformer
        >>> encoder = Transformer(num_inputs=5, width=8)
        >>> encoder(torch.randn(2, 7, 5)).shape
        torch.Size([2, 8])
        >>> mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1]])
        >>> encoder({"tokens": torch.randn(2, 7, 5), "mask": mask}).shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        num_inputs: int,
        *,
        width: int = 64,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        ids: bool = False,
        positions: bool = True,
        output: Literal["vector", "sequence"] = "vector",
    ) -> None:
        super().__init__()
        check_flag("ids", ids)
        check_flag("positions", positions)
        check_count("num_inputs", num_inputs, at_least=1)
        check_count("num_layers", num_layers, at_least=1)
        check_range("dropout", dropout, low=0.0, high=1.0)
        check_choice("output", output, ("vector", "sequence"))
        check_count("width", width, at_least=2)
        if width % 2:
            raise ValueError(
                f"`width` should be even, for positions are pairs of sine and cosine; found "
                f"{width}. Choose {width + 1}."
            )
        self.num_inputs = num_inputs
        self.num_features = width
        self.ids = ids
        self.positions = positions
        self.output = output
        self.embed = nn.Embedding(num_inputs, width) if ids else nn.Linear(num_inputs, width)
        self.class_token = nn.Parameter(torch.randn(width) / width**0.5)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(width, num_heads, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> Any:
        """Map tokens (B, T, num_inputs), or ids (B, T), to features (B, width) or a sequence."""
        values, mask = read_sequence(inputs)
        self._check(values)
        tokens = self.embed(values)
        if self.positions:
            tokens = tokens + _sinusoids(tokens)
        first = self.class_token.to(tokens.dtype).expand(len(tokens), 1, -1)
        tokens = self.dropout(torch.cat([first, tokens], dim=1))
        if mask is not None:
            mask = F.pad(mask, (1, 0), value=True)
        for block in self.blocks:
            tokens = block(tokens, mask)
        if self.output == "vector":
            return self.norm(tokens[:, 0])
        return self.norm(tokens) if mask is None else {"tokens": self.norm(tokens), "mask": mask}

    def _check(self, values: Tensor) -> None:
        if self.ids and (values.ndim != 2 or values.is_floating_point()):
            raise ValueError(
                f"`inputs` should be integer ids of shape (batch, tokens); found "
                f"{values.dtype} of shape {tuple(values.shape)}. Pass ids, or set ids=False for "
                f"feature vectors."
            )
        if not self.ids and (values.ndim != 3 or values.shape[2] != self.num_inputs):
            raise ValueError(
                f"`inputs` should have shape (batch, tokens, {self.num_inputs}); found "
                f"{tuple(values.shape)}. Build the encoder with num_inputs equal to the length "
                f"of a token, or set ids=True for token ids."
            )


def _sinusoids(tokens: Tensor) -> Tensor:
    """Sines and cosines (T, width) of the positions at wavelengths from 2 pi to 20000 pi."""
    length, width = tokens.shape[1:]
    # In half precision positions above 256 or 2048 would coincide.
    exact = torch.promote_types(tokens.dtype, torch.float32)
    position = torch.arange(length, device=tokens.device, dtype=exact)
    exponent = torch.arange(0, width, 2, device=tokens.device, dtype=exact) / width
    angles = position[:, None] * 10000.0**-exponent
    return torch.cat([angles.sin(), angles.cos()], -1).to(tokens.dtype)
