"""The folder of a run: where everything lies, and whether a run may start or go on in it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout  # comes with PyTorch

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.training.predictions import PREDICTIONS
from counterpoise.training.record import read_sealed, write_csv, write_json, write_yaml
from counterpoise.training.sealing import damage


def check_new(path: Path, *, or_else: str = "remove it") -> None:
    """Raise unless the path is free or an empty folder.

    Raises:
        ValueError: If something lies there.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"`output` should be a new or an empty folder; found {str(path)!r}, which is not. "
            f"Choose another, or {or_else}."
        )


class RunFolder:
    """Paths of a run's files, and what is written there by the run itself.

    Args:
        path: The folder, which need not exist.

    Attributes:
        config: The complete recipe, in YAML.
        record: What the run came to, in JSON; there once the run is complete.
        metrics: Every recorded value, in CSV.
        predictions: What was predicted for each test sample.
        checkpoints: Folder of ``best.ckpt`` and ``last.ckpt``, and of ``previous.ckpt`` while the
            run is under way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.record = path / "record.json"
        self.metrics = path / "metrics.csv"
        self.predictions = path / PREDICTIONS
        self.checkpoints = path / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The checkpoint to go on from if the last one is damaged."""
        return self.checkpoints / "previous.ckpt"

    @property
    def best(self) -> Path:
        """The weights to test."""
        return self.checkpoints / "best.ckpt"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder, which is made if missing; a killed run releases it.

        Raises:
            ValueError: If another run is at work in it.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.checkpoints / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(
                f"`output` should not be in use by another run; found one at work in "
                f"{str(self.path)!r}. Wait for it, or choose another folder."
            ) from error
        except NotImplementedError:  # some network disks have no locks: better to train without
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def begin(self, recipe: Mapping[str, Any]) -> None:
        """Keep the recipe in the folder, which is locked and was new before.

        Raises:
            ValueError: If another run has begun here meanwhile.
        """
        if self.config.exists():
            check_new(self.path, or_else="go on with the run in it by resume=True")
        write_yaml(self.config, dict(recipe))

    def kept(self) -> dict[str, Any]:
        """Return the recipe of the run that lies here.

        Raises:
            ValueError: If no run lies here.
            CorruptFileError: If its recipe is damaged.
        """
        if not self.config.is_file():
            raise ValueError(
                f"`output` should hold the run to resume; found no {self.config.name} in "
                f"{str(self.path)!r}. Check the path, or start a new run without resume."
            )
        try:
            content = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError) as error:
            content = error
        if not isinstance(content, dict):
            shown = " ".join(str(content).split()) if content else "nothing in it"
            raise CorruptFileError(
                f"`{self.config}` should hold the recipe of the run to resume; found that it "
                f"cannot be read ({shown}). Restore it, or start a new run in another folder."
            )
        return content

    def go_on(self, recipe: Mapping[str, Any]) -> bool:
        """Check that the run in this folder is the one that is asked for, or a longer one.

        Returns:
            Whether it shall be longer: of more epochs, and else the same.

        Raises:
            ValueError: If no run lies here, or one of another recipe.
            CorruptFileError: If its recipe is damaged.
        """
        kept = self.kept()
        before, now = (_num_epochs(settings) for settings in (kept, recipe))
        longer = before is not None and now is not None and before < now
        compared = dict(recipe)
        if longer:
            compared["trainer"] = {**recipe["trainer"], "max_epochs": before}
        for name in dict.fromkeys([*compared, *kept]):
            if compared.get(name) != kept.get(name):
                raise ValueError(
                    f"`{name}` should be as in the run to resume, {kept.get(name)}; found "
                    f"{compared.get(name)}. Pass --config {self.config}, or another output."
                )
        return longer

    def lengthen(self, recipe: Mapping[str, Any]) -> None:
        """Extend the run to more epochs: its record of fewer no longer holds."""
        self.record.unlink(missing_ok=True)
        write_yaml(self.config, dict(recipe))

    def checkpoint(self) -> Path | None:
        """Return the checkpoint to go on from; None to start anew.

        What is damaged is passed over, with a warning that names it.
        """
        self.checkpoints.mkdir(exist_ok=True)
        for path, otherwise in ((self.last, "Trying the one before."), (self.previous, "")):
            if not path.exists():
                continue
            trouble = damage(path)
            if trouble is None and self._lacks_best(path):
                path, trouble = self.best, damage(self.best)
            if trouble is None:
                return path
            warnings.warn(
                f"`{path}` should be as it was written; found {trouble}. "
                f"{otherwise or 'The run starts anew.'}",
                RuntimeWarning,
                stacklevel=2,
            )
        return None

    def _lacks_best(self, path: Path) -> bool:
        """Whether a checkpoint knows of a best epoch whose weights are damaged or gone."""
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        values = [callback.get("best_epoch") for callback in state["callbacks"].values()]
        return any(value is not None for value in values) and damage(self.best) is not None

    def finished(self) -> dict[str, Any] | None:
        """Return the record of a complete run, None while it is not complete or is damaged."""
        if not self.record.is_file():
            return None
        try:
            return read_sealed(self.record)
        except CorruptFileError as error:
            warnings.warn(f"{error} The run is tested again.", RuntimeWarning, stacklevel=2)
            return None

    def finish(self, record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the recorded values, and the record last, which marks the run as complete."""
        write_csv(self.metrics, rows)
        write_json(self.record, record)
        self.previous.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what a run wrote that failed before its first checkpoint: nothing is lost."""
        self.config.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.path / "tensorboard"):
            shutil.rmtree(folder, ignore_errors=True)


def _num_epochs(recipe: Mapping[str, Any]) -> int | None:
    trainer = recipe.get("trainer")
    number = trainer.get("max_epochs") if isinstance(trainer, Mapping) else None
    return number if isinstance(number, int) else None
