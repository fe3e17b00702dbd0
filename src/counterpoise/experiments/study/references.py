"""Fixed against dynamic reference on real data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from counterpoise.data import DataSource
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.modulated import against_joint, agm_references, modulation_of
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import digits
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import (
    difference_text,
    differences_text,
    judged_interval,
    null_text,
)
from counterpoise.measures.statistics import Interval, Judgement, judge
from counterpoise.report.formats import PERCENT
from counterpoise.report.page import Note
from counterpoise.training.results import tested_responses

_DYNAMIC = ("running mean", "exponential average")


@dataclass(frozen=True)
class References(Study):
    """Trains with AGM and each kind of reference.

    Args:
        num_seeds: Repeats.
        fusion: Of the networks.
        max_epochs: Epochs of training.
        alpha: Strength of AGM.
        data: The data set. Default: digits.
    """

    name: ClassVar[str] = "references"
    question: ClassVar[str] = "Is a dynamic reference better than a fixed one on real data?"

    fusion: str = "concatenation"
    max_epochs: int = 8
    alpha: float = 1.0
    data: DataSource | None = None

    def cases(self) -> list[Case]:
        """Return a run for each reference and seed."""
        data = self.data or digits()
        return [
            Case((label,), seed, {"run": self.recipe(data, seed).replace(method=method)})
            for label, method in agm_references(self.alpha).items()
            for seed in range(self.num_seeds)
        ]

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return accuracy, strength of modulation and accuracy of the worst response."""
        responses = tested_responses(runs["run"].record)
        assert responses is not None
        return {**modulation_of(runs["run"]), "weakest": min(responses.values())}

    def find(self, seen: Observations) -> Findings:
        """Compare each reference with joint training and with the running mean."""
        judged = _judged(seen)
        rows: dict[Condition, dict[str, Interval]] = {}
        for condition in seen.conditions:
            names = ("accuracy", "weakest", "modulation")
            rows[condition] = {name: seen.mean(condition, name) for name in names}
            if condition != ("Joint",):
                for name, what in (("gained", "accuracy"), ("raised", "weakest")):
                    difference = judged[condition[0], "Joint", what]
                    rows[condition][name] = judged_interval(difference)
        results = Results(
            "AGM with each reference. Gains over joint training are paired by seed. Modulation: "
            "mean |kappa - 1| over training.",
            ("reference",),
            {
                "accuracy": Quantity("Test accuracy, %", share=True),
                "gained": Quantity("Gained, percentage points", share=True, level=0.0),
                "weakest": Quantity("Weakest response, accuracy %", share=True),
                "raised": Quantity("Raised by, percentage points", share=True, level=0.0),
                "modulation": Quantity("Modulation"),
            },
            rows,
        )
        text = (
            f"AGM with alpha {self.alpha:g} on {self.fusion} fusion. A fixed reference is the mean "
            "of the first 20 steps' scores; none compares with modalities that are equal."
        )
        figures = results.to_figures(("accuracy", "gained", "raised", "modulation"))
        answer = _answer(judged)
        return Findings(self, seen, answer, [results], figures, [Note("The set-up.", text)])


def _judged(seen: Observations) -> dict[tuple[str, str, str], Judgement]:
    """Judge all that the answer tells: of a condition against another, by what was measured."""
    others = [label for (label,) in seen.conditions if label != "Joint"]
    asked = [
        *((label, "fixed", "accuracy") for label in _DYNAMIC),
        *((label, "Joint", what) for what in ("accuracy", "weakest") for label in others),
    ]
    estimates = [seen.estimate((first,), (second,), what) for first, second, what in asked]
    return dict(zip(asked, judge(estimates), strict=True))


def _answer(judged: Mapping[tuple[str, str, str], Judgement]) -> list[str]:
    sentences = []
    for label in _DYNAMIC:
        gap = judged[label, "fixed", "accuracy"]
        word = {"higher": "does better than", "lower": "does worse than"}.get(
            gap.verdict, "cannot be told from"
        )
        null = null_text(gap, PERCENT)
        sentences.append(
            f"the {label} {word} the fixed reference ({difference_text(gap, PERCENT)} percentage "
            f"points{'; ' + null if null else ''})"
        )
    gains, raised = (
        {m: gain for (m, base, name), gain in judged.items() if (base, name) == ("Joint", what)}
        for what in ("accuracy", "weakest")
    )
    told = differences_text(raised, PERCENT, "no change")
    return [
        f"In accuracy {' and '.join(sentences)}.",
        f"{against_joint(gains)} The weakest response changes by: {told}",
    ]
