"""What every data set yields: batches that map modality names to tensors, plus `target`.

Nothing here knows a data set or handles one sample at a time: a batch is one indexing
operation on whole tensors, in memory or memory-mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import torch
from torch import Tensor
from torch.utils.data import Dataset

from counterpoise.core.errors import check_count, suggestion
from counterpoise.data.files.fingerprints import update_with_tensor

__all__ = ["TARGET", "Batch", "MultimodalDataset", "Splits", "Transform"]

TARGET = "target"
"""The key of the labels in a batch; no modality can have this name."""

Batch = dict[str, Tensor]
"""Each modality's name to its samples (B, ...), and ``target`` to their labels."""

Transform = Callable[[Tensor], Tensor]


class MultimodalDataset(Dataset[Batch]):
    """Maps indices to a batch: each modality's name to its tensor, plus ``target``.

    A :class:`torch.utils.data.DataLoader` asks for whole batches (``__getitems__``), so pass
    :meth:`collate` as its ``collate_fn``; a batch then costs one indexing operation a modality.

    Args:
        inputs: Each modality's name and its samples, shape (N, ...), in the order that the
            modalities shall have. Tensors are kept as they are, so memory-mapped ones stay on
            disk until a batch is read.
        target: Labels, shape (N, ...).
        transforms: For some modalities, a function that maps a batch (B, ...) as stored to the
            batch (B, ...) as yielded, such as a normalisation. Runs once a batch. Default: none.

    Raises:
        ValueError: If there is no modality, one is named ``target``, the lengths differ or a
            transform names no modality.
        TypeError: If an input or the target is not a tensor.

    Example:
        >>> dataset = MultimodalDataset(
        ...     {"audio": torch.zeros(5, 3), "image": torch.ones(5, 2)}, torch.arange(5)
        ... )
        >>> loader = torch.utils.data.DataLoader(dataset, 2, collate_fn=dataset.collate)
        >>> [batch["target"].tolist() for batch in loader]
        [[0, 1], [2, 3], [4]]
        >>> dataset[-1]["image"]
        tensor([1., 1.])
    """

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        target: Tensor,
        *,
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        _check_inputs(inputs, target)
        for name in transforms or {}:
            if name not in inputs:
                raise ValueError(
                    f"`transforms` should name modalities among {', '.join(map(repr, inputs))}; "
                    f"found {name!r}.{suggestion(name, inputs)}"
                )
        self.inputs = dict(inputs)
        self.target = target
        self.transforms = dict(transforms or {})

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in their order."""
        return tuple(self.inputs)

    @property
    def sample_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one sample of each modality as yielded, without the batch dimension."""
        batch = self._batch(slice(0, 1))
        return {name: tuple(batch[name].shape[1:]) for name in self.inputs}

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of names, types, shapes and bytes as stored; transforms are not part of it."""
        digest = sha256()
        for name, stored in {**self.inputs, TARGET: self.target}.items():
            update_with_tensor(digest, name, stored)
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: int) -> Batch:
        """Return one sample, without a batch dimension.

        Raises:
            IndexError: If ``index`` is out of range, which ends iteration as for a sequence.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"`index` should be in [-{len(self)}, {len(self)}); found {index}. "
                "Choose a sample that the data set has."
            )
        start = index % len(self)
        batch = self._batch(slice(start, start + 1))
        return {name: stacked[0] for name, stacked in batch.items()}

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return a batch in one indexing operation a modality; what a DataLoader calls."""
        rows = torch.as_tensor(indices, dtype=torch.long)
        return self._batch(torch.where(rows < 0, rows + len(self), rows))

    def _batch(self, selection: slice | Tensor) -> Batch:
        batch = {}
        for name, stored in self.inputs.items():
            selected = _select(stored, selection)
            transform = self.transforms.get(name)
            batch[name] = selected if transform is None else transform(selected)
        batch[TARGET] = _select(self.target, selection)
        return batch

    @staticmethod
    def collate(batch: Batch) -> Batch:
        """Return the batch as it is: it was made whole. For ``DataLoader(collate_fn=...)``."""
        return batch

    def subset(self, indices: slice | Sequence[int] | Tensor) -> MultimodalDataset:
        """Return a data set of some of the samples, with the same transforms.

        Args:
            indices: Which samples, in which order: integers in [-N, N), or a slice, which
                copies nothing.

        Raises:
            ValueError: If an index is out of range.

        Example:
            >>> dataset = MultimodalDataset({"a": torch.eye(3)}, torch.arange(3))
            >>> dataset.subset([2, 0]).target
            tensor([2, 0])
        """
        selection = indices
        if not isinstance(indices, slice):
            selection = torch.as_tensor(indices, dtype=torch.long)
            outside = selection[(selection < -len(self)) | (selection >= len(self))]
            if len(outside):
                raise ValueError(
                    f"`indices` should be in [-{len(self)}, {len(self)}); "
                    f"found {int(outside[0])}. Choose samples that the data set has."
                )
        inputs = {name: stored[selection] for name, stored in self.inputs.items()}
        return MultimodalDataset(inputs, self.target[selection], transforms=self.transforms)


def _select(stored: Tensor, selection: slice | Tensor) -> Tensor:
    # index_select copies whole samples, several times as fast for bytes as indexing by a tensor.
    return stored[selection] if isinstance(selection, slice) else stored.index_select(0, selection)


def _check_inputs(inputs: Mapping[str, Tensor], target: Tensor) -> None:
    if not inputs:
        raise ValueError(
            "`inputs` should hold at least one modality; found none. Pass a name and a tensor."
        )
    if TARGET in inputs:
        raise ValueError(
            f"`inputs` should not hold a modality named {TARGET!r}, the key of the labels; "
            f"found {', '.join(map(repr, inputs))}. Rename it."
        )
    for name, tensor in {**inputs, TARGET: target}.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"`{name}` should be a tensor; found {type(tensor).__name__}. "
                "Wrap it with torch.as_tensor."
            )
        if tensor.ndim == 0:
            raise ValueError(
                f"`{name}` should have a first dimension of samples; found a scalar. "
                "Pass shape (N, ...)."
            )
    lengths = {name: len(tensor) for name, tensor in {**inputs, TARGET: target}.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ValueError(
            f"`inputs` and `target` should have the same number of samples; found {found}. "
            "Give every sample all modalities and a label."
        )


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set divided for training, choosing and judging, with what a record of it needs.

    Attributes:
        name: What the data set is called.
        train: What the model learns from, at epoch 0 if it changes with epochs.
        validation: What choices (epoch, hyper-parameters) are made on.
        test: What is touched once, at the end.
        num_classes: C; targets are integers in [0, C), one for each sample.
        note: One sentence that says plainly what the data is.
        source: Where it comes from.
        licence: Under which terms.
        train_at: Maps an epoch to the training set of that epoch, for data that changes
            while the model learns. Default: always ``train``.

    Raises:
        ValueError: If the splits differ in modalities or sample shapes, ``num_classes`` is
            below 2, targets are not integers of shape (N,), or one lies outside [0, C).

    Example:
        >>> def make(num_samples):
        ...     return MultimodalDataset(
        ...         {"a": torch.rand(num_samples, 3)}, torch.arange(num_samples) % 2
        ...     )
        >>> splits = Splits("toy", make(5), make(3), make(2), 2, "Noise.", "made here", "none")
        >>> splits.modalities, splits.sample_shapes
        (('a',), {'a': (3,)})
    """

    name: str
    train: MultimodalDataset
    validation: MultimodalDataset
    test: MultimodalDataset
    num_classes: int
    note: str
    source: str
    licence: str
    train_at: Callable[[int], MultimodalDataset] | None = None

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes, at_least=2)
        for label, part in self._parts().items():
            if part.modalities != self.modalities or part.sample_shapes != self.sample_shapes:
                raise ValueError(
                    f"`{label}` should have the modalities and sample shapes of `train`, "
                    f"{self.sample_shapes}; found {part.sample_shapes}. Prepare all splits alike."
                )
            _check_classes(label, part.target, self.num_classes)

    def _parts(self) -> dict[str, MultimodalDataset]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in their order."""
        return self.train.modalities

    @cached_property
    def sample_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one sample of each modality, without the batch dimension."""
        return self.train.sample_shapes

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 over the fingerprints of the three splits."""
        parts = (part.fingerprint for part in self._parts().values())
        return sha256("\n".join(parts).encode()).hexdigest()

    def training_set(self, epoch: int) -> MultimodalDataset:
        """Return what the model learns from in an epoch, counted from 0."""
        return self.train if self.train_at is None else self.train_at(epoch)

    def describe(self) -> dict[str, object]:
        """Return what a run's record should say about its data, in plain types."""
        return {
            "name": self.name,
            "note": self.note,
            "source": self.source,
            "licence": self.licence,
            "num_classes": self.num_classes,
            "num_samples": {label: len(part) for label, part in self._parts().items()},
            "sample_shapes": {name: list(shape) for name, shape in self.sample_shapes.items()},
            "fingerprint": self.fingerprint,
        }


def _check_classes(label: str, target: Tensor, num_classes: int) -> None:
    """Raise unless targets are classes, one for each sample."""
    integers = not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)
    if target.ndim != 1 or not integers:
        raise ValueError(
            f"`{label}` should have one class for each sample as target, integers of shape (N,); "
            f"found {target.dtype} of shape {tuple(target.shape)}. Training, comparing and "
            "measuring competition by recipes are for classification with one label a sample; for "
            "other tasks wrap the model in counterpoise.Balanced and write the loop yourself."
        )
    if not len(target):
        return
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"`{label}` should have targets in [0, {num_classes}); found {low} to {high}. "
            "Renumber the classes or raise `num_classes`."
        )
