"""Two modalities, one clearly more informative: does modulation move reliance towards it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, ClassVar

from counterpoise.data import Synthetic
from counterpoise.experiments.study.estimates import contributions_of, test_logits
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import Rescaled, true_contributions
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import (
    difference_text,
    judged_interval,
    null_text,
    with_interval,
)
from counterpoise.measures.statistics import Interval, Judgement, judge
from counterpoise.methods import AGM, OGMGE, Joint, Method, UnimodalLoss
from counterpoise.report.formats import PERCENT
from counterpoise.report.page import Note

_DATA = Synthetic(unique=(0.5, 0.2), redundancy=0.2, synergy=0.0)
_SPEEDS: Mapping[str, tuple[float, float]] = {
    "both learnt alike": (1.0, 1.0),
    "the informative one slow": (0.2, 1.0),
}
_MARGIN = 0.05
"""The largest move of reliance that does not matter."""


def _methods() -> dict[str, Method]:
    return {
        "Joint": Joint(),
        "AGM(1)": AGM(alpha=1.0),
        "AGM(2.5)": AGM(alpha=2.5),
        "OGM-GE": OGMGE(),
        "UnimodalLoss": UnimodalLoss(),
    }


@dataclass(frozen=True)
class Reliance(Study):
    """Trains with and without modulation where one modality knows more than the other.

    Args:
        num_seeds: Repeats, each with data and weights of its own.
        fusion: Of the networks.
        num_train: Training samples.
        max_epochs: Epochs of training.
    """

    name: ClassVar[str] = "reliance"
    question: ClassVar[str] = (
        "Two modalities, one clearly more informative: does modulation move reliance towards it?"
    )

    fusion: str = "gated"
    num_train: int = 2000
    max_epochs: int = 10

    def cases(self) -> list[Case]:
        """Return a run for each speed, method and seed."""
        cases = []
        for speed, factors in _SPEEDS.items():
            for label, method in _methods().items():
                for seed in range(self.num_seeds):
                    recipe = self.recipe(Rescaled(_DATA, factors), seed).replace(method=method)
                    cases.append(Case((speed, label), seed, {"run": recipe}))
        return cases

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return reliance on the first modality, true and found, and test accuracy."""
        return reliance_of(runs["run"])

    def find(self, seen: Observations) -> Findings:
        """Compare each method with joint training, seed by seed."""
        judged = _judged(seen)
        rows: dict[Condition, dict[str, Interval]] = {}
        for speed, label in seen.conditions:
            here = (speed, label)
            rows[here] = {name: seen.mean(here, name) for name in ("reliance", "truth", "accuracy")}
            if label != "Joint":
                rows[here]["moved"] = judged_interval(judged[speed, label, "reliance"])
                rows[here]["gained"] = judged_interval(judged[speed, label, "accuracy"])
        table = Results(
            "Reliance: the share of the more informative modality in the contributions (SHAPE, in "
            "nats, test data). Differences to joint training are paired by seed.",
            ("speed", "method"),
            {
                "reliance": Quantity("Reliance, %", share=True),
                "truth": Quantity("True share, %", share=True),
                "moved": Quantity("Moved, percentage points", share=True, level=0.0),
                "accuracy": Quantity("Test accuracy, %", share=True),
                "gained": Quantity("Gained, percentage points", share=True, level=0.0),
            },
            rows,
        )
        text = (
            f"Two modalities know alone of {_DATA.unique[0]:.0%} and {_DATA.unique[1]:.0%} of the "
            f"labels, and both of another {_DATA.redundancy:.0%}. A slow modality is the same "
            f"multiplied by {_SPEEDS['the informative one slow'][0]}: as informative, but learnt "
            f"from with small gradients. Fusion: {self.fusion}."
        )
        figures = table.to_figures(("reliance", "moved", "gained"))
        answer = _answer(rows, judged)
        return Findings(self, seen, answer, [table], figures, [Note("The set-up.", text)])


def reliance_of(trained: Trained) -> dict[str, Any]:
    """Return the first modality's share of contributions, true and found, and test accuracy."""
    truth = list(true_contributions(trained.recipe.data).values())
    contributions = contributions_of(*test_logits(trained))["shape_nats"]
    return {
        "reliance": float(contributions[0] / contributions.sum()),
        "truth": truth[0] / sum(truth),
        "accuracy": float(trained.record["test"]["accuracy"]),
        "num_test": trained.record["data"]["sizes"]["test"],
    }


def _judged(seen: Observations) -> dict[tuple[str, str, str], Judgement]:
    """Judge all that the answer tells of methods against joint training, by speed and method."""
    margins = {"reliance": _MARGIN, "accuracy": 0.01}
    asked = [
        (speed, label, what)
        for what in margins
        for speed, label in seen.conditions
        if label != "Joint"
    ]
    estimates = [seen.estimate((speed, m), (speed, "Joint"), what) for speed, m, what in asked]
    judged = judge(estimates, margin=[margins[what] for *_, what in asked])
    return dict(zip(asked, judged, strict=True))


def _answer(
    rows: Mapping[Condition, Mapping[str, Interval]],
    judged: Mapping[tuple[str, str, str], Judgement],
) -> list[str]:
    paragraphs = []
    for speed in _SPEEDS:
        joint = rows[speed, "Joint"]
        truth = joint["truth"].mean
        sentences = [
            f"With {speed}: joint training relies on the more informative modality for "
            f"{with_interval(joint['reliance'], PERCENT)}% of what it knows; its true share is "
            f"{truth:.1%}."
        ]
        sentences += [
            f"{label} {_move(moved)}: {difference_text(moved, PERCENT)} points, accuracy "
            f"{difference_text(judged[speed, label, 'accuracy'], PERCENT)} points."
            for (where, label, what), moved in judged.items()
            if (where, what) == (speed, "reliance")
        ]
        paragraphs.append(" ".join(sentences))
    moves = {(m, speed): move for (speed, m, what), move in judged.items() if what == "reliance"}
    return [_first(moves), *paragraphs]


def _move(moved: Judgement) -> str:
    """What a method does to reliance, as far as that was seen."""
    if moved.verdict == "higher":
        return "moves it towards that modality"
    if moved.verdict == "lower":
        return "moves it away from that modality"
    return f"is not shown to move it ({null_text(moved, PERCENT)})"


def _first(moves: Mapping[tuple[str, str], Judgement]) -> str:
    """The answer in a sentence: no more than was seen, and what could have been."""
    moving = [f"{m} ({speed})" for (m, speed), move in moves.items() if move.verdict == "higher"]
    if moving:
        return f"Yes, by: {', '.join(moving)}."
    if all(move.verdict in ("equivalent", "lower") for move in moves.values()):
        return f"No: by none of the methods, within {PERCENT(_MARGIN)} points."
    seen = [move.detectable for move in moves.values() if not isnan(move.detectable)]
    if not seen:
        return "It is not shown: there are too few seeds to test."
    return (
        f"It is shown for none of the methods: a move of {PERCENT(max(seen))} points would "
        "have been found in each case with a probability of 80%."
    )
