"""``counterpoise report RUN ...``: one page of runs that were trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add the runs, and where the page goes."""
    parser.add_argument(
        "runs",
        type=str,
        nargs="+",
        metavar="RUN",
        help="Folders of runs, or folders with runs somewhere below. The first run is the one "
        "that costs are compared with.",
    )
    parser.add_argument(
        "--output",
        type=str,
        default="report.html",
        help="The page to write. Default: report.html.",
    )
    parser.add_argument("--title", type=str | None, default=None, help="The page's heading.")


def run(arguments: Namespace) -> None:
    """Print the runs as a table, write the page, and say where it lies."""
    from counterpoise.training.console import print_runs
    from counterpoise.training.record import read_sealed

    by_place: dict[Path, Path] = {}
    for folder in (folder for word in arguments.runs for folder in _folders(word)):
        by_place.setdefault(folder.resolve(), folder)  # each once, by whichever path
    folders = list(by_place.values())
    records = [read_sealed(folder / "record.json") for folder in folders]
    page = run_report(records, Path(arguments.output), arguments.title, folders)
    print_runs(records, names=_names(records, folders))
    print(f"Report: {page}")


def run_report(
    records: Sequence[dict[str, Any]],
    path: Path,
    title: str | None = None,
    folders: Sequence[Path] = (),
) -> Path:
    """Write one page of runs, each under its own name.

    Args:
        records: As runs return them, of one task.
        path: The page to write.
        title: The page's heading. Default: the run's name, or how many runs there are.
        folders: Where the runs lie, for those that have the same name.

    Returns:
        The path written.

    Raises:
        ValueError: If the runs are of different tasks.
    """
    from counterpoise.report import metric_of, write_run_report
    from counterpoise.training.results import headline

    forms = [headline(record) for record in records]
    if any(form != forms[0] for form in forms):
        shown = ", ".join(sorted({form.title for form in forms}))
        raise ValueError(
            f"`runs` should be of tasks that are measured alike; found {shown}. Write a report of "
            "each task."
        )
    names = _names(records, folders)
    heading = title or (names[0] if len(names) == 1 else f"{len(names)} runs")
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_run_report(records, path, title=heading, metric=metric_of(forms[0]), names=names)


def _folders(word: str) -> list[Path]:
    folder = Path(word)
    inside = [folder] if (folder / "record.json").is_file() else []
    folders = inside or sorted(path.parent for path in folder.rglob("record.json"))
    if not folders:
        raise ValueError(
            f"`runs` should be folders of runs that are complete; found no record.json in or below "
            f"{word!r}. Pass the folder that a run was written to; --resume completes one."
        )
    return folders


def _names(records: Sequence[dict[str, Any]], folders: Sequence[Path]) -> list[str]:
    """The names of the runs; of those that share one their folders."""
    names = [str(record["name"]) for record in records]
    counts = Counter(names)
    places = [str(folder) for folder in folders] or names
    return [place if counts[name] > 1 else name for name, place in zip(names, places, strict=True)]
