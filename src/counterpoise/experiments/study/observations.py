"""What was measured in each condition of a study, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from counterpoise.measures.statistics import Estimate, Interval, mean_interval, paired_difference

Condition = tuple[str, ...]
"""What a row of the table is about, such as ("digits", "AGM"); one label a column."""

_COUNTED: Final = ("accuracy", "weakest", "alone", "probe")
"""Names of shares of test samples, which move in steps of 1 / their number."""


class Observations:
    """What was measured in each condition, one pytree of plain values a seed.

    Where "num_test" stands among them, the number of test samples, it is known by which steps
    accuracies move, and taken into account.

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
        """Return one value a seed; the path leads into the pytree."""
        values: list[Any] = list(self.measured[condition])
        for step in path:
            values = [value[step] for value in values]
        return values

    def mean(self, condition: Condition, *path: str) -> Interval:
        """Return mean and interval over seeds, that of a share within [0, 1]."""
        found = mean_interval(self.values(condition, *path), step=self._step(condition, *path))
        return found.within(0, 1) if path[0] in _COUNTED else found

    def estimate(self, condition: Condition, other: Condition, *path: str) -> Estimate:
        """Return the difference to another condition, seed by seed, to be judged with others."""
        step = self._step(condition, *path)
        return paired_difference(
            self.values(condition, *path), self.values(other, *path), step=step
        )

    def _step(self, condition: Condition, *path: str) -> float:
        first = self.measured[condition][0]
        counted = path[0] in _COUNTED and "num_test" in first
        return 1 / float(first["num_test"]) if counted else 0.0

    def describe(self) -> list[dict[str, Any]]:
        """Return everything as plain values, for a file."""
        return [
            {"condition": list(condition), "measured": list(measured)}
            for condition, measured in self.measured.items()
        ]
