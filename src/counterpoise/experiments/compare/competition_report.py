"""How modalities compete, as the report shows it: a table, a figure and CSV rows."""

from __future__ import annotations

from collections.abc import Sequence

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.competition_summary import CompetitionSummary
from counterpoise.experiments.compare.rows import Block, Row
from counterpoise.experiments.compete.results import few_samples
from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures.statistics import Interval
from counterpoise.report import (
    Axis,
    Column,
    Figure,
    Level,
    Look,
    Metric,
    Point,
    Table,
    looks_of,
    row_figure,
)
from counterpoise.report.formats import enumerate_words
from counterpoise.report.theme import tone
from counterpoise.training.results import tested_responses

_WHOLE = "whole model"
_ABSENT = ((2, "1 in 5"), (5, "1 in 2"))
"""Places in the curve of robustness, and how often each modality is absent there."""


def competition_table(block: Block, metric: Metric) -> Table | None:
    """A row for each method: probes, strengths, contributions; None where nothing was measured."""
    rows = _measured(block)
    if not rows:
        return None
    names = rows[0][1].modalities
    columns = [Column("method", "Method", numeric=False)]
    probe, absent = metric.on("Test", "of the probe"), metric.on("Test", "with modalities absent")
    columns += [
        Column(f"probe_{n}", n, probe, metric.form, bar=metric.bounded, tone=tone(i))
        for i, n in enumerate(names)
    ]
    columns += [Column(f"strength_{n}", n, "Competition strength", with_interval) for n in names]
    share = f"Contribution to {metric.title}{metric.in_units}"
    columns += [Column(f"share_{n}", n, share, metric.form) for n in names]
    columns += [Column(f"absent_{place}", often, absent, metric.form) for place, often in _ABSENT]
    lines = [(row.method, *_numbers(competition, names)) for row, competition in rows]
    few = few_samples(o.get("fit_per_dimension") for o in rows[0][1].outcomes.values())
    caption = (
        f"Test data of {block.title}, chosen configurations, means over seeds; strengths with "
        f"their 95% interval. {_alone_sentence(rows[0][1], metric)}{few and ' ' + few} A "
        "dash: not measured."
    )
    return Table(caption, columns, lines)


def _measured(block: Block) -> list[tuple[Row, CompetitionSummary]]:
    return [
        (row, row.competition)
        for row in block.rows
        if row.competition is not None and row.competition.outcomes
    ]


def _numbers(competition: CompetitionSummary, names: Sequence[str]) -> list[object]:
    probes = [competition.summary("probe", name) for name in names]
    shares = [competition.summary("contribution", name) for name in names]
    absent = [competition.robustness(place) for place, _ in _ABSENT]
    strengths = [competition.summary("strength", name) for name in names]
    return [*map(_mean, probes), *strengths, *map(_mean, shares), *map(_mean, absent)]


def _mean(summary: Interval | None) -> float | None:
    return None if summary is None else summary.mean


def _alone_sentence(competition: CompetitionSummary, metric: Metric) -> str:
    """Say what modalities reach alone, which is the same for all methods."""
    told = []
    for name in competition.modalities:
        summary = competition.summary("alone", name)
        assert summary is not None
        spread = "" if summary.std is None else f" ± {metric.form(summary.std)}"
        told.append(f"{name} {metric.form(summary.mean)}{spread}{metric.unit}")
    return f"Trained alone the network reaches: {enumerate_words(told)}."


def competition_figure(block: Block, metric: Metric) -> Figure | None:
    """Probes and strengths of each modality, and robustness; None where nothing was measured."""
    rows = _measured(block)
    if not rows:
        return None
    names = rows[0][1].modalities
    alone = _points("trained alone", rows[0][1], "alone")
    probes = [p for row, summary in rows for p in _points(row.method, summary, "probe")]
    strengths = [p for row, summary in rows for p in _points(row.method, summary, "strength")]
    strength = Axis("Competition strength", levels=[Level(1.0)])
    panels = [
        ("Probes of encoders", [*alone, *probes], Axis(metric.on("Test"), metric.form)),
        ("Competition strength", strengths, strength),
        (
            f"With each modality absent {_ABSENT[0][1]} times",
            [p for row, summary in rows for p in _robust(row.method, summary)],
            Axis(f"{metric.on('Test')}, expected", metric.form),
        ),
    ]
    caption = (
        "Mean over seeds with its 95% interval; faint dots are single seeds. A probe is a linear "
        "classifier on the features of one encoder; where it falls short of what the network "
        "reaches trained on the modality alone, the encoder has learnt less than it could have. "
        "Competition strength is 0 where the encoder's features carry all that the modality alone "
        "tells, and 1 where they tell no more than the mean: further right is held back more."
    )
    looks = {**looks_of(names), _WHOLE: Look()}
    return row_figure(f"Competition of modalities on {block.title}", caption, panels, looks)


def _points(row: str, competition: CompetitionSummary, quantity: str) -> list[Point]:
    points = []
    for name in competition.modalities:
        summary = competition.summary(quantity, name)
        if summary is not None:
            repeats = competition.values(quantity, name)
            ends = summary.low, summary.high
            points.append(Point(row, summary.mean, *ends, name, repeats=repeats))
    return points


def _robust(row: str, competition: CompetitionSummary) -> list[Point]:
    summary = competition.robustness(_ABSENT[0][0])
    if summary is None:
        return []
    return [Point(row, summary.mean, summary.low, summary.high, _WHOLE)]


def measurements_table(comparison: Comparison) -> Table:
    """Every measurement, a row for each run and modality, for the CSV file."""
    quantities = ("alone", "probe", "strength", "varying", "contribution")
    columns = [
        Column(name, name.replace("_", " ").capitalize())
        for name in ("data", "fusion", "method", "seed", "modality", "response", *quantities)
    ]
    rows = []
    for block in comparison.blocks:
        for row, competition in _measured(block):
            chosen = row.outcome.chosen
            assert chosen is not None
            for seed, outcome in competition.outcomes.items():
                responses = tested_responses(chosen.records[seed]) or {}
                for name in competition.modalities:
                    numbers = [outcome[quantity].get(name) for quantity in quantities]
                    place = (block.data, block.fusion, row.method, seed, name)
                    rows.append((*place, responses[name], *numbers))
    return Table("Measurements of competition.", columns, rows)
