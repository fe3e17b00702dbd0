"""What a study is: a question, the runs that it takes, what is measured on them, an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from counterpoise.core.errors import check_count
from counterpoise.experiments.study.observations import Condition
from counterpoise.experiments.trained import Trained
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
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
        """Measure the runs of one case; return a pytree of plain values, which is kept."""

    @abstractmethod
    def find(self, seen: Observations) -> Findings:
        """Put together what was measured, and answer the question from it."""
