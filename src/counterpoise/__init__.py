"""Balanced multi-modal training for PyTorch.

``Balanced`` wraps a model of any number of modalities and any fusion; a method such as ``AGM``
keeps a fast modality from starving the others. This package imports PyTorch alone; training,
data sets and reports live in subpackages behind extras.
"""

import sys
from typing import TYPE_CHECKING, Any

from counterpoise.balanced import Balanced
from counterpoise.core import absence, references, scores
from counterpoise.core.coalitions import Sampling, shapley_weights
from counterpoise.engine.output import Output
from counterpoise.engine.rates import BranchRates
from counterpoise.engine.settings import Coalitions, Modality
from counterpoise.methods import (
    AGM,
    ARL,
    CGGM,
    CML,
    DGL,
    LFM,
    MCR,
    MLA,
    MLB,
    MSES,
    MSLR,
    OGM,
    OGMGE,
    OPM,
    PMR,
    UMT,
    Chain,
    Evaluation,
    Features,
    GBlend,
    InfoReg,
    Joint,
    Method,
    MMPareto,
    Needs,
    ReconBoost,
    Relearning,
    Remix,
    Signals,
    UnimodalLoss,
    Windowed,
    chain,
)

if TYPE_CHECKING:
    from counterpoise.measures import competition_strength

__all__ = [
    "AGM",
    "ARL",
    "CGGM",
    "CML",
    "DGL",
    "LFM",
    "MCR",
    "MLA",
    "MLB",
    "MSES",
    "MSLR",
    "OGM",
    "OGMGE",
    "OPM",
    "PMR",
    "UMT",
    "Balanced",
    "BranchRates",
    "Chain",
    "Coalitions",
    "Evaluation",
    "Features",
    "GBlend",
    "InfoReg",
    "Joint",
    "MMPareto",
    "Method",
    "Modality",
    "Needs",
    "Output",
    "ReconBoost",
    "Relearning",
    "Remix",
    "Sampling",
    "Signals",
    "UnimodalLoss",
    "Windowed",
    "absence",
    "chain",
    "competition_strength",
    "references",
    "scores",
    "shapley_weights",
]

__version__ = "0.1.0"

# Public under these names, so that a configuration file can say "counterpoise.references.Fixed".
for _module in (absence, references, scores):
    sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module


def __getattr__(name: str) -> Any:
    """Import what needs more than PyTorch when it is asked for."""
    if name == "competition_strength":
        from counterpoise.measures import competition_strength

        return competition_strength
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
