"""Runs as a table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from counterpoise.data.tasks import MetricForm
from counterpoise.training.results import headline, tested, tested_responses

Record = Mapping[str, Any]


def print_runs(
    records: Sequence[Record],
    title: str | None = None,
    *,
    names: Sequence[str] | None = None,
) -> None:
    """Print results on test data, cost, and range of coefficients of each record.

    A line for each, with a column for each modality; a line for each modality where that would
    not fit the terminal. Nothing is cut off.

    Args:
        records: As :func:`counterpoise.training.train` returns them, of the same task.
        title: What stands above.
        names: What the runs are called. Default: their methods.
    """
    labels = [str(record["method"]["name"]) for record in records] if names is None else names
    first = "method" if names is None else "run"
    console = Console()
    wide = _wide(records, labels, first)
    unbounded = console.options.update(width=10_000)
    fits = wide is not None and console.measure(wide, options=unbounded).maximum <= console.width
    table = wide if wide is not None and fits else _long(records, labels, first)
    table.title = title
    console.print(table)


def _table(first: str) -> Table:
    table = Table(title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.pad_edge = False
    table.add_column(first, overflow="fold")
    return table


def _wide(records: Sequence[Record], labels: Sequence[str], first: str) -> Table | None:
    """A line a run; None where runs have other modalities than the first."""
    modalities = records[0]["data"]["modalities"]
    if any(record["data"]["modalities"] != modalities for record in records):
        return None
    form, table = headline(records[0]), _table(first)
    headings = [form.title, *(f"{name} response" for name in modalities)]
    for heading in (*headings, "ms a step", "coefficients"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label, record in zip(labels, records, strict=True):
        responses = [response for _, response, _ in _of_modalities(record, form)]
        steps = _range([column for *_, column in _of_modalities(record, form)])
        table.add_row(label, _whole(record, form), *responses, _milliseconds(record), steps)
    return table


def _long(records: Sequence[Record], labels: Sequence[str], first: str) -> Table:
    """A line for each modality of a run."""
    table = _table(first)
    table.add_column(headline(records[0]).title, justify="right")
    table.add_column("ms a step", justify="right")
    table.add_column("modality", overflow="fold")
    for heading in ("response", "coefficient"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label, record in zip(labels, records, strict=True):
        form = headline(record)
        whole = [label, _whole(record, form), _milliseconds(record)]
        for name, response, column in _of_modalities(record, form):
            table.add_row(*whole, name, response, _range([column]))
            whole = ["", "", ""]
    return table


def _of_modalities(
    record: Record, form: MetricForm
) -> Iterator[tuple[str, str, Sequence[float | None]]]:
    """Yield each modality, the result of its response, and its coefficients."""
    responses, columns = tested_responses(record), record["steps"]["coefficients"] or {}
    for name in record["data"]["modalities"]:
        value = None if responses is None else responses[name]
        yield name, "-" if value is None else form.text(value), columns.get(name, ())


def _whole(record: Record, form: MetricForm) -> str:
    value = tested(record)
    if value is not None:
        return form.text(value)
    return "diverged" if record.get("outcome") == "diverged" else "-"


def _milliseconds(record: Record) -> str:
    seconds = record["seconds_per_step"]
    return "-" if seconds is None else f"{1000 * seconds:.1f}"


def _range(columns: Sequence[Sequence[float | None]]) -> str:
    values = [v for column in columns for v in column if v is not None]
    return f"{min(values):.2f} to {max(values):.2f}" if values else "-"
