"""Is Shapley needed: what if AGM isolates responses by leave-one-out, or alone, instead?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from counterpoise.data import DataSource
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.modulated import modulation_of
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import SETTINGS, SYNERGY, digits
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import differences_text, judged_interval
from counterpoise.measures.statistics import Interval, Judgement, judge
from counterpoise.methods import AGM, Joint
from counterpoise.report.formats import PERCENT
from counterpoise.report.page import Note

_ATTRIBUTIONS: Final = {
    "Shapley": "shapley",
    "leave-one-out": "leave_one_out",
    "alone": "alone",
}


@dataclass(frozen=True)
class Attributions(Study):
    """Trains with AGM on responses of each kind.

    Args:
        num_seeds: Repeats.
        fusion: Of the networks; under late fusion the kinds differ by constants only.
        num_train: Training samples of synthetic data.
        max_epochs: Epochs of training.
        alpha: Strength of AGM.
        data: The real data set. Default: digits.
    """

    name: ClassVar[str] = "attributions"
    question: ClassVar[str] = "Is Shapley needed, or do leave-one-out or alone do as well?"

    fusion: str = "gated"
    num_train: int = 2000
    max_epochs: int = 8
    alpha: float = 1.0
    data: DataSource | None = None

    def cases(self) -> list[Case]:
        """Return a run for each data set, attribution and seed, and joint training."""
        real = self.data or digits()
        settings: dict[str, DataSource] = {
            "redundant": SETTINGS["redundant"],
            "synergy": SYNERGY["synergy"],
            real.name: real,
        }
        cases = []
        for setting, data in settings.items():
            for label in ("Joint", *_ATTRIBUTIONS):
                for seed in range(self.num_seeds):
                    recipe = self.recipe(data, seed)
                    if label == "Joint":
                        recipe = recipe.replace(method=Joint())
                    else:
                        recipe = recipe.replace(
                            method=AGM(self.alpha), attribution=_ATTRIBUTIONS[label]
                        )
                    cases.append(Case((setting, label), seed, {"run": recipe}))
        return cases

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return accuracy, strength of modulation and time of a step."""
        return modulation_of(runs["run"])

    def find(self, seen: Observations) -> Findings:
        """Compare each attribution with Shapley, seed by seed."""
        judged = _judged(seen)
        rows: dict[Condition, dict[str, Interval]] = {}
        for setting, label in seen.conditions:
            here = (setting, label)
            rows[here] = {
                name: seen.mean(here, name) for name in ("accuracy", "modulation", "seconds")
            }
            if label != "Shapley":
                rows[here]["against"] = judged_interval(judged[here])
        results = Results(
            "AGM on responses by each attribution. Differences to Shapley are paired by seed. "
            "Modulation: mean |kappa - 1| over training.",
            ("data", "attribution"),
            {
                "accuracy": Quantity("Test accuracy, %", share=True),
                "against": Quantity("Against Shapley, percentage points", share=True, level=0.0),
                "modulation": Quantity("Modulation"),
                "seconds": Quantity("Seconds a step", digits=4),
            },
            rows,
        )
        text = (
            f"AGM with alpha {self.alpha:g} on {self.fusion} fusion. With two modalities all three "
            "attributions take the same passes, or fewer; with more, Shapley takes the most. "
            "Times are of a machine that may have done other things too."
        )
        figures = results.to_figures(("accuracy", "against", "modulation"))
        return Findings(
            self, seen, [_answer(judged)], [results], figures, [Note("The set-up.", text)]
        )


def _judged(seen: Observations) -> dict[tuple[str, str], Judgement]:
    """Judge all differences to Shapley that are told, by data set and attribution."""
    asked = {
        (data, label): seen.estimate((data, label), (data, "Shapley"), "accuracy")
        for data, label in seen.conditions
        if label != "Shapley"
    }
    return dict(zip(asked, judge(list(asked.values())), strict=True))


def _answer(all_judged: Mapping[tuple[str, str], Judgement]) -> str:
    judged = {
        f"{label} on {data}": change
        for (data, label), change in all_judged.items()
        if label != "Joint"
    }
    losing, winning, equivalent = (
        [name for name, change in judged.items() if change.verdict == verdict]
        for verdict in ("lower", "higher", "equivalent")
    )
    if losing:
        first = f"It helps: accuracy is lower with {', '.join(losing)}."
    elif winning:
        first = "It is not needed for accuracy here."
    elif len(equivalent) == len(judged):
        first = "For accuracy it makes no difference here, within 1 point."
    else:
        first = (
            "It is not shown that it makes a difference for accuracy here, nor that it makes none."
        )
    if winning:
        first += f" Accuracy is higher with {', '.join(winning)}."
    told = differences_text(judged, PERCENT, "Shapley")
    return f"{first} Against Shapley, in percentage points: {told}"
