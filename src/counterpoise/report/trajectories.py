"""The figures of runs: the metric over epochs, scores and coefficients over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from counterpoise.report.compose import line_figure, row_figure
from counterpoise.report.figure import Figure
from counterpoise.report.formats import enumerate_words
from counterpoise.report.metric import ACCURACY, Metric
from counterpoise.report.records import Run, modalities_of, show_setting
from counterpoise.report.series import Axis, Level, Line, Look, Point, looks_of

_WHOLE = "whole model"


def result_figure(runs: Sequence[Run], metric: Metric = ACCURACY) -> Figure | None:
    """The test result of each run and of its responses, a row a run; None where none has any."""
    points = [
        Point(run.label, value, label=label)
        for run in runs
        for label, value in (
            (_WHOLE, run.result(metric)),
            *((name, run.response_result(name, metric)) for name in run.modalities),
        )
        if value is not None
    ]
    caption = (
        f"On the test set, of the model kept by its validation result and of each modality's "
        f"response alone; {metric.direction}."
    )
    axis = Axis(metric.on("Test"), metric.form)
    return row_figure(f"Test {metric.title}", caption, [("", points, axis)], _looks(runs))


def curve_figure(runs: Sequence[Run], metric: Metric = ACCURACY) -> Figure | None:
    """The validation result over epochs, of the whole model and each response, a chart a run."""
    panels = []
    for run in runs:
        lines = [Line(name, *run.over_epochs(metric, name)) for name in run.modalities]
        whole = Line(_WHOLE, *run.over_epochs(metric), marked=run.best_epoch)
        panels.append((run.label, [*lines, whole]))
    caption = (
        f"Validation {metric.title} after each epoch, of the whole model and of each modality's "
        f"response alone; {metric.direction}."
    )
    if any(_marked(line) for _, lines in panels for line in lines):
        caption += " The ring marks the epoch that validation chose and the test set was used on."
    axes = Axis("epoch", whole=True), Axis(metric.on("Validation"), metric.form)
    return line_figure(f"Validation {metric.title}", caption, panels, _looks(runs), axes)


def _marked(line: Line) -> bool:
    values = dict(zip(line.x, line.y, strict=True))
    return line.marked is not None and math.isfinite(values.get(line.marked, math.nan))


def score_figure(runs: Sequence[Run]) -> Figure | None:
    """Scores over steps, a chart for each run that recorded them; None where none did."""
    # The cross-entropy of guessing says nothing about another score.
    num_classes = {
        run.record["data"]["num_classes"] if _scored_by_cross_entropy(run) else None for run in runs
    }
    levels: list[Level] = []
    title, unit = "Score", ", nats" if all(map(_scored_by_cross_entropy, runs)) else ""
    caption = f"Score of each modality's response{unit and ', in nats'}; lower is better."
    if len(num_classes) == 1 and (classes := num_classes.pop()):
        guess = math.log(classes)
        levels = [Level(guess, "guessing")]
        caption += (
            f" The dashed line is the cross-entropy of guessing among {classes} classes, "
            f"ln {classes} = {guess:.2f}: a response above it is worse than guessing."
        )
    return _step_figure("Scores", caption, runs, "scores", Axis(f"{title}{unit}", levels=levels))


def _scored_by_cross_entropy(run: Run) -> bool:
    score = (run.record["method"]["settings"] or {}).get("score")
    return score is None or show_setting(score).startswith("CrossEntropy")


def coefficient_figure(runs: Sequence[Run]) -> Figure | None:
    """Coefficients over steps, a chart for each run that has them; None where none has."""
    caption = (
        "Coefficient of each modality; above 1 the method boosts the modality, below 1 it brakes "
        "it, at 1 (dashed) it leaves it as it is."
    )
    axis = Axis("Coefficient", levels=[Level(1.0)], factor=True)
    return _step_figure("Coefficients", caption, runs, "coefficients", axis)


def _step_figure(
    title: str, caption: str, runs: Sequence[Run], quantity: str, axis: Axis
) -> Figure | None:
    panels = []
    for run in runs:
        steps = [float(step) for step in run.record["steps"]["step"]]
        rows = run.over_steps(quantity)
        if rows:
            panels.append((run.label, [Line(name, steps, row) for name, row in rows.items()]))
    without = [run.label for run in runs if not run.over_steps(quantity)]
    if without and panels:
        verb = "has" if len(without) == 1 else "have"
        caption += f" {enumerate_words(without)} {verb} no {quantity}."
    return line_figure(title, caption, panels, _looks(runs), (Axis("step", whole=True), axis))


def _looks(runs: Sequence[Run]) -> Mapping[str, Look]:
    """What tells modalities apart, the same in every figure; the whole model stands out."""
    looks = looks_of(modalities_of(runs))
    return {_WHOLE: replace(Look(), bold=True), **looks}
