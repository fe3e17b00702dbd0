"""From the outcomes of a comparison to numbers that can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from counterpoise.compare.bootstrap import Floats, Summary, summarize
from counterpoise.compare.grid import Grid
from counterpoise.compare.outcomes import Outcome
from counterpoise.compare.statistics import (
    PairedDifference,
    Verdict,
    holm,
    mean_ranks,
    paired_difference,
    verdict,
)
from counterpoise.methods import Joint

__all__ = ["Block", "Comparison", "Row"]


@dataclass(frozen=True)
class Row:
    """What is told of one method on one data set with one fusion.

    Attributes:
        outcome: The trials behind it.
        accuracy: Test accuracy over seeds; None if there is no result.
        responses: Test accuracy of each modality's response.
        difference: To the baseline, over the seeds that both have; None for the baseline itself.
        corrected: Its p-value, corrected for all that the comparison tells; NaN where none.
        verdict: What the difference shows; None for the baseline itself.
        cost: Time of a step as a ratio to joint training; None where not measured.
    """

    outcome: Outcome
    accuracy: Summary | None
    responses: Mapping[str, Summary]
    difference: PairedDifference | None
    corrected: float
    verdict: Verdict | None
    cost: float | None

    @property
    def method(self) -> str:
        """Label of the method."""
        return self.outcome.place[2]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Records of the chosen configuration, by seed."""
        chosen = self.outcome.chosen
        return [] if chosen is None else list(chosen.records.values())


@dataclass(frozen=True)
class Block:
    """All methods on one data set with one fusion.

    Attributes:
        data: Label of the data set.
        fusion: Name of the fusion; "" if the grid leaves the model as it is.
        rows: One a method, in the order of the grid.
    """

    data: str
    fusion: str
    rows: Sequence[Row]

    @property
    def title(self) -> str:
        """What to call it."""
        return f"{self.data}, {self.fusion}" if self.fusion else self.data

    @property
    def modalities(self) -> list[str]:
        """The modalities of the data set, in order."""
        records = [record for row in self.rows for record in row.records]
        return list(records[0]["data"]["modalities"]) if records else []

    @property
    def records(self) -> list[dict[str, Any]]:
        """Records of all rows."""
        return [record for row in self.rows for record in row.records]


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Args:
        grid: What was compared.
        outcomes: What came out, data set by data set, fusion by fusion, method by method.
        path: The folder with results and reports.

    Attributes:
        blocks: The numbers.
        ranks: Mean rank over data sets and fusions, over seeds, of each method that has a result
            everywhere and for every seed, among these: 1 is the highest accuracy everywhere.
    """

    grid: Grid
    outcomes: Sequence[Outcome]
    path: Path
    blocks: list[Block] = field(init=False)
    ranks: dict[str, Summary] = field(init=False)

    def __post_init__(self) -> None:
        groups: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in self.outcomes:
            groups.setdefault(outcome.place[:2], []).append(outcome)
        drafts = [row for members in groups.values() for row in _drafts(members, self.grid)]
        rows = iter(_judged(drafts))
        blocks = [Block(*place, [next(rows) for _ in found]) for place, found in groups.items()]
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "ranks", _ranks(self.outcomes, self.grid))

    @property
    def num_compared(self) -> int:
        """How many paired differences are told, and so corrected for."""
        return sum(row.difference is not None for block in self.blocks for row in block.rows)

    @property
    def cost_reference(self) -> str:
        """Label of the method that costs are compared with."""
        return _cost_reference(self.outcomes, self.grid)


def _accuracies(outcome: Outcome) -> dict[int, float]:
    chosen = outcome.chosen
    records = {} if chosen is None else chosen.records
    return {seed: record["test"]["accuracy"] for seed, record in records.items()}


def _drafts(outcomes: Sequence[Outcome], grid: Grid) -> list[Row]:
    """Rows of one block, not yet corrected for the others."""
    by_method = {outcome.place[2]: outcome for outcome in outcomes}
    baseline = _accuracies(by_method[grid.baseline])
    joint = _seconds(by_method[_cost_reference(outcomes, grid)])
    return [
        Row(
            outcome,
            _summary(list(_accuracies(outcome).values())),
            _responses(outcome),
            _difference(_accuracies(outcome), baseline)
            if outcome.place[2] != grid.baseline
            else None,
            float("nan"),
            None,
            _ratio(_seconds(outcome), joint),
        )
        for outcome in outcomes
    ]


def _judged(drafts: Sequence[Row]) -> list[Row]:
    """Correct all tests for each other and say what each difference shows."""
    p_values = [float("nan") if d.difference is None else d.difference.p_value for d in drafts]
    rows = []
    for draft, corrected in zip(drafts, holm(p_values), strict=True):
        found = draft.difference
        says = None if found is None else verdict(found, float(corrected))
        rows.append(Row(**{**vars(draft), "corrected": float(corrected), "verdict": says}))
    return rows


def _summary(values: Sequence[float]) -> Summary | None:
    return summarize(values) if values else None


def _difference(values: Mapping[int, float], base: Mapping[int, float]) -> PairedDifference | None:
    seeds = [seed for seed in values if seed in base]
    if not seeds:
        return None
    return paired_difference([values[seed] for seed in seeds], [base[seed] for seed in seeds])


def _responses(outcome: Outcome) -> dict[str, Summary]:
    records = [] if outcome.chosen is None else list(outcome.chosen.records.values())
    if not records:
        return {}
    return {
        name: summarize([record["test"]["response_accuracy"][name] for record in records])
        for name in records[0]["data"]["modalities"]
    }


def _seconds(outcome: Outcome) -> float | None:
    """Median over seeds of the seconds that a step took."""
    records = {} if outcome.chosen is None else outcome.chosen.records
    found = [record["seconds_per_step"] for record in records.values()]
    measured = [seconds for seconds in found if seconds is not None]
    return median(measured) if measured else None


def _ratio(seconds: float | None, base: float | None) -> float | None:
    return seconds / base if seconds is not None and base else None


def _cost_reference(outcomes: Sequence[Outcome], grid: Grid) -> str:
    for outcome in outcomes:
        if type(outcome.trials[0].candidate.recipe.method) is Joint:
            return outcome.place[2]
    return grid.baseline


def _ranks(outcomes: Sequence[Outcome], grid: Grid) -> dict[str, Summary]:
    """Rank methods in every block for every seed; then the mean over blocks, by seed."""
    found: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for outcome in outcomes:
        data, fusion, method = outcome.place
        found.setdefault((data, fusion), {})[method] = _accuracies(outcome)
    seeds = grid.all_seeds
    methods = [
        method
        for method in grid.methods
        if all(set(by_method[method]) == set(seeds) for by_method in found.values())
    ]
    if len(methods) < 2:
        return {}
    values_SDK = [
        [[by_method[method][seed] for method in methods] for by_method in found.values()]
        for seed in seeds
    ]
    ranks_SK: Floats = np.round(mean_ranks(values_SDK), 12)
    return {
        method: _within(summarize(ranks_SK[:, k]), 1, len(methods))
        for k, method in enumerate(methods)
    }


def _within(summary: Summary, least: float, most: float) -> Summary:
    """Keep the interval where means can lie."""
    low, high = np.clip([summary.low, summary.high], least, most)
    return summary._replace(low=float(low), high=float(high))
