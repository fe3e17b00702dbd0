"""The figures of a comparison: differences, learning curves, cost, coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.rows import Block, Row
from counterpoise.measures.statistics import DIVERGED, FEWEST
from counterpoise.report import (
    Axis,
    Figure,
    Level,
    Line,
    Look,
    Metric,
    Point,
    line_figure,
    looks_of,
    row_figure,
    scatter_figure,
)
from counterpoise.report.formats import enumerate_words
from counterpoise.report.series import finite


def difference_figure(comparison: Comparison) -> Figure | None:
    """The difference of each method to the baseline, all on one axis; None where there is none."""
    baseline, metric = comparison.grid.baseline, comparison.metric
    axis = Axis(f"Difference to {baseline}{metric.in_units}", metric.difference, [Level(0.0)])
    single = len(comparison.blocks) == 1
    panels = [
        ("" if single else block.title, [p for row in block.rows for p in _difference(row)], axis)
        for block in comparison.blocks
    ]
    caption = (
        f"Test {metric.title} less that of {baseline} with the same seeds, {metric.direction}. "
        "Intervals are corrected for all differences of this report. The point is filled where a "
        f"difference is told from chance, which takes {FEWEST} seeds; elsewhere it is a ring. All "
        "on the same axis."
    )
    return row_figure(f"Difference to {baseline}", caption, panels, shared=True)


def _difference(row: Row) -> list[Point]:
    """The difference to the baseline; nothing for the baseline itself."""
    gain = row.difference
    if gain is None:
        return []
    ring = gain.verdict not in ("higher", "lower")
    return [Point(row.method, gain.mean, *gain.interval, ring=ring, remark=gain.verdict)]


def accuracy_figure(block: Block, comparison: Comparison) -> Figure | None:
    """The test result of each method and of its responses; None where there is no result.

    Args:
        block: Data set and fusion.
        comparison: What it belongs to.
    """
    baseline, metric = comparison.grid.baseline, comparison.metric
    base = next(row for row in block.rows if row.method == baseline)
    levels = [] if base.accuracy is None else [Level(base.accuracy.mean)]
    whole = "whole model"
    panels = [
        (
            "Whole model",
            [point for row in block.rows for point in _results(row, whole)],
            Axis(metric.on("Test"), metric.form, levels),
        ),
        (
            "Responses of single modalities",
            [point for row in block.rows for point in _responses(row)],
            Axis(metric.on("Test"), metric.form),
        ),
    ]
    caption = (
        "Mean over seeds with its 95% interval; faint dots are single seeds. The dashed line is "
        f"{baseline}. Each chart has an axis of its own; {metric.direction}."
    )
    looks = {whole: Look(), **looks_of(block.modalities)}
    return row_figure(f"Test {metric.title} on {block.title}", caption, panels, looks)


def _results(row: Row, label: str) -> list[Point]:
    accuracy = row.accuracy
    if accuracy is None:
        return []
    repeats = [run for run in row.outcome.accuracies.values() if run != DIVERGED]
    return [Point(row.method, accuracy.mean, accuracy.low, accuracy.high, label, repeats=repeats)]


def _responses(row: Row) -> list[Point]:
    return [
        Point(row.method, summary.mean, summary.low, summary.high, modality)
        for modality, summary in row.responses.items()
    ]


def curve_figure(comparison: Comparison) -> Figure | None:
    """Learning curves: the validation result over epochs, a chart for each data set and fusion."""
    metric = comparison.metric
    panels = [
        (block.title, [line for row in block.rows for line in _curve(row, metric)])
        for block in comparison.blocks
    ]
    caption = (
        f"Validation {metric.title} after each epoch under the chosen configuration, mean over "
        f"seeds; {metric.direction}. The pointer shows the lowest and the highest seed too."
    )
    axes = Axis("epoch", whole=True), Axis(metric.on("Validation"), metric.form)
    looks = looks_of(comparison.grid.methods)
    return line_figure("Learning curves", caption, panels, looks, axes, shared=False)


def _curve(row: Row, metric: Metric) -> list[Line]:
    """The mean over seeds; a run that ended earlier counts as long as it lasted."""
    name = f"validation/{metric.name}"
    curves = [[entry[name] for entry in record["epochs"]] for record in row.records]
    if not curves:
        return []
    by_epoch = [
        finite(curve[k] for curve in curves if k < len(curve)) for k in range(max(map(len, curves)))
    ]
    means, lows, highs = _spans(by_epoch)
    epochs = [float(k + 1) for k in range(len(by_epoch))]
    return [Line(row.method, epochs, means, lows, highs, band=False)]


def cost_figure(comparison: Comparison) -> Figure | None:
    """The test result against the time of a step, a chart for each data set and fusion."""
    panels = [
        (block.title, [point for row in block.rows for point in _cost(row)])
        for block in comparison.blocks
    ]
    reference, metric = comparison.cost_reference, comparison.metric
    axes = (
        Axis(f"Step time \N{MULTIPLICATION SIGN} {reference}", levels=[Level(1.0)]),
        Axis(metric.on("Test"), metric.form),
    )
    caption = (
        f"Mean test {metric.title} with its 95% interval, against the time of a training step as "
        f"a ratio to {reference}. Further left is cheaper; {metric.direction}."
    )
    looks = looks_of(comparison.grid.methods)
    return scatter_figure("What it costs", caption, panels, looks, axes)


def _cost(row: Row) -> list[Point]:
    accuracy = row.accuracy
    if accuracy is None or row.cost is None:
        return []
    return [Point(row.method, accuracy.mean, accuracy.low, accuracy.high, row.method, x=row.cost)]


def coefficient_figure(block: Block) -> Figure | None:
    """Coefficients over steps, a chart for each method that has them; None where none has."""
    panels = [(row.method, lines) for row in block.rows if (lines := _coefficients(row))]
    caption = (
        "Coefficient of each modality over the recorded steps of the chosen configuration: mean "
        "over seeds, the band from the lowest to the highest. Above 1 the method boosts the "
        "modality, below 1 it brakes it, at 1 (dashed) it leaves it as it is."
    )
    without = [row.method for row in block.rows if row.method not in dict(panels)]
    if without:
        verb = "has" if len(without) == 1 else "have"
        caption += f" {enumerate_words(without)} {verb} no coefficients."
    axes = Axis("step", whole=True), Axis("Coefficient", levels=[Level(1.0)], factor=True)
    looks = looks_of(block.modalities)
    return line_figure(f"Coefficients on {block.title}", caption, panels, looks, axes)


def _coefficients(row: Row) -> list[Line]:
    series = [record["steps"] for record in row.records if record["steps"]["coefficients"]]
    if not series:
        return []
    longest: dict[str, Any] = max(series, key=lambda steps: len(steps["step"]))
    lines = []
    for modality in longest["coefficients"]:
        columns = [steps["coefficients"][modality] for steps in series]
        by_step = [
            finite(column[k] for column in columns if k < len(column))
            for k in range(len(longest["step"]))
        ]
        lines.append(Line(modality, [float(x) for x in longest["step"]], *_spans(by_step)))
    return lines


def _spans(groups: Sequence[Sequence[float]]) -> tuple[list[float], list[float], list[float]]:
    """Mean, lowest and highest of each group; NaN of an empty one."""
    means = [fmean(group) if group else math.nan for group in groups]
    lows = [min(group, default=math.nan) for group in groups]
    highs = [max(group, default=math.nan) for group in groups]
    return means, lows, highs
