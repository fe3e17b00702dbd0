"""Cells and comparisons that can be held and killed, and that tell their process."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

import counterpoise as cp
from counterpoise.experiments.cells import Cell
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


@dataclass(frozen=True)
class Ending(Cell):
    """A cell without training, which leaves a line in its journal and ends in one of several ways.

    Args:
        how: "done", "exit" (by an exception), "dies" (twice, in two ways), "killed" (the first
            time), or "held" (for as long as the file "hold" is there).
        folder: Where the journal and the file are.
    """

    how: str
    folder: Path

    @cached_property
    def identity(self):
        return {"how": self.how}

    @property
    def title(self):
        return self.how

    @property
    def uses_gpu(self):
        return False

    @property
    def journal(self):
        return self.folder / f"{self.how}.journal"

    def compute(self, store, folder):
        number = len(lines(self.journal))
        with self.journal.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if self.how == "exit":
            sys.exit(3)
        elif self.how == "killed" and number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "dies" and number == 0:
            os._exit(7)
        elif self.how == "dies":
            ctypes.string_at(0)
        while self.how == "held" and (self.folder / "hold").exists():
            time.sleep(0.05)
        return {}


@dataclass(frozen=True)
class Meeting(Ending):
    """One of two cells, "here" and "there", that end when both have begun; each tells its GPU."""

    @property
    def uses_gpu(self):
        return True

    def compute(self, store, folder):
        self.journal.touch()
        until(lambda: all(replace(self, how=how).journal.exists() for how in ("here", "there")))
        return {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}


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


def killed_in_the_middle(path, *options, terminated=False):
    """Kill a comparison that has finished one cell and is held in another.

    If ``terminated``, the process of that cell is asked to end before, which another then begins.

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
            if terminated:
                os.kill(int(lines(journal)[0]), signal.SIGTERM)
                until(
                    lambda: len(lines(journal)) == 2, unless=lambda: comparison.poll() is not None
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
