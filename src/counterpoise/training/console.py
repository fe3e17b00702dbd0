"""Runs as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from counterpoise.training.results import headline, tested, tested_responses

__all__ = ["print_runs"]


def print_runs(records: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
    """Print a line for each record: results on test data, cost, and range of coefficients.

    Args:
        records: As :func:`counterpoise.training.train` returns them, of the same modalities and
            the same task.
        title: What stands above.
    """
    modalities = records[0]["data"]["modalities"]
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("method")
    form = headline(records[0])
    table.add_column(form.title, justify="right")
    for name in modalities:
        table.add_column(f"{name} response", justify="right")
    table.add_column("ms a step", justify="right")
    table.add_column("coefficients", justify="right")
    for record in records:
        value, responses, seconds = (
            tested(record),
            tested_responses(record),
            record["seconds_per_step"],
        )
        table.add_row(
            record["method"]["name"],
            str(record.get("outcome", "-")) if value is None else form.text(value),
            *(form.text(responses[name]) if responses else "-" for name in modalities),
            "-" if seconds is None else f"{1000 * seconds:.1f}",
            _range(record["steps"]["coefficients"]),
        )
    Console().print(table)


def _range(coefficients: Mapping[str, Sequence[float | None]] | None) -> str:
    values = [v for column in (coefficients or {}).values() for v in column if v is not None]
    return f"{min(values):.2f} to {max(values):.2f}" if values else "-"
