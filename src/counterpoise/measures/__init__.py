"""Measures of how modalities compete: strength, contributions, probes, robustness.

Importing this imports PyTorch alone; scikit-learn, SciPy and torchmetrics are imported when
something that needs them is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from counterpoise.measures.contributions import (
    alone,
    contributions,
    cooperation,
    every_coalition,
    robustness,
)
from counterpoise.measures.evaluation import coalition_logits, measure
from counterpoise.measures.features import Batches, Extracted, extract_features
from counterpoise.measures.imbalance import (
    accuracy_gap,
    conditional_utilisation,
    discrepancy_ratios,
)

if TYPE_CHECKING:
    from counterpoise.measures.coalition_metric import CoalitionMetric
    from counterpoise.measures.metrics import (
        Alone,
        CoalitionPerformance,
        Contribution,
        Cooperation,
        ResponsePerformance,
        Robustness,
        modality_metrics,
    )
    from counterpoise.measures.probes import Probe, linear_probe, probe_encoders
    from counterpoise.measures.strength import competition_strength, varying_directions
    from counterpoise.measures.trained import model_strengths
    from counterpoise.measures.unimodal import UnimodalModel, UnimodalNetwork

_LAZY = {
    "Alone": "metrics",
    "CoalitionMetric": "coalition_metric",
    "CoalitionPerformance": "metrics",
    "Contribution": "metrics",
    "Cooperation": "metrics",
    "UnimodalModel": "unimodal",
    "UnimodalNetwork": "unimodal",
    "Probe": "probes",
    "ResponsePerformance": "metrics",
    "Robustness": "metrics",
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
    "CoalitionMetric",
    "CoalitionPerformance",
    "Contribution",
    "Cooperation",
    "Extracted",
    "Probe",
    "ResponsePerformance",
    "Robustness",
    "UnimodalModel",
    "UnimodalNetwork",
    "accuracy_gap",
    "alone",
    "coalition_logits",
    "competition_strength",
    "conditional_utilisation",
    "contributions",
    "cooperation",
    "discrepancy_ratios",
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
