"""From the outcomes of a comparison to numbers that can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np

from counterpoise.experiments.compare.competing import competing
from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.compare.outcomes import Outcome
from counterpoise.experiments.compare.rows import Block, Pair, Row
from counterpoise.experiments.store import Result
from counterpoise.measures.bootstrap import Floats, Summary, summarize
from counterpoise.measures.statistics import (
    PairedDifference,
    holm,
    mean_ranks,
    paired_difference,
    verdict,
)
from counterpoise.methods import Joint

__all__ = ["Comparison"]

Judged = TypeVar("Judged", Row, Pair)


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Args:
        grid: What was compared.
        outcomes: What came out, data set by data set, fusion by fusion, method by method.
        path: The folder with results and reports.
        measured: Results of measurements of competition, by the key of the run they are of.

    Attributes:
        blocks: The numbers.
        pairs: Those of the further pairs that the grid names, block by block.
        ranks: Mean rank over data sets and fusions, over seeds, of each method that has a result
            everywhere and for every seed, among these: 1 is the highest accuracy everywhere.
    """

    grid: Grid
    outcomes: Sequence[Outcome]
    path: Path
    measured: Mapping[str, Result] = field(default_factory=dict)
    blocks: list[Block] = field(init=False)
    pairs: list[Pair] = field(init=False)
    ranks: dict[str, Summary] = field(init=False)

    def __post_init__(self) -> None:
        groups: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in self.outcomes:
            groups.setdefault(outcome.place[:2], []).append(outcome)
        drafts = [
            _draft(each, members, self.grid, self.measured)
            for members in groups.values()
            for each in members
        ]
        pairs = [
            _pair(members, *labels) for labels in self.grid.pairs for members in groups.values()
        ]
        corrected = _corrected([*drafts, *pairs])
        rows = iter([_judged(*each) for each in zip(drafts, corrected, strict=False)])
        blocks = [Block(*place, [next(rows) for _ in found]) for place, found in groups.items()]
        object.__setattr__(self, "blocks", blocks)
        later = zip(pairs, corrected[len(drafts) :], strict=True)
        object.__setattr__(self, "pairs", [_judged(*each) for each in later])
        object.__setattr__(self, "ranks", _ranks(self.outcomes, self.grid))

    @property
    def num_runs(self) -> int:
        """How many runs were made and models measured, whether or not it failed."""
        trials = [trial for outcome in self.outcomes for trial in outcome.trials]
        return sum(len(trial.results) for trial in trials) + len(self.measured)

    @property
    def failures(self) -> list[Result]:
        """Results of the runs and measurements that failed, in order."""
        runs = [each for outcome in self.outcomes for _, _, each in outcome.failures]
        return [*runs, *(each for each in self.measured.values() if each.state == "failed")]

    @property
    def num_compared(self) -> int:
        """How many paired differences are told, and so corrected for."""
        differences = [row.difference for block in self.blocks for row in block.rows]
        differences += [pair.difference for pair in self.pairs]
        return sum(each is not None for each in differences)

    @property
    def cost_reference(self) -> str:
        """Label of the method that costs are compared with."""
        return _cost_reference(self.outcomes, self.grid)


def _accuracies(outcome: Outcome) -> dict[int, float]:
    chosen = outcome.chosen
    records = {} if chosen is None else chosen.records
    return {seed: record["test"]["accuracy"] for seed, record in records.items()}


def _draft(
    outcome: Outcome, block: Sequence[Outcome], grid: Grid, measured: Mapping[str, Result]
) -> Row:
    """The row of one method, not yet corrected for the others."""
    method = outcome.place[2]
    by_method = {each.place[2]: each for each in block}
    baseline = _accuracies(by_method[grid.baseline])
    joint = _seconds(by_method[_cost_reference(block, grid)])
    difference = None if method == grid.baseline else _difference(_accuracies(outcome), baseline)
    return Row(
        outcome,
        _summary(list(_accuracies(outcome).values())),
        _responses(outcome),
        difference,
        float("nan"),
        None,
        _ratio(_seconds(outcome), joint),
        competing(outcome, measured),
    )


def _pair(block: Sequence[Outcome], first: str, second: str) -> Pair:
    """The comparison of two methods in one block, not yet corrected for the others."""
    found = {each.place[2]: _accuracies(each) for each in block}
    difference = _difference(found[first], found[second])
    return Pair(*block[0].place[:2], first, second, difference, float("nan"), None)


def _corrected(told: Sequence[Row | Pair]) -> list[float]:
    """Return the p-values of all differences, corrected for each other."""
    p_values = [float("nan") if t.difference is None else t.difference.p_value for t in told]
    corrected: list[float] = holm(p_values).tolist()
    return corrected


def _judged(draft: Judged, corrected: float) -> Judged:
    """Say what a difference shows."""
    found = draft.difference
    says = None if found is None else verdict(found, corrected)
    return replace(draft, corrected=corrected, verdict=says)


def _summary(values: Sequence[float]) -> Summary | None:
    """Mean and interval of accuracies."""
    return summarize(values).within(0, 1) if values else None


def _difference(values: Mapping[int, float], base: Mapping[int, float]) -> PairedDifference | None:
    seeds = [seed for seed in values if seed in base]
    if not seeds:
        return None
    found = paired_difference([values[seed] for seed in seeds], [base[seed] for seed in seeds])
    return found._replace(low=max(found.low, -1.0), high=min(found.high, 1.0))


def _responses(outcome: Outcome) -> dict[str, Summary]:
    records = [] if outcome.chosen is None else list(outcome.chosen.records.values())
    if not records:
        return {}
    return {
        name: summarize([r["test"]["response_accuracy"][name] for r in records]).within(0, 1)
        for name in records[0]["data"]["modalities"]
    }


def _seconds(outcome: Outcome) -> float | None:
    """Median over seeds of the seconds that a step took: of the processor, if that did all.

    Cells share the machine, with each other and with whatever else runs on it: their wall times
    are of different loads.
    """
    records = {} if outcome.chosen is None else outcome.chosen.records
    found = [
        record.get("processor_seconds_per_step" if _on_processor(record) else "seconds_per_step")
        for record in records.values()
    ]
    measured = [seconds for seconds in found if seconds is not None]
    return median(measured) if measured else None


def _on_processor(record: Mapping[str, Any]) -> bool:
    return bool(record["hardware"]["device"] == "cpu")


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
        method: summarize(ranks_SK[:, k]).within(1, len(methods))
        for k, method in enumerate(methods)
    }
