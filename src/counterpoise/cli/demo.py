"""``counterpoise demo``: joint training against AGM on digits, a table and a report.

Needs nothing but the package's extras: the data are built on the first run. Two runs of the
packaged recipes "digits-joint" and "digits-agm": same network, seed, data and budget.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.cli.options import add_flag
from counterpoise.core.errors import check_count

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

_RECIPES = ("digits-joint", "digits-agm")

_CAVEAT = (
    "One seed proves nothing: run more before you conclude anything, --seed 1, 2, ... "
    "And the speech is synthetic."
)


def demo(
    output: Path | str | None = None,
    *,
    epochs: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Train with and without AGM on digits, print a table, write a report.

    Args:
        output: Folder for the two runs and ``report.html``, new or empty. Default: "runs/demo",
            or the first of "runs/demo-2", "runs/demo-3", ... that there is not.
        epochs: How long each trains. Default: as the recipes say.
        seed: Of initial weights and of the order of samples, the same for both.
        progress: Whether to show progress.

    Returns:
        The record of joint training, and that of AGM.

    Raises:
        ValueError: If a number is out of range, or ``output`` holds something already.
    """
    if epochs is not None:
        check_count("epochs", epochs, at_least=1)
    from counterpoise.report import write_run_report
    from counterpoise.training.config.reading import read_recipe
    from counterpoise.training.console import print_runs
    from counterpoise.training.folder import check_new
    from counterpoise.training.run import train

    folder = _free_folder() if output is None else Path(output)
    check_new(folder)
    recipes = [read_recipe(name) for name in _RECIPES]
    print(f"Digits, seen and heard: {len(recipes)} runs, which write to {folder}.")
    records = []
    for recipe in recipes:
        options = recipe.trainer if epochs is None else replace(recipe.trainer, max_epochs=epochs)
        mine = recipe.replace(trainer=options, seed=seed)
        print(f"\n{type(mine.method).__name__}, {options.max_epochs} epochs, seed {seed}")
        records.append(train(mine, folder / str(mine.name), progress=progress))
    print()
    print_runs(records, title="On test data, which were used once")
    print(_CAVEAT)
    report = write_run_report(
        records, folder / "report.html", title="Joint training against AGM on digits"
    )
    print(f"Report: {report}")
    return records


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of :func:`demo`."""
    parser.add_function_arguments(demo, skip={"progress"})
    add_flag(parser, "progress", "Whether to show progress.")


def run(arguments: Namespace) -> None:
    """Run the demo."""
    demo(**vars(arguments))


def _free_folder() -> Path:
    number, folder = 1, Path("runs") / "demo"
    while folder.exists():
        number += 1
        folder = Path("runs") / f"demo-{number}"
    return folder
