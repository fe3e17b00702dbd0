"""All that records hold beside their series, divided by whether the runs differ in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from counterpoise.report.page import Details, Part
from counterpoise.report.records import Run
from counterpoise.report.table import Column, Table

# Series are drawn; the chosen epoch stands among the results, counted from 1.
_LEFT_OUT: Final = {"epochs", "steps", "best_epoch"}
_CAPTION: Final = "Entries of the record; a dot leads into a group. A dash: none."


def configuration(runs: Sequence[Run]) -> list[Part]:
    """Unfolding tables of settings, data, model, versions and hardware.

    Args:
        runs: At least one run.

    Returns:
        A table of the entries that differ, a column a run, unless none does, and a table of those
        that all runs share.
    """
    flat = [_flatten(run.record) for run in runs]
    groups = dict.fromkeys(group for run in runs for group in run.record if group not in _LEFT_OUT)
    keys = dict.fromkeys(
        key for group in groups for run in runs for key in _flatten({group: run.record.get(group)})
    )
    rows = [(key, *(entries.get(key) for entries in flat)) for key in keys]
    differing = [row for row in rows if len(set(map(str, row[1:]))) > 1]
    shared = [row[:2] for row in rows if row not in differing]
    entry = Column("entry", "Entry", numeric=False)
    labels = [
        Column(f"run_{number}", run.label, numeric=False)
        for number, run in enumerate(runs, start=1)
    ]
    parts: list[Part] = []
    if differing:
        table = Table(_CAPTION, [entry, *labels], differing)
        parts.append(Details("What differs between the runs", [table]))
    value = Column("value", "Value", numeric=False)
    summary = "What all runs share" if len(runs) > 1 else "The record of the run"
    return [*parts, Details(summary, [Table(_CAPTION, [entry, value], shared)])]


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, entry in value.items():
        if isinstance(entry, Mapping):
            flat |= _flatten(entry, f"{prefix}{key}.")
        elif isinstance(entry, (list, tuple)):
            flat[f"{prefix}{key}"] = ", ".join(map(str, entry))
        else:
            flat[f"{prefix}{key}"] = entry
    return flat
