"""What a study is: a question, the runs that it takes, what is measured on them, an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from counterpoise.core.errors import check_count, check_range
from counterpoise.data import DataSource
from counterpoise.experiments.study.observations import Condition
from counterpoise.experiments.study.synthetic_settings import recipe_for
from counterpoise.experiments.trained import Trained
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
    from counterpoise.experiments.study.findings import Findings
    from counterpoise.experiments.study.observations import Observations


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

    Options of theirs that are called ``num_train``, ``max_epochs`` or ``alpha`` are checked here.

    Args:
        num_seeds: Repeats of each condition, at least 2, for there are intervals to give.
    """

    name: ClassVar[str]
    question: ClassVar[str]
    fewest: ClassVar[Mapping[str, int]] = {"num_seeds": 2, "num_train": 1, "max_epochs": 1}
    """What options of these names have to be at least, as far as a study has them."""

    num_seeds: int = 5

    def __post_init__(self) -> None:
        for name, least in {**Study.fewest, **self.fewest}.items():
            if hasattr(self, name):
                check_count(name, getattr(self, name), at_least=least)
        if hasattr(self, "alpha"):
            check_range("alpha", self.alpha, low=0)

    def recipe(self, data: DataSource, seed: int, *, fusion: str | None = None) -> Recipe:
        """Return how the study trains on data from a seed: as long, and on as much, as it says.

        Args:
            data: The data set.
            seed: As in :func:`~counterpoise.experiments.study.synthetic_settings.recipe_for`.
            fusion: Of the network. Default: that of the study.
        """
        own: Any = self
        num_train = getattr(self, "num_train", None)
        fusion = own.fusion if fusion is None else fusion
        return recipe_for(data, fusion, max_epochs=own.max_epochs, seed=seed, num_train=num_train)

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
