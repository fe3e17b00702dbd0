"""``counterpoise compare``: a grid from a file, its cells, the report."""

from __future__ import annotations

import sys
from textwrap import shorten
from typing import TYPE_CHECKING

from counterpoise.cli.running import add_running, running, telling
from counterpoise.cli.tables import print_table

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from counterpoise.experiments.compare.analysis import Comparison

__all__ = ["add_arguments", "print_tables", "run"]

AFTER_INTERRUPT = "The same command goes on where it was."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the grid, and how and where to run it."""
    parser.epilog = (
        "Runs that fail do not stop the others. The exit code is 0 if all succeeded, 1 if any "
        "failed, 2 if the comparison could not be made, 130 after Ctrl-C."
    )
    parser.add_argument(
        "grid",
        type=str,
        help="A YAML file that says what to compare. It names classes, whose modules are imported: "
        "run a grid of others as you would run their code.",
    )
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="Folder of the report. Default: comparisons/NAME.",
    )
    add_running(parser, progress="Show a live table, or a line a cell.")


@telling
def run(arguments: Namespace) -> int:
    """Run the comparison, and print what came out, where it lies and whether runs failed.

    Returns:
        0 if every run succeeded, 1 if any failed: whoever goes on with the results, as a script
        does, must not take part of them for all.
    """
    from counterpoise.experiments.compare.files import read_grid
    from counterpoise.experiments.compare.prose import lead
    from counterpoise.experiments.compare.run import compare

    comparison = compare(
        read_grid(arguments.grid),
        arguments.output,
        progress=arguments.progress,
        **running(arguments),
    )
    print_tables(comparison)
    print(lead(comparison)[0])
    print(f"Report and tables: {comparison.path}")
    if comparison.failures:
        print(_about_failures(comparison), file=sys.stderr)
    return 1 if comparison.failures else 0


def _about_failures(comparison: Comparison) -> str:
    failures, count = comparison.failures, comparison.num_runs
    return (
        f"counterpoise: {len(failures)} of {count} {'run' if count == 1 else 'runs'} failed: "
        f"{shorten(str(failures[0].error), 400)} (The report lists all; run them again with "
        "--retry-failed.)"
    )


def print_tables(comparison: Comparison) -> None:
    """Print a table for each data set and fusion, as narrow as a terminal, and one over all."""
    from counterpoise.experiments.compare.tables import overall_table, summary_table

    for block in comparison.blocks:
        print_table(summary_table(comparison, [block]), block.title)
    ranks = overall_table(comparison)
    if ranks is not None:
        print_table(ranks, "All together")
