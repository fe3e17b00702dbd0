"""Early fusion: the modalities meet before a shared network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_count
from counterpoise.models._checks import (
    Output,
    check_maps,
    check_modality_sizes,
    check_network,
    check_vectors,
)
from counterpoise.models._pooling import average_to_grid
from counterpoise.models.encoders.resnet import ResNet
from counterpoise.models.fusions.base import Fusion, Layers, linear_head


class MaxOut(Fusion):
    """Early fusion: the elementwise maximum over modalities of linear maps, a shared network.

    logits = head(network(max over m of W_m f_m + b_m)). For feature maps the linear maps are
    1 x 1 convolutions. Where modalities tie they share the gradient equally.

    Args:
        sizes: D_m: lengths of feature vectors, or channels of feature maps, of two or more
            modalities.
        num_classes: Number of logits, C.
        width: Outputs of the linear maps. Default: 64.
        features: ``"vector"`` or ``"map"``: what the encoders return. Default: ``"vector"``.
        grid: For maps: side of the grid to which each is averaged first, so that images of
            different sizes can meet. Default: None, they have to be of one size.
        network: Maps the fused vectors (..., width) or maps (B, width, height, width) to feature
            vectors of length ``network.num_features``. Default: for vectors one layer of
            ``width``; for maps a residual block of ``width``, averaged.

    Raises:
        ValueError: If there are fewer than two modalities, a count is below 1, there is a grid for
            vectors, or the network has no ``num_features``; in the forward pass, if the features
            have other shapes.

    Reference:
        Goodfellow et al., "Maxout networks", ICML 2013, section 3; there the linear maps
        have one input, here each has its modality's.

    Example:
        >>> import torch
        >>> from counterpoise.models import MaxOut
        >>> fusion = MaxOut((5, 7), num_classes=3, features="map", grid=4)
        >>> fusion([torch.randn(2, 5, 11, 13), torch.randn(2, 7, 4, 6)]).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_classes: int,
        width: int = 64,
        *,
        features: Output = "vector",
        grid: int | None = None,
        network: nn.Module | None = None,
    ) -> None:
        sizes = check_modality_sizes(sizes)
        check_count("width", width, at_least=1)
        check_choice("features", features, ("vector", "map"))
        as_maps = features == "map"
        if grid is not None:
            check_count("grid", grid, at_least=1)
            if not as_maps:
                raise ValueError(
                    f"`grid` should be left out for vectors, which have no places; found {grid}. "
                    f"Leave it out, or pass features='map'."
                )
        if network is None and as_maps:
            network = ResNet(width, (width,), (1,), stem="small")
        elif network is None:
            network = Layers(width, (width,))
        super().__init__(sizes, linear_head(check_network(network), num_classes))
        self.as_maps = as_maps
        self.grid = grid
        self.maps = nn.ModuleList(
            nn.Conv2d(size, width, 1) if as_maps else nn.Linear(size, width) for size in sizes
        )
        self.network = network

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Map the features, take their maximum and apply the shared network."""
        fused: Tensor = self.network(self.maximum(features))
        return fused

    def maximum(self, features: Sequence[Tensor]) -> Tensor:
        """Map the features and take the elementwise maximum over modalities."""
        (check_maps if self.as_maps else check_vectors)(features, self.sizes)
        if self.grid is not None:
            features = [average_to_grid(f, self.grid) for f in features]
        mapped = [linear(f) for linear, f in zip(self.maps, features, strict=True)]
        if len({tuple(feature.shape) for feature in mapped}) > 1:
            sizes = ", ".join(f"{feature.shape[2]} x {feature.shape[3]}" for feature in mapped)
            raise ValueError(
                f"`features` should be maps of one size; found {sizes}. "
                f"Build MaxOut with grid=4, say, to average them to one size first."
            )
        return torch.stack(mapped).amax(0)
