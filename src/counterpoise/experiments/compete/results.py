"""The results of the protocol: outcomes of methods and seeds, their means and intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from counterpoise.data.tasks import MetricForm
from counterpoise.experiments.compete.paths import Paths
from counterpoise.measures.statistics import (
    Interval,
    Judgement,
    judge,
    mean_interval,
    paired_difference,
)
from counterpoise.training.results import headline

if TYPE_CHECKING:
    from counterpoise.report import Table

STRENGTH_MARGIN: Final = 0.05
"""The largest difference of competition strengths that does not matter: a twentieth of the way from
all being carried to nothing."""

SHARE_MARGIN: Final = 0.01
"""The largest difference of results that does not matter, where they are shares: a point."""

FEWEST_PER_DIMENSION: Final = 2.0
"""Samples to fit on for each dimension of the fused feature below which strengths are marked."""


def few_samples(known: Iterable[float | None]) -> str:
    """Say that regressions had few samples to be fitted on; nothing where they had enough.

    Args:
        known: Of each, samples for each dimension of the fused feature; None where not counted.
    """
    fewest = min((ratio for ratio in known if ratio is not None), default=FEWEST_PER_DIMENSION)
    if fewest >= FEWEST_PER_DIMENSION:
        return ""
    return (
        f"The regression that strengths come from had {fewest:.1f} samples for each dimension of "
        f"the fused feature, fewer than {FEWEST_PER_DIMENSION:g}: its penalty decides much of them."
    )


_METRICS = ("joint", "alone", "probe")


@dataclass(frozen=True)
class Outcome:
    """One method and seed. Results are of the task's headline metric on test data.

    Attributes:
        method: Name of the method.
        settings: Of the method.
        seed: Of all runs.
        joint: Result of the joint model.
        strength: Competition strength of each modality.
        varying: The share of directions in which each concept varies, in (0, 1]. What it falls
            short of 1, as for units that are never active, the strength is lower by.
        fit_per_dimension: Samples that the regression was fitted on for each dimension of the fused
            feature. With fewer than :data:`FEWEST_PER_DIMENSION` its penalty decides much of the
            strength. None where the samples are not counted, as of loaders of your own.
        alone: Result of the network that was trained on each modality alone.
        probe: Result of a linear probe of each encoder of the joint model; without those whose
            features are not known.
        contribution: Shapley value of each modality in the result of the joint model, of an
            error in what takes it down; empty where there are too many modalities for every
            coalition.
        cooperation: What the whole has beyond its parts, likewise; None for the same reason.
        robustness: Result to be expected when each modality is absent with probability 0, 0.1,
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
    joint: float
    strength: Mapping[str, float]
    varying: Mapping[str, float]
    fit_per_dimension: float | None
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
        alone: Result of the network trained on the modality alone.
        probe: Result of a linear probe of the encoder; None where it is not known.
        contribution: To the result of the joint model; None where it is not known.
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
        data: What a record says of the data; "guess" is the result of who only guesses, and
            "guess_error" its standard error.
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
        from counterpoise.report.records import show_setting

        by_label: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            same_name = [o.settings for o in self.outcomes if o.method == outcome.method]
            telling = [
                f"{name}={show_setting(value)}"
                for name, value in outcome.settings.items()
                if any(other.get(name) != value for other in same_name)
            ]
            label = f"{outcome.method}({', '.join(telling)})" if telling else outcome.method
            by_label.setdefault(label, []).append(outcome)
        return {label: tuple(outcomes) for label, outcomes in by_label.items()}

    @property
    def seconds(self) -> float:
        """Training time of all runs, wall time; each counted once."""
        alone = {outcome.seed: outcome.seconds_alone for outcome in self.outcomes}
        return sum(alone.values()) + sum(outcome.seconds for outcome in self.outcomes)

    @property
    def form(self) -> MetricForm:
        """How the task's headline metric is called and written."""
        return headline(self.data)

    def unlearnt(self) -> list[str]:
        """Return the modalities whose networks, trained on them alone, have not learnt.

        Those that are not better than guessing by more than its standard error, in the mean over
        seeds. Their concepts tell nothing, nor do competition strengths against them.
        """
        guess, error = self.data.get("guess"), self.data.get("guess_error")
        if guess is None or error is None:
            return []
        turned = self.form.turned
        first = next(iter(self.methods))
        return [
            name
            for name in self.modalities
            if turned(self.mean(first, "alone", name).mean) <= turned(guess) + error
        ]

    def values(self, method: str, what: str, modality: str | None = None) -> list[float]:
        """Return one value a seed.

        Args:
            method: A key of :attr:`methods`.
            what: An attribute of :class:`Outcome`, such as "strength".
            modality: Which, where the attribute has a value for each.
        """
        values = [getattr(outcome, what) for outcome in self.methods[method]]
        return values if modality is None else [by_modality[modality] for by_modality in values]

    def mean(self, method: str, what: str, modality: str | None = None) -> Interval:
        """Return mean and interval over seeds; arguments as for :meth:`values`."""
        return mean_interval(self.values(method, what, modality), step=self._step(what))

    def _step(self, what: str) -> float:
        """Return by how much a quantity changes at least: an accuracy by 1 / test samples."""
        counts = what in _METRICS and self.form.share and self.form.additive
        size = self.data["num_samples"]["test"]
        return 1 / float(size) if counts and size else 0.0

    def judged(self) -> tuple[dict[str, Judgement], dict[tuple[str, str], Judgement]]:
        """Judge all differences that the report states, as one family of tests.

        Modalities whose networks have not learnt alone have no part in who is held back most.

        Returns:
            By how much the modality that is held back most under the first method is held back
            more than each other; and what each other method changes against the first, by its
            label and a modality, or "joint".
        """
        first, *others = self.methods
        unlearnt = self.unlearnt()
        known = [name for name in self.modalities if name not in unlearnt]
        values = {name: self.values(first, "strength", name) for name in known}
        rest = sorted(known, key=lambda name: fmean(values[name]), reverse=True)
        gaps = [paired_difference(values[rest[0]], values[name]) for name in rest[1:]]
        quantities = [*(("strength", name) for name in self.modalities), ("joint", None)]
        told = [(method, *quantity) for method in others for quantity in quantities]
        changes = [
            paired_difference(
                self.values(method, what, name),
                self.values(first, what, name),
                step=self._step(what),
            )
            for method, what, name in told
        ]
        of_result = SHARE_MARGIN if self.form.share else None
        margins: list[float | None] = [STRENGTH_MARGIN] * len(gaps)
        margins += [STRENGTH_MARGIN if name else of_result for _, _, name in told]
        verdicts = judge([*gaps, *changes], margin=margins)
        keys = [(method, name or what) for method, what, name in told]
        leads = dict(zip(rest[1:], verdicts[: len(gaps)], strict=True))
        return leads, dict(zip(keys, verdicts[len(gaps) :], strict=True))

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
        from counterpoise.report import Column, Table, metric_of
        from counterpoise.report.formats import PERCENT, decimals

        metric = metric_of(self.form)
        strength, result = "Competition strength", metric.on("Test")
        columns = [
            Column("method", "Method", numeric=False),
            Column("modality", "Modality", numeric=False),
            Column("strength", "mean", strength, decimals(3)),
            Column("strength_low", "from", strength, decimals(3)),
            Column("strength_high", "to", strength, decimals(3)),
            Column("varying", "Concept varies in, %", show=PERCENT),
            Column("alone", "alone", result, metric.form, bar=metric.bounded),
            Column("probe", "probe", result, metric.form, bar=metric.bounded),
            Column("contribution", "contribution", result, metric.form, bar=metric.bounded),
            Column("joint", "joint", result, metric.form, bar=metric.bounded),
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
                self.mean(line.method, "joint").mean,
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
