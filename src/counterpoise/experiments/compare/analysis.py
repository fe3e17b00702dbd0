"""From the outcomes of a comparison to the numbers that its report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from pathlib import Path
from statistics import mean, median

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.compare.balance import Place, Relation, relations, slopes
from counterpoise.experiments.compare.competition_summary import competition_of
from counterpoise.experiments.compare.differences import SampleValues, difference, result
from counterpoise.experiments.compare.family import Question, judge_all
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
    mean_interval,
)
from counterpoise.methods import Joint
from counterpoise.report import Metric, metric_of
from counterpoise.report.records import ratio
from counterpoise.training.results import tested_responses


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Args:
        grid: What was compared.
        outcomes: What came out, data set by data set, fusion by fusion, method by method.
        path: The folder with results and reports.
        measured: Results of measurements of competition, by the key of the run they are of.
        sample_values: By the key of the run the headline metric of each test sample, (N,), whether
            it was right or its error, in the order that all runs on a data set share. Where they
            are kept, intervals cover samples as well as seeds.

    Attributes:
        blocks: The numbers.
        pairs: Those of the further pairs that the grid names, block by block.
        overall: By method, what holds over data sets, where there are several.
        overall_pairs: The same of the further pairs.
        relations: On which data methods gain, where competition was measured.
        ranks: Ranks over data sets of the methods that have a result everywhere; None for fewer
            than 8 data sets, which tell nothing by ranks.
    """

    grid: Grid
    outcomes: Sequence[Outcome]
    path: Path
    measured: Mapping[str, Result] = field(default_factory=dict)
    sample_values: SampleValues = field(default_factory=dict)
    blocks: list[Block] = field(init=False)
    pairs: list[Pair] = field(init=False)
    overall: dict[str, Overall] = field(init=False)
    overall_pairs: dict[tuple[str, str], Overall] = field(init=False)
    relations: list[Relation] = field(init=False)
    ranks: Ranking | None = field(init=False)

    def __post_init__(self) -> None:
        by_place = {outcome.place: outcome for outcome in self.outcomes}
        places = list(dict.fromkeys(place[:2] for place in by_place))
        baseline, further = self.grid.baseline, [(a, b) for a, b in self.grid.pairs]
        asked = [*((method, baseline) for method in self.grid.methods), *further]
        told, related = self._told(by_place, asked)
        overall = {
            pair: Overall(judgement, won)
            for pair, won in improvements(self.outcomes, asked).items()
            if (judgement := told.get(pair)) is not None
        }
        attributes = {
            "blocks": [self._block(*place, by_place, told) for place in places],
            "pairs": [
                Pair(*place, *pair, told[pair + place]) for pair in further for place in places
            ],
            "overall": {first: summary for (first, b), summary in overall.items() if b == baseline},
            "overall_pairs": {pair: overall[pair] for pair in further if pair in overall},
            "relations": [replace(r, slope=told.get((r.method, r.quantity))) for r in related],
            "ranks": ranking(self.outcomes),
        }
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def _told(
        self, by_place: Mapping[Place, Outcome], asked: Sequence[tuple[str, str]]
    ) -> tuple[dict[tuple[str, ...], Judgement | None], list[Relation]]:
        """Judge all that is asked of pairs of methods, and how gains go with the data, together.

        Keys are the pair with data set and fusion, the pair alone, and method with quantity.
        """
        differences = {
            (first, second, data, fusion): difference(
                outcome, by_place[data, fusion, second], self.sample_values
            )
            for first, second in asked
            for (data, fusion, method), outcome in by_place.items()
            if method == first
        }
        to_baseline = {
            (data, fusion, first): told
            for (first, second, data, fusion), told in differences.items()
            if second == self.grid.baseline
        }
        related = relations(to_baseline, by_place, self.grid.baseline, self.measured)
        expected = expected_differences(self.outcomes, asked)
        questions: dict[tuple[str, ...], Question] = {}
        questions |= {key: self._question(told, key[2:]) for key, told in differences.items()}
        questions |= {pair: self._question(told) for pair, told in expected.items()}
        questions |= {key: Question(estimate) for key, estimate in slopes(related).items()}
        return judge_all(questions), related

    def _question(self, told: Estimate | None, place: tuple[str, ...] = ()) -> Question:
        """Return a difference with what there is to judge it by; over all data sets on average."""
        given = [
            outcome.margin(self.grid.margin)
            for outcome in self.outcomes
            if outcome.chosen is not None and outcome.place[: len(place)] == place
        ]
        margins = [margin for margin in given if margin is not None]
        return Question(told, mean(margins) if margins else None, self._bounds)

    def _block(
        self,
        data: str,
        fusion: str,
        by_place: Mapping[Place, Outcome],
        told: Mapping[tuple[str, ...], Judgement | None],
    ) -> Block:
        members = [outcome for place, outcome in by_place.items() if place[:2] == (data, fusion)]
        joint = _seconds(_of(members, _cost_reference(members, self.grid)))
        rows = [
            Row(
                outcome,
                result(outcome, self.sample_values),
                _responses(outcome),
                told[outcome.place[2], self.grid.baseline, data, fusion],
                ratio(_seconds(outcome), joint),
                competition_of(outcome, self.measured),
            )
            for outcome in members
        ]
        return Block(data, fusion, rows)

    @cached_property
    def metric(self) -> Metric:
        """The headline metric of all data sets, as the report writes it."""
        return metric_of(self.form)

    @property
    def form(self) -> MetricForm:
        """How the headline metric of all data sets is called and written."""
        forms = [outcome.form for outcome in self.outcomes if outcome.chosen is not None]
        return forms[0] if forms else MetricForm("accuracy")

    @property
    def _bounds(self) -> tuple[float, float]:
        """Between which a difference can lie at all."""
        return (-1.0, 1.0) if self.form.share else (-inf, inf)

    @property
    def judgements(self) -> list[Judgement]:
        """All that the comparison tells of differences and slopes: one family."""
        told = [row.difference for block in self.blocks for row in block.rows]
        told += [pair.difference for pair in self.pairs]
        told += [pair.difference for pair in (*self.overall.values(), *self.overall_pairs.values())]
        told += [relation.slope for relation in self.relations]
        return [judgement for judgement in told if judgement is not None]

    @property
    def has_margin(self) -> bool:
        """Whether a largest difference that does not matter is known of anything."""
        return any(judgement.margin is not None for judgement in self.judgements)

    @property
    def num_runs(self) -> int:
        """How many runs were made and models measured, whether or not it failed."""
        trials = [trial for outcome in self.outcomes for trial in outcome.trials]
        return sum(len(trial.results) for trial in trials) + len(self.measured)

    @property
    def failures(self) -> list[Result]:
        """Results of the runs and measurements that failed, in order."""
        runs = [failed for outcome in self.outcomes for _, _, failed in outcome.failures]
        return [*runs, *(m for m in self.measured.values() if m.state == "failed")]

    @property
    def num_compared(self) -> int:
        """How many differences are tested, and so corrected for."""
        return sum(judgement.tested for judgement in self.judgements)

    @property
    def cost_reference(self) -> str:
        """Label of the method that costs are compared with."""
        return _cost_reference(self.outcomes, self.grid)


def _of(block: Sequence[Outcome], method: str) -> Outcome:
    return next(outcome for outcome in block if outcome.place[2] == method)


def _responses(outcome: Outcome) -> dict[str, Interval]:
    chosen = {} if outcome.chosen is None else outcome.chosen.records
    records = [record for record in chosen.values() if test_accuracy(record) != DIVERGED]
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
    own = {"cpu": "processor_seconds_per_step"}
    times = [
        record.get(own.get(record["hardware"]["device"], "seconds_per_step"))
        for record in records.values()
    ]
    measured = [seconds for seconds in times if seconds is not None]
    return median(measured) if measured else None


def _cost_reference(outcomes: Sequence[Outcome], grid: Grid) -> str:
    for outcome in outcomes:
        if type(outcome.trials[0].candidate.recipe.method) is Joint:
            return outcome.place[2]
    return grid.baseline
