"""Comparisons that can be held and killed, by a method that waits and tells its process."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

import counterpoise as cp
from experiments.compare import made


class Watched(cp.Joint):
    """Joint training that leaves a line in a journal when it begins.

    Args:
        journal: File to which each process that begins adds its number.
        hold: File that holds the first step for as long as it exists.
    """

    def __init__(self, journal: str = "", hold: str = ""):
        super().__init__()
        self.journal, self.hold = journal, hold
        self.begun = False

    def loss(self, joint, signals):
        if not self.begun:
            self.begun = True
            with Path(self.journal).open("a") as file:
                file.write(f"{os.getpid()}\n")
        while self.hold and Path(self.hold).exists():
            time.sleep(0.05)
        return joint


def until(true, *, unless=lambda: False):
    """Wait until ``true()``, however long it takes; fail if it cannot come any more."""
    while not true():
        assert not unless(), "it did not happen"
        time.sleep(0.05)


def lines(path):
    """The lines of a file, none if it does not exist."""
    return Path(path).read_text().split() if Path(path).exists() else []


def lives(number):
    """Whether the process of this number is there, and is more than a name of one that ended."""
    status = Path(f"/proc/{number}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def watched(journal, hold=""):
    return {
        "method": "experiments.execution.watched.Watched",
        "method.journal": str(journal),
        "method.hold": str(hold),
    }


def outcome(found):
    """What was computed, by method: everything but times and the settings of methods."""
    return {
        row.outcome.place[2]: [
            {name: result.record[name] for name in ("test", "steps", "best_epoch")}
            for result in row.outcome.chosen.results.values()
        ]
        for row in found.blocks[0].rows
    }


def killed_in_the_middle(path, *options):
    """Kill a comparison that has finished one cell and is held in another.

    Returns the grid and the file of the finished result.
    """
    hold, journal, results = path / "hold", path / "journal", path / "runs" / "results"
    hold.touch()
    grid = made.grid(methods={"Joint": None, "held": watched(journal, hold)}, seeds=1)
    with TemporaryDirectory() as folder:  # it has no chance to tidy up
        started = [*command(grid, path), *options]
        tests = str(Path(__file__).parents[2])
        found = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"TMPDIR": folder, "PYTHONPATH": found}
        comparison = subprocess.Popen(started, env=environment)
        try:
            until(
                lambda: lines(journal) and list(results.glob("*.json")),
                unless=lambda: comparison.poll() is not None,
            )
        finally:
            comparison.kill()
            comparison.wait()
    (finished,) = results.glob("*.json")
    return grid, finished


def command(grid, folder):
    """The command that runs a grid into the folder "out" of this folder, with runs in "runs"."""
    described = {
        "name": grid.name,
        "data": grid.data,
        "methods": grid.methods,
        "seeds": grid.seeds,
        "base": grid.base,
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(described))
    call = "import sys; from counterpoise.cli.main import main; sys.exit(main())"
    options = [str(folder / "grid.yaml"), f"--output={folder / 'out'}", f"--runs={folder / 'runs'}"]
    return [sys.executable, "-c", call, "compare", *options]
