"""Runs on each modality alone: what competition is measured against, and teachers.

Both are the same cells, so that what one command has trained another does not train again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from counterpoise.experiments.cells import Run
from counterpoise.experiments.execution.settings import Execution, ExecutionOptions
from counterpoise.experiments.session import Counting, Progress, Session
from counterpoise.experiments.store import Store, content_key
from counterpoise.experiments.trained import load_best, trained
from counterpoise.measures.unimodal import MonoModal, MonoModalNetwork, alone_recipe
from counterpoise.training.record import describe

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from counterpoise.training.recipe import Recipe

__all__ = ["alone_runs", "encoders_of", "teacher_runs", "unimodal_teachers"]

_MODALITIES: dict[str, tuple[str, ...]] = {}  # by the description of the data


def alone_runs(recipe: Recipe, modalities: Iterable[str], fingerprint: str) -> dict[str, Run]:
    """Return the runs of a recipe's network on each modality alone, whose models are kept."""
    recipes = {name: alone_recipe(recipe, name) for name in modalities}
    return {name: Run(each, fingerprint, "always") for name, each in recipes.items()}


def teacher_runs(recipe: Recipe, fingerprint: str) -> dict[str, Run]:
    """Return the same runs for a method that learns from them; each data set is loaded once."""
    key = content_key(describe(recipe.data))
    if key not in _MODALITIES:
        _MODALITIES[key] = recipe.data.load().modalities
    return alone_runs(recipe, _MODALITIES[key], fingerprint)


def encoders_of(runs: Mapping[str, Run], store: Store) -> dict[str, nn.Module]:
    """Return the encoder that each modality's run has trained, of its best epoch.

    Raises:
        RuntimeError: If a run failed, so that there is none.
        ValueError: If it is not known where the network has its encoders.
    """
    found = {}
    splits = None
    for name, each in trained(runs, store).items():
        splits = each.recipe.data.load() if splits is None else splits
        network = load_best(each.recipe, splits, each.folder).model
        architecture = each.recipe.architecture
        assert isinstance(network, MonoModal)
        assert isinstance(architecture, MonoModalNetwork)
        paths = architecture.model.encoder_paths(network.model) or {}
        if name not in paths:
            raise ValueError(
                f"`model` should tell where the encoder of {name!r} is, to make a teacher of it; "
                f"found paths of {', '.join(paths) or 'none'}. Let `encoder_paths` return them."
            )
        found[name] = network.model.get_submodule(paths[name])
    return found


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
