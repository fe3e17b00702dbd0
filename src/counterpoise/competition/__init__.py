"""Measures of how modalities compete: strength, contributions, probes, and the whole protocol.

Importing this imports PyTorch alone; scikit-learn, SciPy and torchmetrics are imported when
something that needs them is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from counterpoise.competition.contributions import (
    alone,
    contributions,
    cooperation,
    every_coalition,
    robustness,
)
from counterpoise.competition.evaluation import coalition_logits, measure
from counterpoise.competition.features import Batches, Extracted, extract_features

if TYPE_CHECKING:
    from counterpoise.competition.metrics import (
        Alone,
        CoalitionPerformance,
        Contribution,
        Cooperation,
        ResponsePerformance,
        Robustness,
        modality_metrics,
    )
    from counterpoise.competition.monomodal import MonoModal, MonoModalNetwork
    from counterpoise.competition.probes import Probe, linear_probe, probe_encoders
    from counterpoise.competition.protocol import compete
    from counterpoise.competition.results import Competition, Outcome, Summary
    from counterpoise.competition.strength import competition_strength, varying_directions
    from counterpoise.competition.trained import model_strengths

_LAZY = {
    "Alone": "metrics",
    "CoalitionPerformance": "metrics",
    "Competition": "results",
    "Contribution": "metrics",
    "Cooperation": "metrics",
    "MonoModal": "monomodal",
    "MonoModalNetwork": "monomodal",
    "Outcome": "results",
    "Probe": "probes",
    "ResponsePerformance": "metrics",
    "Robustness": "metrics",
    "Summary": "results",
    "compete": "protocol",
    "competition_strength": "strength",
    "linear_probe": "probes",
    "modality_metrics": "metrics",
    "model_strengths": "trained",
    "probe_encoders": "probes",
    "varying_directions": "strength",
}

__all__ = [
    "Alone",
    "Batches",
    "CoalitionPerformance",
    "Competition",
    "Contribution",
    "Cooperation",
    "Extracted",
    "MonoModal",
    "MonoModalNetwork",
    "Outcome",
    "Probe",
    "ResponsePerformance",
    "Robustness",
    "Summary",
    "alone",
    "coalition_logits",
    "compete",
    "competition_strength",
    "contributions",
    "cooperation",
    "every_coalition",
    "extract_features",
    "linear_probe",
    "measure",
    "modality_metrics",
    "model_strengths",
    "probe_encoders",
    "robustness",
    "varying_directions",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
