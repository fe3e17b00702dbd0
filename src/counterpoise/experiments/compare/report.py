"""The report of a comparison: one page, and the same numbers as Markdown and CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.figures import accuracy_figure, coefficient_figure
from counterpoise.experiments.compare.listings import choice_table, failure_table, runs_table
from counterpoise.experiments.compare.prose import definitions, facts, lead, notes
from counterpoise.experiments.compare.rows import Block
from counterpoise.experiments.compare.standings import (
    competition_figure,
    competition_table,
    competition_terms,
    measurements_table,
)
from counterpoise.experiments.compare.tables import (
    block_table,
    overall_table,
    pair_table,
    results_table,
    summary_table,
)
from counterpoise.report import Details, Page, Part, Section, Table, Terms
from counterpoise.report.configuration import configuration
from counterpoise.report.records import Run
from counterpoise.training.record import write_atomically

__all__ = ["comparison_page", "write_comparison"]


def write_comparison(comparison: Comparison, path: Path) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``results.csv`` and ``runs.csv`` into a folder.

    ``competition.csv`` comes with them where competition was measured.

    Args:
        comparison: The numbers.
        path: The folder.

    Returns:
        The files. Equal comparisons give equal bytes.

    Raises:
        ModuleNotFoundError: If Matplotlib is not installed.
    """
    page = comparison_page(comparison).write(path / "report.html")
    texts = {
        "report.md": _markdown(comparison),
        "results.csv": results_table(comparison).to_csv(),
        "runs.csv": runs_table(comparison).to_csv(),
    }
    if comparison.measured:
        texts["competition.csv"] = measurements_table(comparison).to_csv()
    for name, text in texts.items():
        write_atomically(path / name, text)
    return [page, *(path / name for name in texts)]


def comparison_page(comparison: Comparison) -> Page:
    """Return the page, for those who want to add parts to it."""
    parts: list[Part] = [*notes(comparison)]
    ranks = overall_table(comparison)
    found = [summary_table(comparison), *([] if ranks is None else [ranks])]
    parts.append(Section("Results", found))
    pairs = pair_table(comparison)
    if pairs is not None:
        parts.append(Section("Further pairs", [pairs]))
    for number, block in enumerate(comparison.blocks):
        parts.append(Section(block.title, _block_parts(block, comparison, f"block-{number}")))
    parts.append(Section("Terms", [Terms(_terms(comparison))]))
    parts.append(Section("Configuration", _configuration(comparison)))
    return Page(comparison.grid.name, lead(comparison), parts, facts(comparison))


def _block_parts(block: Block, comparison: Comparison, name: str) -> list[Part]:
    figures = [
        accuracy_figure(block, comparison, name=f"{name}-accuracy"),
        competition_figure(block, name=f"{name}-competition"),
        coefficient_figure(block, name=f"{name}-coefficients"),
    ]
    tables = [block_table(block, comparison), competition_table(block)]
    drawn = [figure for figure in figures if figure is not None]
    return [*drawn, Details("All numbers", [table for table in tables if table is not None])]


def _terms(comparison: Comparison) -> list[tuple[str, str]]:
    return [*definitions(), *(competition_terms() if comparison.measured else [])]


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


def _markdown(comparison: Comparison) -> str:
    found: list[tuple[str, Table | None]] = [
        ("Results", summary_table(comparison)),
        ("Over data sets", overall_table(comparison)),
        ("Further pairs", pair_table(comparison)),
    ]
    for block in comparison.blocks:
        found.append((block.title, block_table(block, comparison)))
        found.append((f"{block.title}: competition of modalities", competition_table(block)))
    found.append(("What was tried and chosen", choice_table(comparison)))
    found.append(("Runs that failed", failure_table(comparison)))
    tables = [(title, table) for title, table in found if table is not None and table.rows]
    remarks = [f"**{note.title}** {note.text}" for note in notes(comparison)]
    named = "; ".join(f"{name}: {value}" for name, value in facts(comparison))
    terms = [f"**{term}.** {meaning}" for term, meaning in _terms(comparison)]
    sections = [f"## {title}\n\n{table.to_markdown()}" for title, table in tables]
    head = [f"# {comparison.grid.name}", *lead(comparison), f"{named}.", *remarks]
    return "\n\n".join([*head, *sections, "## Terms", *terms]) + "\n"
