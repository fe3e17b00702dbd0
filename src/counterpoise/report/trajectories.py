"""The figures of a run: accuracy over epochs, scores and coefficients over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from counterpoise.report.curves import MAX_POINTS, Curve, Level, Scale, is_logarithmic, thin
from counterpoise.report.page import Figure
from counterpoise.report.panels import draw_panels
from counterpoise.report.prose import enumerate_words
from counterpoise.report.records import Run, modalities_of, show_setting
from counterpoise.report.svg import NUM_TONES, tone

__all__ = ["accuracy_figure", "coefficient_figure", "score_figure"]


def accuracy_figure(runs: Sequence[Run]) -> Figure | None:
    """Validation accuracy over epochs, of the whole model and of each response, a panel a run."""
    looks = _looks(runs)
    panels = []
    for run in runs:
        epochs, values = run.over_epochs()
        best = dict(zip(epochs, values, strict=True)).get(run.record["best_epoch"], math.nan)
        ring = (run.record["best_epoch"], best) if math.isfinite(best) else None
        curves = [
            _curve(modality, *run.over_epochs(modality), **looks[modality])
            for modality in run.modalities
        ]
        curves.append(_curve("whole model", epochs, values, tone="ink", ring=ring, bold=True))
        panels.append((run.label, curves))
    scale = Scale("epoch", "Validation accuracy, %", percent=True)
    caption = (
        "Accuracy on the validation set after each epoch, of the whole model and of each "
        "modality's response alone; higher is better."
    )
    if any(curve.ring for _, curves in panels for curve in curves):
        caption += " The ring marks the epoch that validation chose and the test set was used on."
    return _figure("Validation accuracy", caption, panels, scale, "accuracy")


def score_figure(runs: Sequence[Run]) -> Figure | None:
    """Scores over steps, a panel for each run that recorded them; None where none did."""
    # The cross-entropy of guessing says nothing about another score.
    num_classes = {
        run.record["data"]["num_classes"] if _scored_by_cross_entropy(run) else None for run in runs
    }
    levels: list[Level] = []
    caption = "Score of each modality's response, in nats; lower is better."
    if len(num_classes) == 1 and (classes := num_classes.pop()):
        guess = math.log(classes)
        levels = [Level(guess, "guessing")]
        caption += (
            f" The dashed line is the cross-entropy of guessing among {classes} classes, "
            f"ln {classes} = {guess:.2f}: a response above it is worse than guessing."
        )
    scale = Scale("step", "Score, nats", levels)
    return _step_figure("Scores", caption, runs, "scores", scale)


def _scored_by_cross_entropy(run: Run) -> bool:
    score = (run.record["method"]["settings"] or {}).get("score")
    return score is None or show_setting(score).startswith("CrossEntropy")


def coefficient_figure(runs: Sequence[Run]) -> Figure | None:
    """Coefficients over steps, a panel for each run that has them; None where none has."""
    caption = (
        "Coefficient of each modality; above 1 the method boosts the modality, below 1 it brakes "
        "it, at 1 (dashed) it leaves it as it is."
    )
    values = [bound for run in runs for bound in run.coefficient_range if bound is not None]
    scale = Scale("step", "Coefficient", [Level(1.0)], factor=True)
    if is_logarithmic([1.0, *values], scale):
        caption += " The axis is logarithmic: doubling and halving take equal room."
    return _step_figure("Coefficients", caption, runs, "coefficients", scale)


def _step_figure(
    title: str, caption: str, runs: Sequence[Run], quantity: str, scale: Scale
) -> Figure | None:
    looks = _looks(runs)
    panels = []
    for run in runs:
        steps = [float(step) for step in run.record["steps"]["step"]]
        rows = run.over_steps(quantity)
        if rows:
            curves = [_curve(name, steps, row, **looks[name]) for name, row in rows.items()]
            panels.append((run.label, curves))
    without = [run.label for run in runs if not run.over_steps(quantity)]
    if without:
        verb = "has" if len(without) == 1 else "have"
        caption += f" {enumerate_words(without)} {verb} no {quantity}."
    return _figure(title, caption, panels, scale, quantity)


def _thinned(panels: Sequence[tuple[str, Sequence[Curve]]], unit: str) -> str:
    curves = [curve for _, members in panels for curve in members]
    lengths = [len(curve.x) for curve in curves]
    long = [length for length in lengths if length > MAX_POINTS]
    if not long:
        return f"Every recorded {unit} is drawn{_spacing(curves)}."
    fewest, most = min(long) // MAX_POINTS, -(-max(long) // MAX_POINTS)
    among = f"{most}" if fewest == most else f"{fewest} to {most}"
    text = (
        f"Each point is the mean of {among} recorded {unit}s{_spacing(curves)}, "
        "the band spans their extremes"
    )
    return text + ("." if len(long) == len(lengths) else f"; shorter runs show every {unit}.")


def _spacing(curves: Sequence[Curve]) -> str:
    """How many places along the axis there are for one that was recorded, where that is one."""
    gaps = np.unique(np.concatenate([np.diff(curve.x) for curve in curves]))
    return f" (one in {gaps[0]:.0f})" if len(gaps) == 1 and gaps[0] > 1 else ""


def _looks(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """What tells a modality's curve from the others', the same in every figure."""
    return {
        modality: {"tone": tone(index), "dashed": index >= NUM_TONES}
        for index, modality in enumerate(modalities_of(runs))
    }


def _curve(label: str, x: Sequence[float], y: Sequence[float], **looks: Any) -> Curve:
    values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return Curve(label=label, x=values[0], y=values[1], **looks)


def _figure(
    title: str,
    caption: str,
    panels: Sequence[tuple[str, Sequence[Curve]]],
    scale: Scale,
    name: str,
) -> Figure | None:
    """The figure, or None where no curve has a finite value."""
    thinned = [(label, [thin(curve) for curve in curves]) for label, curves in panels]
    if not any(len(curve.extent) for _, curves in thinned for curve in curves):
        return None
    caption = f"{caption} {_thinned(panels, scale.x_label)}"
    return Figure(title, caption, draw_panels(thinned, scale, name=name))
