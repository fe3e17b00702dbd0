"""The folder in which results of cells and models of runs are kept, one for all commands.

    results/KEY.json   what came of a cell, with a digest of itself
    predictions/KEY    what a run predicted for each test sample
    models/KEY/        the folder of a run whose model is still to be measured, or kept for good
    running/           runs that are under way, locks, and notes of processes that died
    damaged/           what was not as it had been written, set aside

Nothing in it is ever changed: files come and go as a whole.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock  # comes with PyTorch

from counterpoise.core.errors import check_path
from counterpoise.core.files import check_folder
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.training.predictions import PREDICTIONS, read_predictions
from counterpoise.training.record import write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

Keep = Literal["no", "until measured", "always"]
"""Whether a run's model is kept: not at all, until its command has measured it, or for good."""


def content_key(content: object) -> str:
    """Return the sha256 of plain content, in 64 hexadecimal digits.

    Example:
        >>> content_key({"a": 1, "b": [2.5]}) == content_key({"b": [2.5], "a": 1})
        True
    """
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Result:
    """What is kept of a cell.

    Args:
        key: Of the cell.
        identity: What the key was made of.
        state: "done", "diverged" or "failed".
        record: Of the run, as :func:`counterpoise.training.train` returns it, or what was
            measured; None if it failed.
        error: Type and message of what went wrong; None if nothing did.
        traceback: Where it went wrong.
        warnings: Messages that the cell warned with, each once.
        code: Digest of the code that ran.
        model: Sha256 of the best checkpoint that the run left; None if it left none.
        seconds: How long the process took that finished it, loading of data included.
    """

    key: str
    identity: dict[str, Any]
    state: Literal["done", "diverged", "failed"]
    record: dict[str, Any] | None
    error: str | None
    traceback: str | None
    warnings: list[str]
    code: str
    model: str | None = None
    seconds: float | None = None


def default_runs() -> Path:
    """Return the store's folder where none is named: $COUNTERPOISE_RUNS, or counterpoise-runs."""
    return Path(os.environ.get("COUNTERPOISE_RUNS") or "counterpoise-runs")


class Store:
    """Results, models and runs under way, by the keys of their cells.

    Args:
        path: The folder, which is made if need be. Default: that of :func:`default_runs`.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        check_path("runs", path)
        self.path = Path(default_runs() if path is None else path).absolute()
        check_folder("runs", self.path)
        self.results, self.models = self.path / "results", self.path / "models"
        self.predicted = self.path / "predictions"
        self.running, self.damaged = self.path / "running", self.path / "damaged"
        for folder in (self.results, self.models, self.running, self.predicted):
            folder.mkdir(parents=True, exist_ok=True)

    # -- results -----------------------------------------------------------------------------

    def read(self, key: str) -> Result | None:
        """Return the result of the cell with this key, None if there is none.

        One whose predictions are gone counts as none. One that is not as it was written, or not
        of this cell, is named in a warning and set aside, so that the cell is computed again.
        """
        path = self.results / f"{key}.json"
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_bytes())
            digest = content.pop("digest")
            if (digest, key) == (content_key(content), content_key(content["identity"])):
                result = Result(**content)
                gone = _digest_of_predictions(result) and not self._predictions_file(key).is_file()
                return None if gone else result
            problem = "its digest is another"
        except FileNotFoundError:  # taken away in between
            return None
        except (IsADirectoryError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"it cannot be read ({type(error).__name__})"
        self._set_aside(path, problem)
        return None

    def write(self, result: Result, *, keep: Keep = "no") -> None:
        """Keep a result, whole or not at all, and the run's best model, or forget the run."""
        # As JSON holds it, which has no NaN, so that reading gives the content of the digest.
        content = json.loads(json.dumps(asdict(result)), parse_constant=lambda _: None)
        predictions = self.running / result.key / PREDICTIONS
        if predictions.is_file():  # first: a result without them would be made again
            predictions.replace(self._predictions_file(result.key))
        path = self.results / f"{result.key}.json"
        write_json(path, {"digest": content_key(content), **content})
        run, model = self.running / result.key, self.models / result.key
        if keep != "no" and result.model is not None:
            shutil.rmtree(run / "tensorboard", ignore_errors=True)
            (run / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
            shutil.rmtree(model, ignore_errors=True)
            run.replace(model)
            if keep == "always":
                self.hold(result.key)
        shutil.rmtree(run, ignore_errors=True)
        self.deaths_file(result.key).unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Remove a result, so that the cell is computed again."""
        (self.results / f"{key}.json").unlink(missing_ok=True)
        self._predictions_file(key).unlink(missing_ok=True)

    def predictions(self, result: Result) -> dict[str, NDArray[Any]] | None:
        """Return what a run predicted for each test sample, in the order of the test data.

        Runs of the same data have the same test samples in the same order, whatever their seed.

        Args:
            result: Of the run.

        Returns:
            Arrays by name, or None if the run kept none, for it failed or diverged, or several
            processes or loaders of others tested. "prediction" has the class of each sample,
            shape (N,), or the outputs, (N, ...), where there are no classes. "value" is there if
            the headline metric of a data set is the mean of those of its samples, and has that
            metric of each, shape (N,), which is for an accuracy whether the sample is right
            (bool), and for a mean absolute error its error (float32).

        Raises:
            CorruptFileError: If they are not what the run wrote. The result is removed then, so
                that the run is made again by whoever asks for it.
        """
        digest = _digest_of_predictions(result)
        if digest is None:
            return None
        try:
            return read_predictions(self._predictions_file(result.key), digest)
        except CorruptFileError:
            self.forget(result.key)
            raise

    def _predictions_file(self, key: str) -> Path:
        return self.predicted / f"{key}.npz"

    def keys(self) -> set[str]:
        """Return the keys of all cells that have a result."""
        return {path.stem for path in self.results.glob("*.json")}

    # -- models ------------------------------------------------------------------------------

    def has_model(self, key: str) -> bool:
        """Return whether the model of a run was kept, and is what it was when it was written."""
        result, model = self.read(key), self.models / key
        if result is None or not model.is_dir():
            return False
        path = model / "checkpoints" / "best.ckpt"
        if path.is_file() and file_digest(path) == result.model:
            return True
        self._set_aside(model, "its checkpoint is not the one that training wrote")
        return False

    def hold(self, key: str) -> None:
        """Keep a model that is there for good."""
        (self.models / key / "kept").touch()

    def release(self, key: str) -> None:
        """Remove the model of a run, unless it is kept for good."""
        if not (self.models / key / "kept").exists():
            shutil.rmtree(self.models / key, ignore_errors=True)

    # -- what is under way -------------------------------------------------------------------

    def lock(self, key: str) -> FileLock:
        """Return the lock that a process holds while it computes a cell."""
        return FileLock(self.running / f"{key}.lock", poll_interval=0.1)

    def started(self, key: str) -> bool:
        """Return whether a run of the cell was begun and left no result."""
        return (self.running / key).exists() and not (self.results / f"{key}.json").exists()

    def deaths_file(self, key: str) -> Path:
        """Return the file that notes how processes ended that computed a cell."""
        return self.running / f"{key}.deaths"

    def deaths(self, key: str) -> list[str]:
        """Return how each process ended that died while it computed a cell."""
        path = self.deaths_file(key)
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def note_death(self, key: str, reason: str) -> None:
        """Note that a process died while it computed a cell."""
        with self.deaths_file(key).open("a", encoding="utf-8") as notes:
            notes.write(" ".join(reason.split()) + "\n")

    def _set_aside(self, path: Path, problem: str) -> None:
        self.damaged.mkdir(exist_ok=True)
        place = self.damaged / path.name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        path.replace(place)
        warnings.warn(
            f"{path} is damaged: {problem}. It was set aside as {place} and is made again.",
            stacklevel=3,
        )


def _digest_of_predictions(result: Result) -> str | None:
    kept = (result.record or {}).get("predictions")
    return None if kept is None else str(kept["digest"])
