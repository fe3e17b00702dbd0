"""What a study is: a question, the runs that it takes, what is measured on them, an answer."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from counterpoise.competition.intervals import Interval, mean_interval
from counterpoise.competition.runs import load_best
from counterpoise.errors import check_count
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
    from counterpoise.balanced import Balanced
    from counterpoise.data import Splits
    from counterpoise.studies.findings import Findings

__all__ = ["Case", "Condition", "Observations", "Study", "Trained"]

Condition = tuple[str, ...]
"""What a row of the table is about, such as ("digits", "AGM"); one label a column."""


@dataclass(frozen=True)
class Case:
    """One repeat of a condition.

    Args:
        condition: Of what.
        seed: Which repeat. All runs of a case are paired with those of the same seed elsewhere.
        runs: What has to be trained, by the part that it plays, such as "joint".
    """

    condition: Condition
    seed: int
    runs: Mapping[str, Recipe]


class Trained:
    """A run that is complete, as it was at its best epoch.

    Args:
        recipe: What was trained.
        folder: Where the run lies.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder

    @cached_property
    def splits(self) -> Splits:
        """The data."""
        return self.recipe.data.load()

    @cached_property
    def balanced(self) -> Balanced:
        """The wrapped model of the best epoch, in eval mode."""
        return load_best(self.recipe, self.splits, self.folder)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The record of the run."""
        found: dict[str, Any] = json.loads((self.folder / "record.json").read_text("utf-8"))
        return found


class Observations:
    """What was measured in each condition, one nest of plain values a seed.

    Args:
        measured: By condition, in order of seeds.

    Example:
        >>> seen = Observations({("AGM",): [{"accuracy": 0.5}, {"accuracy": 0.7}]})
        >>> seen.values(("AGM",), "accuracy")
        [0.5, 0.7]
    """

    def __init__(self, measured: Mapping[Condition, Sequence[Mapping[str, Any]]]) -> None:
        self.measured = measured

    @property
    def conditions(self) -> list[Condition]:
        """The conditions, in order."""
        return list(self.measured)

    @property
    def num_seeds(self) -> int:
        """How many repeats there are of each condition."""
        return min(map(len, self.measured.values()))

    def values(self, condition: Condition, *path: str) -> list[Any]:
        """Return one value a seed; the path leads into the nest."""
        found: list[Any] = list(self.measured[condition])
        for step in path:
            found = [each[step] for each in found]
        return found

    def mean(self, condition: Condition, *path: str) -> Interval:
        """Return mean and interval over seeds."""
        return mean_interval(self.values(condition, *path))

    def difference(self, condition: Condition, other: Condition, *path: str) -> Interval:
        """Return mean and interval of the difference to another condition, seed by seed."""
        pairs = zip(self.values(condition, *path), self.values(other, *path), strict=True)
        return mean_interval([a - b for a, b in pairs])

    def describe(self) -> list[dict[str, Any]]:
        """Return everything as plain values, for a file."""
        return [
            {"condition": list(condition), "measured": list(found)}
            for condition, found in self.measured.items()
        ]


@dataclass(frozen=True)
class Study(ABC):
    """A question that the tool answers by experiment. Subclasses are frozen dataclasses.

    Args:
        num_seeds: Repeats of each condition, at least 2, for there are intervals to give.
    """

    name: ClassVar[str]
    question: ClassVar[str]

    num_seeds: int = 5

    def __post_init__(self) -> None:
        check_count("num_seeds", self.num_seeds, at_least=2)

    @abstractmethod
    def cases(self) -> list[Case]:
        """Return every repeat of every condition."""

    @staticmethod
    @abstractmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Measure the runs of one case; return a nest of plain values, which is kept."""

    @abstractmethod
    def find(self, seen: Observations) -> Findings:
        """Put together what was measured, and answer the question from it."""
