"""The tables of a comparison: every number of the report stands in one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from counterpoise.compare.analysis import Block, Comparison, Row
from counterpoise.compare.bootstrap import Summary
from counterpoise.compare.outcomes import Trial, validation_accuracy
from counterpoise.report import Column, Table
from counterpoise.report.formats import decimals, percent, significant
from counterpoise.report.records import show_setting
from counterpoise.report.svg import tone

__all__ = [
    "block_table",
    "choice_table",
    "failure_table",
    "points",
    "results_table",
    "runs_table",
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


def summary_table(comparison: Comparison) -> Table:
    """A row for each method: rank, and accuracy and difference on each data set."""
    baseline = comparison.grid.baseline
    columns = [
        Column("method", "Method", numeric=False),
        Column("mean_rank", "Mean rank", show=_rank),
    ]
    for number, block in enumerate(comparison.blocks):
        columns += [
            Column(f"accuracy_{number}", "accuracy, %", block.title, _spread),
            Column(f"difference_{number}", f"against {baseline}, points", block.title, _told),
        ]
    rows = []
    for index, method in enumerate(comparison.grid.methods):
        found = [block.rows[index] for block in comparison.blocks]
        entries = [(row.accuracy, None if row.difference is None else row) for row in found]
        rank = comparison.ranks.get(method)
        rows.append((method, rank, *(value for entry in entries for value in entry)))
    caption = (
        f"Test accuracy: mean \N{PLUS-MINUS SIGN} standard deviation over seeds. Difference to "
        f"{baseline} over the same seeds in percentage points, with its 95% interval; the "
        f"verdict is corrected for all {comparison.num_compared} differences told here. Mean "
        "rank over data sets, 1 being the highest, with its 95% interval. A dash: no result."
    )
    return Table(caption, columns, rows)


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
    caption = (
        f"Test data of {block.title}, chosen configurations. Intervals hold the mean over seeds "
        "with a confidence of 95%; p is of the paired t-test, corrected by Holm's procedure for "
        f"all {comparison.num_compared} differences of this report; the effect is the mean "
        "difference in units of its standard deviation. A dash: not measured."
    )
    return Table(caption, columns, rows)


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


def runs_table(comparison: Comparison) -> Table:
    """Every run, a row each; test results of chosen configurations only."""
    columns = [
        Column(name, name.replace("_", " ").capitalize())
        for name in (
            *("data", "fusion", "method", "configuration", "changes", "chosen", "seed", "state"),
            *("validation_accuracy", "test_accuracy", "seconds_per_step", "wall_time_seconds"),
            *("error", "key"),
        )
    ]
    rows = [
        (*outcome.place, *_run(trial, seed, trial is outcome.chosen))
        for outcome in comparison.outcomes
        for trial in outcome.trials
        for seed in trial.results
    ]
    return Table("All runs.", columns, rows)


def choice_table(comparison: Comparison) -> Table:
    """What each method tried on each data set, and what validation chose."""
    columns = [
        Column("place", "Data set", numeric=False),
        Column("method", "Method", numeric=False),
        Column("chosen", "Chosen", numeric=False),
        Column("tried", "Mean validation accuracy of each configuration, %", numeric=False),
    ]
    seeds = comparison.grid.first_seeds
    rows = []
    for block in comparison.blocks:
        for row in block.rows:
            chosen = row.outcome.chosen
            recipe = None if chosen is None else chosen.candidate.recipe.describe()
            calls = [show_setting(recipe[key]) for key in ("method", "optimizer")] if recipe else []
            tried = [_tried(trial, trial.validation(seeds)) for trial in row.outcome.trials]
            rows.append((block.title, row.method, "; ".join(calls) or None, "; ".join(tried)))
    caption = (
        f"The configuration with the highest mean validation accuracy over {len(seeds)} "
        f"{'seed' if len(seeds) == 1 else 'seeds'} was chosen, of several equal ones the first."
    )
    return Table(caption, columns, rows)


def failure_table(comparison: Comparison) -> Table:
    """Every run that failed, with its error."""
    columns = [
        Column("place", "Data set", numeric=False),
        Column("method", "Method", numeric=False),
        Column("configuration", "Configuration", numeric=False),
        Column("seed", "Seed"),
        Column("error", "Error", numeric=False),
    ]
    rows = [
        (
            block.title,
            row.method,
            _changes(trial.candidate.changes) or None,
            seed,
            result.error,
        )
        for block in comparison.blocks
        for row in block.rows
        for trial, seed, result in row.outcome.failures
    ]
    return Table("Runs that ended with an error.", columns, rows)


def _statistics(comparison: Comparison) -> list[Column]:
    accuracy = "Test accuracy, %"
    difference = f"Difference to {comparison.grid.baseline}, points"
    return [
        Column("seeds", "Seeds"),
        Column("accuracy_mean", "mean", accuracy, percent, bar=True),
        Column("accuracy_deviation", "deviation", accuracy, percent),
        Column("accuracy_low", "from", accuracy, percent),
        Column("accuracy_high", "to", accuracy, percent),
        Column("difference_mean", "mean", difference, points),
        Column("difference_low", "from", difference, points),
        Column("difference_high", "to", difference, points),
        Column("p_value", "p", difference, _p_value),
        Column("p_corrected", "p corrected", difference, _p_value),
        Column("effect_size", "effect", difference, _effect),
        Column("verdict", "verdict", difference, numeric=False),
    ]


def _numbers(row: Row) -> list[object]:
    accuracy, difference = row.accuracy, row.difference
    numbers: list[object] = (
        [0, None, None, None, None]
        if accuracy is None
        else [
            accuracy.num_repeats,
            accuracy.mean,
            *map(_known, accuracy[1:4]),
        ]
    )
    if difference is None:
        return [*numbers, *[None] * 7]
    tested = [difference.p_value, row.corrected, difference.effect]
    return [*numbers, *map(_known, [*difference[:3], *tested]), row.verdict]


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


def _run(trial: Trial, seed: int, chosen: bool) -> list[object]:
    result, candidate = trial.results[seed], trial.candidate
    record = result.record or {}
    return [
        candidate.number,
        _changes(candidate.changes),
        chosen,
        seed,
        result.state,
        validation_accuracy(result),
        record["test"]["accuracy"] if chosen and record else None,
        record.get("seconds_per_step"),
        record.get("wall_time_seconds"),
        result.error,
        result.key,
    ]


def _tried(trial: Trial, validation: float | None) -> str:
    name = _changes(trial.candidate.changes) or "as it is"
    return f"{name}: {'failed' if validation is None else percent(validation)}"


def _changes(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in changes.items())


def _spread(summary: Summary) -> str:
    if math.isnan(summary.deviation):
        return percent(summary.mean)
    return f"{percent(summary.mean)}{_TIED}\N{PLUS-MINUS SIGN}{_TIED}{percent(summary.deviation)}"


def _told(row: Row) -> str:
    """Difference, interval and verdict; each of them stays on one line."""
    found = row.difference
    assert found is not None
    text = points(found.mean)
    if not math.isnan(found.low):
        text += f"{_TIED}[{points(found.low)},{_TIED}{points(found.high)}]"
    return f"{text} {_VERDICTS.get(str(row.verdict), str(row.verdict)).replace(' ', _TIED)}"


def _rank(rank: Summary) -> str:
    if math.isnan(rank.low):
        return f"{rank.mean:.1f}"
    return f"{rank.mean:.1f} [{rank.low:.1f},{_TIED}{rank.high:.1f}]"


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else significant(value, 2)


def _effect(value: float) -> str:
    return f"{value:+.1f}".replace("-", _MINUS)
