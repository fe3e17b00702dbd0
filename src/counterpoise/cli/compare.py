"""``counterpoise compare``: a grid from a file, its cells, the report."""

from __future__ import annotations

import sys
from textwrap import shorten
from typing import TYPE_CHECKING

from counterpoise.cli.options import add_flag
from counterpoise.cli.running import add_running, progress_bar, running, telling
from counterpoise.cli.tables import print_table

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from counterpoise.experiments.compare.analysis import Comparison
    from counterpoise.experiments.compare.grid import Grid

_WORKERS = (4, 16, 64)
"""Numbers of workers that an estimate is told for, beside this machine."""

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
    add_flag(
        parser,
        "estimate",
        "Say how many runs there are and how long they will take, and end. What is not known yet "
        "is measured: one run of each method and data set, which the comparison then has.",
        default=False,
    )
    add_running(parser, progress="Show a live table, or a line for each run.")


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

    grid = read_grid(arguments.grid)
    if arguments.estimate:
        print(_estimated(grid, arguments))
        return 0
    comparison = compare(
        grid,
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


def _estimated(grid: Grid, arguments: Namespace) -> str:
    """Estimate what the comparison takes, and say it in a few lines."""
    from loky import cpu_count  # type: ignore[import-untyped]

    from counterpoise.experiments.compare.estimate import estimate
    from counterpoise.experiments.execution.settings import Execution
    from counterpoise.experiments.session import Counting
    from counterpoise.experiments.store import Store
    from counterpoise.report.formats import duration

    options = running(arguments)
    store, execution = Store(options.pop("runs")), Execution(**options)
    with progress_bar(show=arguments.progress) as progress:
        expected = estimate(grid, store, execution, Counting(progress))
    left = {kind: expected.total[kind] - expected.done.get(kind, 0) for kind in expected.total}
    lines = [
        f"{sum(expected.total.values()):,} runs and measurements in all, "
        f"{sum(expected.done.values()):,} done, {expected.num_left:,} left."
    ]
    for data in grid.data:
        kinds = [kind for kind in left if kind.data == data and left[kind]]
        seconds = sum(left[kind] * expected.seconds[kind] for kind in kinds)
        count = sum(left[kind] for kind in kinds)
        lines.append(f"  {data}: {count:,} left, {duration(seconds)} of one process.")
    here = execution.jobs or int(cpu_count())
    lines.append(f"On this machine, {here} at a time: {duration(expected.seconds_left(here))}.")
    listed = "; ".join(f"{n}: {duration(expected.seconds_left(n))}" for n in _WORKERS)
    return "\n".join([*lines, f"By the number of workers as fast as these: {listed}."])


def _about_failures(comparison: Comparison) -> str:
    failures, count = comparison.failures, comparison.num_runs
    return (
        f"counterpoise: {len(failures)} of {count} {'run' if count == 1 else 'runs'} failed: "
        f"{shorten(str(failures[0].error), 400)} (The report lists all; run them again with "
        "--retry-failed.)"
    )


def print_tables(comparison: Comparison) -> None:
    """Print a table for each data set and fusion, as narrow as a terminal, and one over all."""
    from counterpoise.experiments.compare.over_data import overall_table
    from counterpoise.experiments.compare.tables import summary_table

    for block in comparison.blocks:
        print_table(summary_table(comparison, [block]), block.title)
    ranks = overall_table(comparison)
    if ranks is not None:
        print_table(ranks, "All together")
