"""The figures of a comparison: accuracies with intervals, and courses of coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.rows import Block, Row
from counterpoise.measures.statistics import DIVERGED, Floats
from counterpoise.report import Figure
from counterpoise.report.curves import MAX_POINTS, Curve, Level, Scale, is_logarithmic
from counterpoise.report.intervals import Mark, draw_apart
from counterpoise.report.panels import draw_panels
from counterpoise.report.prose import enumerate_words
from counterpoise.report.svg import NUM_TONES, tone

__all__ = ["accuracy_figure", "coefficient_figure"]


def accuracy_figure(block: Block, comparison: Comparison, *, name: str) -> Figure | None:
    """Accuracy, difference to the baseline and accuracy of responses, a row for each method.

    Args:
        block: Data set and fusion.
        comparison: What it belongs to.
        name: Prefix of ids, unique on the page.

    Returns:
        The figure; None if there is no result to draw.
    """
    baseline = comparison.grid.baseline
    base = next(row for row in block.rows if row.method == baseline)
    rows = [row for row in block.rows if row.accuracy is not None]
    if not rows:
        return None
    levels = [] if base.accuracy is None else [Level(base.accuracy.mean)]
    parts = [
        (
            "Whole model",
            [(row.method, [_accuracy(row)]) for row in rows],
            Scale("method", "Test accuracy, %", levels, percent=True),
        ),
        (
            f"Against {baseline}",
            [(row.method, _difference(row)) for row in rows],
            Scale("method", "Difference of the same seeds, points", [Level(0.0)], percent=True),
        ),
        (
            "Responses of single modalities",
            [(row.method, _responses(row)) for row in rows],
            Scale("method", "Test accuracy, %", percent=True),
        ),
    ]
    panels = draw_apart(parts, name=name)
    caption = (
        "Mean over seeds with its 95% interval; faint dots are single seeds. Intervals of the "
        "second panel are corrected for all differences told here: they exclude zero, and the "
        f"point is filled, where a difference to {baseline} is told from chance; elsewhere it is "
        "a ring. The dashed line is the baseline. Each panel has an axis of its own."
    )
    return Figure(f"Accuracy on {block.title}", caption, panels)


def _accuracy(row: Row) -> Mark:
    assert row.accuracy is not None
    repeats = [run for run in row.outcome.accuracies.values() if run != DIVERGED]
    return Mark(row.accuracy.mean, *row.accuracy.ends, repeats=repeats)


def _difference(row: Row) -> list[Mark]:
    """The difference to the baseline; nothing for the baseline itself."""
    found = row.difference
    if found is None:
        return []
    ring = found.verdict not in ("higher", "lower")
    return [Mark(found.mean, *found.interval, ring=ring)]


def _responses(row: Row) -> list[Mark]:
    return [
        Mark(found.mean, *found.ends, label=modality, tone=tone(index))
        for index, (modality, found) in enumerate(row.responses.items())
    ]


def coefficient_figure(block: Block, *, name: str) -> Figure | None:
    """Coefficients over steps, a panel for each method that has them; None where none has."""
    panels = [(row.method, curves) for row in block.rows if (curves := _curves(row))]
    extent = [value for _, curves in panels for curve in curves for value in curve.extent]
    if not extent:
        return None
    scale = Scale("step", "Coefficient", [Level(1.0)], factor=True)
    caption = (
        "Coefficient of each modality over the recorded steps of the chosen configuration: mean "
        "over seeds and neighbouring steps, the band from the lowest to the highest. Above 1 "
        "the method boosts the modality, below 1 it brakes it, at 1 (dashed) it leaves it as it "
        "is."
    )
    if is_logarithmic([1.0, *extent], scale):
        caption += " The axis is logarithmic: doubling and halving take equal room."
    without = [row.method for row in block.rows if row.method not in dict(panels)]
    if without:
        verb = "has" if len(without) == 1 else "have"
        caption += f" {enumerate_words(without)} {verb} no coefficients."
    drawings = draw_panels(panels, scale, name=name)
    return Figure(f"Coefficients on {block.title}", caption, drawings)


def _curves(row: Row) -> list[Curve]:
    series = [record["steps"] for record in row.records if record["steps"]["coefficients"]]
    if not series:
        return []
    longest = max(series, key=lambda steps: len(steps["step"]))
    x = np.asarray(longest["step"], dtype=float)
    curves = []
    for index, modality in enumerate(longest["coefficients"]):
        values = _stacked([steps["coefficients"][modality] for steps in series], len(x))
        looks = {"tone": tone(index), "dashed": index >= NUM_TONES}
        curves.append(_banded(modality, x, values, looks))
    return curves


def _stacked(columns: Sequence[Sequence[float | None]], length: int) -> Floats:
    """Seeds by steps; NaN where a run ended earlier or a value is missing."""
    values = np.full((len(columns), length), math.nan)
    for row, column in enumerate(columns):
        values[row, : len(column)] = [math.nan if v is None else v for v in column]
    return values


def _banded(label: str, x: Floats, values_ST: Floats, looks: dict[str, Any]) -> Curve:
    """A curve of at most MAX_POINTS points, each of all seeds and of neighbouring steps."""
    bins = np.array_split(np.arange(len(x)), min(len(x), MAX_POINTS))
    means, lows, highs = np.full((3, len(bins)), math.nan)
    for place, members in enumerate(bins):
        known = values_ST[:, members]
        known = known[np.isfinite(known)]
        if len(known):
            means[place], lows[place], highs[place] = known.mean(), known.min(), known.max()
    places = np.array([x[members].mean() for members in bins])
    return Curve(label=label, x=places, y=means, low=lows, high=highs, **looks)
