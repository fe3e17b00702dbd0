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
from counterpoise.competition.features import Extracted, extract_features, in_batches

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
    from counterpoise.competition.probes import Probe, linear_probe, probe_encoders
    from counterpoise.competition.strength import competition_strength

_LAZY = {
    "Alone": "metrics",
    "CoalitionPerformance": "metrics",
    "Contribution": "metrics",
    "Cooperation": "metrics",
    "Probe": "probes",
    "ResponsePerformance": "metrics",
    "Robustness": "metrics",
    "competition_strength": "strength",
    "linear_probe": "probes",
    "modality_metrics": "metrics",
    "probe_encoders": "probes",
}

__all__ = [
    "Alone",
    "CoalitionPerformance",
    "Contribution",
    "Cooperation",
    "Extracted",
    "Probe",
    "ResponsePerformance",
    "Robustness",
    "alone",
    "coalition_logits",
    "competition_strength",
    "contributions",
    "cooperation",
    "every_coalition",
    "extract_features",
    "in_batches",
    "linear_probe",
    "measure",
    "modality_metrics",
    "probe_encoders",
    "robustness",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
