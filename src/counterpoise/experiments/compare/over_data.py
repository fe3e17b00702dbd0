"""What holds over data sets, and on which data methods gain, as the report shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Final

import numpy as np

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.balance import ON_AVERAGE, QUANTITIES
from counterpoise.experiments.compare.overall import Overall
from counterpoise.experiments.compare.rows import Row
from counterpoise.experiments.compare.tables import (
    columns_of_difference,
    margin_text,
    numbers_of_difference,
    verdict_text,
)
from counterpoise.experiments.verdicts import difference_text, with_interval
from counterpoise.measures.statistics import DIVERGED, Judgement, Run, performance_profile
from counterpoise.report import (
    Axis,
    Column,
    Figure,
    Format,
    Level,
    Line,
    Metric,
    Point,
    Table,
    line_figure,
    looks_of,
    scatter_figure,
)
from counterpoise.report.formats import NUMBER, P_VALUE, PERCENT

_VERDICTS = ("higher", "equivalent", "lower")
SLOPE_UNIT: Final = 0.1
"""What slopes are told for: a tenth of a competition strength, or ten points of accuracy."""


def overall_table(comparison: Comparison) -> Table | None:
    """A row for each method: what holds over data sets; None where nothing does."""
    baseline = comparison.grid.baseline
    columns = [
        Column("method", "Method", numeric=False),
        *_columns(baseline, comparison.metric),
        *(Column(verdict, verdict, "On single data sets") for verdict in _VERDICTS),
        Column(
            "step_time",
            f"Step time \N{MULTIPLICATION SIGN} {comparison.cost_reference}",
            "",
            NUMBER,
        ),
        Column("mean_rank", "Mean rank", show=Format(1)),
    ]
    rows = [
        (
            method,
            *_numbers(comparison.overall.get(method)),
            *_counts(comparison, method),
            _cost(comparison, method),
            None if comparison.ranks is None else comparison.ranks.mean_ranks.get(method),
        )
        for method in comparison.grid.methods
    ]
    ranks = comparison.ranks
    within = f" within {margin_text(comparison)}" if comparison.has_margin else ""
    told = "Mean ranks are given where there are at least 8 data sets."
    if ranks is not None:
        told = (
            f"Mean ranks that differ by less than {ranks.critical_difference:.1f} cannot be told "
            f"apart; that all methods are alike has p = {P_VALUE(ranks.p_value)} (Friedman)."
        )
    caption = (
        "Over data sets, a data set counting once: the difference to expect on one like these, by "
        "a mixed model, its interval and verdict as below; how often a run of the method beats one "
        f"of {baseline}, with its 95% interval. On single data sets and fusions: how many verdicts "
        f"are higher, equivalent{within}, and lower; the others are "
        f"undecided. Step time: the median of them. {told}"
    )
    return Table(caption, columns, rows) if comparison.overall else None


def overall_pair_table(comparison: Comparison) -> Table | None:
    """A row for each further pair: what holds over data sets; None where nothing does."""
    columns = [
        Column("method", "Method", numeric=False),
        Column("second", "Against", numeric=False),
        *_columns("", comparison.metric),
    ]
    rows = [(*pair, *_numbers(told)) for pair, told in comparison.overall_pairs.items()]
    caption = "Further pairs over data sets, a data set counting once, by a mixed model."
    return Table(caption, columns, rows) if rows else None


def overall_results(comparison: Comparison) -> Table:
    """All numbers over data sets, to the baseline and of further pairs, for the CSV file."""
    baseline = comparison.grid.baseline
    columns = [Column(name, name) for name in ("first", "second", "num_data_sets")]
    columns += columns_of_difference("Difference", comparison.metric)
    ends = ("", "_low", "_high")
    columns += [Column(f"improvement{end}", f"improvement{end}") for end in ends]
    to_baseline = {(first, baseline): overall for first, overall in comparison.overall.items()}
    rows = [
        (
            *pair,
            overall.difference.estimate.num_values,
            *numbers_of_difference(overall),
            *overall.improvement[:3],
        )
        for pair, overall in (to_baseline | comparison.overall_pairs).items()
    ]
    return Table("Over data sets.", columns, rows)


def _columns(against: str, metric: Metric) -> list[Column]:
    heading = f"Against {against}" if against else "Difference"
    return [
        Column("num_data_sets", "Data sets"),
        Column(
            "difference",
            f"{heading}{metric.in_units}",
            show=partial(difference_text, form=metric.difference),
        ),
        Column("p_corrected", "p corrected", show=P_VALUE),
        Column("verdict", "Verdict", show=partial(verdict_text, metric=metric), numeric=False),
        Column("improvement", "Improves in, %", show=partial(with_interval, form=PERCENT)),
    ]


def _numbers(overall: Overall | None) -> list[object]:
    if overall is None:
        return [None] * 5
    told = overall.difference
    p_value = told.corrected if told.tested else None
    return [told.estimate.num_values, told, p_value, told, overall.improvement]


def _rows(comparison: Comparison, method: str) -> list[Row]:
    return [row for block in comparison.blocks for row in block.rows if row.method == method]


def _counts(comparison: Comparison, method: str) -> list[int | None]:
    told = [row.difference for row in _rows(comparison, method)]
    counts = Counter(judgement.verdict for judgement in told if judgement is not None)
    return [counts[verdict] if counts else None for verdict in ("higher", "equivalent", "lower")]


def _cost(comparison: Comparison, method: str) -> float | None:
    costs = [row.cost for row in _rows(comparison, method) if row.cost is not None]
    return median(costs) if costs else None


# -- how the distribution of gains lies -----------------------------------------------------------


def profile_figure(comparison: Comparison) -> Figure | None:
    """The share of runs whose gain over the baseline's mean exceeds each threshold, by method."""
    gains = {method: _gains(comparison, method) for method in comparison.grid.methods}
    known = [v for by in gains.values() for runs in by.values() for v in runs if v != DIVERGED]
    if not known or len(comparison.grid.data) < 2:
        return None
    low, high = (float(end) for end in np.quantile(known, [0.02, 0.98]))
    thresholds = np.linspace(low, high, 41)
    shown = thresholds * comparison.metric.difference.factor
    lines = [
        Line(method, shown.tolist(), performance_profile(runs, thresholds).tolist())
        for method, runs in gains.items()
        if runs
    ]
    baseline = comparison.grid.baseline
    caption = (
        f"How many of a method's runs gain more than a threshold over the mean of {baseline} with "
        "the same data and fusion; a data set counts once, and a diverged run is above no "
        "threshold. A curve above another's everywhere is of a method that is better at every "
        "quantile. Seeds and data sets are mixed here: no test is made of it."
    )
    along = Axis(f"Gain over the mean of {baseline}{comparison.metric.in_units}")
    axes = along, Axis("Share of runs above it, %", PERCENT)
    return line_figure("Performance profiles", caption, [("", lines)], looks_of(gains), axes)


def _gains(comparison: Comparison, method: str) -> dict[str, list[Run]]:
    """By data set, the gain of each run over the baseline's mean, higher is better."""
    gains: dict[str, list[Run]] = {}
    for block in comparison.blocks:
        rows = {row.method: row for row in block.rows}
        base, row = rows[comparison.grid.baseline], rows[method]
        if base.accuracy is None or not base.accuracy.num_values:
            continue
        for run in row.outcome.accuracies.values():
            turned = row.outcome.form.turned
            gain = run if run == DIVERGED else turned(run) - turned(base.accuracy.mean)
            gains.setdefault(block.data, []).append(gain)
    return gains


# -- on which data it helps -----------------------------------------------------------------------


def relation_table(comparison: Comparison) -> Table | None:
    """How gains go with what data are like, a row for each method; None where it is not known."""
    metric = comparison.metric
    columns = [
        Column("method", "Method", numeric=False),
        Column("quantity", "The gain over", numeric=False),
        Column("num_data_sets", "Data sets"),
        Column(
            "slope",
            f"For each {SLOPE_UNIT:g} more{metric.in_units}",
            show=partial(difference_text, form=slope_form(metric)),
        ),
        Column("verdict", "Verdict", show=_rises, numeric=False),
    ]
    rows = [
        (r.method, QUANTITIES[r.quantity], len(r.gains), r.slope, r.slope)
        for r in comparison.relations
        if r.slope is not None
    ]
    caption = (
        f"By how much the gain over {comparison.grid.baseline} rises with what data are like: "
        f"slopes over data sets, a data set counting once with the mean over its fusions, both "
        f"quantities as measured under {comparison.grid.baseline}. Competition strengths and "
        "accuracies are in [0, 1]. Intervals and verdicts are corrected for all tests of this "
        "report."
    )
    return Table(caption, columns, rows) if rows else None


def slope_form(metric: Metric) -> Format:
    """How a slope is written: what the difference changes by for each unit."""
    return replace(metric.difference, factor=SLOPE_UNIT * metric.difference.factor)


def _rises(judgement: Judgement) -> str:
    return {"higher": "rises", "lower": "falls"}.get(judgement.verdict, judgement.verdict)


def relation_figure(comparison: Comparison) -> Figure | None:
    """Gains over what data are like, a chart for each quantity; None where it is not known."""
    panels = [
        (
            title,
            [
                Point(data, gain, None, None, relation.method, x=x)
                for relation in comparison.relations
                if relation.quantity == name and relation.method != ON_AVERAGE
                for data, (x, gain) in relation.gains.items()
            ],
        )
        for name, title in QUANTITIES.items()
    ]
    caption = (
        f"Each point is a method on a data set: its gain over {comparison.grid.baseline}, mean "
        "over seeds and fusions, against what the data set is like."
    )
    axes = (
        Axis(f"Under {comparison.grid.baseline}", NUMBER),
        Axis(f"Gain{comparison.metric.in_units}", comparison.metric.difference, [Level(0.0)]),
    )
    looks = looks_of(comparison.grid.methods)
    return scatter_figure("On which data it helps", caption, panels, looks, axes)
