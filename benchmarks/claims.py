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
from collections.abc import Iterable, Sequence
from pathlib import Path

from claims_asked import CLAIMS, Claim, Family, Rows, prefers, surpasses
from claims_data import Report, read

from counterpoise.experiments.verdicts import difference_text, null_text
from counterpoise.measures.statistics import Judgement, Verdict
from counterpoise.report.formats import NUMBER, PERCENT, Format, enumerate_words

FORMS = {"accuracy": PERCENT, "reliance": PERCENT, "strength": NUMBER}


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
    return "\n".join([head, *(_section(report, claim, rows, judged) for claim, rows in asked)])


def _section(report: Report, claim: Claim, rows: Rows, judged: Sequence[Judgement]) -> str:
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
    if claim.ask is surpasses:
        said += _on_single_data_sets(report, rows)
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
    counts: Counter[str] = Counter(each.verdict for each in told)
    form = FORMS[claim.kind]
    against: Verdict = "lower" if claim.supports == "higher" else "higher"
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
            " The smallest that would have been found with a probability of 80% "
            f"lies between {form(seen[0])} and {form(seen[-1])}."
        )
    return text


def _on_single_data_sets(report: Report, rows: Rows) -> str:
    """Count the comparison's own verdicts, corrected in its family, for each method."""
    said = []
    for method in dict.fromkeys(str(row[0]) for row in rows):
        pairs = [(str(row[1]), str(row[2])) for row in rows if row[0] == method]
        found = Counter(
            v for rival, fusion in pairs for v in report.verdicts(method, rival, fusion)
        )
        counts = enumerate_words([f"{count} {verdict}" for verdict, count in found.items()])
        said.append(f"{method}: {counts} of {found.total()}")
    return f" On single data sets, by the comparison itself, {'; '.join(said)}."


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
