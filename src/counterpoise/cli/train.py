"""``counterpoise train``: a recipe from files and options, one run, its results in a table."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from counterpoise.cli.failures import Interrupted
from counterpoise.cli.options import add_flag
from counterpoise.methods.umt import untaught

# Which `main` looks for in a command that takes `--config`.
from counterpoise.training.config.reading import BASES as BASES
from counterpoise.training.config.reading import DEFAULTS as DEFAULTS
from counterpoise.training.processes import is_first_process
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace
    from torch import nn


def add_arguments(parser: ArgumentParser) -> None:
    """Add the recipe's settings, and what is said of one run."""
    parser.add_class_arguments(Recipe)
    group = parser.add_argument_group("This run")
    group.add_argument(
        "--output",
        type=str,
        default=None,
        help="Folder for record, curves and checkpoints, new or empty. Default: runs/NAME.",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="Go on with the run in the folder, which was killed, to the same bits, or for more "
        "epochs than before.",
    )
    add_flag(group, "report", "Write report.html into the folder.")
    add_flag(group, "progress", "Show a bar, or lines where there is no terminal.")


def run(arguments: Namespace) -> int:
    """Train, and print what came out and where it lies.

    Returns:
        0 if training went well, 1 if it diverged.
    """
    recipe = Recipe(**{field.name: arguments[field.name] for field in fields(Recipe)})
    from counterpoise.training.console import print_runs
    from counterpoise.training.run import train

    output = Path(arguments.output or Path("runs") / str(recipe.name))
    try:
        options = {"resume": arguments.resume, "progress": arguments.progress}
        record = train(recipe, output, teachers=_teachers(recipe, arguments.progress), **options)
    except KeyboardInterrupt as error:
        raise Interrupted(_how_to_go_on(output)) from error
    if is_first_process(recipe.trainer.num_processes):
        print_runs([record])
        print(f"Record, curves and checkpoints: {output}")
        if arguments.report:
            from counterpoise.cli.report import run_report

            print(f"Report: {run_report([record], output / 'report.html')}")
        if record["outcome"] == "diverged":
            print(f"counterpoise: the run diverged: {record['divergence']}", file=sys.stderr)
    return 1 if record["outcome"] == "diverged" else 0


def _teachers(recipe: Recipe, progress: bool) -> dict[str, nn.Module] | None:
    """Return what a method learns from that was given no teachers, from the store of runs."""
    assert recipe.method is not None
    if not untaught(recipe.method):
        return None
    from counterpoise.cli.running import progress_bar
    from counterpoise.experiments import unimodal_teachers

    with progress_bar(show=progress and is_first_process(recipe.trainer.num_processes)) as told:
        return unimodal_teachers(recipe, progress=told, backend="threading")


def _how_to_go_on(output: Path) -> str:
    config = output / "config.yaml"
    if not config.is_file():
        return "Nothing was kept."
    return (
        f"Go on: counterpoise train --config {quote(str(config))} --output {quote(str(output))} "
        "--resume"
    )
