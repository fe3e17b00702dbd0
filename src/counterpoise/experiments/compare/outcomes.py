"""What came out of the cells: trials of configurations, and the one that validation chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from statistics import mean
from typing import Any

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.compare.grid import Candidate
from counterpoise.experiments.store import Result
from counterpoise.measures.statistics import DIVERGED, Run
from counterpoise.training import results


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
    """A configuration and its results.

    Args:
        candidate: The configuration.
        results: Result of each seed it was run with.
        search_seeds: Those of the seeds by which configurations are chosen, and which tell
            nothing else. Default: none, so that validation with all of them decides.
    """

    candidate: Candidate
    results: Mapping[int, Result]
    search_seeds: Sequence[int] = ()

    @property
    def failures(self) -> dict[int, Result]:
        """Results of the seeds that failed."""
        return {seed: result for seed, result in self.results.items() if result.state == "failed"}

    @property
    def records(self) -> dict[int, dict[str, Any]]:
        """Records of the seeds that did not fail, but for those of the search."""
        return {
            seed: result.record
            for seed, result in self.results.items()
            if result.record is not None and seed not in self.search_seeds
        }

    @property
    def validation(self) -> float | None:
        """Mean validation accuracy over the seeds that decide; None unless all succeeded."""
        deciding = [self.results.get(seed) for seed in self.search_seeds or self.results]
        values = [None if result is None else validation_accuracy(result) for result in deciding]
        known = [value for value in values if value is not None]
        return mean(known) if deciding and len(known) == len(deciding) else None

    @property
    def merit(self) -> float | None:
        """The same so that higher is better; minus infinity at worst."""
        value = self.validation
        return None if value is None else self.form.turned(value)

    @property
    def form(self) -> MetricForm:
        """How the accuracy, or whatever the headline metric is, is called and written."""
        return results.headline(self.any_record or {})

    @property
    def any_record(self) -> dict[str, Any] | None:
        """The record of the first run that did not fail; None if all did."""
        return next((r.record for r in self.results.values() if r.record is not None), None)


@dataclass(frozen=True)
class Outcome:
    """The trials of a method on a data set with a fusion, and the one that was chosen.

    Args:
        trials: All configurations that it tried, in order.
    """

    trials: Sequence[Trial]
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
        """The accuracy of guessing among the classes, or the metric of the best constant guess."""
        guess = results.guessed(self._record)
        num_classes = self._record["data"]["num_classes"]
        return 1 / float(num_classes) if num_classes or guess is None else guess

    def margin(self, points: float) -> float | None:
        """Return the largest difference of the metric that does not matter.

        Args:
            points: As a share. Of an accuracy it is the margin itself; of an error, which has a
                unit, that share of the error of the best constant guess.

        Returns:
            The margin; None where guessing comes to 0, as of a correlation, and tells none.
        """
        return points if self.form.share else points * abs(self.guessing) or None

    @property
    def _record(self) -> Mapping[str, Any]:
        assert self.chosen is not None  # asked for only where there is one
        assert self.chosen.any_record is not None  # or it would not have been chosen
        return self.chosen.any_record

    @property
    def failures(self) -> list[tuple[Trial, int, Result]]:
        """All failed cells, with their trial and seed."""
        return [(trial, *failure) for trial in self.trials for failure in trial.failures.items()]

    def judged(self, results: Mapping[int, Result]) -> Outcome:
        """Return the same with further results of the configuration that was chosen.

        Args:
            results: By seed. Where nothing was tried, they are those of the only configuration.
        """
        best = self.trials[0] if not self.trials[0].results else self.chosen
        known = [
            replace(trial, results={**trial.results, **results}) if trial is best else trial
            for trial in self.trials
        ]
        return Outcome(known)

    def _choose(self) -> Trial | None:
        """Return the trial of the best validation accuracy; of several the first.

        Where there is nothing to choose, that is the only one, if any of its runs succeeded.
        """
        if len(self.trials) == 1:
            return None if self.trials[0].any_record is None else self.trials[0]
        measured = [(trial.merit, trial) for trial in self.trials]
        known = [(merit, trial) for merit, trial in measured if merit is not None]
        return max(known, key=lambda pair: pair[0])[1] if known else None
