"""Sequences of unequal lengths, padded with zeros at the end to the longest of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from counterpoise.data.contract import Batch
from counterpoise.data.files.fingerprints import update_with_tensor
from counterpoise.data.stored import StoredDataset

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Sequences:
    """Modalities that run along together, step by step.

    Attributes:
        values: Each modality's name and its sequences, shape (N, T, size), float32, zeros after
            the end of each.
        lengths: Shape (N,): how many steps each sample has, from 1 to T, in all modalities alike.
        target: Shape (N, ...).

    Example:
        >>> sequences = Sequences(
        ...     {"text": torch.ones(2, 5, 3)}, torch.tensor([2, 4]), torch.tensor([0, 1])
        ... )
        >>> sequences.dataset().__getitems__([1, 0])["text"].shape
        torch.Size([2, 4, 3])
    """

    values: Mapping[str, Tensor]
    lengths: Tensor
    target: Tensor

    def dataset(self) -> StoredDataset:
        """Return the data set whose batches are as long as their longest sample."""
        return StoredDataset(
            self.read,
            rows=torch.arange(len(self.lengths)),
            target=self.target,
            sample_shapes={name: tuple(value.shape[1:]) for name, value in self.values.items()},
            content=self._digest,
        )

    def read(self, rows: Tensor) -> Batch:
        """Return the sequences of some rows, cut to the longest of them."""
        longest = int(self.lengths[rows].max()) if len(rows) else 0
        return {name: value[rows, :longest] for name, value in self.values.items()}

    @cached_property
    def _digest(self) -> str:
        digest = sha256()
        for name, value in {**self.values, "lengths": self.lengths}.items():
            update_with_tensor(digest, name, value)
        return digest.hexdigest()


def with_mask(values: Tensor) -> dict[str, Tensor]:
    """Return a batch of sequences (B, T, size) as "tokens", and as "mask" which of them are real.

    Tokens that are all zero are padding; where all are, none is.

    Example:
        >>> with_mask(torch.tensor([[[0.5], [0.0]], [[0.0], [0.0]]]))["mask"]
        tensor([[ True, False],
                [ True,  True]])
    """
    real = values.ne(0).any(dim=2)
    return {"tokens": values, "mask": real | ~real.any(dim=1, keepdim=True)}


def from_padded_in_front(
    values: Mapping[str, np.ndarray[Any, Any]], leader: str
) -> tuple[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Move sequences to the beginning: cut where one modality begins, padded at the end instead.

    Args:
        values: Each modality's name and its sequences, shape (N, T, size).
        leader: The modality whose first row that is not zero is where all begin.

    Returns:
        The sequences, of the same shapes; and their lengths (N,), 0 where the leader is all zero.

    Example:
        >>> import numpy as np
        >>> padded = {"text": np.array([[[0.0], [2.0], [3.0]]]), "audio": np.ones((1, 3, 1))}
        >>> moved, lengths = from_padded_in_front(padded, "text")
        >>> moved["text"].ravel(), moved["audio"].ravel(), lengths
        (array([2., 3., 0.]), array([1., 1., 0.]), array([2]))
    """
    import numpy as np

    filled = (values[leader] != 0).any(axis=2)
    length = filled.shape[1]
    lengths = np.where(filled.any(axis=1), length - filled.argmax(axis=1), 0)
    moved = {name: np.zeros_like(value) for name, value in values.items()}
    for name, value in values.items():
        for row, steps in enumerate(lengths.tolist()):
            moved[name][row, :steps] = value[row, length - steps :]
    return moved, lengths
