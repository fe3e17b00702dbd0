"""How often the statistics of a report are wrong: false positives, power, coverage, by simulation.

    python benchmarks/inference.py                  # prints the tables; a few minutes
    python benchmarks/inference.py --cases 100      # roughly
    python benchmarks/inference.py --write          # benchmarks/results/<date>-inference.md
    python benchmarks/inference.py --figure FILE    # draws the power curves, an SVG (with Altair)

Results are drawn from worlds in which the truth is known, and go through the functions that
reports use (`counterpoise.measures.statistics`). A share of 1,000 cases has a standard error of
0.7 points where it is 5%.
"""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np
import scipy  # type: ignore[import-untyped]
import statsmodels  # type: ignore[import-untyped]
from inference_worlds import (
    COVERAGE,
    MARGIN,
    WORLDS,
    Draw,
    World,
    judged,
    right_or_wrong,
    whole_report,
)
from numpy.random import Generator

from counterpoise.measures.statistics import judge, paired_difference, power, two_way_difference

FAMILIES = (1, 13, 28)
SEEDS = (5, 10)


def false_positives(
    world: World, num_methods: int, num_seeds: int, cases: int, rng: Generator
) -> float:
    """Return the share of families in which an equally good method is told from the baseline."""
    wrong = 0
    for _ in range(cases):
        found = judged(world.draw(rng, num_methods, num_seeds), world.num_test)
        wrong += any(each.verdict in ("higher", "lower") for each in found)
    return wrong / cases


def false_equivalents(num_methods: int, num_seeds: int, cases: int, rng: Generator) -> float:
    """Return the share of families in which a difference as large as the margin is dismissed."""
    wrong = 0
    world = World("", spread=0.003)
    for _ in range(cases):
        accuracies = world.draw(rng, num_methods, num_seeds)
        accuracies[1:] += MARGIN
        wrong += any(e.verdict == "equivalent" for e in judged(accuracies, world.num_test))
    return wrong / cases


def found_share(
    difference: float, num_methods: int, num_seeds: int, cases: int, rng: Generator
) -> float:
    """Return how often one true difference, in deviations of a difference, is found."""
    world = World("", common=0.0, num_test=10**6)
    shift = difference * math.sqrt(2) * world.spread
    right = 0
    for _ in range(cases):
        drawn = world.draw(rng, num_methods, num_seeds)
        right += judged(drawn, world.num_test, shift)[0].verdict == "higher"
    return right / cases


def false_positives_on_new_samples(
    num_methods: int, num_seeds: int, cases: int, rng: Generator
) -> tuple[float, float]:
    """Return the shares of families with a false positive, over seeds and samples or seeds alone.

    Methods are equally good on all samples there are, not on the 300 that are drawn.
    """
    wrong = np.zeros(2)
    for _ in range(cases):
        base, *methods = right_or_wrong(rng, num_methods + 1, num_seeds, 300)
        over = base.mean(axis=1).tolist()
        families = (
            [two_way_difference(each, base) for each in methods],
            [paired_difference(x.mean(axis=1).tolist(), over, step=1 / 300) for x in methods],
        )
        wrong += [
            any(each.verdict in ("higher", "lower") for each in judge(family))
            for family in families
        ]
    both, seeds = (wrong / cases).tolist()
    return both, seeds


def false_positives_of_reports(
    num_seeds: int, collapsed: float, cases: int, rng: Generator
) -> float:
    """Return the share of whole reports in which anything is told from zero and nothing is so."""
    wrong = 0
    for _ in range(cases):
        found = whole_report(rng, num_seeds, collapsed=collapsed)
        wrong += any(each.verdict in ("higher", "lower") for each in found)
    return wrong / cases


def coverage(draw: Draw, count: int, cases: int, rng: Generator) -> float:
    """Return the share of intervals that hold what they should."""
    ends = np.array([draw(rng, count) for _ in range(cases)])
    return float(((ends[:, 0] <= ends[:, 2]) & (ends[:, 2] <= ends[:, 1])).mean())


# -- tables --------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown as its rows are made."""
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def lines(cases: int, seed: int) -> Iterator[str]:
    """Yield the report line by line."""
    rng = np.random.default_rng(seed)
    show = "{:.1%}".format
    many = [f"{m} {'test' if m == 1 else 'tests'}, {n} seeds" for n in SEEDS for m in FAMILIES]
    settings = [(m, n) for n in SEEDS for m in FAMILIES]
    yield "## Families with a false positive, of equally good methods\n"
    yield from table(
        ["world", *many],
        ([w.name, *(show(false_positives(w, m, n, cases, rng)) for m, n in settings)]
         for w in WORLDS),
    )  # fmt: skip
    yield "## The same on new test samples, by intervals over seeds and samples (by seeds alone)\n"
    yield from table(many, iter([[_both(m, n, cases, rng) for m, n in settings]]))
    yield "## The same of whole reports: 4 methods, 5 data sets, 2 fusions, 45 tests\n"
    yield from table(
        ["runs", *(f"{n} seeds" for n in SEEDS)],
        ([name, *(show(false_positives_of_reports(n, share, cases, rng)) for n in SEEDS)]
         for name, share in (("none collapse", 0.0), ("10% collapse to 25%", 0.1))),
    )  # fmt: skip
    yield "## Families with a false equivalent, of differences as large as the margin\n"
    yield from table(many, iter([[show(false_equivalents(m, n, cases, rng)) for m, n in settings]]))
    yield "## A true difference found, and by the formula\n"
    yield from table(
        ["difference, deviations", *many],
        ([f"{d}", *(f"{show(found_share(d, m, n, cases, rng))} ({show(_formula(d, m, n))})"
                    for m, n in settings)] for d in (1.0, 2.0, 4.0)),
    )  # fmt: skip
    yield "## Coverage of intervals of 95%\n"
    yield from table(
        ["interval", *(f"{n} values" for n in SEEDS)],
        ([name, *(show(coverage(draw, n, cases, rng)) for n in SEEDS)]
         for name, draw in COVERAGE.items()),
    )  # fmt: skip


def _both(num_methods: int, num_seeds: int, cases: int, rng: Generator) -> str:
    both, seeds = false_positives_on_new_samples(num_methods, num_seeds, cases, rng)
    return f"{both:.1%} ({seeds:.1%})"


def _formula(difference: float, num_tests: int, num_seeds: int) -> float:
    """The power at the level of Bonferroni, which Holm's is for a single true difference."""
    return power(difference, 1 / math.sqrt(num_seeds), num_seeds - 1, level=0.05 / num_tests)


def draw_power(path: Path) -> None:
    """Draw the power by the true difference, for several numbers of seeds and tests."""
    import altair

    rows = [
        {"difference": float(d), "power": _formula(float(d), m, n), "seeds": f"{n} seeds",
         "tests": f"{m} {'test' if m == 1 else 'tests'}"}
        for d in np.linspace(0, 5, 101) for n in (5, 10, 20) for m in (1, 13)
    ]  # fmt: skip
    axes = {
        "x": altair.X("difference:Q", title="True difference, in its standard deviations"),
        "y": altair.Y("power:Q", title="Probability of finding it", axis=altair.Axis(format="%")),
        "color": altair.Color("seeds:N", title=None, sort=["5 seeds", "10 seeds", "20 seeds"]),
        "strokeDash": altair.StrokeDash("tests:N", title=None),
    }
    chart = altair.Chart({"values": rows}, width=480, height=280).mark_line()
    level = altair.Chart({"values": [{"power": 0.8}]}).mark_rule(strokeDash=[2, 4])
    (chart.encode(**axes) + level.encode(y="power:Q")).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, help="of each share")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    if options.figure:
        draw_power(options.figure)
        return
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    head = [
        "# Error rates of the statistics, by simulation\n",
        f"`python benchmarks/inference.py --cases {options.cases} --seed {options.seed}`, {date}, "
        f"NumPy {np.__version__}, SciPy {scipy.__version__}, statsmodels "
        f"{statsmodels.__version__}, Python {platform.python_version()}.\n",
    ]
    kept = []
    for line in chain(head, lines(options.cases, options.seed)):
        print(line, flush=True)
        kept.append(line)
    if options.write:
        path = Path(__file__).parent / "results" / f"{date}-inference.md"
        path.write_text("\n".join(kept).rstrip() + "\n")


if __name__ == "__main__":
    main()
