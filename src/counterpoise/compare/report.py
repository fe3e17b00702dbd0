"""The report of a comparison: one page, and the same numbers as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from counterpoise.compare.analysis import Block, Comparison
from counterpoise.compare.figures import accuracy_figure, coefficient_figure
from counterpoise.compare.prose import definitions, facts, lead, notes
from counterpoise.compare.tables import (
    block_table,
    choice_table,
    failure_table,
    results_table,
    runs_table,
    summary_table,
)
from counterpoise.report import Details, Page, Part, Section, Table, Terms
from counterpoise.report.configuration import configuration
from counterpoise.report.records import Run
from counterpoise.training.record import write_atomically

__all__ = ["comparison_page", "write_comparison"]


def write_comparison(comparison: Comparison, path: Path) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``results.csv`` and ``runs.csv`` into a folder.

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
    for name, text in texts.items():
        write_atomically(path / name, text)
    return [page, *(path / name for name in texts)]


def comparison_page(comparison: Comparison) -> Page:
    """Return the page, for those who want to add parts to it."""
    parts: list[Part] = [*notes(comparison)]
    parts.append(Section("Results", [summary_table(comparison)]))
    for number, block in enumerate(comparison.blocks):
        parts.append(Section(block.title, _block_parts(block, comparison, f"block-{number}")))
    parts.append(Section("Terms", [Terms(definitions())]))
    parts.append(Section("Configuration", _configuration(comparison)))
    return Page(comparison.grid.name, lead(comparison), parts, facts(comparison))


def _block_parts(block: Block, comparison: Comparison, name: str) -> list[Part]:
    figures = [
        accuracy_figure(block, comparison, name=f"{name}-accuracy"),
        coefficient_figure(block, name=f"{name}-coefficients"),
    ]
    drawn = [figure for figure in figures if figure is not None]
    return [*drawn, Details("All numbers", [block_table(block, comparison)])]


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
    tables: Sequence[tuple[str, Table]] = [
        ("Results", summary_table(comparison)),
        *((block.title, block_table(block, comparison)) for block in comparison.blocks),
        ("What was tried and chosen", choice_table(comparison)),
    ]
    failed = failure_table(comparison)
    if failed.rows:
        tables = [*tables, ("Runs that failed", failed)]
    remarks = [f"**{note.title}** {note.text}" for note in notes(comparison)]
    named = "; ".join(f"{name}: {value}" for name, value in facts(comparison))
    terms = [f"**{term}.** {meaning}" for term, meaning in definitions()]
    sections = [f"## {title}\n\n{table.to_markdown()}" for title, table in tables]
    head = [f"# {comparison.grid.name}", *lead(comparison), f"{named}.", *remarks]
    return "\n\n".join([*head, *sections, "## Terms", *terms]) + "\n"
