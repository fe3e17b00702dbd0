"""Options of all commands that make many runs: where runs are kept, and how they are computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from counterpoise.cli.options import add_flag
from counterpoise.experiments.execution.settings import BACKENDS

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from counterpoise.experiments.session import Progress

_NAMES = ("runs", "backend", "jobs", "address", "time_limit", "part", "retry_failed")


def add_running(parser: ArgumentParser, *, progress: str) -> None:
    """Add the options.

    Args:
        parser: Of a command.
        progress: What its progress shows.
    """
    group = parser.add_argument_group("Runs")
    group.add_argument(
        "--runs",
        type=str | None,
        default=None,
        help="Folder in which runs are kept, for all commands: what one has trained, another does "
        "not train again. Default: $COUNTERPOISE_RUNS, or counterpoise-runs.",
    )
    group.add_argument(
        "--backend",
        type=str,
        default="loky",
        help=f"What computes them: {', '.join(BACKENDS)}. They are processes of this machine, "
        "this process, where runs take turns, or a cluster.",
    )
    group.add_argument(
        "--jobs",
        "--num-workers",
        type=int | None,
        default=None,
        help="Runs at a time, each on one thread. Default: one a core, or one where there is a "
        "GPU; of a cluster as many as it has room for.",
    )
    group.add_argument(
        "--address",
        type=str | None,
        default=None,
        help="Of a cluster of Ray or Dask that runs already and shares the folder, as HOST:PORT; "
        "'auto' finds that of Ray, and Dask takes the path of its scheduler file. Default: one is "
        "started on this machine.",
    )
    group.add_argument(
        "--time-limit",
        type=float | None,
        default=None,
        help="Seconds that a run may take; one that takes longer counts as failed.",
    )
    group.add_argument(
        "--part",
        type=str | None,
        default=None,
        help="K/N: only the Kth of N parts of the runs, for array jobs that share the folder. What "
        "comes after all runs is left to a call that finds them all.",
    )
    add_flag(
        group, "retry-failed", "Make runs again that failed before, or diverged.", default=False
    )
    add_flag(group, "progress", progress)


def running(arguments: Namespace) -> dict[str, Any]:
    """Return the options as keywords, but for progress."""
    return {name: arguments[name] for name in _NAMES}


def telling(run: Callable[[Namespace], int | None]) -> Callable[[Namespace], int | None]:
    """Let a command say in a line that other parts are left (code 0), or that runs failed (1)."""

    @wraps(run)
    def told(arguments: Namespace) -> int | None:
        from counterpoise.experiments.session import FailedCellsError, OtherPartsError

        try:
            return run(arguments)
        except OtherPartsError as left:
            print(left)
            return 0
        except FailedCellsError as error:
            print(f"counterpoise: {error}", file=sys.stderr)
            return 1

    return told


@contextmanager
def progress_bar(*, show: bool) -> Iterator[Progress | None]:
    """Show what is done: a bar on a terminal, a line for each piece of work elsewhere."""
    if not show:
        yield None
        return
    if not sys.stdout.isatty():
        yield lambda done, total, last: print(f"{done}/{total} {last}".rstrip(), flush=True)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, last: bar.update(
            task, completed=done, total=total, description=last
        )
