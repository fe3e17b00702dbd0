"""The unimodal concept and the competition strength under different initialisations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from statistics import fmean, stdev
from typing import Any, ClassVar

from counterpoise.data import DataSource
from counterpoise.experiments.study.estimates import FUSED, concept_paths, features_of
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.phrases import above
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import digits
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures import competition_strength
from counterpoise.measures.statistics import FEWEST, Interval, mean_interval
from counterpoise.measures.unimodal import alone_recipe
from counterpoise.report.page import Note


@dataclass(frozen=True)
class Initialisations(Study):
    """Measures every joint model against the concepts of every initialisation.

    Args:
        num_seeds: Initialisations; each joint model meets the concepts of all of them.
        fusion: Of the networks.
        max_epochs: Epochs of training.
        data: The data set. Default: digits.
    """

    name: ClassVar[str] = "initialisations"
    question: ClassVar[str] = (
        "Do the unimodal concept and the competition strength depend on the initialisation?"
    )
    fewest: ClassVar[Mapping[str, int]] = {"num_seeds": 3}

    fusion: str = "additive"
    max_epochs: int = 8
    data: DataSource | None = None

    def cases(self) -> list[Case]:
        """Return a case for each joint initialisation, with the concepts of all."""
        data = self.data or digits()
        seeds = range(self.num_seeds)
        joint = [self.recipe(data, seed) for seed in seeds]
        concepts = {
            f"{name}-{seed}": alone_recipe(joint[seed], name)
            for seed, name in product(seeds, data.load().modalities)
        }
        return [Case(("joint",), seed, {"joint": joint[seed], **concepts}) for seed in seeds]

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return strengths against the concepts of each seed, and concepts against each other."""
        joint = runs["joint"]
        names = joint.splits.modalities
        seeds = sorted({int(part.rpartition("-")[2]) for part in runs if part != "joint"})
        own = joint.recipe.seed
        fused, paths = features_of(joint, FUSED), concept_paths(joint)
        measured: dict[str, Any] = {"seed": own, "strength": {}, "floor": {}, "light": {}}
        for name in names:
            concepts = {seed: features_of(runs[f"{name}-{seed}"], paths[name]) for seed in seeds}
            mine = concepts[own]
            measured["strength"][name] = [
                competition_strength(fused[0], c[0], fused[1], c[1]) for c in concepts.values()
            ]
            measured["light"][name] = [
                competition_strength(fused[0], c[0], fused[1], c[1], ridge=1e-3 * len(c[0]))
                for c in concepts.values()
            ]
            measured["floor"][name] = [
                competition_strength(mine[0], c[0], mine[1], c[1])
                for seed, c in concepts.items()
                if seed != own
            ]
        return measured

    def find(self, seen: Observations) -> Findings:
        """Divide what strengths vary by into the parts of joint model and concept."""
        measured = seen.measured[("joint",)]
        rows: dict[Condition, dict[str, Interval]] = {
            (name,): _row(measured, name) for name in measured[0]["strength"]
        }
        results = Results(
            "Competition strength where joint and concept model share their initialisation, and "
            "where they do not. Floor: the strength of a concept against the same modality's "
            "concept from another initialisation, which no competition has touched. Deviations "
            "are over initialisations of one, averaged over the other.",
            ("modality",),
            {
                "same": Quantity("Strength, same initialisation", level=1.0),
                "other": Quantity("Strength, other initialisation", level=1.0),
                "change": Quantity("Change", level=0.0),
                "floor": Quantity("Floor", level=1.0),
                "by_joint": Quantity("Deviation over joint models"),
                "by_concept": Quantity("Deviation over concepts"),
                "light": Quantity("Strength, light penalty"),
            },
            rows,
        )
        text = (
            "One network a modality and a joint one for each initialisation, on the same data. The "
            "penalty is 120 as published; a light one, a thousandth of the samples, shows what of "
            "the strength is the penalty's doing. Rows of one table share their concepts, so that "
            "intervals over joint models leave out what other concepts would change."
        )
        figures = results.to_figures(("same", "other", "floor"))
        answer = _answer(rows, self.num_seeds)
        return Findings(self, seen, answer, [results], figures, [Note("The set-up.", text)])


def _row(measured: Sequence[Mapping[str, Any]], name: str) -> dict[str, Interval]:
    table = [joint["strength"][name] for joint in measured]  # joint model x concept
    same = [row[seed] for seed, row in enumerate(table)]
    other = [fmean(v for j, v in enumerate(row) if j != i) for i, row in enumerate(table)]
    by_joint = stdev(fmean(row) for row in table)
    by_concept = stdev(fmean(column) for column in zip(*table, strict=True))
    return {
        "same": mean_interval(same),
        "other": mean_interval(other),
        "change": mean_interval([a - b for a, b in zip(other, same, strict=True)]),
        "floor": mean_interval([fmean(joint["floor"][name]) for joint in measured]),
        "by_joint": Interval(by_joint, None, None, len(table)),
        "by_concept": Interval(by_concept, None, None, len(table)),
        "light": mean_interval([fmean(joint["light"][name]) for joint in measured]),
    }


def _answer(rows: Mapping[Condition, Mapping[str, Interval]], num_seeds: int) -> list[str]:
    told, orders = [], []
    few, null = num_seeds < FEWEST, ", not distinguishable"
    for (name,), row in rows.items():
        depends = row["change"].excludes_zero
        told.append(
            f"{name}: {with_interval(row['same'])} against concepts of the same initialisation, "
            f"{with_interval(row['other'])} against those of others"
            + (", a difference that is no chance" if depends else "" if few else null)
            + f"; the floor is {with_interval(row['floor'])}"
        )
        orders.append(row["other"])
    ranked = sorted(orders, key=_mean)
    apart = all(above(high, low) for low, high in pairwise(ranked))
    changing = [name for (name,), row in rows.items() if row["change"].excludes_zero]
    spread = max(_mean(row["by_joint"]) + _mean(row["by_concept"]) for row in rows.values())
    first = (
        f"Yes: for {', '.join(changing)} it matters whether concept and joint model start alike."
        if changing
        else "Hardly: concepts of another initialisation give strengths not distinguishable from "
        "those of the same."
    )
    if few:
        first = (
            "There are too few seeds to test whether it matters that concept and joint model start "
            "alike."
        )
    order = (
        "modalities can be put in order in spite of it"
        if apart
        else "the order of modalities is not tested"
        if few
        else "not all modalities can be put in order"
    )
    return [
        f"{first} Over {num_seeds} initialisations strengths deviate by at most {spread:.3f} "
        f"(joint model and concept added up); {order}.",
        f"Competition strength of {'; of '.join(told)}. What the floor holds is not held back by "
        "competition: two trainings on the same modality differ by as much.",
    ]


def _mean(value: Interval) -> float:
    return value.mean
