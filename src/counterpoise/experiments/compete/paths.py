"""Where the fused feature and the concepts are taken: found, and tried before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from counterpoise.core.errors import suggestion
from counterpoise.measures.features import Batches, extract_features
from counterpoise.models import MultimodalNetwork

if TYPE_CHECKING:
    from counterpoise.balanced import Balanced
    from counterpoise.data import Splits
    from counterpoise.training.recipe import Recipe

__all__ = ["Paths", "find_paths"]


@dataclass(frozen=True)
class Paths:
    """Where features are taken, as :func:`extract_features` takes paths.

    Attributes:
        fused: The fused feature of the joint model.
        concepts: For each modality the concept, in the network trained on it alone.
        encoders: For each modality its encoder; empty where the network has none to name.
        num_fused: How many dimensions the fused feature has.
    """

    fused: str
    concepts: dict[str, str]
    encoders: dict[str, str]
    num_fused: int = 1

    def describe(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {"fused": self.fused, "concepts": self.concepts, "encoders": self.encoders}


def find_paths(
    recipe: Recipe, splits: Splits, fused: str | None, concept: str | Mapping[str, str] | None
) -> Paths:
    """Complete the paths, and try them on a few samples, before anything is trained.

    Args:
        recipe: Of the joint run.
        splits: Its data.
        fused: As given by the user; None for the input of the head, if the network is ours.
        concept: As given by the user; None for the modality's encoder where logits are a sum
            over modalities, else the fused feature.

    Raises:
        ValueError: If a path is missing or unknown, or there are too few test samples for the
            covariance of a concept.
        RuntimeError: If a module is not called exactly once a pass.
        TypeError: If a feature is not a tensor.
    """
    with torch.random.fork_rng(devices=[]):
        balanced = recipe.replace(coalitions=None).build(splits)
    names = splits.modalities
    few = next(iter(Batches(splits.test_set, batch_size=8)))
    found = _fused(balanced) if fused is None else fused
    encoders = dict(balanced.ownership.encoders)
    if concept is None:
        balanced.validate(**few)
        concepts = encoders if balanced.runner.facts.separable else dict.fromkeys(names, found)
    elif isinstance(concept, str):
        concepts = dict.fromkeys(names, concept)
    else:
        concepts = _complete(concept, names)
    tried = {"fused": found, **{f"concept of {name}": concepts[name] for name in names}}
    features = extract_features(balanced.model, [few], tried).features
    _check_covariances(len(splits.test_set), {n: features[f"concept of {n}"] for n in names})
    return Paths(found, concepts, encoders, features["fused"].shape[1])


def _check_covariances(num_test: int, concepts: Mapping[str, Tensor]) -> None:
    for name, concept in concepts.items():
        if num_test <= concept.shape[1]:
            raise ValueError(
                f"`data` should have more test samples than the concept of {name} has dimensions, "
                f"{concept.shape[1]}, or its covariance is not known; found {num_test}. Use a "
                "larger split, or measure with fewer features."
            )


def _fused(balanced: Balanced) -> str:
    if isinstance(balanced.model, MultimodalNetwork):
        return "fusion.head:input"
    raise ValueError(
        f"`fused` should name the fused feature of {type(balanced.model).__name__}; found none. "
        "Pass the path of the module whose output it is, or with ':input' at the end of the one "
        "whose input it is, such as fused='head:input'."
    )


def _complete(concept: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    for name in concept:
        if name not in names:
            raise ValueError(
                f"`concept` should name modalities, which are {', '.join(names)}; found "
                f"{name!r}.{suggestion(name, names)}"
            )
    missing = [name for name in names if name not in concept]
    if missing:
        raise ValueError(
            f"`concept` should have a path for each modality; found none for "
            f"{', '.join(missing)}. Add it, or pass one path for all."
        )
    return dict(concept)
