"""Does the cross-entropy score track true information contribution, against other scores?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from counterpoise.experiments.study.estimates import RESPONSE_SCORES, response_scores, test_logits
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.phrases import above, too_few
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import (
    SETTINGS,
    SYNERGY,
    true_contributions,
    true_information,
)
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures.statistics import Interval, correlation, mean_correlation, mean_interval
from counterpoise.report.formats import PERCENT, enumerate_words
from counterpoise.report.page import Note


@dataclass(frozen=True)
class Scores(Study):
    """Compares scores of responses with the truth of synthetic data.

    Args:
        num_seeds: Repeats, each with data and weights of its own.
        fusion: Of the networks; with a fusion that can use it, synergy is studied too.
        num_train: Training samples.
        max_epochs: Epochs of training.
    """

    name: ClassVar[str] = "scores"
    question: ClassVar[str] = (
        "Does the cross-entropy score track the true information contribution, against others?"
    )

    fusion: str = "additive"
    num_train: int = 4000
    max_epochs: int = 10

    def cases(self) -> list[Case]:
        """Return joint runs in each setting."""
        late = self.fusion in ("additive", "concatenation")
        settings = SETTINGS if late else {**SETTINGS, **SYNERGY}
        return [
            Case((setting,), seed, {"joint": self.recipe(data, seed)})
            for setting, data in settings.items()
            for seed in range(self.num_seeds)
        ]

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return truths and scores of each modality."""
        scores = response_scores(*test_logits(runs["joint"]))
        data = runs["joint"].recipe.data
        return {
            "truth": list(true_contributions(data).values()),
            "by_itself": list(true_information(data).values()),
            "scores": {name: values.tolist() for name, values in scores.items()},
        }

    def find(self, seen: Observations) -> Findings:
        """Correlate scores with truths, seed by seed, and count orders that are right."""
        rows: dict[Condition, dict[str, Interval]] = {}
        for score, title in RESPONSE_SCORES.items():
            rows[(title,)] = {
                "truth": mean_correlation(_correlations(seen, score, "truth")),
                "by_itself": mean_correlation(_correlations(seen, score, "by_itself")),
                "order": mean_interval(_orders(seen, score)),
            }
        results = Results(
            "Scores of responses on test data against the truth, over modalities and settings. "
            "Cross-entropy is AGM's, the probability of the true class OGM's, the squared error "
            "Brier's; confidence looks at no label. "
            "Order: pairs of unequal modalities of one setting that the score puts in their order.",
            ("score",),
            {
                "truth": Quantity("Correlation with contribution", level=1.0),
                "by_itself": Quantity("Correlation with information by itself", level=1.0),
                "order": Quantity("Right order, %", share=True, level=1.0),
            },
            rows,
        )
        text = (
            "The contribution of a modality is its Shapley value in the information that "
            "coalitions have of the label; by itself is what it knows with no regard to others. "
            f"Networks of one MLP a modality with {self.fusion} fusion, trained jointly."
        )
        figures = results.to_figures()
        answer = [_answer(rows)]
        return Findings(self, seen, answer, [results], figures, [Note("Two truths.", text)])


def _correlations(seen: Observations, score: str, truth: str) -> list[float]:
    correlations = []
    for seed in range(seen.num_seeds):
        measured = [seen.measured[condition][seed] for condition in seen.conditions]
        scores = [value for setting in measured for value in setting["scores"][score]]
        truths = [value for setting in measured for value in setting[truth]]
        correlations.append(correlation(scores, truths))
    return correlations


def _orders(seen: Observations, score: str) -> list[float]:
    shares = []
    for seed in range(seen.num_seeds):
        right = total = 0
        for condition in seen.conditions:
            measured = seen.measured[condition][seed]
            pairs = zip(measured["truth"], measured["scores"][score], strict=True)
            for (truth, own), (other_truth, other) in combinations(pairs, 2):
                if abs(truth - other_truth) > 1e-9:
                    total += 1
                    right += (own - other) * (truth - other_truth) > 0
        shares.append(right / total)
    return shares


def _answer(rows: Mapping[Condition, Mapping[str, Interval]]) -> str:
    by_score = {score: row["truth"] for (score,), row in rows.items()}
    name = RESPONSE_SCORES["cross_entropy"]
    own, others = by_score[name], {s: v for s, v in by_score.items() if s != name}
    better = [s for s, interval in others.items() if above(interval, own)]
    worse = [s for s, interval in others.items() if above(own, interval)]
    alike = [s for s in others if s not in better and s not in worse]
    row = rows[(name,)]
    itself, order = with_interval(row["by_itself"]), with_interval(row["order"], PERCENT)
    if too_few(own):
        return (
            "There are too few seeds to test: the cross-entropy score correlates with the true "
            f"contribution at {with_interval(own)}, and with what a modality knows by itself at "
            f"{itself}; it puts {order}% of pairs in their order."
        )
    tracks, tracks_itself = (
        "tracks" if above(interval, 0) else "does not track" for interval in (own, row["by_itself"])
    )
    return (
        f"The cross-entropy score {tracks} the true contribution, at {with_interval(own)}. It "
        f"{tracks_itself} what a modality knows by itself, at {itself}; it puts {order}% of pairs "
        "in their order. Scores that track the contribution better: "
        f"{enumerate_words(better)}; worse: {enumerate_words(worse)}; not "
        f"distinguishable: {enumerate_words(alike)}."
    )
