"""What came out of the cells: trials of configurations, and the one that validation chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf, isfinite
from statistics import mean
from typing import Any

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.compare.cells import GridRun
from counterpoise.experiments.compare.grid import Candidate
from counterpoise.experiments.store import Result
from counterpoise.measures.statistics import DIVERGED, Run
from counterpoise.training import results

__all__ = ["Outcome", "Trial", "outcomes_of", "test_accuracy", "validation_accuracy"]


def validation_accuracy(result: Result) -> float | None:
    """Return the validation accuracy of the epoch that was kept; None if the cell failed.

    A run that diverged comes last, but is not left out. Here and below, for another task than
    classification it is its headline metric.
    """
    if result.record is None:
        return None
    if result.state == "diverged":
        form = results.headline(result.record)
        return form.bounds[0] if form.higher_is_better else inf
    return results.validated(result.record)[result.record["best_epoch"]]


def test_accuracy(record: Mapping[str, Any]) -> Run:
    """Return the test accuracy of a run, or that it diverged, if only on test data."""
    if record.get("outcome") == "diverged":
        return DIVERGED
    loss = record["test"]["loss"]  # None in a file, which holds no NaN
    if loss is None or not isfinite(loss):
        return DIVERGED
    accuracy = results.tested(record)
    return DIVERGED if accuracy is None else accuracy


@dataclass(frozen=True)
class Trial:
    """A configuration and what came of it.

    Args:
        candidate: The configuration.
        results: Result of each seed it was run with.
    """

    candidate: Candidate
    results: Mapping[int, Result]

    @property
    def failures(self) -> dict[int, Result]:
        """Results of the seeds that failed."""
        return {seed: each for seed, each in self.results.items() if each.state == "failed"}

    @property
    def records(self) -> dict[int, dict[str, Any]]:
        """Records of the seeds that did not fail."""
        return {seed: each.record for seed, each in self.results.items() if each.record is not None}

    def validation(self, seeds: Sequence[int]) -> float | None:
        """Return the mean validation accuracy over seeds; None unless all of them succeeded."""
        found = [self.results[seed] for seed in seeds if seed in self.results]
        values = [value for each in found if (value := validation_accuracy(each)) is not None]
        return mean(values) if len(values) == len(seeds) else None

    def turned(self, value: float) -> float:
        """Return a value of the headline metric so that higher is better."""
        return results.headline(next(iter(self.records.values()))).turned(value)


@dataclass(frozen=True)
class Outcome:
    """What a method came to on a data set with a fusion.

    Args:
        trials: All configurations that it tried, in order.
        seeds: The seeds by which one of them is chosen.
    """

    trials: Sequence[Trial]
    seeds: Sequence[int]
    chosen: Trial | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chosen", self._choose())

    @property
    def place(self) -> tuple[str, str, str]:
        """Labels of data set, fusion and method."""
        data, fusion, method = self.trials[0].candidate[:3]
        return data, fusion, method

    @property
    def accuracies(self) -> dict[int, Run]:
        """Test accuracy of the chosen configuration by seed, of those that did not fail."""
        records = {} if self.chosen is None else self.chosen.records
        return {seed: test_accuracy(record) for seed, record in records.items()}

    @property
    def form(self) -> MetricForm:
        """How the accuracy, or whatever the headline metric is, is called and written."""
        return results.headline(self._record)

    @property
    def step(self) -> float:
        """By how much a test accuracy changes at least: 1 / number of test samples."""
        counts = self.form.share and self.form.additive
        return 1 / float(self._record["data"]["sizes"]["test"]) if counts else 0.0

    @property
    def guessing(self) -> float:
        """The accuracy of guessing among the classes; else the metric of who guesses best."""
        guess = results.guessed(self._record)
        num_classes = self._record["data"]["num_classes"]
        return 1 / float(num_classes) if num_classes or guess is None else guess

    @property
    def _record(self) -> Mapping[str, Any]:
        assert self.chosen is not None  # asked for only where there are accuracies
        return next(iter(self.chosen.records.values()))

    @property
    def failures(self) -> list[tuple[Trial, int, Result]]:
        """All failed cells, with their trial and seed."""
        return [(trial, *each) for trial in self.trials for each in trial.failures.items()]

    def _choose(self) -> Trial | None:
        """Return the trial of the best validation accuracy; of several the first."""
        measured = [(trial, trial.validation(self.seeds)) for trial in self.trials]
        known = [(trial.turned(value), trial) for trial, value in measured if value is not None]
        return max(known, key=lambda pair: pair[0])[1] if known else None


def outcomes_of(
    cells: Iterable[GridRun], results: Mapping[str, Result], seeds: Sequence[int]
) -> list[Outcome]:
    """Gather results by configuration and by method.

    Args:
        cells: Cells that have a result.
        results: Results by key.
        seeds: The seeds by which configurations are chosen.

    Returns:
        An outcome for each data set, fusion and method, in the order of the cells.
    """
    by_candidate: dict[tuple[str, str, str, int], list[GridRun]] = {}
    for cell in cells:
        by_candidate.setdefault(cell.candidate[:4], []).append(cell)
    trials = [
        Trial(found[0].candidate, {cell.seed: results[cell.key] for cell in found})
        for found in by_candidate.values()
    ]
    grouped = groupby(trials, key=lambda trial: trial.candidate[:3])
    return [Outcome(list(members), seeds) for _, members in grouped]
