"""Running average against fixed reference when strengths shift during training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, ClassVar

from counterpoise.data import Synthetic
from counterpoise.data.synthetic.synthetic import Shift
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.modulated import (
    against_joint,
    agm_references,
    strengths_of_modulation,
)
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.reliance import reliance_of
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import (
    difference_text,
    judged_interval,
    null_text,
    with_interval,
)
from counterpoise.measures.statistics import Interval, Judgement, judge
from counterpoise.report.formats import PERCENT
from counterpoise.report.page import Note

_BEFORE, _AFTER = (0.5, 0.1), (0.1, 0.5)
_REDUNDANCY = 0.2


@dataclass(frozen=True)
class Shifts(Study):
    """Lets two modalities swap what they know in the middle of training.

    Args:
        num_seeds: Repeats, each with data and weights of its own.
        fusion: Of the networks.
        num_train: Training samples.
        max_epochs: Epochs of training; strengths shift from a third of them to two thirds.
        alpha: Strength of AGM.
    """

    name: ClassVar[str] = "shifts"
    question: ClassVar[str] = (
        "Running average against fixed reference: what if strengths shift during training?"
    )
    fewest: ClassVar[Mapping[str, int]] = {"max_epochs": 6}

    fusion: str = "gated"
    num_train: int = 2000
    max_epochs: int = 12
    alpha: float = 1.0

    def cases(self) -> list[Case]:
        """Return a run for each reference and seed."""
        third = self.max_epochs // 3
        shifts = (
            Shift(third, _BEFORE, _REDUNDANCY),
            Shift(2 * third, _AFTER, _REDUNDANCY),
        )
        cases = []
        for label, method in agm_references(self.alpha).items():
            for seed in range(self.num_seeds):
                data = Synthetic(_BEFORE, _REDUNDANCY, 0.0, shifts=shifts)
                recipe = self.recipe(replace(data, seed=seed), seed).replace(method=method)
                cases.append(Case((label,), seed, {"run": recipe}))
        return cases

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return reliance and accuracy at the end, and how strongly each third was modulated."""
        steps = strengths_of_modulation(runs["run"])
        third = max(1, len(steps) // 3)
        strengths = {
            "early": fmean(steps[:third]),
            "during": fmean(steps[third:-third] or steps),
            "late": fmean(steps[-third:]),
        }
        return {**reliance_of(runs["run"]), **strengths}

    def find(self, seen: Observations) -> Findings:
        """Compare each reference with joint training, and the running mean with the fixed one."""
        judged = _judged(seen)
        rows: dict[Condition, dict[str, Interval]] = {}
        for condition in seen.conditions:
            names = ("accuracy", "reliance", "truth", "early", "during", "late")
            rows[condition] = {name: seen.mean(condition, name) for name in names}
            if condition != ("Joint",):
                rows[condition]["gained"] = judged_interval(judged[condition[0], "Joint"])
        table = Results(
            "After the shift, on test data of the last strengths. Modulation: mean |kappa - 1| "
            "in each third of training. Gains over joint training are paired by seed.",
            ("reference",),
            {
                "accuracy": Quantity("Test accuracy, %", share=True),
                "gained": Quantity("Gained, percentage points", share=True, level=0.0),
                "reliance": Quantity("Share of the first modality, %", share=True),
                "truth": Quantity("True share, %", share=True),
                "early": Quantity("Modulation before the shift"),
                "during": Quantity("Modulation during the shift"),
                "late": Quantity("Modulation after the shift"),
            },
            rows,
        )
        text = (
            f"The first modality alone knows of {_BEFORE[0]:.0%} of the labels at first and of "
            f"{_AFTER[0]:.0%} in the end, the second the other way round. AGM with alpha "
            f"{self.alpha:g}; fusion: {self.fusion}. Validation and test data have the last "
            "strengths."
        )
        answer = _answer(judged, rows)
        figures = table.to_figures(("accuracy", "gained", "reliance", "late"))
        return Findings(self, seen, answer, [table], figures, [Note("The set-up.", text)])


def _judged(seen: Observations) -> dict[tuple[str, str], Judgement]:
    """Judge all differences that are told, of the first condition to the second."""
    others = [label for (label,) in seen.conditions if label != "Joint"]
    asked = [("running mean", "fixed"), *((label, "Joint") for label in others)]
    estimates = [seen.estimate((first,), (second,), "accuracy") for first, second in asked]
    return dict(zip(asked, judge(estimates), strict=True))


def _answer(
    judged: Mapping[tuple[str, str], Judgement],
    rows: Mapping[Condition, Mapping[str, Interval]],
) -> list[str]:
    fixed = judged["running mean", "fixed"]
    gains = {first: gain for (first, second), gain in judged.items() if second == "Joint"}
    words = {"higher": "does better than", "lower": "does worse than"}
    word = words.get(fixed.verdict, "cannot be told from")
    null = null_text(fixed, PERCENT)
    return [
        f"After a shift the running mean {word} a fixed reference: "
        f"{difference_text(fixed, PERCENT)} percentage points of accuracy"
        f"{'; ' + null if null else ''}.",
        f"{against_joint(gains)} In the last third, coefficients "
        f"differ from 1 by {with_interval(rows[('running mean',)]['late'])} with the running mean "
        f"and by {with_interval(rows[('fixed',)]['late'])} with the fixed reference.",
    ]
