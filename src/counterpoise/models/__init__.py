"""Encoders, fusions and the paper's networks, plain modules to be wrapped by ``Balanced``.

No module here changes a tensor in place, so that the outputs of encoders can be replayed.
"""

from counterpoise.models.builder import ENCODERS, FUSIONS, build
from counterpoise.models.encoders import (
    MLP,
    FirstStateTransformer,
    LeNet,
    ResNet,
    Transformer,
    resnet8,
    resnet18,
)
from counterpoise.models.fusions import (
    Additive,
    Concatenation,
    Cosine,
    CosineHead,
    CrossAttention,
    FiLM,
    Fusion,
    Gated,
    MaxOut,
    MaxOutLayers,
)
from counterpoise.models.joint_encoding import (
    JointEncoding,
    TokenEncoder,
    absent_tokens,
    mark_padding,
)
from counterpoise.models.network import MultimodalNetwork
from counterpoise.models.paper import PAPER_NETWORKS, paper_network
from counterpoise.models.psp import (
    GuideEncoder,
    MapEncoder,
    PositiveSamplePropagation,
    SegmentOutput,
    event_shares,
    similarity_loss,
)

__all__ = [
    "ENCODERS",
    "FUSIONS",
    "MLP",
    "PAPER_NETWORKS",
    "Additive",
    "Concatenation",
    "Cosine",
    "CosineHead",
    "CrossAttention",
    "FiLM",
    "FirstStateTransformer",
    "Fusion",
    "Gated",
    "GuideEncoder",
    "JointEncoding",
    "LeNet",
    "MapEncoder",
    "MaxOut",
    "MaxOutLayers",
    "MultimodalNetwork",
    "PositiveSamplePropagation",
    "ResNet",
    "SegmentOutput",
    "TokenEncoder",
    "Transformer",
    "absent_tokens",
    "build",
    "event_shares",
    "mark_padding",
    "paper_network",
    "resnet8",
    "resnet18",
    "similarity_loss",
]
