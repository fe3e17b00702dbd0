"""One cell of a grid: a configuration and a seed, keyed by content, run once, kept as a file."""

from __future__ import annotations

import json
import shutil
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from counterpoise.experiments.compare.grid import Candidate
from counterpoise.experiments.execution.full_disk import lacks_room
from counterpoise.training.record import versions, write_json

if TYPE_CHECKING:
    from counterpoise.training import Recipe

__all__ = ["Cell", "Result", "Store", "code_digest", "run_cell"]

_ONE_AT_A_TIME = threading.Lock()

# Rooms of the package that have no say in what a run computes.
_SILENT = (
    *("cli", "experiments/compare", "experiments/execution", "experiments/study"),
    *("report", "training/config"),
)


@dataclass(frozen=True)
class Cell:
    """A configuration and a seed: what one run computes.

    Args:
        candidate: The configuration.
        seed: Of the run.
        fingerprint: Of the data.
        keep: Whether the trained model is kept, for what is measured of it later. Not part of the
            key.
    """

    candidate: Candidate
    seed: int
    fingerprint: str
    keep: bool = False

    trains: ClassVar[bool] = True
    """Whether computing it is a training run, with an accuracy on validation data."""

    @property
    def recipe(self) -> Recipe:
        """Everything that decides what is computed."""
        return self.candidate.recipe.replace(seed=self.seed)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the key is made of: recipe without its name, data, and versions of packages."""
        described = self.recipe.describe()
        del described["name"]
        return {"recipe": described, "data": self.fingerprint, "versions": _versions()}

    @cached_property
    def key(self) -> str:
        """Sha256 of the identity, in hexadecimal digits."""
        return _digest(json.dumps(self.identity, sort_keys=True))

    @property
    def title(self) -> str:
        """What to call the cell in a line."""
        changes = ", ".join(
            f"{k.rpartition('.')[2]}={v}" for k, v in self.candidate.changes.items()
        )
        parts = [self.candidate.data, self.candidate.fusion, self.candidate.method]
        method = f"{parts[2]} ({changes})" if changes else parts[2]
        return f"{' '.join(filter(None, parts[:2]))}: {method}, seed {self.seed}"

    def compute(self, store: Store, folder: Path) -> dict[str, Any]:
        """Train; go on in the folder if a run lies there that was killed.

        Returns:
            The record of the run.

        Raises:
            ValueError: If the data are not those that the grid was planned with.
        """
        from counterpoise.training import train

        resume = (folder / "config.yaml").is_file()
        if folder.exists() and not resume:  # killed before it had begun
            shutil.rmtree(folder)
        record = train(self.recipe, folder, resume=resume, progress=False)
        if record["data"]["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"The data should be those that the grid was planned with, fingerprint "
                f"{self.fingerprint[:12]}; found {record['data']['fingerprint'][:12]}. "
                "Do not change them while a comparison runs."
            )
        return record


@dataclass(frozen=True)
class Result:
    """What is kept of a cell.

    Args:
        key: Of the cell.
        identity: What the key was made of.
        state: "done" or "failed".
        record: Of the run, as :func:`counterpoise.training.train` returns it; None if it failed.
        error: Type and message of what went wrong; None if nothing did.
        traceback: Where it went wrong.
        warnings: Messages that the run warned with, each once.
        code: Digest of the code that ran.
    """

    key: str
    identity: dict[str, Any]
    state: Literal["done", "failed"]
    record: dict[str, Any] | None
    error: str | None
    traceback: str | None
    warnings: list[str]
    code: str


class Store:
    """The folder of a comparison: results of cells, runs that are under way, and models kept.

    Args:
        path: The folder, which is made if need be.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self.results = self.path / "cells"
        self.running = self.path / "running"
        self.models = self.path / "models"
        self.results.mkdir(parents=True, exist_ok=True)
        self.running.mkdir(exist_ok=True)
        self.models.mkdir(exist_ok=True)

    def read(self, key: str) -> Result | None:
        """Return the result of the cell with this key, None if there is none."""
        path = self.results / f"{key}.json"
        if not path.is_file():
            return None
        return Result(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, result: Result, *, keep: bool = False) -> None:
        """Keep a result, whole or not at all, and forget its run, or keep its best model too."""
        write_json(self.results / f"{result.key}.json", vars(result))
        run, model = self.running / result.key, self.models / result.key
        if keep:
            shutil.rmtree(run / "tensorboard", ignore_errors=True)
            (run / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
            shutil.rmtree(model, ignore_errors=True)
            run.replace(model)
        shutil.rmtree(run, ignore_errors=True)

    def has_model(self, key: str) -> bool:
        """Return whether the model of a cell was kept."""
        return (self.models / key / "record.json").is_file()

    def release(self, key: str) -> None:
        """Remove the model of a cell, if it was kept."""
        shutil.rmtree(self.models / key, ignore_errors=True)

    def forget(self, key: str) -> None:
        """Remove a result, so that the cell is run again."""
        (self.results / f"{key}.json").unlink(missing_ok=True)

    def keys(self) -> set[str]:
        """Return the keys of all cells that have a result."""
        return {path.stem for path in self.results.glob("*.json")}

    def started(self, key: str) -> bool:
        """Return whether a run of the cell was begun and left no result."""
        return (self.running / key).exists() and not (self.results / f"{key}.json").exists()


def run_cell(cell: Cell, path: Path | str) -> None:
    """Run a cell and keep its result in the folder; go on with its run if one was killed.

    Whatever goes wrong within the run becomes its result and is not raised, but for a full disk,
    after which the run can go on once there is room: of that nothing is kept. One thread
    computes, whichever back end runs the cell, so that results do not depend on it; and one
    cell at a time in a process, since runs share its random generators.

    Raises:
        OSError: If a disk or a quota is full.
    """
    store = Store(path)
    folder = store.running / cell.key
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True) as caught, _one_thread():
        record, error, trace = None, None, None
        try:
            record = cell.compute(store, folder)
        except Exception as raised:  # kept, shown and reported: it must not stop the other cells
            if lacks_room(raised):
                raise
            error, trace = f"{type(raised).__name__}: {raised}", traceback.format_exc()
    messages = sorted({str(each.message) for each in caught})
    store.write(
        Result(
            cell.key,
            cell.identity,
            "failed" if error else "done",
            record,
            error,
            trace,
            messages,
            code_digest(),
        ),
        keep=cell.keep and not error,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def code_digest() -> str:
    """Return a digest of the sources of this package that have a say in what a run computes.

    Not part of a cell's key, so that a typing error that is corrected repeats no run, but kept
    with each result: a report tells where its cells come from different sources.
    """
    root = Path(__file__).parents[1]
    silent = {root / room for room in _SILENT}
    files = sorted(path for path in root.rglob("*.py") if silent.isdisjoint(path.parents))
    return _digest("".join(_digest(path.read_text(encoding="utf-8")) for path in files))


@cache
def _versions() -> dict[str, str]:
    return versions()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
