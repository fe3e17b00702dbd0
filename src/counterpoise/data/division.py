"""Samples divided into parts: the same for the same seed, whatever else is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from counterpoise.data.files.streams import stream


def stratified(
    rows: Tensor, labels: Tensor, *, share: float = 0.1, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Divide samples in two, with the same share of each class in the second part.

    Args:
        rows: Shape (N,): the samples.
        labels: Shape (N,), integers: their classes.
        share: Of the second part, in (0, 1); of each class at least one sample, if it has two.
        seed: What decides which.

    Returns:
        The rows of both parts, each in the order that they had.

    Example:
        >>> first, second = stratified(torch.arange(40), torch.arange(40) % 2)
        >>> len(first), sorted((second % 2).tolist())
        (36, [0, 0, 1, 1])
    """
    chosen = torch.zeros(len(rows), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten()
        number = min(max(1, round(share * len(members))), len(members) - 1)
        order = torch.randperm(len(members), generator=stream(seed, "validation", str(label)))
        chosen[members[order[:number]]] = True
    return rows[~chosen], rows[chosen]


def held_out(
    rows: Tensor, groups: Sequence[str], *, share: float = 0.1, seed: int = 0
) -> dict[str, Tensor]:
    """Divide samples in three, so that no group, such as a speaker, is in two parts.

    Args:
        rows: Shape (N,): the samples.
        groups: N names of groups.
        share: Of all groups that are for the test, and of those that are for validation.
        seed: What decides which.

    Returns:
        The rows of ``train``, ``validation`` and ``test``, each in the order that they had.

    Raises:
        ValueError: If there are fewer than three groups.

    Example:
        >>> parts = held_out(torch.arange(6), ["a", "a", "b", "c", "c", "d"])
        >>> sorted(len(part) for part in parts.values())
        [1, 1, 4]
    """
    names = sorted(set(groups))
    number = max(1, round(share * len(names)))
    if len(names) <= 2 * number:
        raise ValueError(
            f"`groups` should be at least three, one for each part; found {len(names)}. "
            "Get more of the data, or divide it otherwise."
        )
    order = torch.randperm(len(names), generator=stream(seed, "groups")).tolist()
    part_of = {names[place]: "train" for place in order}
    part_of |= {names[place]: "validation" for place in order[number : 2 * number]}
    part_of |= {names[place]: "test" for place in order[:number]}
    return {
        part: rows[torch.tensor([part_of[group] == part for group in groups])]
        for part in ("train", "validation", "test")
    }
