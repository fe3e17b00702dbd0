"""Residual networks of basic blocks, of any width and depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_count
from counterpoise.models._checks import Output, check_images, check_sizes


class _BasicBlock(nn.Module):
    """Add to the maps, or to their 1 x 1 projection, what two 3 x 3 convolutions make of them."""

    def __init__(self, fan_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fan_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or fan_in != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(fan_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        residual: Tensor = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps)))))
        return F.relu(residual + shortcut)


class ResNet(nn.Module):
    """Map images of any size to feature vectors, or to feature maps, by residual blocks.

    Every stage but the first halves the image. Convolutions are initialised from a normal
    distribution that keeps the variance of gradients through ReLU (fan-out). No operation works
    in place, so that outputs of sub-modules can be kept and replayed.

    The submodules are named as is usual for this network (``conv1``, ``bn1``,
    ``layer1.0.conv1``, ``layer2.0.downsample.0``, ...), so that published weights of a ResNet-18
    load once their classifier ``fc`` is left out.

    Args:
        in_channels: Channels of the images. Default: 3.
        widths: Channels of each stage. Default: those of ResNet-18.
        blocks: Number of basic blocks of each stage. Default: those of ResNet-18.
        stem: ``"large"``: 7 x 7 convolution and 3 x 3 maximum pooling, which quarter the image,
            as published. ``"small"``: one 3 x 3 convolution that keeps its size, for images
            below about 64 x 64 and for a network that follows an early fusion.
        output: ``"vector"``: the mean over the last maps (B, num_features). ``"map"``: the last
            maps (B, num_features, height, width), for early fusion. Default: ``"vector"``.

    Attributes:
        num_features: Length of the feature vector, or the number of channels of the maps:
            ``widths[-1]``.

    Raises:
        ValueError: If a count is below 1, ``widths`` and ``blocks`` differ in length, or ``stem``
            or ``output`` is unknown; in the forward pass, if the images have another number of
            channels.
        TypeError: If a count is no integer.

    Reference:
        He et al., "Deep residual learning for image recognition", CVPR 2016.

    Example:
        >>> import torch
        >>> from counterpoise.models import ResNet
        >>> encoder = ResNet(1, widths=(5, 7), blocks=(1, 1), stem="small")
        >>> encoder(torch.randn(2, 1, 11, 13)).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        *,
        stem: Literal["large", "small"] = "large",
        output: Output = "vector",
    ) -> None:
        super().__init__()
        check_count("in_channels", in_channels, at_least=1)
        widths, blocks = check_sizes("widths", widths), check_sizes("blocks", blocks)
        if len(widths) != len(blocks):
            raise ValueError(
                f"`blocks` should have one entry for each of the {len(widths)} `widths`; found "
                f"{len(blocks)}. Give every stage a width and a number of blocks."
            )
        check_choice("stem", stem, ("large", "small"))
        check_choice("output", output, ("vector", "map"))
        self.in_channels = in_channels
        self.num_features = widths[-1]
        self.output = output
        kernel, stride = (7, 2) if stem == "large" else (3, 1)
        self.conv1 = nn.Conv2d(
            in_channels, widths[0], kernel, stride, padding=kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, padding=1) if stem == "large" else nn.Identity()
        self._stages = tuple(f"layer{number}" for number in range(1, len(widths) + 1))
        fan_ins = (widths[0], *widths[:-1])
        for name, fan_in, width, depth in zip(self._stages, fan_ins, widths, blocks, strict=True):
            stride = 1 if name == "layer1" else 2
            first = _BasicBlock(fan_in, width, stride)
            rest = [_BasicBlock(width, width, 1) for _ in range(depth - 1)]
            self.add_module(name, nn.Sequential(first, *rest))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (B, in_channels, height, width) to features (B, num_features) or maps."""
        check_images(inputs, channels=self.in_channels, smallest=1)
        maps: Tensor = self.pool(F.relu(self.bn1(self.conv1(inputs))))
        for name in self._stages:
            maps = getattr(self, name)(maps)
        return maps if self.output == "map" else maps.mean((2, 3))


def resnet18(in_channels: int = 3, *, output: Output = "vector") -> ResNet:
    """Build the trunk of ResNet-18: 11,176,512 parameters for 3 channels, 512 features.

    Args:
        in_channels: Channels of the images. Default: 3.
        output: ``"vector"`` or ``"map"``, as in :class:`ResNet`.

    Returns:
        The network, without the linear classifier.

    Example:
        >>> from counterpoise.models import resnet18
        >>> sum(parameter.numel() for parameter in resnet18(in_channels=1).parameters())
        11170240
    """
    return ResNet(in_channels, output=output)


def resnet8(in_channels: int = 3, *, output: Output = "vector") -> ResNet:
    """Build a small residual network for small images and few cores: 64 features.

    Three stages of one block each with 16, 32 and 64 channels behind the small stem: the form of
    the networks for 32 x 32 images in section 4.2 of the reference, with the least depth.

    Args:
        in_channels: Channels of the images. Default: 3.
        output: ``"vector"`` or ``"map"``, as in :class:`ResNet`.

    Returns:
        The network, without the linear classifier.

    Example:
        >>> from counterpoise.models import resnet8
        >>> sum(parameter.numel() for parameter in resnet8(in_channels=1).parameters())
        77104
    """
    return ResNet(in_channels, (16, 32, 64), (1, 1, 1), stem="small", output=output)
