"""Where the two modalities meet: guided attention, propagation of positive samples, the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range
from counterpoise.models._checks import check_number
from counterpoise.models.fusions.base import linear_head
from counterpoise.models.psp.output import SegmentOutput


class PositiveSamplePropagation(nn.Module):
    """Map the features of a guiding and of a guided modality to the logits of each segment.

    The guide attends to the places of the guided modality's maps, and a bidirectional LSTM runs
    over what it found. Let v be the states of this LSTM and a those of the guide, both (T, D), and
    f(x; W) = dropout(relu(W x)). Then

    - beta = relu(f(v; W_1) f(a; W_2)^T / sqrt(D)) says how similar the segments of the two are;
    - gamma is beta with rows divided by their sums, shares up to ``threshold`` set to zero, and
      rows divided by their sums again: only positive samples are left;
    - v becomes norm(f(v + gamma f(a; W_3); W_4)), and a likewise with the transpose of beta.

    The mean of the two is the fused feature, the input of the sub-module ``head``.

    Args:
        num_classes: Number of classes of a segment, C, background among them. Default: 29.
        channels: Length of the places of the maps. Default: 512.
        key_size: Length of their keys, and of the guide beside them. Default: 512.
        num_places: Places of a map, height times width. Default: 49.
        hidden: Outputs of the first of two linear maps of what was attended. Default: 256.
        width: Outputs of the second, units of the LSTM in each direction, and length of the
            vectors that guide: half the length D of a state. Default: 128.
        head_width: Units of the hidden layer of the head. Default: 64.
        threshold: Share of a row of beta, at least 0 and below 1, that an entry has to exceed.
            Default: 0.099, a little less than an equal share of ten segments.
        dropout: Share of activations dropped in training, in [0, 1). Default: 0.1.

    The defaults are the published ones; they take what :class:`GuideEncoder` and
    :class:`MapEncoder` return by theirs.

    Attributes:
        sizes: Length of the guide's states and of the places of the maps.

    Raises:
        ValueError: If an argument is out of range; in the forward pass, if maps have another
            number of places.
        TypeError: If a count is no integer.

    Reference:
        Zhou et al., "Positive sample propagation along the audio-visual event line", CVPR 2021,
        section 3; the attention is that of Tian et al., "Audio-visual event localization in
        unconstrained videos", ECCV 2018, section 4.2.

    Example:
        >>> import torch
        >>> from counterpoise.models import GuideEncoder, MapEncoder
        >>> fusion = PositiveSamplePropagation(num_places=24)
        >>> features = [GuideEncoder()(torch.randn(2, 3, 128)),
        ...             MapEncoder()(torch.randn(2, 3, 4, 6, 512))]
        >>> output = fusion(features)
        >>> output.logits.shape, output.similarity.shape
        (torch.Size([2, 3, 29]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        num_classes: int = 29,
        *,
        channels: int = 512,
        key_size: int = 512,
        num_places: int = 49,
        hidden: int = 256,
        width: int = 128,
        head_width: int = 64,
        threshold: float = 0.099,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        counts = {"channels": channels, "key_size": key_size, "num_places": num_places}
        counts |= {"hidden": hidden, "width": width}
        for name, count in {**counts, "head_width": head_width}.items():
            check_count(name, count, at_least=1)
        check_range("threshold", threshold, low=0.0, high=1.0, open_high=True)
        check_range("dropout", dropout, low=0.0, high=1.0, open_high=True)
        self.sizes = (2 * width, channels)
        self.attention = _GuidedAttention(width, key_size, num_places)
        self.project = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        )
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.propagation = _Propagation(2 * width, threshold, dropout)
        self.head = nn.Sequential(
            nn.Linear(2 * width, head_width, bias=False),
            nn.ReLU(),
            linear_head(head_width, num_classes, bias=False),
        )
        _draw(self.head)

    def forward(self, features: Sequence[Mapping[str, Tensor]]) -> SegmentOutput:
        """Map {"guide", "states"} and {"maps", "keys"}, in this order, to logits and similarity."""
        check_number(features, self.sizes)
        guide, guided = features
        attended = self.attention(guide["guide"], guided["maps"], guided["keys"])
        states = self.lstm(self.project(attended))[0]
        first, second = self.propagation(guide["states"], states)
        similarity = (F.normalize(first, dim=-1) * F.normalize(second, dim=-1)).sum(-1)
        return SegmentOutput(self.head((first + second) / 2), similarity)


class _GuidedAttention(nn.Module):
    """Average the places of each segment's map, weighted as the guide says: (B, T, D).

    weights = softmax over places of u tanh(W_k keys + W_g relu(A guide)), where W_g has an output
    for each place, which is added to all units of W_k at that place.
    """

    def __init__(self, guide_size: int, key_size: int, num_places: int) -> None:
        super().__init__()
        self.num_places = num_places
        self.guide = nn.Linear(guide_size, key_size)
        self.place = nn.Linear(key_size, num_places, bias=False)
        self.offset = nn.Linear(key_size, num_places, bias=False)
        self.score = nn.Linear(num_places, 1, bias=False)
        _draw(self)

    def forward(self, guide: Tensor, maps: Tensor, keys: Tensor) -> Tensor:
        if maps.shape[2] != self.num_places:
            raise ValueError(
                f"`features` should have maps of {self.num_places} places, height times width; "
                f"found {maps.shape[2]}. Build the fusion with num_places={maps.shape[2]}."
            )
        offset = self.offset(F.relu(self.guide(guide))).unsqueeze(-1)
        scores: Tensor = self.score(torch.tanh(self.place(keys) + offset))
        return (scores.softmax(dim=2).mT @ maps).squeeze(2)


class _Stream(nn.Module):
    """The linear maps of one stream: by which it is compared, what it gives, what comes out."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.compare = nn.Linear(size, size, bias=False)
        self.give = nn.Linear(size, size, bias=False)
        self.out = nn.Linear(size, size, bias=False)


class _Propagation(nn.Module):
    """Add to the states (B, T, D) of each stream what similar segments of the other give."""

    def __init__(self, size: int, threshold: float, dropout: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.first, self.second = _Stream(size), _Stream(size)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(size, eps=1e-6)
        _draw(self)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        compared = [self._act(self.first.compare(first)), self._act(self.second.compare(second))]
        # beta (B, T of the second, T of the first)
        beta = F.relu(compared[1] @ compared[0].mT / first.shape[-1] ** 0.5)
        from_first = self._gate(beta) @ self._act(self.first.give(first))
        from_second = self._gate(beta.mT) @ self._act(self.second.give(second))
        outs = self.first.out(first + from_second), self.second.out(second + from_first)
        return self.norm(self._act(outs[0])), self.norm(self._act(outs[1]))

    def _act(self, values: Tensor) -> Tensor:
        acted: Tensor = self.dropout(F.relu(values))
        return acted

    def _gate(self, beta: Tensor) -> Tensor:
        """Keep the shares of each row above the threshold, and let them sum to 1 again."""
        shares = beta / (beta.sum(dim=-1, keepdim=True) + 1e-8)
        kept = shares * (shares > self.threshold)
        return kept / (kept.sum(dim=-1, keepdim=True) + 1e-8)


def _draw(module: nn.Module) -> None:
    """Draw the weights of all linear maps as published: Glorot's uniform distribution."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
