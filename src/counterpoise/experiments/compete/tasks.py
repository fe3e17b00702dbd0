"""One method and seed of the protocol: which runs it needs, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from counterpoise.balanced import Balanced
from counterpoise.core.coalitions import EXACT_LIMIT
from counterpoise.experiments.compete.paths import Paths
from counterpoise.experiments.compete.results import Outcome
from counterpoise.experiments.runs import (
    Progress,
    content_key,
    load_best,
    measure_all,
    run_folder,
)
from counterpoise.measures.evaluation import measure
from counterpoise.measures.features import Batches, extract_features
from counterpoise.measures.probes import probe_encoders
from counterpoise.measures.strength import varying_directions
from counterpoise.measures.trained import model_strengths
from counterpoise.measures.unimodal import alone_recipe
from counterpoise.training.record import versions, write_json

if TYPE_CHECKING:
    from counterpoise.data import Splits
    from counterpoise.training.recipe import Recipe

__all__ = ["Progress", "Task", "work"]

FORMAT = 1
"""Raised whenever the same runs give other results."""


@dataclass(frozen=True)
class Task:
    """One method and seed: its runs, and the file of what they come to.

    Attributes:
        recipe: Of the joint run.
        folder: Of the joint run.
        concepts: By modality, recipe and folder of the run on it alone.
        result: The file.
    """

    recipe: Recipe
    folder: Path
    concepts: dict[str, tuple[Recipe, Path]]
    paths: Paths
    ridge: float
    result: Path

    @classmethod
    def make(cls, recipe: Recipe, splits: Splits, paths: Paths, ridge: float, output: Path) -> Task:
        """Find out where everything lies."""
        folder, concepts = run_folder(recipe, splits, output / "runs"), {}
        for name in splits.modalities:
            alone = alone_recipe(recipe, name)
            concepts[name] = alone, run_folder(alone, splits, output / "runs")
        decides = [FORMAT, paths.describe(), ridge, *(str(f.name) for _, f in concepts.values())]
        key = content_key({"decides": decides, "versions": versions()})
        return cls(recipe, folder, concepts, paths, ridge, folder / f"competition-{key}.json")

    def outcome(self) -> Outcome:
        """Read what was measured."""
        return Outcome(**json.loads(self.result.read_text("utf-8")))

    @property
    def title(self) -> str:
        """What to call the task in a line."""
        return str(self.recipe.name)

    def runs(self) -> dict[Path, Recipe]:
        """Return the recipe of every run that the task needs, by its folder."""
        return {self.folder: self.recipe, **{folder: r for r, folder in self.concepts.values()}}


def work(tasks: Sequence[Task], num_workers: int, progress: Progress) -> None:
    """Make the runs that are missing, then measure what is not measured."""
    measure_all(tasks, _measure, num_workers, progress)


def _measure(task: Task) -> None:
    """Measure one joint model against its concepts; write what came out."""
    splits = task.recipe.data.load()
    device = _device(task.recipe)
    balanced = load_best(task.recipe, splits, task.folder).to(device)
    alone = {
        name: load_best(recipe, splits, folder).model.to(device)
        for name, (recipe, folder) in task.concepts.items()
    }
    strengths = model_strengths(
        balanced.model,
        alone,
        Batches(splits.validation),
        Batches(splits.test_set),
        fused=task.paths.fused,
        concept=task.paths.concepts,
        ridge=task.ridge,
    )
    joint = _record(task.folder)
    records = {name: _record(folder) for name, (_, folder) in task.concepts.items()}
    outcome = {
        "method": type(task.recipe.method).__name__,
        "settings": task.recipe.describe()["method"].get("init_args", {}),
        "seed": task.recipe.seed,
        "accuracy": joint["test"]["accuracy"],
        "strength": strengths,
        "varying": {
            name: _varying(alone[name], splits, task.paths.concepts[name]) for name in alone
        },
        "alone": {name: each["test"]["accuracy"] for name, each in records.items()},
        "probe": _probes(balanced, splits, task.paths),
        **_contributions(balanced, splits),
        "seconds": joint["wall_time_seconds"],
        "seconds_alone": sum(each["wall_time_seconds"] for each in records.values()),
    }
    write_json(task.result, outcome)


def _device(recipe: Recipe) -> torch.device:
    wanted = recipe.trainer.accelerator in ("auto", "gpu", "cuda")
    return torch.device("cuda" if wanted and torch.cuda.is_available() else "cpu")


def _varying(alone: nn.Module, splits: Splits, path: str) -> float:
    """Return the share of directions in which a concept varies on test data."""
    paths = {"concept": f"model.{path}"}
    concept = extract_features(alone, Batches(splits.test_set), paths).features["concept"]
    return varying_directions(concept) / concept.shape[1]


def _probes(balanced: Balanced, splits: Splits, paths: Paths) -> dict[str, float]:
    """Return the accuracy of each encoder's probe; nothing where there is none to probe."""
    if not paths.encoders or splits.task.kind != "classification":
        return {}
    parts = (splits.train, splits.validation, splits.test_set)
    probes = probe_encoders(balanced.model, paths.encoders, *map(Batches, parts), kind="ridge")
    return {name: probe.accuracy for name, probe in probes.items()}


def _contributions(balanced: Balanced, splits: Splits) -> dict[str, Any]:
    """Return what coalitions tell; nothing where they are too many."""
    from counterpoise.measures.metrics import modality_metrics

    names = splits.modalities
    if len(names) > EXACT_LIMIT:
        return {"contribution": {}, "cooperation": None, "robustness": []}
    found = measure(balanced, Batches(splits.test_set), modality_metrics(len(names)))
    return {
        "contribution": dict(zip(names, found["contribution"].tolist(), strict=True)),
        "cooperation": found["cooperation"].item(),
        "robustness": found["robustness"].tolist(),
    }


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "record.json").read_text("utf-8"))
    return record
