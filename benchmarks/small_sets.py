"""Small data sets and networks that the studies of training share; nothing here is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from counterpoise.models import MultimodalNetwork, build

__all__ = ["Part", "accuracy", "batches", "halves", "load", "network", "packed", "rows"]

NAMES = ("halves", "digits", "synthetic", "mfeat", "wikipedia")


@dataclass(frozen=True)
class Part:
    """Samples of all modalities, and their labels."""

    inputs: Mapping[str, Tensor]
    target: Tensor

    def __len__(self) -> int:
        return len(self.target)


def load(name: str, features: Path | None = None) -> tuple[Part, Part]:
    """Return the training and the validation part of a data set; test data are not touched.

    Args:
        name: "halves" of scikit-learn's digits, "digits" and "synthetic" of this package, or an
            archive NAME.npz in ``features``.
        features: Folder with mfeat.npz and wikipedia.npz, see feature_archives.py.
    """
    if name == "halves":
        return halves()
    if name in ("digits", "synthetic"):
        return packed(name)
    if features is None:
        raise SystemExit(f"{name} needs --features, the folder with {name}.npz")
    pair = {"mfeat": ("zer", "mor"), "wikipedia": ("image", "text")}[name]
    with np.load(features / f"{name}.npz") as archive:
        rows = archive["train_idx"]
        label = torch.from_numpy(archive["label"][rows]).long()
        inputs = {key: _standardised(torch.from_numpy(archive[key][rows]).float()) for key in pair}
    return _divided(Part(inputs, label - label.min()))


def halves() -> tuple[Part, Part]:
    """Return the upper and lower halves of 8 x 8 digits as two modalities."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    digits = load_digits()
    images = torch.from_numpy(digits.images).float() / 16
    inputs = {"upper": images[:, None, :4], "lower": images[:, None, 4:]}
    return _divided(Part(inputs, torch.from_numpy(digits.target).long()))


def packed(name: str) -> tuple[Part, Part]:
    """Return the training and validation parts of a data set of this package."""
    from counterpoise.data import AVMNIST, DataSource, Digits, Synthetic

    sources: dict[str, Callable[[], DataSource]] = {
        "digits": Digits,
        "synthetic": Synthetic,
        "av-mnist": partial(AVMNIST, audio_size=28),
    }
    splits = sources[name]().load()
    parts = []
    for dataset in (splits.train, splits.validation):
        batch = dict(dataset.__getitems__(range(len(dataset))))
        target = batch.pop("target")
        parts.append(Part(batch, target))
    return parts[0], parts[1]


def network(
    part: Part, fusion: str = "concatenation", *, width: int = 64, flat: bool = True
) -> MultimodalNetwork:
    """Return a network of MLPs, on flattened samples, or of what suits the samples' shapes."""
    shapes = {
        name: (x[0].numel(),) if flat else tuple(x.shape[1:]) for name, x in part.inputs.items()
    }
    return build(shapes, int(part.target.max()) + 1, fusion=fusion, num_features=width)


def batches(part: Part, size: int, generator: torch.Generator, *, flat: bool) -> Iterator[Part]:
    """Yield the samples in random order; a last batch of one sample is left out."""
    for rows in torch.split(torch.randperm(len(part), generator=generator), size):
        if len(rows) > 1:
            inputs = {n: x[rows].flatten(1) if flat else x[rows] for n, x in part.inputs.items()}
            yield Part(inputs, part.target[rows])


def accuracy(model: nn.Module, part: Part, *, flat: bool) -> float:
    """Return the accuracy of a model in the mode that it is in."""
    inputs = {n: x.flatten(1) if flat else x for n, x in part.inputs.items()}
    with torch.no_grad():
        return float((model(**inputs).argmax(1) == part.target).float().mean())


def _standardised(x: Tensor) -> Tensor:
    return (x - x.mean(dim=0)) / x.std(dim=0).clamp_min(1e-6)


def _divided(part: Part, share: float = 0.2) -> tuple[Part, Part]:
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(0))
    cut = int(share * len(part))
    return rows(part, order[cut:]), rows(part, order[:cut])


def rows(part: Part, which: Tensor | slice) -> Part:
    """Return some of the samples."""
    return Part({name: x[which] for name, x in part.inputs.items()}, part.target[which])
