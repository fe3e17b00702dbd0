"""Balanced multi-modal training for PyTorch.

``Balanced`` wraps a model of any number of modalities and any fusion; a method such as ``AGM``
keeps a fast modality from starving the others. This package imports PyTorch alone; training,
data sets and reports live in subpackages behind extras.
"""

from counterpoise import absence, references, scores
from counterpoise.balanced import Balanced
from counterpoise.coalitions import Sampling, shapley_weights
from counterpoise.methods import AGM, Evaluation, Joint, Method, Signals
from counterpoise.output import Output

__all__ = [
    "AGM",
    "Balanced",
    "Evaluation",
    "Joint",
    "Method",
    "Output",
    "Sampling",
    "Signals",
    "absence",
    "references",
    "scores",
    "shapley_weights",
]

__version__ = "0.1.0"
