"""Training runs that are known by the content of their configuration and never made twice.

A run lies in a folder whose name is a hash of all that decides what it computes: recipe, data and
versions. What is complete is reused, what was killed goes on, what is missing is trained, several
at a time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch

from counterpoise.balanced import Balanced
from counterpoise.core.errors import check_count
from counterpoise.training.folder import RunFolder
from counterpoise.training.recipe import Recipe
from counterpoise.training.record import versions

if TYPE_CHECKING:
    from counterpoise.data import Splits

__all__ = ["content_key", "default_workers", "in_parallel", "is_complete", "load_best"]
__all__ += ["Progress", "measure_all", "run_folder", "train_once"]

Job = TypeVar("Job")
Result = TypeVar("Result")

Progress = Callable[[int, int, str], None]
"""Is told how many things are done, of how many, and what was done last."""


class Measurement(Protocol):
    """Something that is measured on runs.

    Attributes:
        result: The file that is there once it is measured.
        title: What to call it in a line.
    """

    @property
    def result(self) -> Path: ...

    @property
    def title(self) -> str: ...

    def runs(self) -> dict[Path, Recipe]:
        """Return the recipe of every run that it takes, by its folder."""


Measured = TypeVar("Measured", bound=Measurement)


def content_key(content: object) -> str:
    """Return 16 hexadecimal digits that tell plain content apart.

    Example:
        >>> content_key({"a": 1, "b": [2.5]}) == content_key({"b": [2.5], "a": 1})
        True
    """
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def run_folder(recipe: Recipe, splits: Splits, root: Path) -> Path:
    """Return where the run of a recipe on data lies; the name of the recipe has no part in it."""
    described = {name: value for name, value in recipe.describe().items() if name != "name"}
    content = {"recipe": described, "data": splits.fingerprint, "versions": versions()}
    return root / f"{recipe.name}-{content_key(content)}"


def is_complete(folder: Path) -> bool:
    """Return whether the run in a folder has been finished."""
    return RunFolder(folder).finished() is not None


def train_once(recipe: Recipe, folder: Path) -> None:
    """Train if the run is not complete; go on with it if it was killed."""
    from counterpoise.training.run import train

    begun = RunFolder(folder).config.is_file()
    if folder.exists() and not begun:  # killed before it had written what it is
        shutil.rmtree(folder)
    train(recipe, folder, resume=begun, progress=False)


def load_best(recipe: Recipe, splits: Splits, folder: Path) -> Balanced:
    """Return the model of a complete run as it was at its best epoch, in eval mode."""
    with torch.random.fork_rng(devices=[]):  # whose weights are drawn only to be replaced
        balanced = recipe.build(splits)
    path = folder / "checkpoints" / "best.ckpt"
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "balanced."
    own = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    balanced.load_state_dict(own)
    return balanced.eval()


def default_workers() -> int:
    """Return how many runs to make at a time: one a core, or one where there is a GPU."""
    if torch.cuda.is_available():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure_all(
    tasks: Sequence[Measured],
    measure: Callable[[Measured], None],
    num_workers: int,
    progress: Progress,
) -> None:
    """Make the runs that are missing, each once, then measure what has no result yet.

    Args:
        tasks: What shall be measured.
        measure: Measures one and writes its result; a function that other processes can import.
        num_workers: As in :func:`in_parallel`.
        progress: Told after each run and each measurement.
    """
    pending = [task for task in tasks if not task.result.is_file()]
    recipes = {folder: recipe for task in pending for folder, recipe in task.runs().items()}
    missing = [(recipe, folder) for folder, recipe in recipes.items() if not is_complete(folder)]
    total, done = len(missing) + len(pending), 0
    progress(done, total, "" if total else "all is there already")
    for (recipe, _), _ in in_parallel(_train, missing, num_workers):
        done += 1
        progress(done, total, f"trained {recipe.name}")
    for task, _ in in_parallel(measure, pending, num_workers):
        done += 1
        progress(done, total, f"measured {task.title}")


def _train(job: tuple[Recipe, Path]) -> None:
    train_once(*job)


def in_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], num_workers: int
) -> Iterator[tuple[Job, Result]]:
    """Yield each job with its result as soon as there is one, in whatever order.

    Args:
        function: What to do with a job. With more than one worker it runs in other processes,
            each with its share of the cores.
        jobs: What to do it with.
        num_workers: How many at a time, at least 1. 1: in this process, one after another.
    """
    check_count("num_workers", num_workers, at_least=1)
    num_workers = min(num_workers, len(jobs))
    if num_workers <= 1:
        for job in jobs:
            yield job, function(job)
        return
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    threads = max(1, torch.get_num_threads() // num_workers)
    pool = Parallel(n_jobs=num_workers, return_as="generator_unordered")
    results: Any = pool(delayed(_in_worker)(function, job, threads) for job in jobs)
    yield from results


def _in_worker(function: Callable[[Job], Result], job: Job, num_threads: int) -> tuple[Job, Result]:
    torch.set_num_threads(num_threads)
    return job, function(job)
