"""Encoders and fusions, small and plain, written to be wrapped by ``Balanced``.

No module here changes a tensor in place, so that the outputs of encoders can be replayed.
"""

from counterpoise.models.builder import ENCODERS, FUSIONS, build
from counterpoise.models.encoders import MLP, LeNet, ResNet, Transformer, resnet8, resnet18
from counterpoise.models.fusions import (
    Additive,
    Concatenation,
    CrossAttention,
    FiLM,
    Fusion,
    Gated,
    MaxOut,
)
from counterpoise.models.network import MultimodalNetwork

__all__ = [
    "ENCODERS",
    "FUSIONS",
    "MLP",
    "Additive",
    "Concatenation",
    "CrossAttention",
    "FiLM",
    "Fusion",
    "Gated",
    "LeNet",
    "MaxOut",
    "MultimodalNetwork",
    "ResNet",
    "Transformer",
    "build",
    "resnet8",
    "resnet18",
]
