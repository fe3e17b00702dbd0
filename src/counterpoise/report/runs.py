"""The report of one or more runs: a table, four figures, and the explanations to read them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from counterpoise.report.configuration import configuration
from counterpoise.report.formats import FACTOR, NUMBER, milliseconds
from counterpoise.report.glossary import terms
from counterpoise.report.metric import ACCURACY, Metric
from counterpoise.report.page import Page, Part, Section
from counterpoise.report.prose import facts, lead, notes
from counterpoise.report.records import Run, modalities_of, ratio, read_runs
from counterpoise.report.table import Column, Table
from counterpoise.report.theme import tone
from counterpoise.report.trajectories import (
    coefficient_figure,
    curve_figure,
    result_figure,
    score_figure,
)

_FIRST: Final = Column("method", "Method", numeric=False)
_TERMS: Final = ("Response", "Score s", "Discrepancy ratio r", "Coefficient κ", "Step time")


def write_run_report(
    records: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    title: str = "Training report",
    metric: Metric = ACCURACY,
    names: Sequence[str] | None = None,
) -> Path:
    """Writes the report of one or more runs as one self-contained HTML file.

    Args:
        records: The contents of run records (`record.json`), at least one; the first is the one
            that costs are compared with.
        path: The file to write. It appears whole or not at all; an older one is replaced.
        title: The page's heading.
        metric: The headline number, which the records hold under its name. Default: accuracy.
        names: What the runs are called, one each. Default: their methods, and what else tells
            them apart.

    Returns:
        The path written. Equal records give equal bytes.

    Raises:
        TypeError: `records` is not a sequence of mappings.
        ValueError: There are no records, a record lacks a key, or `path` is a folder.
        ImportError: What draws charts is not installed.

    Example:
        >>> write_run_report([], "report.html")
        Traceback (most recent call last):
        ValueError: `records` should hold at least one run; found none. Train a model first.
    """
    return run_page(records, title=title, metric=metric, names=names).write(path)


def run_page(
    records: Sequence[Mapping[str, Any]],
    *,
    title: str = "Training report",
    metric: Metric = ACCURACY,
    names: Sequence[str] | None = None,
) -> Page:
    """The page that `write_run_report` writes, for those who want to add parts to it.

    Args:
        records: As for `write_run_report`.
        title: The page's heading.
        metric: The headline number.
        names: What the runs are called.

    Returns:
        The page.

    Raises:
        TypeError: `records` is not a sequence of mappings.
        ValueError: There are no records, or a record lacks a key.
        ImportError: What draws charts is not installed.
    """
    runs = read_runs(records, metric, names)
    figures = [curve_figure(runs, metric), score_figure(runs), coefficient_figure(runs)]
    drawn = [figure for figure in figures if figure is not None]
    first_column = _FIRST if names is None else Column("run", "Run", numeric=False)
    parts: list[Part] = [Section("Results", [_summary(runs, metric, first_column)])]
    if drawn:
        parts.append(Section("Course of training", drawn))
    parts.append(Section("Terms", [terms(*_TERMS)]))
    parts.append(Section("Configuration", configuration(runs)))
    first = result_figure(runs, metric)
    return Page(title, lead(runs, metric), parts, facts(runs), first, notes(runs, metric))


def run_table(records: Sequence[Mapping[str, Any]], metric: Metric = ACCURACY) -> Table:
    """The summary table of the report, which also renders as Markdown and CSV.

    Args:
        records: As for `write_run_report`.
        metric: The headline number.

    Returns:
        One row a run, with test results, the chosen epoch counted from 1, seconds a step, its ratio
        to the first run, and the lowest and highest coefficient.

    Raises:
        TypeError: `records` is not a sequence of mappings.
        ValueError: There are no records, or a record lacks a key.
    """
    return _summary(read_runs(records, metric), metric)


def _summary(runs: Sequence[Run], metric: Metric, first: Column = _FIRST) -> Table:
    modalities = modalities_of(runs)
    name = f"test/{metric.name}"
    rows = [
        (
            run.label,
            run.result(metric),
            *(run.response_result(modality, metric) for modality in modalities),
            run.best_epoch,
            run.seconds_per_step,
            ratio(run.seconds_per_step, runs[0].seconds_per_step),
            *run.coefficient_range,
        )
        for run in runs
    ]
    caption = (
        f"{metric.title[:1].upper()}{metric.title[1:]} on the test set, of the model kept by its "
        f"validation result and of each modality's response ({metric.direction}); the epoch that "
        "was kept; cost; range of the coefficients. A dash: not measured, or not used."
    )
    show, bar = metric.form, metric.bounded
    whole = Column(name, "whole model", metric.on("Test"), show, bar=bar)
    responses = [
        Column(
            f"test/response/{modality}/{metric.name}",
            modality,
            metric.on("Test", "of the response"),
            show,
            bar=bar,
            tone=tone(index),
        )
        for index, modality in enumerate(modalities)
    ]
    return Table(caption, [first, whole, *responses, *_cost_columns(runs)], rows)


def _cost_columns(runs: Sequence[Run]) -> list[Column]:
    cost, coefficients = "Step time", "Coefficients"
    ratio = f"\N{MULTIPLICATION SIGN} {runs[0].label}"
    return [
        Column("chosen_epoch", "Epoch"),
        Column("seconds_per_step", "ms", cost, milliseconds),
        Column("seconds_per_step_ratio", ratio, cost, NUMBER),
        Column("coefficient_lowest", "lowest", coefficients, FACTOR),
        Column("coefficient_highest", "highest", coefficients, FACTOR),
    ]
