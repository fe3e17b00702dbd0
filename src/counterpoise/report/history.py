"""The report of a run from what its loop has logged, whatever the loop."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from counterpoise.core.errors import check_list
from counterpoise.report.compose import line_figure
from counterpoise.report.figure import Figure
from counterpoise.report.formats import FACTOR, NUMBER, PERCENT
from counterpoise.report.glossary import terms
from counterpoise.report.page import Page, Part, Section
from counterpoise.report.series import Axis, Level, Line, Look, looks_of
from counterpoise.report.table import Column, Table

_TRAINING, _VALIDATION = "training", "validation"
_OF_MODALITY = re.compile(r"(?:validation/)?response/(.+)/\w+|coefficient/(.+)")

Course = tuple[list[float], list[float]]
"""Steps, and the values logged at them."""


def write_log_report(
    entries: Sequence[Mapping[str, float]],
    path: str | os.PathLike[str],
    *,
    title: str = "Training report",
) -> Path:
    """Writes what a training loop has logged as one self-contained HTML page.

    Args:
        entries: In order, each a mapping with "step" and whatever was logged then: "loss",
            "validation/loss", and of each modality "response/<name>/score" and
            "coefficient/<name>", with "validation/" in front where they are of validation data.
            ``train/`` in front, and ``eval_`` for ``validation/``, mean the same: the
            ``state.log_history`` of a Trainer of Hugging Face can be given as it is. Other names
            are left out.
        path: The file to write. It appears whole or not at all; an older one is replaced.
        title: The page's heading.

    Returns:
        The path written. Equal entries give equal bytes.

    Raises:
        ValueError: No entry has a step and a loss.
        ImportError: What draws charts is not installed.

    Example:
        >>> write_log_report([], "report.html")
        Traceback (most recent call last):
        ValueError: `entries` should hold a "loss" with its "step"; found neither in 0 entries. ...
    """
    check_list("entries", entries, Mapping, "mappings, each with its step")
    courses = _courses(entries)
    losses = {
        label: courses[name]
        for label, name in ((_TRAINING, "loss"), (_VALIDATION, "validation/loss"))
        if name in courses
    }
    if not losses:
        raise ValueError(
            '`entries` should hold a "loss" with its "step"; found neither in '
            f"{len(entries)} entries. Log balanced's out.loss under that name."
        )
    modalities = list(
        dict.fromkeys(
            match[1] or match[2] for name in courses if (match := _OF_MODALITY.fullmatch(name))
        )
    )
    figures = _figures(courses, modalities)
    parts: list[Part] = []
    if modalities:
        parts.append(Section("Modalities", [_table(courses, modalities)]))
    if figures:
        parts.append(Section("Course of training", figures))
        parts.append(Section("Terms", [terms("Response", "Score s", "Coefficient κ")]))
    return Page(title, _lead(losses), parts, figure=_loss_figure(losses)).write(path)


def _courses(entries: Sequence[Mapping[str, float]]) -> dict[str, Course]:
    """Sort what was logged by name, names in one spelling."""
    courses: dict[str, Course] = {}
    for entry in entries:
        if "step" not in entry:
            continue
        for name, value in entry.items():
            if isinstance(value, int | float):
                spelt = re.sub("^eval_", "validation/", name.removeprefix("train/"))
                steps, values = courses.setdefault(spelt, ([], []))
                steps.append(float(entry["step"]))
                values.append(float(value))
    return courses


def _lead(losses: Mapping[str, Course]) -> list[str]:
    sentences = []
    for label, (steps, values) in losses.items():
        lowest = min((value for value in values if math.isfinite(value)), default=math.nan)
        at = next((s for s, v in zip(steps, values, strict=True) if v == lowest), math.nan)
        sentences.append(
            f"The {label} loss goes from {NUMBER(values[0])} to {NUMBER(values[-1])} by step "
            f"{steps[-1]:.0f}; it was lowest, {NUMBER(lowest)}, at step {at:.0f}."
        )
    return sentences


def _loss_figure(losses: Mapping[str, Course]) -> Figure | None:
    lines = [Line(label, *course) for label, course in losses.items()]
    looks = looks_of([_TRAINING, _VALIDATION])
    caption = "The loss that is trained and, where it was measured, the same on validation data."
    return line_figure(
        "Loss", caption, [("", lines)], looks, (Axis("step", whole=True), Axis("Loss"))
    )


def _figures(courses: Mapping[str, Course], modalities: Sequence[str]) -> list[Figure]:
    score = "Score of each modality's response"
    factor = Axis("Coefficient", levels=[Level(1.0)], factor=True)
    drawn = (
        ("Scores", f"{score}; lower is better.", "response/{}/score", Axis("Score")),
        (
            "Coefficients",
            "Coefficient of each modality; above 1 the method boosts the modality, below 1 it "
            "brakes it, at 1 (dashed) it leaves it as it is.",
            "coefficient/{}",
            factor,
        ),
        (
            "Validation scores",
            f"{score} on validation data; lower is better.",
            "validation/response/{}/score",
            Axis("Score"),
        ),
    )
    figures = []
    for title, caption, name, axis in drawn:
        lines = [
            Line(modality, *courses[name.format(modality)])
            for modality in modalities
            if name.format(modality) in courses
        ]
        looks: dict[str, Look] = looks_of(modalities)
        figure = line_figure(title, caption, [("", lines)], looks, (Axis("step", whole=True), axis))
        figures.append(figure)
    return [figure for figure in figures if figure is not None]


def _table(courses: Mapping[str, Course], modalities: Sequence[str]) -> Table:
    columns = [
        Column("modality", "Modality", numeric=False),
        Column("score", "Score", show=NUMBER),
        Column("coefficient", "Coefficient", show=FACTOR),
        Column("validation/score", "Validation score", show=NUMBER),
        Column("validation/accuracy", "Validation accuracy, %", show=PERCENT),
    ]
    names = [
        *("response/{}/score", "coefficient/{}"),
        *("validation/response/{}/score", "validation/response/{}/accuracy"),
    ]
    kept = [name for name in names if any(name.format(m) in courses for m in modalities)]
    shown = [columns[0], *(columns[1 + names.index(name)] for name in kept)]
    rows = [
        (modality, *(_last(courses, name.format(modality)) for name in kept))
        for modality in modalities
    ]
    return Table("The last values logged, of each modality's response.", shown, rows)


def _last(courses: Mapping[str, Course], name: str) -> float | None:
    return courses[name][1][-1] if name in courses else None
