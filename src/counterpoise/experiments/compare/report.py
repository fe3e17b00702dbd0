"""The report of a comparison: one page, and the same numbers as Markdown and CSV."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from counterpoise.core.files import write_atomically
from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.answers import answers
from counterpoise.experiments.compare.competition_report import (
    competition_figure,
    competition_table,
    measurements_table,
)
from counterpoise.experiments.compare.figures import (
    accuracy_figure,
    coefficient_figure,
    cost_figure,
    curve_figure,
    difference_figure,
)
from counterpoise.experiments.compare.listings import choice_table, failure_table, runs_table
from counterpoise.experiments.compare.over_data import (
    overall_pair_table,
    overall_results,
    overall_table,
    profile_figure,
    relation_figure,
    relation_table,
)
from counterpoise.experiments.compare.prose import facts, lead, notes
from counterpoise.experiments.compare.rows import Block
from counterpoise.experiments.compare.tables import (
    block_table,
    pair_table,
    pairs_table,
    results_table,
    summary_table,
)
from counterpoise.experiments.compare.tuning import budget_figure
from counterpoise.report import (
    GLOSSARY,
    Details,
    Figure,
    Page,
    Part,
    Section,
    Table,
    Terms,
    terms,
)
from counterpoise.report.configuration import configuration
from counterpoise.report.records import Run

_TERMS: Final = (
    *("Interval", "Higher, lower", "Equivalent", "Undecided", "Too few seeds", "Effect"),
    *("Improves in", "Mean rank", "Response", "Coefficient κ", "Step time"),
)
_COMPETITION_TERMS: Final = (
    *("Competition strength", "Concept", "Alone", "Probe", "Contribution"),
    "Each modality absent",
)


def write_comparison(comparison: Comparison, path: Path) -> list[Path]:
    """Write ``report.html``, ``report.md`` and all numbers into a folder.

    ``results.csv`` holds those of each method, ``pairs.csv`` of further pairs, ``overall.csv``
    over data sets, ``runs.csv`` those of each run. ``competition.csv`` comes with them where
    competition was measured, and beside ``report.md`` the drawings that it shows.

    Args:
        comparison: The numbers.
        path: The folder.

    Returns:
        The files. Equal comparisons give equal bytes.

    Raises:
        ImportError: If what draws charts is not installed.
    """
    page = comparison_page(comparison).write(path / "report.html")
    figures = _shown(comparison)
    drawings = [drawing for figure in figures for drawing in figure.to_files()]
    texts = {
        "report.md": _markdown(comparison, figures),
        "results.csv": results_table(comparison).to_csv(),
        "runs.csv": runs_table(comparison).to_csv(),
        "pairs.csv": pairs_table(comparison).to_csv(),
        "overall.csv": overall_results(comparison).to_csv(),
    }
    if comparison.measured:
        texts["competition.csv"] = measurements_table(comparison).to_csv()
    texts |= {f"figure-{k}.svg": drawing for k, drawing in enumerate(drawings, start=1)}
    for name, text in texts.items():
        write_atomically(path / name, text)
    return [page, *(path / name for name in texts)]


def comparison_page(comparison: Comparison) -> Page:
    """Return the page, for those who want to add parts to it."""
    shown = _shown(comparison)
    sections = _sections(comparison, shown)
    parts: list[Part] = [Section(title, content) for title, content in sections if content]
    parts += [Section(b.title, _block_parts(b, comparison)) for b in comparison.blocks]
    parts.append(Section("Terms", [terms(*_terms(comparison))]))
    parts.append(Section("Configuration", _configuration(comparison)))
    first = shown[0] if shown else None
    told = lead(comparison), parts, facts(comparison), first, notes(comparison)
    return Page(comparison.grid.name, *told)


def _sections(comparison: Comparison, shown: Sequence[Figure]) -> list[tuple[str, list[Part]]]:
    """What holds for the whole comparison, in the order in which a reader asks."""
    answered = answers(comparison)
    tables = {
        "Results": [overall_table(comparison), summary_table(comparison)],
        "Further pairs": [overall_pair_table(comparison), pair_table(comparison)],
    }
    relation = [relation_figure(comparison), relation_table(comparison)]
    more = [profile_figure(comparison), budget_figure(comparison)]
    return [
        ("Answers", [Terms(list(answered.items()))] if answered else []),
        *((title, _present(table)) for title, table in tables.items()),
        ("On which data it helps", _present(relation)),
        ("Learning and cost", [*shown[1:], *_present(more)]),
    ]


def _present(parts: Iterable[Part | None]) -> list[Part]:
    return [part for part in parts if part is not None]


def _shown(comparison: Comparison) -> list[Figure]:
    """The figures of the whole comparison, the one that shows the finding first."""
    drawn = [draw(comparison) for draw in (difference_figure, curve_figure, cost_figure)]
    return [figure for figure in drawn if figure is not None]


def _block_parts(block: Block, comparison: Comparison) -> list[Part]:
    figures = [
        accuracy_figure(block, comparison),
        competition_figure(block, comparison.metric),
        coefficient_figure(block),
    ]
    tables = [block_table(block, comparison), competition_table(block, comparison.metric)]
    drawn = [figure for figure in figures if figure is not None]
    return [*drawn, Details("All numbers", [table for table in tables if table is not None])]


def _terms(comparison: Comparison) -> list[str]:
    return [*_TERMS, *(_COMPETITION_TERMS if comparison.measured else [])]


def _configuration(comparison: Comparison) -> list[Part]:
    parts: list[Part] = []
    failed = failure_table(comparison)
    if failed.rows:
        parts.append(Details("Runs that failed", [failed]))
    parts.append(Details("What was tried and chosen", [choice_table(comparison)]))
    for block in comparison.blocks:
        runs = _chosen(block)
        if runs:
            parts.append(Details(f"Everything that was set: {block.title}", configuration(runs)))
    return parts


def _chosen(block: Block) -> list[Run]:
    """The chosen recipes, versions and machines, as the page of runs shows them."""
    runs = []
    for row in block.rows:
        chosen = row.outcome.chosen
        if chosen is None or not chosen.records:
            continue
        recipe = chosen.candidate.recipe.describe()
        record: dict[str, Any] = {
            key: value for key, value in recipe.items() if key not in ("seed", "name")
        }
        first = next(iter(chosen.records.values()))
        kept = {name: first[name] for name in ("model", "versions", "hardware")}
        record |= {f"{name} of the run": value for name, value in kept.items()}
        record["data fingerprint"] = first["data"]["fingerprint"]
        runs.append(Run(row.method, record))
    return runs


def _plain(text: str) -> str:
    """Return text without what Markdown would take for HTML, as labels may hold."""
    return html.escape(text, quote=False)


def _markdown(comparison: Comparison, figures: Sequence[Figure]) -> str:
    titled: list[tuple[str, Table | None]] = [
        ("Over data sets", overall_table(comparison)),
        ("Results", summary_table(comparison)),
        ("Further pairs over data sets", overall_pair_table(comparison)),
        ("Further pairs", pair_table(comparison)),
        ("On which data it helps", relation_table(comparison)),
    ]
    for block in comparison.blocks:
        titled.append((block.title, block_table(block, comparison)))
        titled.append(
            (
                f"{block.title}: competition of modalities",
                competition_table(block, comparison.metric),
            )
        )
    titled.append(("What was tried and chosen", choice_table(comparison)))
    titled.append(("Runs that failed", failure_table(comparison)))
    tables = [(title, table) for title, table in titled if table is not None and table.rows]
    remarks = [f"**{note.title}** {_plain(note.text)}" for note in notes(comparison)]
    named = "; ".join(f"{name}: {value}" for name, value in facts(comparison))
    meanings = [f"**{term}.** {GLOSSARY[term]}" for term in _terms(comparison)]
    sections = [f"## {_plain(title)}\n\n{table.to_markdown()}" for title, table in tables]
    titles = [title for figure in figures for title in figure.titles]
    drawn = [f"![{_plain(title)}](figure-{k}.svg)" for k, title in enumerate(titles, start=1)]
    finding, *rest = map(_plain, lead(comparison))
    told = [f"**{_plain(asked)}** {_plain(a)}" for asked, a in answers(comparison).items()]
    head = [f"# {comparison.grid.name}", finding, *drawn[:1], *told, *rest, f"{named}.", *remarks]
    return "\n\n".join([*head, *sections, *drawn[1:], "## Terms", *meanings]) + "\n"
