"""Fusions: from an ordered list of modalities' features to logits."""

from counterpoise.models.fusions.base import Fusion
from counterpoise.models.fusions.cosine import Cosine, CosineHead
from counterpoise.models.fusions.early import MaxOut
from counterpoise.models.fusions.intermediate import CrossAttention, FiLM, Gated
from counterpoise.models.fusions.late import Additive, Concatenation
from counterpoise.models.fusions.maxout_layers import MaxOutLayers

__all__ = [
    "Additive",
    "Concatenation",
    "Cosine",
    "CosineHead",
    "CrossAttention",
    "FiLM",
    "Fusion",
    "Gated",
    "MaxOut",
    "MaxOutLayers",
]
