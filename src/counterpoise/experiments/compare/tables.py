"""The tables of a comparison: every number of the report stands in one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.overall import Overall
from counterpoise.experiments.compare.rows import Block, Pair, Row
from counterpoise.experiments.verdicts import difference_text
from counterpoise.measures.statistics import Interval, Judgement
from counterpoise.report import Column, Format, Metric, Table
from counterpoise.report.formats import NUMBER, P_VALUE
from counterpoise.report.theme import tone

_EFFECT = Format(1, signed=True)
_TIED = "\N{NO-BREAK SPACE}"


def summary_table(comparison: Comparison, blocks: Sequence[Block] | None = None) -> Table:
    """A row for each data set, fusion and method: accuracy, difference to the baseline, verdict.

    Args:
        comparison: The numbers.
        blocks: Which of its data sets and fusions, named in a column if they are several.
            Default: all.
    """
    blocks = comparison.blocks if blocks is None else blocks
    baseline, metric = comparison.grid.baseline, comparison.metric
    against = f"Against {baseline}{metric.in_units}"
    columns = [
        Column("method", "Method", numeric=False),
        Column("place", "Data set", numeric=False),
        Column("accuracy", metric.heading, show=partial(_spread, metric=metric)),
        Column("difference", against, show=partial(difference_text, form=metric.difference)),
        Column("verdict", "Verdict", show=partial(verdict_text, metric=metric), numeric=False),
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
        f"{_about_verdicts(comparison)} A dash: no result, or nothing to compare."
    )
    if len(blocks) < 2:
        columns, rows = columns[:1] + columns[2:], [row[:1] + row[2:] for row in rows]
        return Table(caption, columns, rows)
    return Table(caption, columns, rows, parted_by="place")


def margin_text(comparison: Comparison) -> str:
    """Return the largest difference that does not matter, in words."""
    points = f"{100 * comparison.grid.margin:g}"
    if not comparison.form.share:
        return f"{points}% of the result of guessing"
    return "1 point" if points == "1" else f"{points} points"


def _about_verdicts(comparison: Comparison) -> str:
    """Say what the verdicts mean, as far as there are any."""
    if not comparison.judgements:
        return ""
    equivalent = (
        f"equivalent: it lies within {margin_text(comparison)}"
        if comparison.has_margin
        else "nothing is called equivalent, since guessing comes to 0 and sets no margin"
    )
    return (
        "The interval excludes zero exactly where the verdict is higher or lower, if there are "
        f"enough seeds to test; {equivalent}; undecided: in brackets the smallest difference "
        "that would have been found with a probability of 80%."
    )


def _corrected(comparison: Comparison, opening: str, where: str) -> str:
    """Say how many tests a test is corrected for; nothing if there are none."""
    count = comparison.num_compared
    told = "the only test" if count == 1 else f"all {count} tests"
    return f"{opening} {told} {where}" if count else ""


def block_table(block: Block, comparison: Comparison) -> Table:
    """All numbers of one data set and fusion, a row for each method."""
    columns = [Column("method", "Method", numeric=False), *_statistics(comparison)]
    columns += _response_columns(block, comparison.metric)
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
        "with a confidence of 95%; p and the interval of the difference are of the test over the "
        f"same seeds{correction}; the effect is the mean difference in units of its standard "
        "deviation; found from: the smallest difference that would have been found with a "
        "probability of 80%. A dash: not measured."
    )
    return Table(caption, columns, rows)


def pair_table(comparison: Comparison) -> Table | None:
    """A row for each further pair that the grid names, block by block; None if there is none."""
    metric = comparison.metric
    group = f"Difference{metric.in_units}"
    columns = [
        Column("first", "Method", numeric=False),
        Column("second", "Against", numeric=False),
        Column("place", "Data set", numeric=False),
        *columns_of_difference(group, metric),
    ]
    rows = [
        (pair.first, pair.second, pair.title, *numbers_of_difference(pair))
        for pair in comparison.pairs
    ]
    corrected = _corrected(comparison, "; corrected for", "of this report")
    caption = (
        f"Test {metric.title} of the first method less that of the second over the same seeds, "
        f"each in its chosen configuration{corrected}."
    )
    return Table(caption, columns, rows) if rows else None


def results_table(comparison: Comparison) -> Table:
    """All numbers of all data sets and fusions, for the CSV file."""
    modalities = dict.fromkeys(name for block in comparison.blocks for name in block.modalities)
    columns = [
        Column("data", "Data set", numeric=False),
        Column("fusion", "Fusion", numeric=False),
        Column("method", "Method", numeric=False),
        *_statistics(comparison),
        Column("interval_over", "Interval over"),
        *(Column(f"response/{name}/{comparison.metric.name}", name) for name in modalities),
        Column("step_time_ratio", "Step time ratio"),
    ]
    rows = [
        (
            block.data,
            block.fusion,
            row.method,
            *_numbers(row),
            _over(row),
            *_response_means(row, modalities),
            row.cost,
        )
        for block in comparison.blocks
        for row in block.rows
    ]
    return Table("All results of chosen configurations.", columns, rows)


def pairs_table(comparison: Comparison) -> Table:
    """All numbers of the further pairs, for the CSV file."""
    names = ("first", "second", "data", "fusion")
    columns = [Column(name, name.capitalize()) for name in names]
    columns += [
        *columns_of_difference("Difference", comparison.metric),
        Column("interval_over", "Interval over"),
    ]
    rows: list[tuple[object, ...]] = [
        (pair.first, pair.second, pair.data, pair.fusion, *numbers_of_difference(pair), _over(pair))
        for pair in comparison.pairs
    ]
    return Table("Further pairs.", columns, rows)


def _over(pair: Row | Pair) -> str | None:
    """What the interval of a difference is over: seeds, or test samples too."""
    return None if pair.difference is None else pair.difference.estimate.unit


def _statistics(comparison: Comparison) -> list[Column]:
    metric = comparison.metric
    group, show = metric.on("Test"), metric.form
    difference = f"Difference to {comparison.grid.baseline}{metric.in_units}"
    return [
        Column("seeds", "Seeds"),
        Column(f"{metric.name}_mean", "mean", group, show, bar=metric.bounded),
        Column(f"{metric.name}_deviation", "deviation", group, show),
        Column(f"{metric.name}_low", "from", group, show),
        Column(f"{metric.name}_high", "to", group, show),
        *columns_of_difference(difference, metric),
    ]


def columns_of_difference(group: str, metric: Metric) -> list[Column]:
    """Return the columns that describe a difference."""
    return [
        Column("difference_mean", "mean", group, metric.difference),
        Column("difference_low", "from", group, metric.difference),
        Column("difference_high", "to", group, metric.difference),
        Column("p_value", "p", group, P_VALUE),
        Column("p_corrected", "p corrected", group, P_VALUE),
        Column("p_equivalent", "p equivalent", group, P_VALUE),
        Column("effect_size", "effect", group, _EFFECT),
        Column("detectable", "found from", group, metric.form),
        Column("verdict", "verdict", group, numeric=False),
    ]


def _numbers(row: Row) -> list[object]:
    accuracy = row.accuracy
    if accuracy is None:
        return [0, *[None] * 4, *numbers_of_difference(row)]
    return [*_spread_numbers(accuracy), *numbers_of_difference(row)]


def _spread_numbers(accuracy: Interval) -> list[object]:
    count = accuracy.num_values + accuracy.num_diverged
    return [count, _known(accuracy.mean), accuracy.std, accuracy.low, accuracy.high]


def numbers_of_difference(pair: Row | Pair | Overall) -> list[object]:
    """Return the numbers in these columns."""
    told = pair.difference
    if told is None:
        return [None] * 9
    tested = [told.p_value, told.corrected, told.equivalence, told.estimate.effect]
    tested.append(told.detectable)
    return [*map(_known, [told.mean, *told.interval, *tested]), told.verdict]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _response_columns(block: Block, metric: Metric) -> list[Column]:
    group, bar = metric.on("Test", "of the response"), metric.bounded
    return [
        Column(
            f"response/{name}/{metric.name}", name, group, metric.form, bar=bar, tone=tone(index)
        )
        for index, name in enumerate(block.modalities)
    ]


def _response_means(row: Row, modalities: Any) -> list[float | None]:
    summaries = [row.responses.get(name) for name in modalities]
    return [None if summary is None else summary.mean for summary in summaries]


def _spread(accuracy: Interval, metric: Metric) -> str:
    """Mean and deviation; beside them how many runs diverged, which the mean leaves out."""
    text = metric.form(accuracy.mean) if accuracy.num_values else ""
    if accuracy.std is not None:
        text += f"{_TIED}\N{PLUS-MINUS SIGN}{_TIED}{metric.form(accuracy.std)}"
    lost = f"{accuracy.num_diverged}{_TIED}diverged" if accuracy.num_diverged else ""
    return ", ".join(part for part in (text, lost) if part)


def verdict_text(judgement: Judgement, metric: Metric) -> str:
    """What a difference shows; of an undecided one, what would have been seen."""
    if judgement.verdict == "undecided" and not math.isnan(judgement.detectable):
        return f"undecided ({metric.form(judgement.detectable)})"
    return judgement.verdict
