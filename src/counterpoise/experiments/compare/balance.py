"""On which data balancing helps: gains against what the data are like.

A data set counts once, with the mean over its fusions. Legend: D data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import numpy as np

from counterpoise.experiments.compare.competition_summary import competition_of
from counterpoise.experiments.compare.outcomes import Outcome
from counterpoise.experiments.store import Result
from counterpoise.measures.statistics import Estimate, Judgement, slope

Place = tuple[str, str, str]
"""Labels of data set, fusion and method."""

QUANTITIES: Final = {
    "strength": "Competition strength of the modality held back most",
    "gap": "Gap between the modalities' accuracies alone",
}
"""What gains are held against, by name: measured under the baseline, over seeds."""

ON_AVERAGE: Final = "all methods on average"


@dataclass(frozen=True)
class Relation:
    """How the gain of a method goes with what data sets are like.

    Args:
        method: Its label, or that of all methods on average.
        quantity: One of :data:`QUANTITIES`.
        gains: By data set, the quantity and the gain over the baseline, higher is better.
        slope: Of gains over the quantity, judged together with all that the comparison tells. Of
            several methods it is asked for their average alone; None of each, for fewer than 3
            data sets, and where the quantity is the same on all.
    """

    method: str
    quantity: str
    gains: Mapping[str, tuple[float, float]]
    slope: Judgement | None = None


def relations(
    differences: Mapping[Place, Estimate | None],
    outcomes: Mapping[Place, Outcome],
    baseline: str,
    measured: Mapping[str, Result],
) -> list[Relation]:
    """Gather gains and quantities, for all methods on average and for each; slopes come later.

    Args:
        differences: To the baseline, by data set, fusion and method.
        outcomes: By the same.
        baseline: Label of what gains are over, and under which quantities were measured.
        measured: Results of measurements by the key of the run they are of.

    Returns:
        A relation for each method and quantity; none where competition was not measured.
    """
    gains = _gains(differences, outcomes)
    by_data: dict[str, list[float]] = {}
    for of_method in gains.values():
        for data, gain in of_method.items():
            by_data.setdefault(data, []).append(gain)
    average = {data: fmean(values) for data, values in by_data.items()}
    of_all = {ON_AVERAGE: average} if len(gains) > 1 else {}
    known = _quantities(outcomes, baseline, measured)
    return [
        Relation(method, name, {data: (x_D[data], y_D[data]) for data in y_D if data in x_D})
        for name, x_D in known.items()
        for method, y_D in (of_all | gains).items()
        if x_D
    ]


def slopes(related: Sequence[Relation]) -> dict[tuple[str, str], Estimate]:
    """Return by how much the gain rises with each quantity, where that is asked and can be told.

    Args:
        related: All relations of a comparison.

    Returns:
        By method, which is all of them on average where there are several, and quantity.
    """
    several = any(relation.method == ON_AVERAGE for relation in related)
    estimates = {}
    for relation in related:
        if len(relation.gains) < 3 or (several and relation.method != ON_AVERAGE):
            continue
        x_D, y_D = zip(*relation.gains.values(), strict=True)
        if np.ptp(x_D) > 0:
            estimates[relation.method, relation.quantity] = slope(x_D, y_D)
    return estimates


def _gains(
    differences: Mapping[Place, Estimate | None], outcomes: Mapping[Place, Outcome]
) -> dict[str, dict[str, float]]:
    """By method and data set, the mean gain over fusions; where one is missing, none."""
    by_method: dict[str, dict[str, list[float | None]]] = {}
    for place, told in differences.items():
        data, _, method = place
        gain = None if told is None else outcomes[place].form.turned(told.mean)
        by_method.setdefault(method, {}).setdefault(data, []).append(gain)
    means = {
        method: {
            data: fmean(known)
            for data, gains in by_data.items()
            if len(known := [gain for gain in gains if gain is not None]) == len(gains)
        }
        for method, by_data in by_method.items()
    }
    return {method: by_data for method, by_data in means.items() if by_data}


def _quantities(
    outcomes: Mapping[Place, Outcome], baseline: str, measured: Mapping[str, Result]
) -> dict[str, dict[str, float]]:
    """By quantity and data set, its mean over fusions; where it was not measured, nothing."""
    by_quantity: dict[str, dict[str, list[float]]] = {name: {} for name in QUANTITIES}
    for (data, _, method), outcome in outcomes.items():
        how = competition_of(outcome, measured) if method == baseline else None
        if how is None or not how.outcomes:
            continue
        strengths, alone = (
            [fmean(how.values(quantity, name)) for name in how.modalities]
            for quantity in ("strength", "alone")
        )
        by_quantity["strength"].setdefault(data, []).append(max(strengths))
        by_quantity["gap"].setdefault(data, []).append(max(alone) - min(alone))
    return {
        name: {data: fmean(values) for data, values in by_data.items()}
        for name, by_data in by_quantity.items()
    }
