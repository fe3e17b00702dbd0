"""Another division of the built digits: images change places, voices stay where they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from counterpoise.data.contract import TARGET
from counterpoise.data.digits.digits_build import image_rows, load_images
from counterpoise.data.files.streams import stream

_PARTS = ("train", "validation")


def redivided(
    tensors: Mapping[str, Tensor], *, division: int, seed: int, utterances_per_image: int
) -> dict[str, Tensor]:
    """Draw which images are to train on and which to validate on, of all that are not for test.

    Which voices are in which part cannot change, lest voices that sound alike come into both. So
    the spoken digits stay in their places, and each gets an image of its class of the other
    division. Every image stays with all its noisy versions in one part.

    Args:
        tensors: What was built, by ``split.modality`` and ``split.target``.
        division: What decides which images are in which part.
        seed: That of the build.
        utterances_per_image: That of the build.

    Returns:
        The tensors with other images; those of the test are the same.
    """
    labels = load_images()[1]
    rows = torch.cat([image_rows(labels, part, seed, utterances_per_image) for part in _PARTS])
    images = torch.cat([tensors[f"{part}.image"] for part in _PARTS])
    targets = torch.cat([tensors[f"{part}.{TARGET}"] for part in _PARTS])
    source = torch.empty(len(rows), dtype=torch.long)
    for label in range(10):
        members = torch.tensor(sorted(set(rows[targets == label].tolist())))
        order = members[torch.randperm(len(members), generator=_stream(division, label))]
        # Places of a class in the order of the parts take the images in their new order.
        places = (rows == order[:, None]).nonzero()[:, 1]
        source[targets == label] = places
    num_train = len(tensors[f"{_PARTS[0]}.{TARGET}"])
    parts = zip(_PARTS, (source[:num_train], source[num_train:]), strict=True)
    return {**tensors, **{f"{part}.image": images[chosen] for part, chosen in parts}}


def _stream(division: int, label: int) -> torch.Generator:
    return stream(division, "digits", "division", str(label))
