"""The tables of a comparison: every number of the report stands in one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.rows import Block, Pair, Row
from counterpoise.measures.statistics import Interval, Judgement
from counterpoise.report import ACCURACY, Column, Format, Metric, Table
from counterpoise.report.formats import NUMBER, P_VALUE, PERCENT, interval
from counterpoise.report.theme import tone

__all__ = [
    "block_table",
    "overall_table",
    "pair_table",
    "results_table",
    "summary_table",
]

_EFFECT = Format(1, signed=True)
_TIED = "\N{NO-BREAK SPACE}"


def summary_table(
    comparison: Comparison, blocks: Sequence[Block] | None = None, metric: Metric = ACCURACY
) -> Table:
    """A row for each data set, fusion and method: accuracy, difference to the baseline, verdict.

    Args:
        comparison: The numbers.
        blocks: Which of its data sets and fusions, named in a column if they are several.
            Default: all.
        metric: The headline number.
    """
    blocks = comparison.blocks if blocks is None else blocks
    baseline = comparison.grid.baseline
    against = f"Against {baseline}{metric.in_units}"
    columns = [
        Column("method", "Method", numeric=False),
        Column("place", "Data set", numeric=False),
        Column("accuracy", metric.heading, show=partial(_spread, metric=metric)),
        Column("difference", against, show=partial(_told, metric=metric)),
        Column("verdict", "Verdict", show=partial(_verdict, metric=metric), numeric=False),
    ]
    rows: list[tuple[object, ...]] = [
        (row.method, block.title, row.accuracy, row.difference, row.difference)
        for block in blocks
        for row in block.rows
    ]
    caption = (
        f"Test {metric.title}: mean \N{PLUS-MINUS SIGN} standard deviation over seeds; "
        f"{metric.direction}. Difference to {baseline} over the same seeds, with its interval"
        f"{_corrected(comparison, ', corrected for', 'of this report')}. "
        f"{_about_verdicts(comparison, metric)} A dash: no result, or nothing to compare."
    )
    if len(blocks) < 2:
        columns, rows = columns[:1] + columns[2:], [row[:1] + row[2:] for row in rows]
        return Table(caption, columns, rows)
    return Table(caption, columns, rows, parted_by="place")


def overall_table(comparison: Comparison, metric: Metric = ACCURACY) -> Table | None:
    """A row for each method: what holds over data sets; None where nothing does."""
    against = f"Against {comparison.grid.baseline}{metric.in_units}"
    columns = [
        Column("method", "Method", numeric=False),
        Column("num_data_sets", "Data sets"),
        Column("difference", against, show=partial(_told, metric=metric)),
        Column("verdict", "Verdict", show=partial(_verdict, metric=metric), numeric=False),
        Column("improvement", "Improves in, %", show=PERCENT),
        Column("mean_rank", "Mean rank", show=Format(1)),
    ]
    rows = [(method, *_overall(comparison, method)) for method in comparison.grid.methods]
    ranks = comparison.ranks
    told = "Mean ranks are told from 8 data sets on."
    if ranks is not None:
        told = (
            f"Mean ranks that differ by less than {ranks.critical_difference:.1f} cannot be told "
            f"apart; that all methods are alike has p = {P_VALUE(ranks.p_value)} (Friedman)."
        )
    caption = (
        "Over data sets, a data set counting once: the difference to expect on one like these, by "
        "a mixed model, its interval and verdict as above; how often a run of the method beats one "
        f"of {comparison.grid.baseline}. {told}"
    )
    return Table(caption, columns, rows) if comparison.overall else None


def _overall(comparison: Comparison, method: str) -> list[object]:
    ranks = comparison.ranks
    place = None if ranks is None else ranks.mean_ranks.get(method)
    found = comparison.overall.get(method)
    if found is None:
        return [None, None, None, None, place]
    told = found.difference
    return [told.estimate.num_values, told, told, found.improvement.mean, place]


def _about_verdicts(comparison: Comparison, metric: Metric) -> str:
    """Say what the verdicts mean, as far as there are any."""
    if not comparison.judgements:
        return ""
    margin = f"{metric.form.factor * comparison.grid.margin:g} {metric.difference_unit}".rstrip()
    if margin == "1 points":
        margin = "1 point"
    return (
        "The interval excludes zero exactly where the verdict is higher or lower; equivalent: it "
        f"lies within {margin}; undecided: in brackets the smallest difference that would have "
        "been found with a probability of 80%."
    )


def _corrected(comparison: Comparison, opening: str, where: str) -> str:
    """Say how many differences a test is corrected for; nothing if there are none."""
    count = comparison.num_compared
    if not count:
        return ""
    told = "the only difference" if count == 1 else f"all {count} differences"
    others = sum(pair.difference is not None for pair in comparison.pairs)
    baseline = comparison.grid.baseline
    split = f" ({count - others} to {baseline}, {others} of further pairs)" if others else ""
    return f"{opening} {told} {where}{split}"


def block_table(block: Block, comparison: Comparison, metric: Metric = ACCURACY) -> Table:
    """All numbers of one data set and fusion, a row for each method."""
    columns = [Column("method", "Method", numeric=False), *_statistics(comparison, metric)]
    columns += _response_columns(block, metric)
    reference = comparison.cost_reference
    columns.append(
        Column("step_time_ratio", f"Step time \N{MULTIPLICATION SIGN} {reference}", "", NUMBER)
    )
    rows = [
        (row.method, *_numbers(row), *_response_means(row, block.modalities), row.cost)
        for row in block.rows
    ]
    correction = _corrected(comparison, ", corrected by Holm's procedure for", "of this report")
    caption = (
        f"Test data of {block.title}, chosen configurations. Intervals of results hold the mean "
        "over seeds with a confidence of 95%; p and the interval of the difference are of the "
        f"paired t-test{correction}; the effect is the mean difference in units of its standard "
        "deviation; found from: the smallest difference that would have been found with a "
        "probability of 80%. A dash: not measured."
    )
    return Table(caption, columns, rows)


def pair_table(comparison: Comparison, metric: Metric = ACCURACY) -> Table | None:
    """A row for each further pair that the grid names, block by block; None if there is none."""
    group = f"Difference{metric.in_units}"
    columns = [
        Column("first", "Method", numeric=False),
        Column("second", "Against", numeric=False),
        Column("place", "Data set", numeric=False),
        *_of_difference(group, metric),
    ]
    rows = [(pair.first, pair.second, pair.title, *_difference(pair)) for pair in comparison.pairs]
    caption = (
        f"Test {metric.title} of the first method less that of the second over the same seeds, "
        "each in its chosen configuration. Corrected together with the differences to "
        f"{comparison.grid.baseline}, {comparison.num_compared} in all."
    )
    return Table(caption, columns, rows) if rows else None


def results_table(comparison: Comparison, metric: Metric = ACCURACY) -> Table:
    """All numbers of all data sets and fusions, for the CSV file."""
    modalities = dict.fromkeys(name for block in comparison.blocks for name in block.modalities)
    columns = [
        Column("data", "Data set", numeric=False),
        Column("fusion", "Fusion", numeric=False),
        Column("method", "Method", numeric=False),
        *_statistics(comparison, metric),
        *(Column(f"response_{metric.name}_{name}", name) for name in modalities),
        Column("step_time_ratio", "Step time ratio"),
    ]
    rows = [
        (
            block.data,
            block.fusion,
            row.method,
            *_numbers(row),
            *_response_means(row, modalities),
            row.cost,
        )
        for block in comparison.blocks
        for row in block.rows
    ]
    return Table("All results of chosen configurations.", columns, rows)


def _statistics(comparison: Comparison, metric: Metric) -> list[Column]:
    group, show = metric.on("Test"), metric.form
    difference = f"Difference to {comparison.grid.baseline}{metric.in_units}"
    return [
        Column("seeds", "Seeds"),
        Column(f"{metric.name}_mean", "mean", group, show, bar=metric.bounded),
        Column(f"{metric.name}_deviation", "deviation", group, show),
        Column(f"{metric.name}_low", "from", group, show),
        Column(f"{metric.name}_high", "to", group, show),
        *_of_difference(difference, metric),
    ]


def _of_difference(group: str, metric: Metric) -> list[Column]:
    return [
        Column("difference_mean", "mean", group, metric.difference),
        Column("difference_low", "from", group, metric.difference),
        Column("difference_high", "to", group, metric.difference),
        Column("p_value", "p", group, P_VALUE),
        Column("p_corrected", "p corrected", group, P_VALUE),
        Column("effect_size", "effect", group, _EFFECT),
        Column("detectable", "found from", group, metric.form),
        Column("verdict", "verdict", group, numeric=False),
    ]


def _numbers(row: Row) -> list[object]:
    accuracy = row.accuracy
    if accuracy is None:
        return [0, *[None] * 4, *_difference(row)]
    return [*_spread_numbers(accuracy), *_difference(row)]


def _spread_numbers(accuracy: Interval) -> list[object]:
    count = accuracy.num_values + accuracy.num_diverged
    return [count, _known(accuracy.mean), accuracy.std, accuracy.low, accuracy.high]


def _difference(told: Row | Pair) -> list[object]:
    found = told.difference
    if found is None:
        return [None] * 8
    tested = [found.p_value, found.corrected, found.estimate.effect, found.detectable]
    return [*map(_known, [found.mean, *found.interval, *tested]), found.verdict]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _response_columns(block: Block, metric: Metric) -> list[Column]:
    group, bar = metric.on("Test", "of the response"), metric.bounded
    return [
        Column(
            f"response_{metric.name}_{name}", name, group, metric.form, bar=bar, tone=tone(index)
        )
        for index, name in enumerate(block.modalities)
    ]


def _response_means(row: Row, modalities: Any) -> list[float | None]:
    found = [row.responses.get(name) for name in modalities]
    return [None if summary is None else summary.mean for summary in found]


def _spread(accuracy: Interval, metric: Metric) -> str:
    """Mean and deviation; beside them how many runs diverged, which the mean leaves out."""
    text = metric.form(accuracy.mean) if accuracy.num_values else ""
    if accuracy.std is not None:
        text += f"{_TIED}\N{PLUS-MINUS SIGN}{_TIED}{metric.form(accuracy.std)}"
    lost = f"{accuracy.num_diverged}{_TIED}diverged" if accuracy.num_diverged else ""
    return ", ".join(part for part in (text, lost) if part)


def _told(found: Judgement, metric: Metric) -> str:
    """Difference and interval, on one line."""
    return interval(found.mean, found.low, found.high, metric.difference)


def _verdict(found: Judgement, metric: Metric) -> str:
    if found.verdict == "undecided" and not math.isnan(found.detectable):
        return f"undecided ({metric.form(found.detectable)})"
    return found.verdict
