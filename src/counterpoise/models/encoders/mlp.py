"""A multi-layer perceptron over flattened samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range
from counterpoise.models._checks import check_sizes


class MLP(nn.Module):
    """Map samples of any shape to feature vectors: layers of linear map, ReLU and dropout.

    Args:
        num_inputs: Values per sample, the product of a sample's shape.
        widths: Outputs of each layer; the last is the length of the feature vector.
            Default: (128, 64).
        dropout: Share of each layer's outputs dropped in training, in [0, 1). Default: 0. Raise
            it for small data sets.

    Attributes:
        num_features: Length of the feature vector, ``widths[-1]``.

    Raises:
        ValueError: If a count is below 1, ``widths`` is empty or ``dropout`` is out of range; in
            the forward pass, if a sample does not have ``num_inputs`` values.
        TypeError: If a count is no integer.

    Example:
        >>> import torch
        >>> from counterpoise.models import MLP
        >>> encoder = MLP(3 * 7, widths=(11, 5))
        >>> encoder(torch.randn(2, 3, 7)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self, num_inputs: int, widths: Sequence[int] = (128, 64), *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_count("num_inputs", num_inputs, at_least=1)
        widths = check_sizes("widths", widths)
        check_range("dropout", dropout, low=0.0, high=1.0)
        self.num_inputs = num_inputs
        self.num_features = widths[-1]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((num_inputs, *widths)):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``inputs`` of shape (B, ...) to features of shape (B, num_features)."""
        values = inputs.flatten(1) if inputs.ndim > 1 else inputs
        if values.ndim != 2 or values.shape[1] != self.num_inputs:
            raise ValueError(
                f"`inputs` should have {self.num_inputs} values per sample; found shape "
                f"{tuple(inputs.shape)}. Build the encoder with num_inputs equal to the product "
                f"of a sample's shape."
            )
        features: Tensor = self.layers(values)
        return features
