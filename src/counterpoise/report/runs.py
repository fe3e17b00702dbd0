"""The report of one or more runs: a table, three figures, and all it takes to read them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterpoise.report.configuration import configuration
from counterpoise.report.formats import decimals, percent, significant
from counterpoise.report.page import Page, Part, Section, Terms
from counterpoise.report.prose import definitions, facts, lead, notes
from counterpoise.report.records import Run, modalities_of, read_runs
from counterpoise.report.svg import tone
from counterpoise.report.table import Column, Table
from counterpoise.report.trajectories import accuracy_figure, coefficient_figure, score_figure

__all__ = ["run_page", "run_table", "write_run_report"]


def write_run_report(
    records: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    title: str = "Training report",
) -> Path:
    """Writes the report of one or more runs as one self-contained HTML file.

    Args:
        records: The contents of run records (`record.json`), at least one; the first is the one
            that costs are compared with.
        path: The file to write. It appears whole or not at all; an older one is replaced.
        title: The page's heading.

    Returns:
        The path written. Equal records give equal bytes.

    Raises:
        TypeError: `records` is not a sequence of mappings.
        ValueError: There are no records, a record lacks a key, or `path` is a folder.
        ModuleNotFoundError: Matplotlib is not installed.

    Example:
        >>> write_run_report([], "report.html")
        Traceback (most recent call last):
        ValueError: `records` should hold at least one run; found none. Train a model first.
    """
    return run_page(records, title=title).write(path)


def run_page(records: Sequence[Mapping[str, Any]], *, title: str = "Training report") -> Page:
    """The page that `write_run_report` writes, for those who want to add parts to it.

    Args:
        records: As for `write_run_report`.
        title: The page's heading.

    Returns:
        The page.

    Raises:
        TypeError: `records` is not a sequence of mappings.
        ValueError: There are no records, or a record lacks a key.
        ModuleNotFoundError: Matplotlib is not installed.
    """
    runs = read_runs(records)
    figures = [accuracy_figure(runs), score_figure(runs), coefficient_figure(runs)]
    drawn = [figure for figure in figures if figure is not None]
    parts: list[Part] = [*notes(runs), Section("Results", [_summary(runs)])]
    if drawn:
        parts.append(Section("Course of training", drawn))
    parts.append(Section("Terms", [Terms(definitions())]))
    parts.append(Section("Configuration", configuration(runs)))
    return Page(title, lead(runs), parts, facts(runs))


def run_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """The summary table of the report, which also renders as Markdown and CSV.

    Args:
        records: As for `write_run_report`.

    Returns:
        One row a run, with accuracies in [0, 1], seconds a step, its ratio to the first run, and
        the lowest and highest coefficient.

    Raises:
        TypeError: `records` is not a sequence of mappings.
        ValueError: There are no records, or a record lacks a key.
    """
    return _summary(read_runs(records))


def _summary(runs: Sequence[Run]) -> Table:
    modalities = modalities_of(runs)
    accuracy, responses = "Test accuracy, %", "Test accuracy of the response, %"
    cost, coefficients = "Time a step", "Coefficients"
    columns = [
        Column("method", "Method", numeric=False),
        Column("test_accuracy", "whole model", accuracy, percent, bar=True),
        *(
            Column(
                f"test_response_accuracy_{modality}",
                modality,
                responses,
                percent,
                bar=True,
                tone=tone(index),
            )
            for index, modality in enumerate(modalities)
        ),
        Column("seconds_per_step", "ms", cost, _milliseconds),
        Column(
            "seconds_per_step_ratio", f"\N{MULTIPLICATION SIGN} {runs[0].label}", cost, decimals(2)
        ),
        Column("coefficient_lowest", "lowest", coefficients, _factor),
        Column("coefficient_highest", "highest", coefficients, _factor),
    ]
    rows = [
        (
            run.label,
            run.accuracy,
            *(run.response_accuracy(modality) for modality in modalities),
            run.seconds_per_step,
            _ratio(run.seconds_per_step, runs[0].seconds_per_step),
            *run.coefficient_range,
        )
        for run in runs
    ]
    caption = (
        "Accuracy on the test set, of the model kept by its validation result and of each "
        "modality's response; cost; range of the coefficients. A dash: not measured, or not used."
    )
    return Table(caption, columns, rows)


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _milliseconds(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:,.{max(0, 2 - max(0, math.floor(math.log10(value or 1))))}f}"


def _factor(value: float) -> str:
    return f"{value:,.2f}" if 0.1 <= abs(value) < 1e6 else significant(value, 2)
