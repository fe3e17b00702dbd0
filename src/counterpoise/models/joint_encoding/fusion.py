"""Blocks of self-attention and guided attention over two sequences, and what is read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range
from counterpoise.models._checks import check_heads, check_number
from counterpoise.models.attention import Attention
from counterpoise.models.fusions.base import Fusion, linear_head


class JointEncoding(Fusion):
    """Intermediate fusion: one sequence attends to itself, another to itself and to the first.

    A block adds to the tokens x of the first modality what self-attention and a ReLU network make
    of them, and to the tokens y of the second what self-attention, attention to x and a ReLU
    network make of them. Every block but the last then adds to each sequence its glimpses, which
    are ``length`` weighted means of its tokens, and normalises. Padding is masked in the first
    block; after it every token is a glimpse. In the end one glimpse of each sequence is mapped
    linearly, and the norm of their sum is the fused feature.

    Args:
        num_classes: Number of logits, C.
        width: Length of the tokens, a multiple of ``num_heads``. Default: 512.
        num_blocks: Number of blocks. Default: 6.
        num_heads: Heads of attention. Default: 4.
        hidden: Units of the ReLU networks. Default: 1024.
        length: Number of tokens of either sequence. Default: 60.
        dropout: Share of attention weights and activations dropped in training, in [0, 1).
            Default: 0.1.

    The defaults are those of Li et al. for CMU-MOSEI; the features are those of
    :class:`TokenEncoder`.

    Raises:
        ValueError: If an argument is out of range; in the forward pass, if there are not two
            features, or their tokens have another shape.
        TypeError: If a count is no integer.

    Reference:
        Delbrouck et al., "A Transformer-based joint-encoding for emotion recognition and
        sentiment analysis", ACL workshop Challenge-HML 2020; Yu et al., "Deep modular co-attention
        networks for visual question answering", CVPR 2019.

    Differs from the official code: layer normalisation divides by the standard deviation of the
    population, as is usual, not by that of a sample.

    Example:
        >>> import torch
        >>> from counterpoise.models import JointEncoding, TokenEncoder
        >>> fusion = JointEncoding(3, width=8, num_blocks=2, hidden=11, length=5)
        >>> text, sound = TokenEncoder(7, width=8, length=5), TokenEncoder(13, width=8, length=5)
        >>> fusion([text(torch.randn(2, 5, 7)), sound(torch.randn(2, 4, 13))]).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: int = 512,
        num_blocks: int = 6,
        num_heads: int = 4,
        hidden: int = 1024,
        length: int = 60,
        dropout: float = 0.1,
    ) -> None:
        check_heads(width, num_heads)
        for name, count in {"num_blocks": num_blocks, "hidden": hidden, "length": length}.items():
            check_count(name, count, at_least=1)
        check_range("dropout", dropout, low=0.0, high=1.0, open_high=True)
        super().__init__((width, width), linear_head(2 * width, num_classes))
        self.length = length
        self.blocks = nn.ModuleList(
            _Block(width, num_heads, hidden, length if later else None, dropout)
            for later in reversed(range(num_blocks))
        )
        self.read = nn.ModuleList(
            nn.Sequential(
                _Glimpses(width, hidden, 1, dropout), nn.Flatten(1), nn.Linear(width, 2 * width)
            )
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(2 * width, eps=1e-6)

    def fuse(self, features: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """Map two features, "tokens" (B, length, width) and "mask", to (B, 2 width)."""
        check_number(features, self.sizes)
        first, second = (feature["tokens"] for feature in features)
        expected = (first.shape[0], self.length, self.sizes[0])
        for tokens in (first, second):
            if tokens.shape != expected:
                raise ValueError(
                    f"`features` should have tokens of shape {tuple(expected)}; found "
                    f"{tuple(tokens.shape)}. Build encoders and fusion of one width and length."
                )
        masks: Sequence[Tensor | None] = [feature["mask"] for feature in features]
        for block in self.blocks:
            first, second = block(first, second, *masks)
            masks = [None, None]
        fused: Tensor = self.norm(self.read[0](first) + self.read[1](second))
        return fused


class _Attended(nn.Module):
    """Add to queries what they find by attention, and normalise."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, num_heads, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        attended = self.dropout(self.attention(queries, keys, mask))
        normed: Tensor = self.norm(queries + attended)
        return normed


class _Changed(nn.Module):
    """Add to tokens what a ReLU network makes of them, and normalise."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.network = _relu_network(width, hidden, width, dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        normed: Tensor = self.norm(tokens + self.dropout(self.network(tokens)))
        return normed


class _Block(nn.Module):
    """Add to two sequences what attention makes of them; the second also sees the first.

    With ``length``, each sequence then becomes as many glimpses of itself.
    """

    def __init__(
        self, width: int, num_heads: int, hidden: int, length: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.first = _Attended(width, num_heads, dropout)
        self.first_change = _Changed(width, hidden, dropout)
        self.second = _Attended(width, num_heads, dropout)
        self.guided = _Attended(width, num_heads, dropout)
        self.second_change = _Changed(width, hidden, dropout)
        self.refine = nn.ModuleList(
            _Refinement(width, hidden, length, dropout) for _ in range(2) if length is not None
        )

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        first_mask: Tensor | None,
        second_mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        change = self.first_change(self.first(first, first, first_mask))
        # The guide is the first sequence as the block received it, not as it leaves it.
        guided = self.guided(self.second(second, second, second_mask), first, first_mask)
        first, second = first + change, second + self.second_change(guided)
        if not self.refine:
            return first, second
        return self.refine[0](first, first_mask), self.refine[1](second, second_mask)


class _Glimpses(nn.Module):
    """Map tokens (B, T, D) to weighted means of them (B, G, D); the weights are learned."""

    def __init__(self, width: int, hidden: int, num_glimpses: int, dropout: float) -> None:
        super().__init__()
        self.score = _relu_network(width, hidden, num_glimpses, dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        scores: Tensor = self.score(tokens)
        if mask is not None:
            # Not minus infinity: where nothing is real the mean is over all, and not NaN.
            scores = scores.masked_fill(~mask[..., None], torch.finfo(scores.dtype).min)
        return scores.softmax(dim=1).mT @ tokens


class _Refinement(nn.Module):
    """Add to each token of a sequence a glimpse of the whole, and normalise."""

    def __init__(self, width: int, hidden: int, length: int, dropout: float) -> None:
        super().__init__()
        self.glimpses = _Glimpses(width, hidden, length, dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        normed: Tensor = self.norm(tokens + self.dropout(self.glimpses(tokens, mask)))
        return normed


def _relu_network(width: int, hidden: int, num_outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, num_outputs)
    )
