"""Answer the claims of AGM's paper one by one from the files that a comparison has written.

    python benchmarks/claims.py FOLDER                        # prints the page
    python benchmarks/claims.py FOLDER --write docs/claims.md
    python benchmarks/claims.py FOLDER --agm "AGM published"  # default: all methods called AGM...

FOLDER is that of a report with several data sets and fusions and `competition: true`. All tests of
the page are one family, corrected together; each null stands with what it could have seen.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from claims_data import Report, read

from counterpoise.experiments.verdicts import difference_text, null_text
from counterpoise.measures.statistics import (
    Estimate,
    Judgement,
    judge,
    mean_estimate,
    paired_difference,
)
from counterpoise.report.formats import NUMBER, PERCENT, Format, enumerate_words

RIVALS = ("MSES", "MSLR", "OGMGE")
"""Whom the paper compares with besides joint training, by label without signs."""
MARGINS = {"accuracy": 0.01, "reliance": 0.05, "strength": 0.05}
FORMS = {"accuracy": PERCENT, "reliance": PERCENT, "strength": NUMBER}


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
    supports: str


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


# -- the page --------------------------------------------------------------------------------------


def page(report: Report, methods: Sequence[str], folder: str) -> str:
    """Return the page."""
    family = Family()
    asked = [(claim, claim.ask(report, methods, family)) for claim in CLAIMS]
    judged = family.judged()
    tested = sum(each.tested for each in judged)
    head = (
        "# The paper's claims, one by one\n\n"
        f"Made by `python benchmarks/claims.py {folder}` from a comparison of "
        f"{len(report.methods)} methods on {enumerate_words(report.data)} with "
        f"{enumerate_words(report.fusions)} fusion. Intervals are corrected for the {tested} tests "
        f"of this page together. Margins of equivalence: a point of accuracy, 5 points of "
        f"reliance, 0.05 of competition strength. What is told over data sets has one value a data "
        "set; below five nothing is tested. Networks and data are small: this is not the paper's "
        "own setting.\n"
    )
    return "\n".join([head, *(_section(claim, rows, judged) for claim, rows in asked)])


def _section(claim: Claim, rows: Rows, judged: Sequence[Judgement]) -> str:
    if not rows:
        return f"## {claim.text}\n\nNot measured in this comparison.\n"
    form = FORMS[claim.kind]
    told = [judged[cell] for row in rows for cell in row if isinstance(cell, int)]
    lines = [
        f"| {' | '.join(claim.headings)} |",
        "|" + "---|" * len(claim.headings),
        *(f"| {' | '.join(_cells(row, judged, form))} |" for row in rows),
    ]
    said = answer(claim, told)
    if claim.ask is prefers:
        said += _dominance(rows, judged)
    return f"## {claim.text}\n\n{said}\n\n" + "\n".join(lines) + "\n"


def _cells(row: Iterable[str | int], judged: Sequence[Judgement], form: Format) -> list[str]:
    cells = []
    for cell in row:
        if isinstance(cell, int):
            found = judged[cell]
            cells += [difference_text(found, form), null_text(found, form) or found.verdict]
        else:
            cells.append(cell)
    return cells


def answer(claim: Claim, told: Sequence[Judgement]) -> str:
    """Say how many of the differences speak for the claim, against it, and what was seen."""
    counts, form = Counter(each.verdict for each in told), FORMS[claim.kind]
    against = "lower" if claim.supports == "higher" else "higher"
    parts = [f"{counts[claim.supports]} speak for it", f"{counts[against]} against it"]
    parts.append(f"{counts['equivalent']} are shown to be within the margin")
    parts.append(f"{counts['undecided']} are undecided")
    untested = counts["too few seeds"] + counts["too few data sets"]
    if untested:
        parts.append(f"{untested} have too few values to test")
    seen = sorted(e.detectable for e in told if e.verdict == "undecided" and e.detectable > 0)
    text = f"Of {len(told)} differences {enumerate_words(parts)}."
    if seen:
        text += (
            f" The undecided ones would have been found with a probability of 80% from "
            f"{form(seen[0])} to {form(seen[-1])} on."
        )
    return text


def _dominance(rows: Rows, judged: Sequence[Judgement]) -> str:
    """Count the places with a preferred modality, and those where it is not the dominant one."""
    places: dict[str, list[tuple[Judgement, str]]] = {}
    for place, _, _, told, _, same in rows:
        places.setdefault(str(place), []).append((judged[int(told)], str(same)))
    preferred = {p: t for p, t in places.items() if all(j.verdict == "higher" for j, _ in t)}
    others = [place for place, told in preferred.items() if told[0][1] == "no"]
    return (
        f" A preferred modality is told in {len(preferred)} of {len(places)} places; it is not the "
        f"dominant one (the more accurate alone) in {len(others)} of them"
        + (f": {'; '.join(others)}." if others else ".")
    )


def _counted(report: Report, method: str, rival: str, fusion: str) -> str:
    found = Counter(report.verdicts(method, rival, fusion))
    return ", ".join(f"{count} {verdict}" for verdict, count in found.items()) or "not asked"


def _plain(label: str) -> str:
    return "".join(filter(str.isalnum, label)).upper()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--agm", action="append", help="label of a method; may be repeated")
    parser.add_argument("--write", type=Path, help="the file to write instead of printing")
    options = parser.parse_args()
    report = read(options.folder)
    methods = options.agm or [m for m in report.methods if m.upper().startswith("AGM")]
    text = page(report, methods, options.folder.as_posix())
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
