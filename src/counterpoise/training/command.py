"""``counterpoise train``: a recipe from files and options, one run, its results in a table."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.absence import Absence
from counterpoise.data import DataSource
from counterpoise.methods import Method
from counterpoise.training.architectures import Architecture
from counterpoise.training.optimization import Optimizer, Schedule
from counterpoise.training.recipe import Recipe

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

__all__ = ["BASES", "DEFAULTS", "add_arguments", "run"]

DEFAULTS: dict[str, Any] = {
    "method": {"class_path": "Joint"},
    "model": {"class_path": "Network"},
    "optimizer": {"class_path": "SGD"},
    "schedule": {"class_path": "StepLR"},
}
"""What holds under every configuration file; the same as the defaults of :class:`Recipe`."""

BASES: dict[str, type] = {
    "data": DataSource,
    "method": Method,
    "model": Architecture,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "absent": Absence,
}
"""What the class that each section names derives from."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the recipe's settings, and what is said of one run."""
    from jsonargparse import ActionYesNo

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
        help="Go on with the run in the folder, which was killed, to the same bits.",
    )
    group.add_argument(
        "--progress",
        action=ActionYesNo(no_prefix="no_"),
        default=True,
        help="Show a bar, or a line after each epoch.",
    )


def run(arguments: Namespace) -> None:
    """Train, and print what came out and where it lies."""
    recipe = Recipe(**{field.name: arguments[field.name] for field in fields(Recipe)})
    from counterpoise.training.console import print_runs
    from counterpoise.training.run import train

    output = Path(arguments.output or Path("runs") / str(recipe.name))
    record = train(recipe, output, resume=arguments.resume, progress=arguments.progress)
    print_runs([record])
    print(f"Record, curves and checkpoints: {output}")
