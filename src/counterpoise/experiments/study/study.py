"""What a study is: a question, the runs that it takes, what is measured on them, an answer."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from counterpoise.core.errors import check_count
from counterpoise.experiments.runs import load_best
from counterpoise.experiments.study.observations import Condition
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
    from counterpoise.balanced import Balanced
    from counterpoise.data import Splits
    from counterpoise.experiments.study.findings import Findings
    from counterpoise.experiments.study.observations import Observations

__all__ = ["Case", "Study", "Trained"]


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
