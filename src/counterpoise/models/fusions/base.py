"""What every fusion is: from an ordered list of modalities' features to logits.

Every fusion is a feature ``fuse(features)`` followed by a ``head``; the input of the sub-module
``head`` is the fused feature. Modalities are known by their place in the list. Vector features
may have further leading dimensions (B, ..., D), for one prediction per segment.

Legend: M modalities, B batch, D feature sizes, C classes; f_m the feature of modality m.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_kind
from counterpoise.models._checks import check_modality_sizes


class Fusion(nn.Module, ABC):
    """Map features, one per modality in a fixed order, to logits: ``head(fuse(features))``.

    Args:
        sizes: D_m, the feature sizes of two or more modalities.
        head: Maps the fused feature to logits.

    Attributes:
        sizes: As given.
        head: As given.

    Raises:
        ValueError: If there are fewer than two modalities or a size is below 1.

    Example:
        The product of two features, as a fusion of one's own:

        >>> import torch
        >>> from torch import nn
        >>> from counterpoise.models import Fusion
        >>> class Product(Fusion):
        ...     def fuse(self, features):
        ...         return features[0] * features[1]
        >>> fusion = Product((5, 5), nn.Linear(5, 3))
        >>> fusion([torch.randn(2, 5), torch.randn(2, 5)]).shape
        torch.Size([2, 3])
    """

    def __init__(self, sizes: Sequence[int], head: nn.Module) -> None:
        super().__init__()
        self.sizes = check_modality_sizes(sizes)
        check_kind("head", head, nn.Module, "a torch.nn.Module")
        self.head = head

    @abstractmethod
    def fuse(self, features: Sequence[Any]) -> Tensor:
        """Map the modalities' features to the fused feature, the input of ``head``."""

    def forward(self, features: Sequence[Any]) -> Tensor:
        """Map the modalities' features to logits (B, C)."""
        logits: Tensor = self.head(self.fuse(features))
        return logits


class Layers(nn.Sequential):
    """Map vectors (..., num_inputs) by linear layers, each with ReLU, to (..., num_features)."""

    def __init__(self, num_inputs: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((num_inputs, *widths)):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        super().__init__(*layers)
        self.num_features = (num_inputs, *widths)[-1]


def linear_head(num_features: int, num_classes: int, *, bias: bool = True) -> nn.Linear:
    """Build the linear map from fused features to the logits of one class or more."""
    check_count("num_classes", num_classes, at_least=1)
    return nn.Linear(num_features, num_classes, bias=bias)
