"""Late fusions: the modalities meet in the last layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from counterpoise.models._checks import (
    check_modality_sizes,
    check_network,
    check_sizes,
    check_vectors,
)
from counterpoise.models.fusions.base import Fusion, Layers, linear_head


class Heads(nn.ModuleList):
    """Map joined features to the sum of one linear head per modality, each on its own part.

    Args:
        sizes: D_m of each modality.
        num_classes: Number of logits, C.
        make: From a size and the number of classes to a head. Default: a linear one.

    Example:
        >>> import torch
        >>> from counterpoise.models.fusions.late import Heads
        >>> heads = Heads((5, 7), num_classes=3)
        >>> heads(torch.randn(2, 12)).shape, heads[1](torch.randn(2, 7)).shape
        (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_classes: int,
        make: Callable[[int, int], nn.Module] = linear_head,
    ) -> None:
        super().__init__(make(size, num_classes) for size in sizes)
        self.sizes = list(sizes)

    def forward(self, fused: Tensor) -> Tensor:
        """Map (..., sum of sizes) to logits (..., C)."""
        parts = torch.split(fused, self.sizes, dim=-1)
        logits: list[Tensor] = [head(part) for head, part in zip(self, parts, strict=True)]
        return reduce(torch.add, logits)


class Additive(Fusion):
    """Late fusion: the logits of one linear head per modality, summed.

    logits = sum over m of W_m f_m + b_m. The heads are the sub-modules ``head.0``, ``head.1``,
    ..., each called once in a forward pass: their outputs are the unimodal logits.

    Args:
        sizes: D_m, the feature sizes of two or more modalities.
        num_classes: Number of logits, C.

    Raises:
        ValueError: If there are fewer than two modalities or a count is below 1; in the forward
            pass, if the features have other sizes.

    Example:
        >>> import torch
        >>> from counterpoise.models import Additive
        >>> fusion = Additive((5, 7), num_classes=3)
        >>> features = [torch.randn(2, 5), torch.randn(2, 7)]
        >>> logits = fusion.head[0](features[0]) + fusion.head[1](features[1])
        >>> torch.equal(fusion(features), logits)
        True
    """

    def __init__(self, sizes: Sequence[int], num_classes: int) -> None:
        super().__init__(sizes, Heads(check_modality_sizes(sizes), num_classes))

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Join the features: (..., sum of sizes)."""
        check_vectors(features, self.sizes)
        return torch.cat(list(features), dim=-1)


class Concatenation(Fusion):
    """Late fusion: the features joined, a network shared by the modalities, a linear head.

    Args:
        sizes: D_m, the feature sizes of two or more modalities.
        num_classes: Number of logits, C.
        widths: Outputs of the shared layers before the head. Default: (), the head alone. With
            layers, modalities can interact: their responses no longer simply add.
        network: Shared network of another kind in place of ``widths``, such as
            :class:`~counterpoise.models.MaxOutLayers`: maps the joined features (..., sum of
            sizes) to vectors (..., ``network.num_features``). Default: None.

    Raises:
        ValueError: If there are fewer than two modalities, a count is below 1, ``network`` has no
            ``num_features``, or both it and ``widths`` are given; in the forward pass, if the
            features have other sizes.

    Example:
        >>> import torch
        >>> from counterpoise.models import Concatenation
        >>> fusion = Concatenation((5, 7), num_classes=3, widths=(11,))
        >>> fusion([torch.randn(2, 5), torch.randn(2, 7)]).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_classes: int,
        widths: Sequence[int] = (),
        *,
        network: nn.Module | None = None,
    ) -> None:
        joined = sum(check_modality_sizes(sizes))
        widths = check_sizes("widths", widths, at_least=0)
        if network is not None and widths:
            raise ValueError(
                f"`widths` should be left out where `network` is given; found {list(widths)}. "
                f"Pass one of the two."
            )
        num_fused = (joined, *widths)[-1] if network is None else check_network(network)
        super().__init__(sizes, linear_head(num_fused, num_classes))
        self.network = Layers(joined, widths) if network is None else network

    def fuse(self, features: Sequence[Tensor]) -> Tensor:
        """Join the features and apply the shared network: (..., size of the fused feature)."""
        check_vectors(features, self.sizes)
        fused: Tensor = self.network(torch.cat(list(features), dim=-1))
        return fused
