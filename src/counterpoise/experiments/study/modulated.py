"""How strongly a run was modulated, and its results: shared by studies of variants of AGM."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from counterpoise.core.references import ExponentialAverage, Fixed, NoReference
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import differences_text
from counterpoise.measures.statistics import Judgement
from counterpoise.methods import AGM, Joint, Method
from counterpoise.report.formats import PERCENT


def agm_references(alpha: float) -> dict[str, Method]:
    """Return joint training, and AGM with each kind of reference."""
    return {
        "Joint": Joint(),
        "running mean": AGM(alpha),
        "exponential average": AGM(alpha, reference=ExponentialAverage(0.99)),
        "fixed": AGM(alpha, reference=Fixed(num_steps=20)),
        "none": AGM(alpha, reference=NoReference()),
    }


def strengths_of_modulation(trained: Trained) -> list[float]:
    """Return the mean |kappa - 1| of each recorded step; 0 where nothing is modulated."""
    by_modality = trained.record["steps"]["coefficients"]
    if by_modality is None:
        return [0.0]
    steps = zip(*by_modality.values(), strict=True)
    return [fmean(abs(k - 1) if k is not None else 0.0 for k in step) for step in steps]


def modulation_of(trained: Trained) -> dict[str, Any]:
    """Return test accuracy, mean strength of modulation, and seconds a step."""
    return {
        "accuracy": float(trained.record["test"]["accuracy"]),
        "modulation": fmean(strengths_of_modulation(trained)),
        "seconds": float(trained.record["seconds_per_step"]),
        "num_test": trained.record["data"]["sizes"]["test"],
    }


def against_joint(gains: Mapping[str, Judgement]) -> str:
    """Say by how much each condition gains over joint training, and what nulls could have seen."""
    told = differences_text(gains, PERCENT, "joint training")
    return f"Against joint training, in percentage points of accuracy: {told}"
