"""Make the read-me's "What came out" of a comparison: one picture and five sentences.

    python benchmarks/what_came_out.py FOLDER                      # prints the sentences
    python benchmarks/what_came_out.py FOLDER --readme README.md   # puts them there, and draws

FOLDER is that of a report, as of `counterpoise compare benchmarks/pilot.yaml`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import vl_convert
from claims import answer
from claims_asked import CLAIMS, Claim, Family
from claims_data import Report, Row, read

from counterpoise.report.formats import NUMBER, PERCENT, POINTS, enumerate_words, interval

PICTURE = Path("docs/figures/what-came-out.svg")
_VERDICTS = ("higher", "lower", "equivalent", "undecided")


def sentences(report: Report, folder: str) -> list[str]:
    """Return the five sentences, each with the command that its numbers come from."""
    compare = f"`counterpoise compare {folder}/grid.yaml`"
    told = [row for row in report.results if row["verdict"]]
    against = [row for row in report.pairs if row["second"] == "UnimodalLoss" and row["verdict"]]
    agm = [m for m in report.methods if m.upper().startswith("AGM")]
    of_agm = [
        f"{method}: {_counted([row for row in told if row['method'] == method])}" for method in agm
    ]
    lowers = next(claim for claim in CLAIMS if claim.supports == "lower")
    return [
        f"{len(report.methods) - 1} methods against {report.baseline} on "
        f"{enumerate_words(report.data)}, {enumerate_words(report.fusions)} fusion: of {len(told)} "
        f"differences {_counted(told)}{_seen(told)} ({compare}).",
        f"The largest that can be told from chance: {_largest(told, report.baseline)} ({compare}).",
        f"AGM against {report.baseline}: "
        f"{'; '.join(of_agm) or 'AGM was not compared'} ({compare}).",
        f"Against joint training with unimodal losses, the rival to beat: of {len(against)} "
        f"differences {_counted(against)}{_seen(against)} ({compare}).",
        f"Does modulation lower competition strength? {_claimed(report, lowers, agm)} "
        f"(`python benchmarks/claims.py {folder}`; [all claims](docs/claims.md)).",
    ]


def _counted(rows: Sequence[Row]) -> str:
    found = Counter(row["verdict"] for row in rows)
    known = [f"{found[verdict]} {verdict}" for verdict in _VERDICTS if found[verdict]]
    rest = sum(found.values()) - sum(found[verdict] for verdict in _VERDICTS)
    return enumerate_words([*known, *([f"{rest} of too few seeds to test"] if rest else [])])


def _seen(rows: Sequence[Row]) -> str:
    """What undecided differences would have been found from on."""
    seen = [float(r["detectable"]) for r in rows if r["verdict"] == "undecided" and r["detectable"]]
    if not seen:
        return ""
    ends = f"{PERCENT(min(seen))} and {PERCENT(max(seen))} points"
    return (
        f" (the smallest that would have been found with a probability of 80% lies between {ends})"
    )


def _largest(rows: Sequence[Row], baseline: str) -> str:
    known = [row for row in rows if row["verdict"] in ("higher", "lower")]
    if not known:
        return "none"
    row = max(known, key=lambda each: abs(float(each["difference_mean"])))
    mean, low, high = (float(row[f"difference_{end}"]) for end in ("mean", "low", "high"))
    cost = row["step_time_ratio"]
    shown = interval(mean, low, high, POINTS)
    text = f"{row['method']} on {row['data']}, {row['fusion']}, {shown} points"
    return text + (f", at {NUMBER(float(cost))} times the step time of {baseline}" if cost else "")


def _claimed(report: Report, claim: Claim, methods: Sequence[str]) -> str:
    family = Family()  # of all claims, as on their page
    asked = {each.text: each.ask(report, methods, family) for each in CLAIMS}
    judged = family.judged()
    told = [judged[cell] for row in asked[claim.text] for cell in row if isinstance(cell, int)]
    return answer(claim, told) if told else "It was not measured."


def picture(report: Report) -> str:
    """Return the SVG: a row for each method, a chart for each fusion, a point for each data set."""
    points = [
        {
            "method": row["method"],
            "fusion": row["fusion"] or "as it is",
            "data": row["data"],
            "mean": 100 * float(row["difference_mean"]),
            "low": 100 * float(row["difference_low"] or row["difference_mean"]),
            "high": 100 * float(row["difference_high"] or row["difference_mean"]),
            "told": row["verdict"] in ("higher", "lower"),
        }
        for row in report.results
        if row["difference_mean"]
    ]
    order = [method for method in report.methods if method != report.baseline]
    data = alt.Data(values=points)  # type: ignore[no-untyped-call]
    base = alt.Chart(data).encode(
        y=alt.Y("method:N", sort=order, title=None),
        yOffset=alt.YOffset("data:N", sort=report.data),
        color=alt.Color("data:N", sort=report.data, title=None),
    )
    title = f"test accuracy against {report.baseline}, points"
    rules = base.mark_rule(clip=True).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    dots = base.mark_point(size=45, filled=True).encode(
        x="mean:Q",
        shape=alt.Shape(
            "told:N",
            title="told from zero",
            scale=alt.Scale(domain=[True, False], range=["circle", "cross"]),
        ),
    )
    zero = alt.Chart(data).mark_rule(strokeDash=[3, 3], color="#7a7f87").encode(x=alt.datum(0))
    chart = alt.layer(zero, rules, dots).properties(width=290, height=44 * len(order))
    faceted = chart.facet(column=alt.Column("fusion:N", title=None, sort=report.fusions))
    styled = faceted.configure(background="white").configure_view(stroke=None)
    return str(vl_convert.vegalite_to_svg(styled.to_json()))


def section(report: Report, folder: str, picture_path: str) -> str:
    """Return the section of the read-me."""
    drawn = (
        f"![Differences to {report.baseline} of each method on each data set, with intervals "
        f"corrected for all of them]({picture_path})"
    )
    listed = "\n".join(f"{k}. {text}" for k, text in enumerate(sentences(report, folder), start=1))
    more = (
        "Details: [the report](" + folder + "/report.md), [comparisons](docs/comparing.md), "
        "[AV-MNIST](docs/av-mnist.md), [nine studies](docs/studies.md), [cost](docs/engineers.md), "
        "[parity](docs/researchers.md)."
    )
    return f"## What came out\n\n{drawn}\n\n{listed}\n\n{more}\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readme", type=Path, help="the file whose section is replaced")
    options = parser.parse_args()
    report = read(options.folder)
    text = section(report, options.folder.as_posix(), PICTURE.as_posix())
    if options.readme is None:
        print(text)
        return
    before, _, rest = options.readme.read_text(encoding="utf-8").partition("## What came out\n")
    after = rest[rest.index("\n## ") + 1 :]
    path = options.readme.parent / PICTURE
    path.write_text(picture(report), encoding="utf-8")
    options.readme.write_text(before + text + after, encoding="utf-8")


if __name__ == "__main__":
    main()
