"""``counterpoise study NAME``: one of the questions, answered by experiment."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoise.cli.running import add_running, progress_bar, running, telling
from counterpoise.cli.tables import print_table
from counterpoise.core.errors import suggestion
from counterpoise.core.files import check_folder
from counterpoise.experiments.study import STUDIES, study_class

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from counterpoise.experiments.study.findings import Findings

AFTER_INTERRUPT = "The same command goes on where it was."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the studies, each with its own options."""
    from jsonargparse import ArgumentParser as Parser

    subcommands = parser.add_subcommands(dest="name", metavar="NAME")
    for name in STUDIES:
        study = study_class(name)
        one = Parser(description=study.question, exit_on_error=False, allow_abbrev=False)
        one.add_class_arguments(study)
        one.add_argument(
            "--output",
            type=str,
            default="studies",
            help="Folder of reports, a folder a study. Default: studies.",
        )
        add_running(one, progress="Show what is done.")
        subcommands.add_subcommand(name, one, help=study.question)


def check_words(words: list[str]) -> None:
    """Raise if there is no first word, or it is no study.

    Raises:
        ValueError: The nearest name is suggested.
    """
    if not words:
        raise ValueError(f"`name` should be one of {', '.join(STUDIES)}; found none. Choose one.")
    if words and not words[0].startswith("-") and words[0] not in STUDIES:
        raise ValueError(
            f"`name` should be one of {', '.join(STUDIES)}; found {words[0]!r}."
            + suggestion(words[0], STUDIES)
        )


@telling
def run(arguments: Namespace) -> int | None:
    """Run the study; print table and answer, and say where the rest lies."""
    from counterpoise.experiments.study.observing import observe

    chosen = arguments[arguments.name]
    kind = study_class(arguments.name)
    study = kind(**{field.name: chosen[field.name] for field in fields(kind)})
    check_folder("output", chosen.output)  # before hours of training
    with progress_bar(show=chosen.progress) as progress:
        seen = observe(study, progress=progress, **running(chosen))
    findings = study.find(seen)
    _print(findings)
    print(f"Report: {findings.write(Path(chosen.output) / study.name)}")
    return None


def _print(findings: Findings) -> None:
    from rich.console import Console

    console = Console()
    for results in findings.results:
        table = results.to_table()
        print_table(table, table.caption, console=console)
    console.print(f"[bold]{findings.study.question}[/bold]", highlight=False)
    for paragraph in findings.answer:
        console.print(paragraph, highlight=False, markup=False)
