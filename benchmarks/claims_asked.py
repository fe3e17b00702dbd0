"""What decides each claim of AGM's paper: questions to the numbers of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from claims_data import Report

from counterpoise.measures.statistics import (
    Estimate,
    Judgement,
    Verdict,
    judge,
    mean_estimate,
    paired_difference,
)

__all__ = ["CLAIMS", "Claim", "Family", "Rows", "prefers", "surpasses"]

RIVALS = ("MSES", "MSLR", "OGMGE")
"""Whom the paper compares with besides joint training, by label without signs."""
MARGINS = {"accuracy": 0.01, "reliance": 0.05, "strength": 0.05}


@dataclass
class Family:
    """Questions that are judged together, in the order in which they are asked.

    Args:
        estimates: What came out.
        kinds: Of what quantity each is.
    """

    estimates: list[Estimate] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def add(self, kind: str, estimate: Estimate) -> int:
        """Ask; return the number of the question."""
        self.estimates.append(estimate)
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def judged(self) -> list[Judgement]:
        """Judge them all."""
        return judge(self.estimates, margin=[MARGINS[kind] for kind in self.kinds])


Rows = list[list[str | int]]
"""Cells of a table; a number stands for the question whose answer belongs there."""


# -- the claims ------------------------------------------------------------------------------------


def surpasses(report: Report, methods: Sequence[str], family: Family) -> Rows:
    """AGM against joint training and its rivals, over data sets, for each fusion."""
    rivals = [report.baseline, *(m for m in report.methods if _plain(m) in RIVALS)]
    rows: Rows = []
    for method in methods:
        for rival in rivals:
            for fusion in report.fusions:
                gaps = [
                    fmean(x - y for x, y in block.pairs("accuracy", method, rival))
                    for block in report.blocks
                    if block.fusion == fusion and block.pairs("accuracy", method, rival)
                ]
                if gaps:
                    told = family.add("accuracy", mean_estimate(gaps, unit="data sets"))
                    counts = _counted(report, method, rival, fusion)
                    rows.append([method, rival, fusion, str(len(gaps)), told, counts])
    return rows


def moves_reliance(report: Report, methods: Sequence[str], family: Family) -> Rows:
    """What modulation changes of the share of the modality that knows more by itself."""
    rows: Rows = []
    for method in methods:
        moves: dict[str, list[float]] = {}
        for block in report.measured:
            pairs = block.pairs("reliance", method, report.baseline)
            if pairs:
                told = family.add("reliance", paired_difference(*zip(*pairs, strict=True)))
                rows.append([method, block.title, block.informative, told])
                moves.setdefault(block.data, []).append(fmean(x - y for x, y in pairs))
        if len(moves) > 1:
            means = [fmean(found) for found in moves.values()]
            told = family.add("reliance", mean_estimate(means, unit="data sets"))
            rows.append([method, f"over {len(means)} data sets", "–", told])  # noqa: RUF001
    return rows


def prefers(report: Report, methods: Sequence[str], family: Family) -> Rows:
    """Under joint training, the modality on which competition is weakest, against each other."""
    del methods
    rows: Rows = []
    for block in report.measured:
        by_name = {name: block.strengths(report.baseline, name) for name in block.modalities}
        weakest = min(by_name, key=lambda name: fmean(by_name[name]))
        for name in by_name:
            if name != weakest:
                gap = paired_difference(by_name[name], by_name[weakest])
                same = "yes" if weakest == block.informative else "no"
                told = family.add("strength", gap)
                rows.append([block.title, weakest, name, told, block.informative, same])
    return rows


def lowers_strength(report: Report, methods: Sequence[str], family: Family) -> Rows:
    """What modulation changes of competition strength, for each modality and over data sets."""
    rows: Rows = []
    for method in methods:
        changes: dict[str, list[float]] = {}
        for block in report.measured:
            for name in block.modalities:
                pairs = block.pairs(f"strength {name}", method, report.baseline)
                if pairs:
                    told = family.add("strength", paired_difference(*zip(*pairs, strict=True)))
                    rows.append([method, block.title, name, told])
                    changes.setdefault(block.data, []).append(fmean(x - y for x, y in pairs))
        if len(changes) > 1:
            means = [fmean(found) for found in changes.values()]
            told = family.add("strength", mean_estimate(means, unit="data sets"))
            rows.append([method, f"over {len(means)} data sets", "all", told])
    return rows


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        text: The claim.
        ask: Asks the family what decides it; returns the rows of its table.
        kind: The quantity.
        headings: Of the table.
        supports: The verdict that speaks for it.
    """

    text: str
    ask: Callable[[Report, Sequence[str], Family], Rows]
    kind: str
    headings: Sequence[str]
    supports: Verdict


CLAIMS = (
    Claim(
        "AGM surpasses joint training, MSES, MSLR and OGM-GE, under late and early fusion",
        surpasses,
        "accuracy",
        ("method", "against", "fusion", "data sets", "difference, points", "verdict",
         "on single data sets"),
        "higher",
    ),
    Claim(
        "Modulation moves reliance towards the more informative modality",
        moves_reliance,
        "reliance",
        ("method", "data", "more informative", "its share changes by, points", "verdict"),
        "higher",
    ),
    Claim(
        "A jointly trained model has a preferred modality on which competition is weaker, and it "
        "need not be the dominant one",
        prefers,
        "strength",
        ("data", "weakest on", "against", "difference of strength", "verdict", "dominant",
         "the same"),
        "higher",
    ),
    Claim(
        "Modulation lowers competition strength",
        lowers_strength,
        "strength",
        ("method", "data", "modality", "strength changes by", "verdict"),
        "lower",
    ),
)  # fmt: skip


def _counted(report: Report, method: str, rival: str, fusion: str) -> str:
    found = Counter(report.verdicts(method, rival, fusion))
    return ", ".join(f"{count} {verdict}" for verdict, count in found.items()) or "not asked"


def _plain(label: str) -> str:
    return "".join(filter(str.isalnum, label)).upper()
