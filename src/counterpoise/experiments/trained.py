"""A complete run, as measurements use it: its data, its model, its record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from torch import nn

    from counterpoise.balanced import Balanced
    from counterpoise.data import Splits
    from counterpoise.experiments.store import Store
    from counterpoise.training.recipe import Recipe


class _Run(Protocol):
    @property
    def recipe(self) -> Recipe: ...
    @property
    def key(self) -> str: ...
    @property
    def title(self) -> str: ...


class Trained:
    """A run that is complete, as it was at its best epoch.

    Args:
        recipe: What was trained.
        folder: Where the run lies.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder

    @cached_property
    def splits(self) -> Splits:
        """The data."""
        return self.recipe.data.load()

    @cached_property
    def balanced(self) -> Balanced:
        """The wrapped model of the best epoch, in eval mode."""
        return load_best(self.recipe, self.splits, self.folder)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The record of the run."""
        record: dict[str, Any] = json.loads((self.folder / "record.json").read_text("utf-8"))
        return record


def trained(runs: Mapping[str, _Run], store: Store) -> dict[str, Trained]:
    """Return runs that are in a store with their models, by their part.

    Raises:
        RuntimeError: If one of them failed or diverged, so that there is no model.
    """
    for part, run in runs.items():
        result = store.read(run.key)
        if result is not None and result.state != "done":
            raise RuntimeError(f"The run {part!r} {result.state}: {result.error or run.title}")
    return {part: Trained(run.recipe, store.models / run.key) for part, run in runs.items()}


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


def encoders_of(runs: Mapping[str, _Run], store: Store) -> dict[str, nn.Module]:
    """Return the encoder that each modality's run has trained, of its best epoch.

    Raises:
        RuntimeError: If a run failed, so that there is none.
        ValueError: If it is not known where the network has its encoders.
    """
    from counterpoise.measures.unimodal import UnimodalModel, UnimodalNetwork

    encoders = {}
    splits = None
    for name, run in trained(runs, store).items():
        splits = run.recipe.data.load() if splits is None else splits
        network = load_best(run.recipe, splits, run.folder).model
        architecture = run.recipe.architecture
        assert isinstance(network, UnimodalModel)
        assert isinstance(architecture, UnimodalNetwork)
        paths = architecture.model.encoder_paths(network.model) or {}
        if name not in paths:
            raise ValueError(
                f"`model` should tell where the encoder of {name!r} is, to make a teacher of it; "
                f"found paths of {', '.join(paths) or 'none'}. Let `encoder_paths` return them."
            )
        encoders[name] = network.model.get_submodule(paths[name])
    return encoders
