"""A network of maxout layers, to be shared by modalities whose features are joined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range
from counterpoise.models._checks import check_sizes


class MaxOutLayers(nn.Module):
    """Map vectors to feature vectors by layers that take the maximum of several linear maps.

    h_0 = BN(x), h_l = dropout(BN(max over k of W_lk h_(l-1) + b_lk)), where BN is batch
    normalisation and l counts the layers. Given to
    :class:`~counterpoise.models.Concatenation` it is the early fusion of Li et al.

    Args:
        num_inputs: Length of the vectors.
        widths: Outputs of each layer; the last is the length of the feature vector.
        num_pieces: Linear maps of which each unit takes the maximum, at least 2. Default: 2.
        dropout: Share of each layer's outputs dropped in training, in [0, 1). Default: 0.3, as
            Li et al. have it.

    Attributes:
        num_features: Length of the feature vector, ``widths[-1]``.

    Raises:
        ValueError: If a count is too low, ``widths`` is empty or ``dropout`` is out of range.
        TypeError: If a count is no integer.

    Reference:
        Goodfellow et al., "Maxout networks", ICML 2013, section 3; Li et al., "Boosting
        Multi-modal Model Performance with Adaptive Gradient Modulation", ICCV 2023, the early
        fusion of the experiments.

    Example:
        >>> import torch
        >>> from counterpoise.models import Concatenation, MaxOutLayers
        >>> fusion = Concatenation((5, 7), num_classes=3, network=MaxOutLayers(12, (11, 13)))
        >>> fusion([torch.randn(2, 5), torch.randn(2, 7)]).shape
        torch.Size([2, 3])
    """

    def __init__(
        self, num_inputs: int, widths: Sequence[int], *, num_pieces: int = 2, dropout: float = 0.3
    ) -> None:
        super().__init__()
        check_count("num_inputs", num_inputs, at_least=1)
        widths = check_sizes("widths", widths)
        check_count("num_pieces", num_pieces, at_least=2)
        check_range("dropout", dropout, low=0.0, high=1.0, open_high=True)
        self.num_features = widths[-1]
        # The eps of the input's normalisation is that of Li et al., the others' is the usual one.
        layers: list[nn.Module] = [nn.BatchNorm1d(num_inputs, eps=1e-4)]
        for fan_in, fan_out in pairwise((num_inputs, *widths)):
            layers += [_Maximum(fan_in, fan_out, num_pieces)]
            layers += [nn.BatchNorm1d(fan_out), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map vectors (..., num_inputs) to features (..., num_features)."""
        # Batch normalisation would take a second axis for channels: every vector is a row to it.
        features: Tensor = self.layers(inputs.flatten(0, -2))
        return features.reshape(*inputs.shape[:-1], self.num_features)


class _Maximum(nn.Module):
    """Map rows to the maximum over ``num_pieces`` linear maps, neighbours in one weight matrix."""

    def __init__(self, fan_in: int, fan_out: int, num_pieces: int) -> None:
        super().__init__()
        self.shape = (fan_out, num_pieces)
        self.linear = nn.Linear(fan_in, fan_out * num_pieces)

    def forward(self, rows: Tensor) -> Tensor:
        pieces: Tensor = self.linear(rows)
        return pieces.reshape(len(rows), *self.shape).amax(-1)
