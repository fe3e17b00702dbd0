"""Balanced multi-modal training for PyTorch.

``Balanced`` wraps a model of any number of modalities and any fusion; a method such as ``AGM``
keeps a fast modality from starving the others. This package imports PyTorch alone; training,
data sets and reports live in subpackages behind extras.
"""

from counterpoise import absence, references, scores
from counterpoise.balanced import Balanced
from counterpoise.coalitions import Sampling, shapley_weights
from counterpoise.methods import (
    AGM,
    CGGM,
    MLB,
    MSES,
    MSLR,
    OGM,
    OGMGE,
    OPM,
    PMR,
    Evaluation,
    GBlend,
    Joint,
    Method,
    MMPareto,
    Signals,
    UnimodalLoss,
)
from counterpoise.output import Output

__all__ = [
    "AGM",
    "CGGM",
    "MLB",
    "MSES",
    "MSLR",
    "OGM",
    "OGMGE",
    "OPM",
    "PMR",
    "Balanced",
    "Evaluation",
    "GBlend",
    "Joint",
    "MMPareto",
    "Method",
    "Output",
    "Sampling",
    "Signals",
    "UnimodalLoss",
    "absence",
    "references",
    "scores",
    "shapley_weights",
]

__version__ = "0.1.0"
