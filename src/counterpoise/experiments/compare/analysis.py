"""From the outcomes of a comparison to numbers that can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from numpy.typing import NDArray

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.compare.competing import competing
from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.compare.outcomes import Outcome, test_accuracy
from counterpoise.experiments.compare.overall import (
    Overall,
    expected_differences,
    improvements,
    ranking,
)
from counterpoise.experiments.compare.rows import Block, Pair, Row
from counterpoise.experiments.store import Result
from counterpoise.measures.statistics import (
    DIVERGED,
    Estimate,
    Interval,
    Judgement,
    Ranking,
    judge,
    mean_interval,
    paired_difference,
)
from counterpoise.methods import Joint
from counterpoise.training.results import tested_responses

__all__ = ["Comparison"]


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Args:
        grid: What was compared.
        outcomes: What came out, data set by data set, fusion by fusion, method by method.
        path: The folder with results and reports.
        measured: Results of measurements of competition, by the key of the run they are of.
        sample_values: By the key of the run the headline metric of each test sample, shape (N,),
            whether it was right or its error, in the order that all runs on a data set share;
            of the runs with chosen configurations that kept them.

    Attributes:
        blocks: The numbers.
        pairs: Those of the further pairs that the grid names, block by block.
        overall: By method, what holds over data sets, where there are several.
        ranks: Ranks over data sets of the methods that have a result everywhere; None for fewer
            than 8 data sets, which tell nothing by ranks.
    """

    grid: Grid
    outcomes: Sequence[Outcome]
    path: Path
    measured: Mapping[str, Result] = field(default_factory=dict)
    sample_values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    blocks: list[Block] = field(init=False)
    pairs: list[Pair] = field(init=False)
    overall: dict[str, Overall] = field(init=False)
    ranks: Ranking | None = field(init=False)

    def __post_init__(self) -> None:
        groups: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in self.outcomes:
            groups.setdefault(outcome.place[:2], []).append(outcome)
        expected = expected_differences(self.outcomes, self.grid.baseline)
        estimates = [*_estimates(groups, self.grid), *expected.values()]
        judged = iter(_judged(estimates, self.grid.margin, self._bounds))
        blocks = [
            Block(*place, [self._row(each, members, next(judged)) for each in members])
            for place, members in groups.items()
        ]
        pairs = [
            Pair(data, fusion, first, second, next(judged))
            for first, second in self.grid.pairs
            for data, fusion in groups
        ]
        won = improvements(self.outcomes, self.grid.baseline)
        overall = {
            method: Overall(told, won[method])
            for method, told in zip(expected, judged, strict=True)
            if told is not None
        }
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "overall", overall)
        object.__setattr__(self, "ranks", ranking(self.outcomes))

    @property
    def form(self) -> MetricForm:
        """How the headline metric of all data sets is called and written."""
        found = [each.form for each in self.outcomes if each.chosen is not None]
        return found[0] if found else MetricForm("accuracy")

    @property
    def _bounds(self) -> tuple[float, float]:
        """Between which a difference can lie at all."""
        return (-1.0, 1.0) if self.form.share else (-inf, inf)

    @property
    def judgements(self) -> list[Judgement]:
        """All differences that the comparison tells: one family."""
        told = [row.difference for block in self.blocks for row in block.rows]
        told += [pair.difference for pair in self.pairs]
        told += [each.difference for each in self.overall.values()]
        return [each for each in told if each is not None]

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
        """How many differences are tested, and so corrected for."""
        return sum(each.tested for each in self.judgements)

    @property
    def cost_reference(self) -> str:
        """Label of the method that costs are compared with."""
        return _cost_reference(self.outcomes, self.grid)

    def _row(self, outcome: Outcome, block: Sequence[Outcome], told: Judgement | None) -> Row:
        joint = _seconds(_of(block, _cost_reference(block, self.grid)))
        return Row(
            outcome,
            _accuracy(outcome),
            _responses(outcome),
            told,
            _ratio(_seconds(outcome), joint),
            competing(outcome, self.measured),
        )


def _of(block: Sequence[Outcome], method: str) -> Outcome:
    return next(outcome for outcome in block if outcome.place[2] == method)


def _estimates(
    groups: Mapping[tuple[str, str], Sequence[Outcome]], grid: Grid
) -> list[Estimate | None]:
    """Differences to the baseline, block by block, then those of further pairs."""
    found = [
        _difference(each, _of(members, grid.baseline))
        for members in groups.values()
        for each in members
    ]
    found += [
        _difference(_of(members, first), _of(members, second))
        for first, second in grid.pairs
        for members in groups.values()
    ]
    return found


def _judged(
    estimates: Sequence[Estimate | None], margin: float, bounds: tuple[float, float]
) -> list[Judgement | None]:
    """Judge all that there is of a comparison together."""
    known = [each for each in estimates if each is not None]
    judged = iter(judge(known, margin=margin, bounds=bounds))
    return [None if each is None else next(judged) for each in estimates]


def _accuracy(outcome: Outcome) -> Interval | None:
    runs = list(outcome.accuracies.values())
    if not runs:
        return None
    return mean_interval(runs, step=outcome.step).within(*outcome.form.bounds)


def _difference(outcome: Outcome, base: Outcome) -> Estimate | None:
    """The difference over the seeds that both have; None for a method and itself.

    A diverged run is as good as guessing.
    """
    runs, others = outcome.accuracies, base.accuracies
    seeds = [seed for seed in runs if seed in others]
    if outcome is base or not seeds:
        return None
    return paired_difference(
        [runs[seed] for seed in seeds],
        [others[seed] for seed in seeds],
        step=outcome.step,
        diverged=outcome.guessing,
    )


def _responses(outcome: Outcome) -> dict[str, Interval]:
    chosen = {} if outcome.chosen is None else outcome.chosen.records
    records = [each for each in chosen.values() if test_accuracy(each) != DIVERGED]
    if not records:
        return {}
    return {
        name: mean_interval(
            [(tested_responses(r) or {})[name] for r in records], step=outcome.step
        ).within(*outcome.form.bounds)
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
