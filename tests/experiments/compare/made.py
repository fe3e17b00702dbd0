"""Grids that are quick to run, methods that fail, and made-up results of cells."""

import errno
import os
import signal
from pathlib import Path

import counterpoise as cp
from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.cells import Runs
from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.compare.outcomes import Outcome, Trial
from counterpoise.experiments.compare.planning import text_of
from counterpoise.experiments.store import Result

BASE = {
    "model": "training.runs.Small",
    "batch_size": 31,
    "trainer.max_epochs": 2,
    "trainer.accelerator": "cpu",
    "trainer.log_every_n_steps": 1,
    "optimizer.learning_rate": 0.05,
}
DATA = {"blobs": {"data": "training.runs.Blobs"}}


class Fails(cp.Joint):
    """Joint training that fails as soon as it is trained with."""

    def loss(self, joint, signals):
        raise RuntimeError("there is nothing to learn here")


class Dies(cp.Joint):
    """Joint training whose process is killed, the first time or, ``always``, each time.

    Args:
        marker: File that tells whether it has died before.
        always: Whether it dies each time.
    """

    def __init__(self, marker: str = "", always: bool = False):
        super().__init__()
        self.marker, self.always = marker, always

    def loss(self, joint, signals):
        before = Path(self.marker).exists()
        with Path(self.marker).open("a") as file:
            file.write("x")
        if self.always or not before:
            os.kill(os.getpid(), signal.SIGKILL)
        return joint


class Fills(cp.Joint):
    """Joint training that finds the disk full for as long as a file exists.

    Args:
        marker: The file.
    """

    def __init__(self, marker: str = ""):
        super().__init__()
        self.marker = marker

    def loss(self, joint, signals):
        if Path(self.marker).exists():
            raise OSError(errno.ENOSPC, "No space left on device", "last.ckpt")
        return joint


def grid(**changes):
    methods = {
        "Joint": {"search": {"optimizer.weight_decay": [0.0, 0.5]}},
        "AGM": {"search": {"method.alpha": [0.5, 2.5]}},
    }
    given = {"data": DATA, "methods": methods, "seeds": 2, "base": BASE, "name": "toy"}
    return Grid(**(given | changes))


def record(
    cell, test, validation, responses, coefficients=None, seconds=0.01, wall=1.0, device="cpu"
):
    """A record such as training returns, of two epochs, of which the first is the best."""
    names = list(responses)
    steps = [10, 20, 30]
    epochs = [
        {"epoch": epoch, "validation/accuracy": value, "seconds": 1.0}
        for epoch, value in enumerate([validation, validation - 0.1])
    ]
    return {
        "name": "made-up",
        "method": {"name": cell.candidate.method, "settings": {}},
        "data": {
            "name": cell.candidate.data,
            "fingerprint": "f" * 64,
            "note": "Made up.",
            "modalities": names,
            "num_classes": 3,
            "sizes": {"train": 59, "validation": 23, "test": 400},
        },
        "model": {"name": "Net", "settings": {}, "num_parameters": 7},
        "seed": cell.seed,
        "versions": {"counterpoise": "0", "torch": "0"},
        "hardware": {"device": device, "processor": "made of sand"},
        "started": "2026-01-02T03:04:05+00:00",
        "wall_time_seconds": 2.0,
        "seconds_per_step": wall,
        "processor_seconds_per_step": seconds,
        "best_epoch": 0,
        "test": {"loss": 0.5, "accuracy": test}
        | {f"response/{name}/accuracy": value for name, value in responses.items()},
        "epochs": epochs,
        "steps": {
            "step": steps,
            "loss": [0.1] * 3,
            "scores": None,
            "coefficients": coefficients and dict.fromkeys(names, coefficients),
        },
    }


def result(cell, made, error=None):
    """The result of a cell with this record, or of one that failed with this error."""
    state = "failed" if error else "done"
    return Result(cell.key, cell.identity, state, made, error, None, [], "c" * 64)


def comparison(given, path, make, measure=None, score=None):
    """A comparison whose results are made by ``make(cell)``, which returns a result.

    ``measure(cell)`` makes what measuring competition finds, ``score(cell)`` the headline metric of
    each test sample.
    """
    seeds = (*given.choosing_seeds, *given.all_seeds)
    cells = [run(candidate, seed) for candidate in given.candidates() for seed in seeds]
    results = {cell.key: make(cell) for cell in cells}
    outcomes = outcomes_of(cells, results, given.choosing_seeds)
    measured = {cell.key: result(cell, measure(cell)) for cell in cells} if measure else {}
    values = {cell.key: score(cell) for cell in cells} if score else {}
    return Comparison(given, outcomes, path or Path("none"), measured, values)


def run(candidate, seed, fingerprint="f" * 64):
    """The run of a configuration from a seed, on data that nobody loads."""
    known = {text_of(candidate.recipe.data): fingerprint}
    return Runs(redraw=False, fingerprints=known).of(candidate, seed)


def compared(given, path, *, report=True, **options):
    """Compare in this process, with the store beside the report in one folder.

    Without a report, which takes as long as several runs, for tests that look at something else.
    """
    import pytest

    from counterpoise.experiments.compare import run  # workers import methods alone

    here = {"runs": path, "backend": "threading", "progress": False}
    with pytest.MonkeyPatch.context() as patch:
        if not report:
            patch.setattr(run, "write_comparison", lambda *_: None)
        return run.compare(given, path, **(here | options))


def outcomes_of(cells, results, search_seeds):
    """Results by configuration and by method, in the order of the cells."""
    by_candidate = {}
    for cell in cells:
        by_candidate.setdefault(cell.candidate[:4], []).append(cell)
    by_place = {}
    for runs in by_candidate.values():
        by_seed = {cell.seed: results[cell.key] for cell in runs}
        trial = Trial(runs[0].candidate, by_seed, search_seeds)
        by_place.setdefault(trial.candidate[:3], []).append(trial)
    return [Outcome(trials) for trials in by_place.values()]
