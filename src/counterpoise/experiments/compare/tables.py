"""The tables of a comparison: every number of the report stands in one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.rows import Block, Pair, Row
from counterpoise.measures.bootstrap import Summary
from counterpoise.measures.statistics import PairedDifference
from counterpoise.report import Column, Table
from counterpoise.report.formats import decimals, percent, significant
from counterpoise.report.svg import tone

__all__ = [
    "block_table",
    "pair_table",
    "points",
    "rank_table",
    "results_table",
    "summary_table",
]

_MINUS = "\N{MINUS SIGN}"
_TIED = "\N{NO-BREAK SPACE}"
_VERDICTS = {"not distinguishable after correction": "not after correction"}


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign.

    Example:
        >>> points(0.0123), points(-0.004), points(0.0)
        ('+1.2', '\N{MINUS SIGN}0.4', '0.0')
    """
    text = f"{100 * share:+.1f}".replace("-", _MINUS)
    return text[1:] if text[1:] == "0.0" else text


def summary_table(comparison: Comparison, blocks: Sequence[Block] | None = None) -> Table:
    """A row for each data set, fusion and method: accuracy, difference to the baseline, verdict.

    Args:
        comparison: The numbers.
        blocks: Which of its data sets and fusions, named in a column if they are several.
            Default: all.
    """
    blocks = comparison.blocks if blocks is None else blocks
    baseline = comparison.grid.baseline
    columns = [
        Column("method", "Method", numeric=False),
        Column("place", "Data set", numeric=False),
        Column("accuracy", "Accuracy, %", show=_spread),
        Column("difference", f"Against {baseline}, points", show=_told),
        Column("verdict", "Verdict", show=_verdict, numeric=False),
    ]
    rows: list[tuple[object, ...]] = [
        (row.method, block.title, row.accuracy, row.difference, row.verdict)
        for block in blocks
        for row in block.rows
    ]
    caption = (
        f"Test accuracy: mean \N{PLUS-MINUS SIGN} standard deviation over seeds. Difference to "
        f"{baseline} over the same seeds in percentage points, with its 95% interval"
        f"{_corrected(comparison, '; the verdict is corrected for', 'told here')}. A dash: no "
        "result, or nothing to compare."
    )
    if len(blocks) < 2:
        columns, rows = columns[:1] + columns[2:], [row[:1] + row[2:] for row in rows]
        return Table(caption, columns, rows)
    return Table(caption, columns, rows, parted_by="place")


def rank_table(comparison: Comparison) -> Table | None:
    """A row for each method: its mean rank; None if none has one."""
    columns = [
        Column("method", "Method", numeric=False),
        Column("mean_rank", "Mean rank", show=_rank),
    ]
    rows = [(method, comparison.ranks.get(method)) for method in comparison.grid.methods]
    caption = (
        "Mean rank by test accuracy over data sets and fusions, 1 being the highest, with its 95% "
        "interval over seeds. A dash: not a result for every data set and seed."
    )
    return Table(caption, columns, rows) if comparison.ranks else None


def _corrected(comparison: Comparison, opening: str, where: str) -> str:
    """Say how many differences a test is corrected for; nothing if there are none."""
    count = comparison.num_compared
    if not count:
        return ""
    told = "the only difference" if count == 1 else f"all {count} differences"
    return f"{opening} {told} {where}"


def block_table(block: Block, comparison: Comparison) -> Table:
    """All numbers of one data set and fusion, a row for each method."""
    columns = [Column("method", "Method", numeric=False), *_statistics(comparison)]
    columns += _response_columns(block)
    reference = comparison.cost_reference
    columns.append(
        Column("step_time_ratio", f"Step time \N{MULTIPLICATION SIGN} {reference}", "", decimals(2))
    )
    rows = [
        (row.method, *_numbers(row), *_response_means(row, block.modalities), row.cost)
        for row in block.rows
    ]
    correction = _corrected(comparison, ", corrected by Holm's procedure for", "of this report")
    caption = (
        f"Test data of {block.title}, chosen configurations. Intervals hold the mean over seeds "
        "with a confidence of 95%; p is of the paired t-test"
        f"{correction}; the effect is the mean difference in units of its standard deviation. A "
        "dash: not measured."
    )
    return Table(caption, columns, rows)


def pair_table(comparison: Comparison) -> Table | None:
    """A row for each further pair that the grid names, block by block; None if there is none."""
    group = "Difference, points"
    columns = [
        Column("first", "Method", numeric=False),
        Column("second", "Against", numeric=False),
        Column("place", "Data set", numeric=False),
        *_of_difference(group),
    ]
    rows = [(pair.first, pair.second, pair.title, *_difference(pair)) for pair in comparison.pairs]
    caption = (
        "Test accuracy of the first method less that of the second over the same seeds, each in "
        "its chosen configuration. Corrected together with the differences to "
        f"{comparison.grid.baseline}, {comparison.num_compared} in all."
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
        *(Column(f"response_accuracy_{name}", name) for name in modalities),
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


def _statistics(comparison: Comparison) -> list[Column]:
    accuracy = "Test accuracy, %"
    difference = f"Difference to {comparison.grid.baseline}, points"
    return [
        Column("seeds", "Seeds"),
        Column("accuracy_mean", "mean", accuracy, percent, bar=True),
        Column("accuracy_deviation", "deviation", accuracy, percent),
        Column("accuracy_low", "from", accuracy, percent),
        Column("accuracy_high", "to", accuracy, percent),
        *_of_difference(difference),
    ]


def _of_difference(group: str) -> list[Column]:
    return [
        Column("difference_mean", "mean", group, points),
        Column("difference_low", "from", group, points),
        Column("difference_high", "to", group, points),
        Column("p_value", "p", group, _p_value),
        Column("p_corrected", "p corrected", group, _p_value),
        Column("effect_size", "effect", group, _effect),
        Column("verdict", "verdict", group, numeric=False),
    ]


def _numbers(row: Row) -> list[object]:
    accuracy = row.accuracy
    if accuracy is None:
        return [0, *[None] * 4, *_difference(row)]
    return [accuracy.num_repeats, accuracy.mean, *map(_known, accuracy[1:4]), *_difference(row)]


def _difference(told: Row | Pair) -> list[object]:
    difference = told.difference
    if difference is None:
        return [None] * 7
    tested = [difference.p_value, told.corrected, difference.effect]
    return [*map(_known, [*difference[:3], *tested]), told.verdict]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _response_columns(block: Block) -> list[Column]:
    group = "Test accuracy of the response, %"
    return [
        Column(f"response_accuracy_{name}", name, group, percent, bar=True, tone=tone(index))
        for index, name in enumerate(block.modalities)
    ]


def _response_means(row: Row, modalities: Any) -> list[float | None]:
    found = [row.responses.get(name) for name in modalities]
    return [None if summary is None else summary.mean for summary in found]


def _spread(summary: Summary) -> str:
    if math.isnan(summary.deviation):
        return percent(summary.mean)
    return f"{percent(summary.mean)}{_TIED}\N{PLUS-MINUS SIGN}{_TIED}{percent(summary.deviation)}"


def _told(found: PairedDifference) -> str:
    """Difference and interval, on one line."""
    if math.isnan(found.low):
        return points(found.mean)
    interval = f"[{points(found.low)},{_TIED}{points(found.high)}]"
    return f"{points(found.mean)}{_TIED}{interval}"


def _verdict(found: str) -> str:
    return _VERDICTS.get(found, found)


def _rank(rank: Summary) -> str:
    if math.isnan(rank.low):
        return f"{rank.mean:.1f}"
    return f"{rank.mean:.1f} [{rank.low:.1f},{_TIED}{rank.high:.1f}]"


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else significant(value, 2)


def _effect(value: float) -> str:
    return f"{value:+.1f}".replace("-", _MINUS)
