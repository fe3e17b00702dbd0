"""Do the unimodal responses of a late-fusion model with known contributions recover them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from counterpoise.experiments.study.estimates import (
    MEASURES,
    carried,
    contributions_of,
    probes_of,
    response_scores,
    test_logits,
)
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.phrases import above, listed, too_few
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import (
    SETTINGS,
    SYNERGY,
    true_contributions,
    true_information,
)
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures.statistics import (
    Interval,
    correlation,
    mean_correlation,
    mean_interval,
    rank_correlation,
)
from counterpoise.measures.unimodal import alone_recipe
from counterpoise.report.formats import enumerate_words
from counterpoise.report.page import Note

_RECOVERED = 0.9
"""The correlation with the truth from which on a measure is said to recover contributions."""


@dataclass(frozen=True)
class Responses(Study):
    """Compares measures of contribution with the truth of synthetic data.

    Args:
        num_seeds: Repeats, each with data and weights of its own.
        fusion: Of the networks; with a fusion that can use it, synergy is studied too.
        num_train: Training samples.
        max_epochs: Epochs of training.
    """

    name: ClassVar[str] = "responses"
    question: ClassVar[str] = (
        "Do the unimodal responses of a late-fusion model with known contributions recover them?"
    )

    fusion: str = "additive"
    num_train: int = 4000
    max_epochs: int = 10

    def cases(self) -> list[Case]:
        """Return joint and unimodal runs in each setting."""
        late = self.fusion in ("additive", "concatenation")
        cases = []
        for setting, data in (SETTINGS if late else {**SETTINGS, **SYNERGY}).items():
            for seed in range(self.num_seeds):
                joint = self.recipe(data, seed)
                alone = {name: alone_recipe(joint, name) for name in data.modalities}
                cases.append(Case((setting,), seed, {"joint": joint, **alone}))
        return cases

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return truth and every estimate of each modality."""
        joint = runs["joint"]
        alone = {name: run for name, run in runs.items() if name != "joint"}
        logits = test_logits(joint)
        scores, shapes = response_scores(*logits), contributions_of(*logits)
        by_modality = {
            "agm_score": scores["cross_entropy"],
            "response_accuracy": scores["accuracy"],
            **shapes,
        }
        estimates = {
            measure: dict(zip(alone, values.tolist(), strict=True))
            for measure, values in by_modality.items()
        }
        estimates["probe"] = probes_of(joint)
        estimates["carried"] = carried(joint, alone)
        estimates["carried_standardised"] = carried(joint, alone, standardise=True)
        data = joint.recipe.data
        return {
            "truth": true_contributions(data),
            "by_itself": true_information(data),
            "estimates": estimates,
        }

    def find(self, seen: Observations) -> Findings:
        """Correlate estimates with the truth, seed by seed."""
        points = {measure: _points(seen, measure, "truth") for measure in MEASURES}
        by_itself = {measure: _points(seen, measure, "by_itself") for measure in MEASURES}
        table = Results(
            "Estimated against true contributions on synthetic data: correlations over modalities "
            "and settings, means over seeds with 95% intervals. Slope: nats of the estimate for a "
            "true nat. Error: what the estimate is off by on average. Last column: correlation "
            "with the information that the modality has by itself, whoever else has it too. "
            "Carried: 1 - competition strength; scaled: with the fused feature standardised first.",
            ("measure",),
            {
                "correlation": Quantity("Correlation (Pearson)", level=1.0),
                "rank": Quantity("Rank correlation (Spearman)", level=1.0),
                "slope": Quantity("Slope", digits=2, level=1.0),
                "error": Quantity("Mean absolute error, nats"),
                "by_itself": Quantity("Correlation with information by itself", level=1.0),
            },
            {
                (MEASURES[m],): {
                    **_row(points[m], nats=m in ("agm_score", "shape_nats")),
                    "by_itself": mean_correlation([correlation(*pair) for pair in by_itself[m]]),
                }
                for m in MEASURES
            },
        )
        return Findings(
            self,
            seen,
            _answer(table),
            [table, _by_setting(seen)],
            table.to_figures(("correlation", "by_itself")),
            [_note(self)],
        )


Points = Sequence[tuple[Sequence[float], Sequence[float]]]


def _points(seen: Observations, measure: str, truth: str) -> Points:
    """Return, seed by seed, the estimates of all modalities of all settings, and the truths."""
    points = []
    for seed in range(seen.num_seeds):
        estimates, truths = [], []
        for condition in seen.conditions:
            measured = seen.measured[condition][seed]
            for name, value in measured[truth].items():
                estimates.append(measured["estimates"][measure][name])
                truths.append(value)
        points.append((estimates, truths))
    return points


def _row(points: Points, *, nats: bool) -> dict[str, Interval]:
    row = {
        "correlation": mean_correlation([correlation(*pair) for pair in points]),
        "rank": mean_correlation([rank_correlation(*pair) for pair in points]),
    }
    if nats:
        row["slope"] = mean_interval([_slope(*pair) for pair in points])
        row["error"] = mean_interval(
            [fmean(abs(e - t) for e, t in zip(*pair, strict=True)) for pair in points]
        )
    return row


def _slope(estimates: Sequence[float], truths: Sequence[float]) -> float:
    mean = fmean(truths)
    spread = sum((t - mean) ** 2 for t in truths)
    return sum((t - mean) * e for e, t in zip(estimates, truths, strict=True)) / spread


def _by_setting(seen: Observations) -> Results:
    rows: dict[Condition, dict[str, Interval]] = {}
    for (setting,) in seen.conditions:
        for name in seen.measured[(setting,)][0]["truth"]:
            rows[setting, name] = {
                "truth": seen.mean((setting,), "truth", name),
                **{m: seen.mean((setting,), "estimates", m, name) for m in MEASURES},
            }
    shares = ("response_accuracy", "shape_accuracy", "probe")
    quantities = {"truth": Quantity("Truth, nats")}
    for measure, title in MEASURES.items():
        unit = ", %" if measure in shares else ", nats" if measure == "agm_score" else ""
        quantities[measure] = Quantity(f"{title}{unit}", share=measure in shares)
    return Results("Each setting and modality.", ("setting", "modality"), quantities, rows)


def _answer(table: Results) -> list[str]:
    by_measure = {measure: row for (measure,), row in table.rows.items()}
    correlations = {measure: row["correlation"] for measure, row in by_measure.items()}
    score = by_measure[MEASURES["agm_score"]]
    r, own = score["correlation"], score["by_itself"]
    in_part = "In part" if above(r, 0) else "No"
    words = "Yes, up to scale" if above(r, _RECOVERED) else in_part
    gap = "more closely" if above(own, r) else "no more closely"
    known = "the information that each modality has by itself"
    tracks = f"It tracks {gap} {known} ({with_interval(own)})"
    if too_few(r):
        words = "There are too few seeds to test"
        tracks = f"With {known} it correlates at {with_interval(own)}"
    better = [m for m, interval in correlations.items() if above(interval, r)]
    failing = [m for m, interval in correlations.items() if not interval.excludes_zero]
    weak = [
        m
        for m, interval in correlations.items()
        if m not in failing and not above(interval, _RECOVERED)
    ]
    compared = (
        f" Better than the score: {enumerate_words(better)}. Below {_RECOVERED} in part of the "
        f"interval: {enumerate_words(weak)}. No correlation that could be told from none: "
        f"{enumerate_words(failing)}."
    )
    return [
        f"{words}: the score of the responses, the nats that each one knows of the label, "
        f"correlates with the true contribution at {with_interval(r)}. A true nat is worth "
        f"{with_interval(score['slope'])} of its nats, and it is off by "
        f"{with_interval(score['error'])} nats on average. {tracks}, which counts what several "
        "modalities know once for each.",
        f"Correlations with the truth: {listed(correlations)}." + ("" if too_few(r) else compared),
    ]


def _note(study: Responses) -> Note:
    text = (
        f"Synthetic data with known contributions, networks of one MLP a modality with "
        f"{study.fusion} fusion, trained jointly on {study.num_train:,} samples. The truth is the "
        "Shapley value of each modality in the information that coalitions have of the label. "
        "Competition strength and probes ask other questions (what was held back, what an "
        "encoder has learnt), so that they need not agree with it."
    )
    return Note("What is compared with what.", text)
