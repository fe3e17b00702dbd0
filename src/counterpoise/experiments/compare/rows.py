"""The results of a comparison: rows of methods in blocks of data set and fusion, and pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoise.experiments.compare.competition_summary import CompetitionSummary
from counterpoise.experiments.compare.outcomes import Outcome
from counterpoise.measures.statistics import Interval, Judgement


@dataclass(frozen=True)
class Row:
    """The results of one method on one data set with one fusion.

    Attributes:
        outcome: The trials behind it.
        accuracy: Test accuracy over seeds; None if there is no result.
        responses: Test accuracy of each modality's response.
        difference: To the baseline, over the seeds that both have, judged together with all that
            the comparison tells; None for the baseline itself.
        cost: Time of a step as a ratio to joint training; None where not measured.
        competition: How modalities compete; None where not measured.
    """

    outcome: Outcome
    accuracy: Interval | None
    responses: Mapping[str, Interval]
    difference: Judgement | None
    cost: float | None
    competition: CompetitionSummary | None = None

    @property
    def method(self) -> str:
        """Label of the method."""
        return self.outcome.place[2]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Records of the chosen configuration, by seed."""
        chosen = self.outcome.chosen
        return [] if chosen is None else list(chosen.records.values())


@dataclass(frozen=True)
class Block:
    """All methods on one data set with one fusion.

    Attributes:
        data: Label of the data set.
        fusion: Name of the fusion; "" if the grid leaves the model as it is.
        rows: One a method, in the order of the grid.
    """

    data: str
    fusion: str
    rows: Sequence[Row]

    @property
    def title(self) -> str:
        """What to call it."""
        return _title(self.data, self.fusion)

    @property
    def modalities(self) -> list[str]:
        """The modalities of the data set, in order."""
        records = [record for row in self.rows for record in row.records]
        return list(records[0]["data"]["modalities"]) if records else []

    @property
    def records(self) -> list[dict[str, Any]]:
        """Records of all rows."""
        return [record for row in self.rows for record in row.records]


@dataclass(frozen=True)
class Pair:
    """The difference between two methods in one block; neither need be the baseline.

    Attributes:
        data: Label of the data set.
        fusion: Name of the fusion; "" if the grid leaves the model as it is.
        first: Label of the method that is compared.
        second: Label of the one it is compared with.
        difference: Of test accuracy, over the seeds that both have, judged together with all
            that the comparison tells; None if there are none.
    """

    data: str
    fusion: str
    first: str
    second: str
    difference: Judgement | None

    @property
    def title(self) -> str:
        """What to call the block."""
        return _title(self.data, self.fusion)


def _title(data: str, fusion: str) -> str:
    return f"{data}, {fusion}" if fusion else data
