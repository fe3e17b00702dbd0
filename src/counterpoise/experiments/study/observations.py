"""What was measured in each condition of a study, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterpoise.measures.statistics import Interval, mean_interval

__all__ = ["Condition", "Observations"]

Condition = tuple[str, ...]
"""What a row of the table is about, such as ("digits", "AGM"); one label a column."""


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
