"""``counterpoise compete``: the protocol of competition, in a table, a figure and a page."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoise.cli.running import add_running, progress_bar, running, telling
from counterpoise.cli.tables import print_table
from counterpoise.core.files import check_folder
from counterpoise.experiments.compete.protocol import compete
from counterpoise.methods import Method

# Which `main` looks for in a command that takes `--config`.
from counterpoise.training.config.reading import BASES as BASES
from counterpoise.training.config.reading import DEFAULTS as DEFAULTS
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from counterpoise.experiments.compete.results import Competition
    from counterpoise.measures.statistics import Interval
    from counterpoise.report import Table

_OPTIONS = ("methods", "num_seeds", "fused", "concept", "ridge")

AFTER_INTERRUPT = "The same command goes on where it was."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the recipe's settings, and those of the measurement."""
    parser.add_class_arguments(Recipe, skip={"name"})
    group = parser.add_argument_group("Measurement")
    group.add_argument(
        "--methods",
        type=list[Method] | None,
        default=None,
        help="What to compare, such as [Joint,AGM]. Default: the recipe's method.",
    )
    group.add_argument(
        "--num-seeds", type=int, default=5, help="How many seeds, from --seed on. Default: 5."
    )
    group.add_argument(
        "--fused",
        type=str | None,
        default=None,
        help="Path of the module whose output is the fused feature; its input with ':input' at "
        "the end, an entry of it by an index, as in 'rnn[1][-1]'. Default: the input of the head, "
        "in networks of this package.",
    )
    group.add_argument(
        "--concept",
        type=str | dict[str, str] | None,
        default=None,
        help="Path of the concept, for all modalities or each. Default: the modality's encoder "
        "in late fusion, else as --fused.",
    )
    group.add_argument(
        "--ridge", type=float, default=120.0, help="Penalty of the probe. Default: 120."
    )
    group.add_argument(
        "--output",
        type=str,
        default="runs/compete",
        help="Folder of the report. Default: runs/compete.",
    )
    add_running(parser, progress="Show what is done.")


@telling
def run(arguments: Namespace) -> int | None:
    """Measure; print the table, write the page, say where things lie."""
    settings = {f.name: arguments[f.name] for f in fields(Recipe) if f.name != "name"}
    options = {name: arguments[name] for name in _OPTIONS} | running(arguments)
    check_folder("output", arguments.output)  # before hours of training
    with progress_bar(show=arguments.progress) as progress:
        competition = compete(Recipe(**settings), progress=progress, **options)
    print_competition(competition)
    page = write_competition(competition, Path(arguments.output))
    print(f"Report: {page}")
    return None


def write_competition(competition: Competition, folder: Path) -> Path:
    """Write ``report.html``, ``strengths.csv`` and ``competition.json``; return the first's path.

    With them goes ``imbalance.csv``, how unequal modalities are as other papers measure it.

    Raises:
        ImportError: If what draws charts is not installed.
    """
    from counterpoise.core.files import write_atomically
    from counterpoise.experiments.compete.imbalance import imbalance_table
    from counterpoise.experiments.compete.page import competition_page
    from counterpoise.training.record import write_json

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "competition.json", competition.describe())
    write_atomically(folder / "strengths.csv", competition.table().to_csv())
    imbalance = imbalance_table(competition)
    if imbalance is not None:
        write_atomically(folder / "imbalance.csv", imbalance.to_csv())
    return competition_page(competition).write(folder / "report.html")


def print_competition(competition: Competition) -> None:
    """Print a line for each method and modality, and the conclusion."""
    from rich.console import Console

    from counterpoise.experiments.compete.prose import lead

    title = f"Modality competition on {competition.data['name']}, test data"
    if competition.form.name != "accuracy":
        title += f": {competition.form.title}"
    console = Console()
    print_table(_means(competition), title, console=console)
    for paragraph in lead(competition):
        console.print(paragraph, highlight=False)


def _means(competition: Competition) -> Table:
    """The table of the page, short enough for a terminal: intervals of the strength alone."""
    from counterpoise.experiments.verdicts import with_interval
    from counterpoise.report import Column, Table

    def written(value: Interval) -> str:
        return competition.form.text(value.mean)

    labels = [Column(name, name, numeric=False) for name in ("method", "modality")]
    strength = Column("strength", "strength", show=with_interval)
    results = [Column(n, n, show=written) for n in ("alone", "probe", "contribution", "joint")]
    rows = [
        (
            line.method,
            line.modality,
            *(line.strength, line.alone, line.probe, line.contribution),
            competition.mean(line.method, "joint"),
        )
        for line in competition.summary()
    ]
    return Table("Means over seeds.", [*labels, strength, *results], rows)
