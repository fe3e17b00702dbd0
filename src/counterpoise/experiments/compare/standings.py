"""How modalities compete, as the report shows it: a table, a figure, CSV rows and terms."""

from __future__ import annotations

from collections.abc import Sequence

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.competing import Competing
from counterpoise.experiments.compare.rows import Block, Row
from counterpoise.measures.statistics import Interval
from counterpoise.report import Column, Figure, Table
from counterpoise.report.curves import Level, Scale
from counterpoise.report.formats import percent
from counterpoise.report.intervals import Mark, draw_apart
from counterpoise.report.prose import enumerate_words
from counterpoise.report.svg import tone

__all__ = ["competition_figure", "competition_table", "competition_terms", "measurements_table"]

_TIED = "\N{NO-BREAK SPACE}"
_ABSENT = ((2, "1 in 5"), (5, "1 in 2"))
"""Places in the curve of robustness, and how often each modality is absent there."""


def competition_table(block: Block) -> Table | None:
    """A row for each method: probes, strengths, contributions; None where nothing was measured."""
    rows = _measured(block)
    if not rows:
        return None
    names = rows[0][1].modalities
    columns = [Column("method", "Method", numeric=False)]
    columns += [
        Column(f"probe_{name}", name, "Test accuracy of the probe, %", percent, True, True, tone(i))
        for i, name in enumerate(names)
    ]
    columns += [Column(f"strength_{n}", n, "Competition strength", _strength) for n in names]
    columns += [Column(f"share_{n}", n, "Contribution to accuracy, points", percent) for n in names]
    columns += [
        Column(f"absent_{place}", often, "Test accuracy, each modality absent, %", percent)
        for place, often in _ABSENT
    ]
    lines = [(row.method, *_numbers(found, names)) for row, found in rows]
    caption = (
        f"Test data of {block.title}, chosen configurations, means over seeds; strengths with "
        f"their 95% interval. {_alone_sentence(rows[0][1])} A dash: not measured."
    )
    return Table(caption, columns, lines)


def _measured(block: Block) -> list[tuple[Row, Competing]]:
    return [
        (row, row.competing)
        for row in block.rows
        if row.competing is not None and row.competing.outcomes
    ]


def _numbers(found: Competing, names: Sequence[str]) -> list[object]:
    probes = [found.summary("probe", name) for name in names]
    shares = [found.summary("contribution", name) for name in names]
    absent = [found.robustness(place) for place, _ in _ABSENT]
    strengths = [found.summary("strength", name) for name in names]
    return [*map(_mean, probes), *strengths, *map(_mean, shares), *map(_mean, absent)]


def _mean(summary: Interval | None) -> float | None:
    return None if summary is None else summary.mean


def _strength(summary: Interval) -> str:
    if summary.low is None or summary.high is None:
        return f"{summary.mean:.2f}"
    return f"{summary.mean:.2f} [{summary.low:.2f},{_TIED}{summary.high:.2f}]"


def _alone_sentence(found: Competing) -> str:
    """Say what modalities reach alone, which is the same for all methods."""
    told = []
    for name in found.modalities:
        summary = found.summary("alone", name)
        assert summary is not None
        spread = "" if summary.std is None else f" ± {percent(summary.std)}"
        told.append(f"{name} {percent(summary.mean)}{spread}%")
    return f"Trained alone the network reaches: {enumerate_words(told)}."


def competition_figure(block: Block, *, name: str) -> Figure | None:
    """Probes and strengths of each modality, and robustness; None where nothing was measured."""
    rows = _measured(block)
    if not rows:
        return None
    alone = ("trained alone", _marks(rows[0][1], "alone"))
    probes = [(row.method, _marks(found, "probe")) for row, found in rows]
    parts = [
        ("Probes of encoders", [alone, *probes], Scale("method", "Test accuracy, %", percent=True)),
        (
            "Competition strength",
            [(row.method, _marks(found, "strength")) for row, found in rows],
            Scale("method", "0: all is carried, 1: no more than the mean", [Level(1.0)]),
        ),
        (
            "With each modality absent 1 time in 5",
            [(row.method, _robust(found)) for row, found in rows],
            Scale("method", "Test accuracy to be expected, %", percent=True),
        ),
    ]
    panels = draw_apart(parts, name=name)
    caption = (
        "Mean over seeds with its 95% interval; faint dots are single seeds. A probe is a linear "
        "classifier on the features of one encoder; where it falls short of what the network "
        "reaches trained on the modality alone, the encoder has learnt less than it could have. "
        "Further right in the second panel is held back more."
    )
    return Figure(f"Competition of modalities on {block.title}", caption, panels)


def _marks(found: Competing, quantity: str) -> list[Mark]:
    marks = []
    for index, name in enumerate(found.modalities):
        summary = found.summary(quantity, name)
        if summary is not None:
            repeats = found.values(quantity, name)
            marks.append(Mark(summary.mean, *summary.ends, name, tone(index), repeats=repeats))
    return marks


def _robust(found: Competing) -> list[Mark]:
    summary = found.robustness(_ABSENT[0][0])
    return [] if summary is None else [Mark(summary.mean, *summary.ends)]


def measurements_table(comparison: Comparison) -> Table:
    """Every measurement, a row for each run and modality, for the CSV file."""
    quantities = ("alone", "probe", "strength", "varying", "contribution")
    columns = [
        Column(name, name.replace("_", " ").capitalize())
        for name in ("data", "fusion", "method", "seed", "modality", "response", *quantities)
    ]
    rows = []
    for block in comparison.blocks:
        for row, found in _measured(block):
            chosen = row.outcome.chosen
            assert chosen is not None
            for seed, outcome in found.outcomes.items():
                responses = chosen.records[seed]["test"]["response_accuracy"]
                for name in found.modalities:
                    numbers = [outcome[quantity].get(name) for quantity in quantities]
                    place = (block.data, block.fusion, row.method, seed, name)
                    rows.append((*place, responses[name], *numbers))
    return Table("Measurements of competition.", columns, rows)


def competition_terms() -> list[tuple[str, str]]:
    """The terms of these parts and what they mean."""
    from counterpoise.experiments.compete.prose import definitions

    own = (
        "Each modality absent",
        "The test accuracy to be expected where each modality is absent with this probability, "
        "independently of the others: exact, from the accuracy of every subset of modalities.",
    )
    return [*((term, text) for term, text in definitions() if term != "Concept varies in"), own]
