"""Encoders: from one modality's samples to features, without in-place operations."""

from counterpoise.models.encoders.first_state import FirstStateTransformer
from counterpoise.models.encoders.lenet import LeNet
from counterpoise.models.encoders.mlp import MLP
from counterpoise.models.encoders.resnet import ResNet, resnet8, resnet18
from counterpoise.models.encoders.transformer import Transformer

__all__ = ["MLP", "FirstStateTransformer", "LeNet", "ResNet", "Transformer", "resnet8", "resnet18"]
