"""Makes the runs that a study takes, measures them, and keeps both by their content."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.experiments.runs import (
    Progress,
    content_key,
    default_workers,
    measure_all,
    run_folder,
)
from counterpoise.experiments.study.observations import Observations
from counterpoise.experiments.study.study import Case, Study, Trained
from counterpoise.training.record import describe, versions, write_json

if TYPE_CHECKING:
    from counterpoise.data import Splits
    from counterpoise.training.recipe import Recipe

__all__ = ["observe"]


@dataclass(frozen=True)
class _Task:
    """A case, where its runs lie, and where what is measured on them is kept."""

    case: Case
    study: type[Study]
    folders: dict[str, Path]
    result: Path

    @property
    def title(self) -> str:
        """What to call the task in a line."""
        return f"{', '.join(self.case.condition)}, seed {self.case.seed}"

    def runs(self) -> dict[Path, Recipe]:
        """Return the recipe of every run that the task needs, by its folder."""
        return {self.folders[part]: recipe for part, recipe in self.case.runs.items()}


def observe(
    study: Study,
    output: Path | str = "studies",
    *,
    num_workers: int | None = None,
    progress: Progress | None = None,
) -> Observations:
    """Train what is missing and measure what is not measured yet.

    Args:
        study: What to observe.
        output: Folder of runs and measurements, which studies share: what one has trained,
            another does not train again.
        num_workers: Runs at a time. Default: one a core, or one where there is a GPU.
        progress: Told how many pieces of work are done, of how many, and which was the last.
    """
    tasks = _plan(study, Path(output))
    workers = default_workers() if num_workers is None else num_workers
    measure_all(tasks, _measure, workers, progress or (lambda done, total, last: None))
    measured: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for task in sorted(tasks, key=lambda task: task.case.seed):  # stable: conditions in order
        found = json.loads(task.result.read_text("utf-8"))
        measured.setdefault(task.case.condition, []).append(found)
    order = dict.fromkeys(task.case.condition for task in tasks)
    return Observations({condition: measured[condition] for condition in order})


def _plan(study: Study, output: Path) -> list[_Task]:
    loaded: dict[str, Splits] = {}

    def folder(recipe: Recipe) -> Path:
        key = content_key(describe(recipe.data))
        if key not in loaded:
            loaded[key] = recipe.data.load()
        return run_folder(recipe, loaded[key], output / "runs")

    tasks = []
    for case in study.cases():
        folders = {part: folder(recipe) for part, recipe in case.runs.items()}
        decides = {
            "study": study.name,
            "code": _measuring_code(),
            "versions": versions(),
            "runs": {part: str(path.name) for part, path in folders.items()},
        }
        result = output / "measured" / f"{study.name}-{content_key(decides)}.json"
        tasks.append(_Task(case, type(study), folders, result))
    return tasks


@cache
def _measuring_code() -> str:
    """Return a digest of the package's sources; to measure again costs next to nothing."""
    sources = sorted(Path(__file__).parents[2].rglob("*.py"))
    return sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def _measure(task: _Task) -> None:
    runs = {part: Trained(recipe, task.folders[part]) for part, recipe in task.case.runs.items()}
    task.result.parent.mkdir(parents=True, exist_ok=True)
    write_json(task.result, task.study.measure(runs))
