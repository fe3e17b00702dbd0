"""What the protocol came to: outcomes of methods and seeds, their means and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from counterpoise.experiments.compete.paths import Paths
from counterpoise.measures.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from counterpoise.report import Table

__all__ = ["Competition", "Outcome", "Summary"]


_ACCURACIES = ("accuracy", "alone", "probe")


@dataclass(frozen=True)
class Outcome:
    """One method and seed. Accuracies are of test data, in [0, 1].

    Attributes:
        method: Name of the method.
        settings: Of the method.
        seed: Of all runs.
        accuracy: Of the joint model.
        strength: Competition strength of each modality.
        varying: The share of directions in which each concept varies, in (0, 1]. What it falls
            short of 1, as for units that are never active, the strength is lower by.
        alone: Accuracy of the network that was trained on each modality alone.
        probe: Accuracy of a linear probe of each encoder of the joint model; empty where
            encoders are not known.
        contribution: Shapley value of each modality in the accuracy of the joint model; empty
            where there are too many modalities for every coalition.
        cooperation: What the whole has beyond its parts, in accuracy; None for the same reason.
        robustness: Accuracy to be expected when each modality is absent with probability 0, 0.1,
            ..., 1; empty for the same reason.
        seconds: Training time of the joint run, wall time.
        seconds_alone: Training time of the runs on each modality alone, in all; methods share
            them.
        utilisation: Conditional utilisation rate of each modality in the joint model; empty where
            there are too many modalities for every coalition.
        discrepancy: How much surer of the labels each modality's own logits are than the others',
            OGM's ratio; empty where a sample has more than one label.
    """

    method: str
    settings: Mapping[str, Any]
    seed: int
    accuracy: float
    strength: Mapping[str, float]
    varying: Mapping[str, float]
    alone: Mapping[str, float]
    probe: Mapping[str, float]
    contribution: Mapping[str, float]
    cooperation: float | None
    robustness: list[float]
    seconds: float
    seconds_alone: float
    utilisation: Mapping[str, float] = field(default_factory=dict)
    discrepancy: Mapping[str, float] = field(default_factory=dict)


class Summary(NamedTuple):
    """One method and modality over seeds.

    Attributes:
        method: Label of the method.
        modality: Name of the modality.
        strength: Competition strength.
        varying: Share of directions in which the concept varies.
        alone: Accuracy of the network trained on the modality alone.
        probe: Accuracy of a linear probe of the encoder; None where it is not known.
        contribution: To the accuracy of the joint model; None where it is not known.
    """

    method: str
    modality: str
    strength: Interval
    varying: Interval
    alone: Interval
    probe: Interval | None
    contribution: Interval | None


@dataclass(frozen=True)
class Competition:
    """Outcomes of the protocol, one for each method and seed.

    Attributes:
        recipe: Of the first joint run, as a configuration file holds it.
        data: What a record says of the data.
        paths: Where features were taken.
        ridge: Of the probes.
        outcomes: Method by method, in order of seeds.
    """

    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    paths: Paths
    ridge: float
    outcomes: tuple[Outcome, ...]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.outcomes[0].strength)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(dict.fromkeys(outcome.seed for outcome in self.outcomes))

    @property
    def methods(self) -> dict[str, tuple[Outcome, ...]]:
        """The outcomes of each method, by its name and, where that is not enough, settings."""
        found: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            same_name = [o.settings for o in self.outcomes if o.method == outcome.method]
            telling = [
                f"{name}={value}"
                for name, value in outcome.settings.items()
                if any(other.get(name) != value for other in same_name)
            ]
            label = f"{outcome.method}({', '.join(telling)})" if telling else outcome.method
            found.setdefault(label, []).append(outcome)
        return {label: tuple(outcomes) for label, outcomes in found.items()}

    @property
    def seconds(self) -> float:
        """Training time of all runs, wall time; each counted once."""
        alone = {outcome.seed: outcome.seconds_alone for outcome in self.outcomes}
        return sum(alone.values()) + sum(outcome.seconds for outcome in self.outcomes)

    def values(self, method: str, what: str, modality: str | None = None) -> list[float]:
        """Return one value a seed.

        Args:
            method: A key of :attr:`methods`.
            what: An attribute of :class:`Outcome`, such as "strength".
            modality: Which, where the attribute has a value for each.
        """
        found = [getattr(outcome, what) for outcome in self.methods[method]]
        return found if modality is None else [each[modality] for each in found]

    def mean(self, method: str, what: str, modality: str | None = None) -> Interval:
        """Return mean and interval over seeds; arguments as for :meth:`values`."""
        return mean_interval(self.values(method, what, modality), step=self._step(what))

    def difference(
        self, method: str, other: str, what: str, modality: str | None = None
    ) -> Interval:
        """Return mean and interval of the difference between two methods, seed by seed.

        Args:
            method: A key of :attr:`methods`.
            other: What is subtracted.
            what: As for :meth:`values`.
            modality: As for :meth:`values`.
        """
        pairs = (self.values(each, what, modality) for each in (method, other))
        step = sqrt(2) * self._step(what)  # both move in steps
        return mean_interval([a - b for a, b in zip(*pairs, strict=True)], step=step)

    def _step(self, what: str) -> float:
        """Return by how much a quantity changes at least: an accuracy by 1 / test samples."""
        return 1 / float(self.data["num_samples"]["test"]) if what in _ACCURACIES else 0.0

    def summary(self) -> list[Summary]:
        """Return a line for each method and modality."""

        def known(method: str, what: str, name: str) -> Interval | None:
            there = all(name in getattr(outcome, what) for outcome in self.methods[method])
            return self.mean(method, what, name) if there else None

        return [
            Summary(
                method,
                name,
                self.mean(method, "strength", name),
                self.mean(method, "varying", name),
                self.mean(method, "alone", name),
                known(method, "probe", name),
                known(method, "contribution", name),
            )
            for method in self.methods
            for name in self.modalities
        ]

    def table(self) -> Table:
        """Return the summary as a table that renders as HTML, Markdown and CSV.

        A row for each method and modality; strengths with their intervals.
        """
        from counterpoise.report import Column, Table
        from counterpoise.report.formats import PERCENT, decimals

        strength, accuracy = "Competition strength", "Test accuracy, %"
        columns = [
            Column("method", "Method", numeric=False),
            Column("modality", "Modality", numeric=False),
            Column("strength", "mean", strength, decimals(3)),
            Column("strength_low", "from", strength, decimals(3)),
            Column("strength_high", "to", strength, decimals(3)),
            Column("varying", "Concept varies in, %", show=PERCENT),
            Column("alone", "alone", accuracy, PERCENT, bar=True),
            Column("probe", "probe", accuracy, PERCENT, bar=True),
            Column("contribution", "contribution", accuracy, PERCENT, bar=True),
            Column("joint", "joint", accuracy, PERCENT, bar=True),
            Column("num_seeds", "Seeds"),
        ]
        rows = [
            (
                line.method,
                line.modality,
                *line.strength[:3],
                line.varying.mean,
                line.alone.mean,
                None if line.probe is None else line.probe.mean,
                None if line.contribution is None else line.contribution.mean,
                self.mean(line.method, "accuracy").mean,
                line.strength.num_values,
            )
            for line in self.summary()
        ]
        caption = (
            "Means over seeds, competition strength with its 95% interval. A dash: not measured, "
            "or no interval of a single seed."
        )
        return Table(caption, columns, rows)

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, for a file."""
        return asdict(self)
