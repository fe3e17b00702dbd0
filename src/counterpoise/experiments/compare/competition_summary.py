"""Summaries of the measurements of competition, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoise.experiments.compare.outcomes import Outcome
from counterpoise.experiments.store import Result
from counterpoise.measures.statistics import Interval, mean_interval

_RESULTS = ("alone", "probe")
"""Quantities that are values of the headline metric."""


@dataclass(frozen=True)
class CompetitionSummary:
    """How modalities compete under the chosen configuration of a method.

    Attributes:
        outcomes: What was measured, by seed, as of
            :class:`counterpoise.experiments.compete.Outcome`.
        failures: Results of the seeds whose measurement failed.
        bounds: Between which values of the headline metric lie.
    """

    outcomes: Mapping[int, Mapping[str, Any]]
    failures: Mapping[int, Result]
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities; none if nothing was measured."""
        return list(next(iter(self.outcomes.values()))["strength"]) if self.outcomes else []

    def values(self, quantity: str, modality: str) -> list[float]:
        """Return a quantity of a modality by seed, such as "probe"; none if not measured."""
        measured = [outcome[quantity].get(modality) for outcome in self.outcomes.values()]
        return [value for value in measured if value is not None]

    def summary(self, quantity: str, modality: str) -> Interval | None:
        """Return a quantity of a modality over seeds; None if not measured."""
        values = self.values(quantity, modality)
        if not values:
            return None
        interval = mean_interval(values)
        return interval.within(*self.bounds) if quantity in _RESULTS else interval

    def robustness(self, place: int) -> Interval | None:
        """Return the expected result at one of the probabilities of absence, over seeds."""
        curves: list[Sequence[float]] = [o["robustness"] for o in self.outcomes.values()]
        values = [curve[place] for curve in curves if curve]
        return mean_interval(values).within(*self.bounds) if values else None


def competition_of(outcome: Outcome, measured: Mapping[str, Result]) -> CompetitionSummary | None:
    """Gather the measurements of a method's chosen runs; None if there are none.

    Args:
        outcome: What came of the method.
        measured: Results of measurements by the key of the run they are of.
    """
    chosen = outcome.chosen
    runs = {} if chosen is None else chosen.results
    measurements = {seed: measured[run.key] for seed, run in runs.items() if run.key in measured}
    if not measurements:
        return None
    return CompetitionSummary(
        {seed: result.record for seed, result in measurements.items() if result.record is not None},
        {seed: result for seed, result in measurements.items() if result.state == "failed"},
        outcome.form.bounds,
    )
