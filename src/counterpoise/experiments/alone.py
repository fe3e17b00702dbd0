"""Teachers for a method that learns from encoders which were trained on their modality alone."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from counterpoise.experiments.cells import alone_runs
from counterpoise.experiments.execution.settings import Execution, ExecutionOptions
from counterpoise.experiments.session import Counting, Progress, Session
from counterpoise.experiments.store import Store
from counterpoise.experiments.trained import encoders_of

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from counterpoise.training.recipe import Recipe


def unimodal_teachers(
    recipe: Recipe,
    *,
    runs: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **execution: Unpack[ExecutionOptions],
) -> dict[str, nn.Module]:
    """Return encoders of the recipe's network, each trained on its modality alone.

    They are those of the runs that ``compete`` trains, of the same seed and settings: what is in
    the store is read, and what is missing is trained, by one process each.

    Args:
        recipe: What else is to be trained; its method has no part in this.
        runs: Folder of the store. Default: $COUNTERPOISE_RUNS, or "counterpoise-runs".
        progress: Told what is done. Default: nobody.
        **execution: How runs are made: the arguments of
            :class:`counterpoise.experiments.Execution`, such as ``jobs=2``.

    Returns:
        Modality to encoder, for ``train(recipe, teachers=...)`` or ``cp.UMT(...)``.

    Raises:
        RuntimeError: If a run failed.
        ValueError: If it is not known where the network has its encoders.
    """
    if recipe.trainer.num_processes > 1:
        single: dict[str, Any] = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
        recipe = recipe.replace(trainer=replace(recipe.trainer, **single))
    splits = recipe.data.load()
    needed = alone_runs(recipe, splits.modalities, splits.fingerprint)
    store = Store(runs)
    Session(store, Execution(**execution), Counting(progress)).provide(needed.values())
    return encoders_of(needed, store)
