"""Where the fused feature and the concepts are taken: found, and tried before training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from counterpoise.core.errors import suggestion
from counterpoise.data.contract import size_of
from counterpoise.data.tasks import Segments
from counterpoise.measures.features import Batch, Batches, extract_features
from counterpoise.models import MultimodalNetwork

if TYPE_CHECKING:
    from counterpoise.balanced import Balanced
    from counterpoise.data import Samples, Splits
    from counterpoise.training.recipe import Recipe

_FEW, _TRIED = 8, 4
"""Samples in a batch, and batches, that paths are tried on: several, for they may be of unequal
lengths."""


@dataclass(frozen=True)
class Paths:
    """Where features are taken, as :func:`extract_features` takes paths.

    Attributes:
        fused: The fused feature of the joint model.
        concepts: For each modality the concept, in the network trained on it alone.
        encoders: For each modality its encoder, to be probed; without those whose feature is
            not known.
        num_fused: How many dimensions the fused feature has.
        by_segment: Whether each segment of a sample counts as a sample.
    """

    fused: str
    concepts: dict[str, str]
    encoders: dict[str, str]
    num_fused: int = 1
    by_segment: bool = False

    def describe(self) -> dict[str, Any]:
        """Return them as plain values."""
        return asdict(self)


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

    Returns:
        The paths. Segments count as samples where all features have the segments of the target.

    Raises:
        ValueError: If a path is missing or unknown, or there are too few test samples for the
            covariance of a concept.
        RuntimeError: If a module is not called exactly once a pass.
        TypeError: If a feature is not a tensor.

    Warns:
        UserWarning: If an encoder's feature is not known, so that it is not probed.
    """
    with torch.random.fork_rng(devices=[]):
        balanced = recipe.replace(coalitions=None).build(splits)
    names = splits.modalities
    few = list(islice(Batches(splits.test_set, batch_size=_FEW), _TRIED))
    fused_path = _fused(balanced) if fused is None else fused
    encoders = dict(balanced.ownership.encoders)
    if concept is None:
        balanced.validate(**few[0])
        concepts = encoders if balanced.runner.facts.separable else dict.fromkeys(names, fused_path)
    elif isinstance(concept, str):
        concepts = dict.fromkeys(names, concept)
    else:
        concepts = _complete(concept, names)
    tried = {"fused": fused_path, **{f"concept of {name}": concepts[name] for name in names}}
    extract_features(balanced.model, few, tried)
    probed = _probed(balanced, few, encoders, concepts)
    by_segment = _have_segments(balanced, few, [*tried.values(), *probed.values()], splits)
    segments = splits.task if by_segment and isinstance(splits.task, Segments) else None
    features = extract_features(balanced.model, few, tried, segments=segments).features
    num_test = num_rows(splits.test_set, by_segment=by_segment)
    _check_covariances(num_test, {n: features[f"concept of {n}"] for n in names})
    return Paths(fused_path, concepts, probed, features["fused"].shape[1], by_segment)


def num_rows(part: Samples, *, by_segment: bool) -> int | None:
    """Return how many rows of features a part has, where that is known."""
    if by_segment and part.target is not None:
        return part.target.numel()
    return size_of(part)


def _check_covariances(num_test: int | None, concepts: Mapping[str, Tensor]) -> None:
    for name, concept in concepts.items():
        if num_test is not None and num_test <= concept.shape[1]:
            raise ValueError(
                f"`data` should have more test samples than the concept of {name} has dimensions, "
                f"{concept.shape[1]}, or its covariance is not known; found {num_test}. Use a "
                "larger split, or measure with fewer features."
            )


def _probed(
    balanced: Balanced,
    few: list[Batch],
    encoders: Mapping[str, str],
    concepts: Mapping[str, str],
) -> dict[str, str]:
    """Return the path of each encoder's feature: as its concept says, where that is its output."""
    probed = {}
    for name, path in encoders.items():
        said = concepts[name].startswith((f"{path}[", f"{path}:output["))
        feature = concepts[name] if said else path
        try:
            extract_features(balanced.model, few, {name: feature})
        except (ValueError, TypeError, RuntimeError) as error:
            warnings.warn(f"The encoder of {name!r} is not probed. {error}", stacklevel=4)
        else:
            probed[name] = feature
    return probed


def _have_segments(balanced: Balanced, few: list[Batch], paths: list[str], splits: Splits) -> bool:
    """Return whether all features have a row for each segment of the target."""
    if not isinstance(splits.task, Segments):
        return False
    named = dict(zip(map(str, range(len(paths))), paths, strict=True))
    try:
        extract_features(balanced.model, few[:1], named, segments=splits.task)
    except ValueError:
        return False
    return True


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
