"""The unimodal concept and the competition strength under different fusions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from counterpoise.data import DataSource
from counterpoise.experiments.compete.prose import highest
from counterpoise.experiments.study.estimates import carried, probes_of
from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.observations import Condition, Observations
from counterpoise.experiments.study.phrases import too_few
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import digits
from counterpoise.experiments.trained import Trained
from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures.statistics import Interval
from counterpoise.measures.unimodal import alone_recipe
from counterpoise.report.formats import enumerate_words
from counterpoise.report.page import Note

_FUSIONS = ("additive", "concatenation", "maxout", "film", "gated", "cross_attention")


@dataclass(frozen=True)
class Fusions(Study):
    """Measures competition in networks that differ in their fusion alone.

    Args:
        num_seeds: Repeats.
        max_epochs: Epochs of training.
        fusions: Which.
        data: The data set. Default: digits.
    """

    name: ClassVar[str] = "fusions"
    question: ClassVar[str] = (
        "Do the unimodal concept and the competition strength depend on the fusion?"
    )

    max_epochs: int = 8
    fusions: tuple[str, ...] = _FUSIONS
    data: DataSource | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fusions:
            raise ValueError(
                "`fusions` should hold at least one; found none. Name some, such as additive."
            )
        object.__setattr__(self, "fusions", tuple(self.fusions))

    def cases(self) -> list[Case]:
        """Return joint and unimodal runs for each fusion."""
        data = self.data or digits()
        names = data.load().modalities
        cases = []
        for fusion in self.fusions:
            for seed in range(self.num_seeds):
                joint = self.recipe(data, seed, fusion=fusion)
                alone = {name: alone_recipe(joint, name) for name in names}
                cases.append(Case((fusion,), seed, {"joint": joint, **alone}))
        return cases

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        """Return strengths as published and with standardised features, probes and accuracies."""
        joint = runs["joint"]
        alone = {name: run for name, run in runs.items() if name != "joint"}
        published, fair = (carried(joint, alone, standardise=flag) for flag in (False, True))
        return {
            "accuracy": joint.record["test"]["accuracy"],
            "num_test": joint.record["data"]["sizes"]["test"],
            "strength": {name: 1 - value for name, value in published.items()},
            "standardised": {name: 1 - value for name, value in fair.items()},
            "probe": probes_of(joint),
            "alone": {name: run.record["test"]["accuracy"] for name, run in alone.items()},
        }

    def find(self, seen: Observations) -> Findings:
        """Compare the order of modalities between fusions."""
        rows: dict[Condition, dict[str, Interval]] = {}
        names = list(seen.measured[seen.conditions[0]][0]["strength"])
        for (fusion,) in seen.conditions:
            for name in names:
                rows[fusion, name] = {
                    what: seen.mean((fusion,), what, name)
                    for what in ("strength", "standardised", "alone", "probe")
                }
                rows[fusion, name]["accuracy"] = seen.mean((fusion,), "accuracy")
        results = Results(
            "Competition strength of each modality under each fusion, as published (ridge 120) and "
            "with the fused feature standardised first, so that its scale has no say.",
            ("fusion", "modality"),
            {
                "strength": Quantity("Competition strength", level=1.0),
                "standardised": Quantity("Strength, standardised feature", level=1.0),
                "alone": Quantity("Alone, accuracy %", share=True),
                "probe": Quantity("Probe, accuracy %", share=True),
                "accuracy": Quantity("Joint, accuracy %", share=True),
            },
            rows,
        )
        text = (
            "Concepts of late fusion are the encoders' features, of other fusions the fused "
            "feature of the same network with the other modalities absent, so that strengths of "
            "different fusions are measured against different concepts."
        )
        answer = [_verdict(seen, names, what) for what in ("strength", "standardised")]
        figures = results.to_figures(("strength", "standardised"))
        return Findings(self, seen, answer, [results], figures, [Note("What is compared.", text)])


_SAID = {
    "strength": "Competition strength as published",
    "standardised": "With standardised features",
}


def _verdict(seen: Observations, names: list[str], what: str) -> str:
    """Say which modality is held back most under which fusions, as far as seeds agree."""
    held: dict[str, list[str]] = {}
    unclear = []
    for condition in seen.conditions:
        most, untold = highest({name: seen.values(condition, what, name) for name in names})
        if untold:
            unclear.append(condition[0])
        else:
            held.setdefault(most, []).append(condition[0])
    least, greatest = (
        choose(
            (
                (seen.mean(c, what, name), f"{name} under {c[0]}")
                for c in seen.conditions
                for name in names
            ),
            key=lambda pair: pair[0].mean,
        )
        for choose in (min, max)
    )
    values = f"Values run from {with_interval(least[0])} ({least[1]}) to "
    values += f"{with_interval(greatest[0])} ({greatest[1]})."
    if too_few(least[0]):
        told_of = "there are too few seeds to test which modality is held back most"
        return f"{_SAID[what]}: {told_of}. {values}"
    agree = len(held) == 1 and not unclear
    told = [
        f"{name} is held back most under {enumerate_words(where)}" for name, where in held.items()
    ]
    if unclear:
        told.append(f"modalities are not distinguishable under {enumerate_words(unclear)}")
    differ = "the answer depends on the fusion" if held else "no fusion holds one back more"
    start = "the fusions agree" if agree else differ
    return f"{_SAID[what]}: {start}: {'; '.join(told)}. {values}"
