"""Samples that are read from storage a batch at a time, whatever the storage is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from counterpoise.core.errors import (
    check_function,
    check_kind,
    check_mapping,
    check_names,
    check_text,
    described,
)
from counterpoise.data.contract import TARGET, Batch
from counterpoise.data.files.fingerprints import update_with_tensor
from counterpoise.data.numbered import NumberedDataset

Read = Callable[[Tensor], Batch]
"""Maps rows of the storage (B,) to each modality's name and its samples (B, ...)."""


class StoredDataset(NumberedDataset):
    """Maps indices to a batch that a function reads from storage: modalities, plus ``target``.

    Unlike :class:`MultimodalDataset` it holds no tensors: some of the samples are a list of rows,
    so that a part of memory-mapped arrays is never copied, and a batch may be made of what lies
    in the storage in any way, such as a random view of each image or sequences cut to the
    longest of the batch.

    Args:
        read: What makes the batch of some rows.
        rows: Shape (N,), integers: the row of the storage that each sample has.
        target: Shape (N, ...).
        sample_shapes: The shape of one sample of each modality; the largest, where they differ.
        content: What tells the content of the storage from any other, such as a digest; becomes
            part of :attr:`fingerprint`.
        views: For training data that are seen otherwise in each epoch: maps the seed of a run and
            an epoch to what makes the batches then. Default: always ``read``.

    Example:
        >>> squares = torch.arange(7.0).square()
        >>> data = StoredDataset(
        ...     lambda rows: {"x": squares[rows]},
        ...     rows=torch.tensor([2, 5, 3]),
        ...     target=torch.tensor([0, 1, 1]),
        ...     sample_shapes={"x": ()},
        ...     content="squares",
        ... )
        >>> data.__getitems__([1, 2])
        {'x': tensor([25.,  9.]), 'target': tensor([1, 1])}
    """

    def __init__(
        self,
        read: Read,
        *,
        rows: Tensor,
        target: Tensor,
        sample_shapes: Mapping[str, tuple[int, ...]],
        content: str,
        views: Callable[[int, int], Read] | None = None,
    ) -> None:
        check_function(
            "read", read, "a function from rows to what is stored of them", optional=False
        )
        check_function("views", views, "a function from a seed and an epoch to a `read`")
        check_mapping("sample_shapes", sample_shapes, (tuple, list), "modalities to shapes")
        check_names("sample_shapes", [*sample_shapes])
        check_text("content", content)
        for name, given in (("rows", rows), ("target", target)):
            check_kind(name, given, Tensor, "a tensor")
        if rows.is_floating_point() or rows.dim() != 1:
            raise TypeError(
                f"`rows` should be whole numbers of rows, shape (N,); found {described(rows)}. "
                "Convert it by rows.long()."
            )
        if len(rows) != len(target):
            raise ValueError(
                f"`rows` and `target` should have the same number of samples; found {len(rows)} "
                f"and {len(target)}. Give every row a target."
            )
        self.read, self.rows, self.target = read, rows, target
        self.sample_shapes, self.content = dict(sample_shapes), content
        self.views = views

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in their order."""
        return tuple(self.sample_shapes)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of what tells the content of the storage, of the rows and of the targets."""
        digest = sha256(self.content.encode())
        for name, tensor in (("rows", self.rows), (TARGET, self.target)):
            update_with_tensor(digest, name, tensor)
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return the batch of some samples, read at once."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return {**self.read(self.rows[chosen]), TARGET: self.target[chosen]}

    def subset(self, indices: slice | Sequence[int] | Tensor) -> StoredDataset:
        """Return a data set of some of the samples, which copies only their row numbers."""
        kept = indices if isinstance(indices, slice) else torch.as_tensor(indices)
        return self._with(rows=self.rows[kept], target=self.target[kept])

    def drawn(self, seed: int, epoch: int) -> StoredDataset:
        """Return the same samples as a run of this seed sees them in an epoch."""
        return self if self.views is None else self._with(read=self.views(seed, epoch))

    def seen(self, views: Callable[[int, int], Read]) -> StoredDataset:
        """Return the same samples, seen otherwise in each epoch."""
        return self._with(views=views)

    def _with(self, **changes: Any) -> StoredDataset:
        other = copy(self)
        other.__dict__.pop("fingerprint", None)  # of the others
        vars(other).update(changes)
        return other
