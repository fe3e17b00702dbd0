"""Searches for the configuration of each method: what is tried next, and what the results were.

A search depends on nothing but the grid and the results of its own trials. So it is not kept: it
is made again from the results in the store, the same to the bit, after a kill or beside others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from counterpoise.experiments.compare.grid import Candidate, Grid, Place
from counterpoise.experiments.compare.outcomes import Outcome, Trial
from counterpoise.experiments.store import content_key
from counterpoise.measures.statistics import DIVERGED, Floats, Run, best_so_far
from counterpoise.training.record import write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study
    from optuna.trial import Trial as Asked

    from counterpoise.experiments.compare.analysis import Comparison


class Search(ABC):
    """The search of one method in one place.

    Args:
        grid: What is compared.
        place: Labels of data set, fusion and method.
    """

    def __init__(self, grid: Grid, place: Place) -> None:
        self.grid, self.place = grid, place
        self.trials: list[Trial] = []

    @property
    def is_done(self) -> bool:
        """Whether all trials are finished."""
        return len(self.trials) >= self.grid.num_tries

    @abstractmethod
    def ask(self) -> list[Candidate]:
        """Return what to try next: configurations that do not wait for each other."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take in the results of all that was asked for last, in the same order."""
        self.trials += trials


class Combinations(Search):
    """All combinations of lists, at once."""

    def ask(self) -> list[Candidate]:
        """Return them all."""
        changes = self.grid.combinations(self.place[2])
        return [self.grid.candidate(self.place, k, change) for k, change in enumerate(changes)]


class Trials(Search):
    """Trials of Optuna's tree-structured Parzen estimator, one after the other.

    The first is the configuration that the grid's layers describe, as far as it lies in the space.
    The others up to half of all are drawn at random, and the rest where results have been good. A
    failed trial tells nothing; one that diverged counts as worst.

    All methods on a data set with a fusion draw from the same seed.

    Reference: Akiba et al., "Optuna", KDD 2019; Bergstra et al., "Algorithms for Hyper-Parameter
    Optimization", NeurIPS 2011.
    """

    def __init__(self, grid: Grid, place: Place) -> None:
        super().__init__(grid, place)
        self.space = grid.space(place[2])
        self._study: Study | None = None
        self._asked: Asked | None = None
        self._described: dict[str, Any] = {}

    def ask(self) -> list[Candidate]:
        """Return the next one."""
        if self._study is None:
            self._study = self._begun()
        distributions = {path: axis.distribution for path, axis in self.space.items()}
        self._asked = self._study.ask(distributions)
        drawn = self._asked.params
        changes = {path: axis.value(drawn[path]) for path, axis in self.space.items()}
        changes |= {} if self.trials else self._described  # to all its digits
        return [self.grid.candidate(self.place, len(self.trials), changes)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take in the result of the configuration that was asked for."""
        from optuna.trial import TrialState

        super().tell(trials)
        (trial,) = trials
        assert self._study is not None
        assert self._asked is not None
        if trial.merit is None:
            self._study.tell(self._asked, state=TrialState.FAIL)
        else:
            self._study.tell(self._asked, trial.merit)

    def _begun(self) -> Study:
        import optuna

        sampler = optuna.samplers.TPESampler(
            n_startup_trials=max(1, self.grid.num_tries // 2),
            seed=int(content_key(self.place[:2])[:8], 16),
        )
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would say that it begins
        try:
            study = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(before)
        first = self.grid.candidate(self.place, 0, {}).recipe.describe()
        values = {path: _value(first, path) for path in self.space}
        inside = {path: value for path, value in values.items() if self.space[path].has(value)}
        study.enqueue_trial({path: self.space[path].drawn(v) for path, v in inside.items()})
        self._described = inside
        return study


def search_of(grid: Grid, place: Place) -> Search:
    """Return the search of a method in a place, as the grid says."""
    return Combinations(grid, place) if grid.trials is None else Trials(grid, place)


@dataclass(frozen=True)
class Searched:
    """The result of the search of a method on a data set with a fusion.

    Attributes:
        best_so_far: The budget curve, of shape (trials,): the best validation result after each
            number of trials, NaN before the first that succeeded.
        at_edge: Paths of the chosen settings that lie at an end of their range, beyond which the
            best may lie. None if nothing was chosen.
    """

    best_so_far: Floats
    at_edge: list[str] | None


def searched(grid: Grid, outcome: Outcome) -> Searched | None:
    """Return the result of the search behind an outcome; None if there was none.

    Args:
        grid: What was compared.
        outcome: What came of a method on a data set with a fusion.
    """
    if len(outcome.trials) < 2 or all(trial.merit is None for trial in outcome.trials):
        return None
    merits = [trial.merit for trial in outcome.trials]
    # Failed trials too are no best.
    known: list[Run] = [DIVERGED if m is None or not isfinite(m) else m for m in merits]
    turned = next(trial.form for trial in outcome.trials if trial.merit is not None).turned
    curve = np.array([turned(best) for best in best_so_far(known).tolist()])
    if outcome.chosen is None:
        return Searched(curve, None)
    space, changes = grid.space(outcome.place[2]), outcome.chosen.candidate.changes
    edges = [path for path, value in changes.items() if space[path].at_edge(value)]
    return Searched(curve, edges)


def write_search(comparison: Comparison, folder: Path) -> None:
    """Write ``search.csv``: every trial of every search, a row each, where there was any.

    "best_so_far" is the budget curve; "at_edge" names settings of the chosen trial that lie at an
    end of their range.
    """
    rows = []
    for outcome in comparison.outcomes:
        search = searched(comparison.grid, outcome)
        for number, trial in enumerate(outcome.trials if search else ()):
            assert search is not None
            chosen = trial is outcome.chosen
            data, fusion, method = outcome.place
            rows.append(
                {
                    "data": data,
                    "fusion": fusion,
                    "method": method,
                    "trial": number,
                    # A search may choose among methods, which is no label.
                    **{
                        "method.class_path" if path == "method" else path: value
                        for path, value in trial.candidate.changes.items()
                    },
                    "validation": trial.validation,
                    "best_so_far": search.best_so_far[number].item(),
                    "chosen": chosen,
                    "at_edge": " ".join(search.at_edge or []) if chosen else None,
                }
            )
    if rows:
        write_csv(folder / "search.csv", rows)


def _value(described: Mapping[str, Any], path: str) -> Any:
    """Return the setting at a dotted path of a recipe that was described; None if there is none."""
    value: Any = described
    for name in path.split("."):
        if isinstance(value, Mapping) and "class_path" in value and name != "init_args":
            value = value.get("init_args", {})
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
