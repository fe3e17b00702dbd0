"""The measurement of competition as a table, a figure and a self-contained HTML page."""

from __future__ import annotations

from typing import Any, Final

from counterpoise.experiments.compete.imbalance import IMBALANCE_TERMS, imbalance_table
from counterpoise.experiments.compete.prose import facts, lead, notes
from counterpoise.experiments.compete.results import Competition
from counterpoise.report import (
    Axis,
    Column,
    Details,
    Figure,
    Level,
    Page,
    Point,
    Section,
    Table,
    looks_of,
    row_figure,
    terms,
)

_TERMS: Final = (
    *("Competition strength", "Concept", "Concept varies in", "Alone", "Probe", "Contribution"),
    "95% interval",
)


def strength_figure(competition: Competition) -> Figure | None:
    """Draw the strengths: a chart for each modality, a row for each method.

    Raises:
        ImportError: What draws charts is not installed.
    """
    axis = Axis("Competition strength", levels=[Level(0.0), Level(1.0)])
    panels = [
        (name, [_point(competition, method, name) for method in competition.methods], axis)
        for name in competition.modalities
    ]
    caption = (
        "Points: mean over seeds, with a 95% interval; faint: single seeds. 0: the joint model "
        "carries all that the modality alone would know; 1: no more than the mean. Further right "
        "is held back more."
    )
    looks = looks_of(competition.modalities)
    return row_figure("Competition strength", caption, panels, looks, shared=True)


def _point(competition: Competition, method: str, modality: str) -> Point:
    mean = competition.mean(method, "strength", modality)
    repeats = competition.values(method, "strength", modality)
    return Point(method, mean.mean, mean.low, mean.high, modality, repeats=repeats)


def competition_page(competition: Competition) -> Page:
    """Compose the page.

    Raises:
        ImportError: What draws charts is not installed.
    """
    entries = _flatten({"recipe": competition.recipe, "data": competition.data})
    entries += _flatten({"paths": competition.paths.describe()})
    record = Table(
        "Entries of the record; a dot leads into a group. A dash: none.",
        [Column("entry", "Entry", numeric=False), Column("value", "Value", numeric=False)],
        entries,
    )
    imbalance = imbalance_table(competition)
    return Page(
        "Modality competition",
        lead(competition),
        [
            Section("In numbers", [competition.table()]),
            *([Section("As other papers measure it", [imbalance])] if imbalance else []),
            Section("Terms", [terms(*_TERMS, *(IMBALANCE_TERMS if imbalance else ()))]),
            Section("Configuration", [Details("The record of the measurement", [record])]),
        ],
        facts(competition),
        strength_figure(competition),
        notes(competition),
    )


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [e for key, inner in value.items() for e in _flatten(inner, f"{prefix}.{key}")]
    shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return [(prefix.removeprefix("."), shown)]
