"""The folder of a run: where everything lies, and whether a run may start or go on in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from counterpoise.training.record import write_csv, write_json, write_yaml

__all__ = ["RunFolder", "check_new"]


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
        checkpoints: Folder of ``best.ckpt`` and ``last.ckpt``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.record = path / "record.json"
        self.metrics = path / "metrics.csv"
        self.checkpoints = path / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.checkpoints / "last.ckpt"

    def begin(self, recipe: Mapping[str, Any]) -> None:
        """Make the folder and keep the recipe in it.

        Raises:
            ValueError: If something lies there already.
        """
        check_new(self.path, or_else="go on with the run in it by resume=True")
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_yaml(self.config, dict(recipe))

    def go_on(self, recipe: Mapping[str, Any]) -> None:
        """Check that the run that lies here is the one that is asked for.

        Raises:
            ValueError: If no run lies here, or one of another recipe.
        """
        if not self.config.is_file():
            raise ValueError(
                f"`output` should hold the run to resume; found no {self.config.name} in "
                f"{str(self.path)!r}. Check the path, or start a new run without resume."
            )
        kept = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        for name in dict.fromkeys([*recipe, *kept]):
            if recipe.get(name) != kept.get(name):
                raise ValueError(
                    f"`{name}` should be as in the run to resume, {kept.get(name)}; found "
                    f"{recipe.get(name)}. Pass --config {self.config}, or another output."
                )
        self.checkpoints.mkdir(exist_ok=True)

    def finished(self) -> dict[str, Any] | None:
        """Return the record of a complete run, None while it is not complete."""
        if not self.record.is_file():
            return None
        record: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        return record

    def finish(self, record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the recorded values, and the record last, which marks the run as complete."""
        write_csv(self.metrics, rows)
        write_json(self.record, record)
