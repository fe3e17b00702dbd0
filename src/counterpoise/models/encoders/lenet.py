"""A small convolutional encoder in the manner of LeNet-5."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_count
from counterpoise.models._checks import Output, check_images, check_sizes
from counterpoise.models._pooling import average_to_grid


class LeNet(nn.Module):
    """Map images of any size from 8 x 8 on to feature vectors, or to feature maps.

    Each stage is a 5 x 5 convolution, ReLU and 2 x 2 maximum pooling; the last maps are averaged
    to a fixed grid and mapped linearly, with ReLU, to the feature vector. There is no batch
    normalisation and no dropout, so that it computes the same in train and in eval mode.

    Args:
        in_channels: Channels of the images. Default: 1.
        widths: Channels of each stage. Default: (16, 32). Each stage halves the image, which has
            to be at least 2^(stages + 1) a side: 8 x 8 for two.
        num_features: Length of the feature vector. Default: 64.
        grid: Side of the grid to which the last maps are averaged. Default: 4.
        output: ``"vector"``: features (B, num_features). ``"map"``: the last maps
            (B, widths[-1], height, width) before averaging, for early fusion; ``num_features``
            and ``grid`` are then not used. Default: ``"vector"``.

    Attributes:
        num_features: Length of the feature vector, or the number of channels of the maps.

    Raises:
        ValueError: If a count is below 1, ``widths`` is empty or ``output`` is unknown; in the
            forward pass, if the images have another number of channels or are too small.
        TypeError: If a count is no integer.

    Reference:
        LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Differs from the original: ReLU for tanh, maximum for average pooling, padded convolutions
    all connected, and one linear layer on a fixed grid, so that any image size will do.

    Example:
        >>> import torch
        >>> from counterpoise.models import LeNet
        >>> LeNet(in_channels=3)(torch.randn(2, 3, 11, 13)).shape
        torch.Size([2, 64])
        >>> LeNet(in_channels=3, output="map")(torch.randn(2, 3, 11, 13)).shape
        torch.Size([2, 32, 2, 3])
    """

    def __init__(
        self,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32),
        num_features: int = 64,
        *,
        grid: int = 4,
        output: Output = "vector",
    ) -> None:
        super().__init__()
        check_count("in_channels", in_channels, at_least=1)
        widths = check_sizes("widths", widths)
        check_count("num_features", num_features, at_least=1)
        check_count("grid", grid, at_least=1)
        check_choice("output", output, ("vector", "map"))
        self.in_channels = in_channels
        self.grid = grid
        self.smallest = 2 ** (len(widths) + 1)
        stages: list[nn.Module] = []
        for fan_in, fan_out in pairwise((in_channels, *widths)):
            stages += [nn.Conv2d(fan_in, fan_out, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(widths[-1] * grid**2, num_features) if output == "vector" else None
        self.num_features = num_features if output == "vector" else widths[-1]

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (B, in_channels, height, width) to features (B, num_features) or maps."""
        check_images(inputs, channels=self.in_channels, smallest=self.smallest)
        maps: Tensor = self.stages(inputs)
        if self.linear is None:
            return maps
        return F.relu(self.linear(average_to_grid(maps, self.grid).flatten(1)))
