"""Whole tensors as samples: a batch is one indexing operation a tensor.

Nothing here knows a data set or handles one sample at a time. Tensors may lie in memory or be
memory-mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from hashlib import sha256

import torch
from torch import Tensor

from counterpoise.core.errors import (
    check_function,
    check_list,
    check_mapping,
    described,
    suggestion,
)
from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.data.contract import TARGET, Batch, shapes_of
from counterpoise.data.files.fingerprints import update_with_tensor
from counterpoise.data.numbered import NumberedDataset

Transform = Callable[[PyTree], PyTree]


class MultimodalDataset(NumberedDataset):
    """Maps indices to a batch: each modality's name to its tensor, plus ``target``.

    A :class:`torch.utils.data.DataLoader` asks for whole batches (``__getitems__``), so pass
    :meth:`collate` as its ``collate_fn``; a batch then costs one indexing operation a modality.

    Args:
        inputs: Each modality's name and its samples, a tensor (N, ...) or a pytree of such
            tensors, in the order that the modalities shall have. Tensors are kept as they are,
            so memory-mapped ones stay on disk until a batch is read.
        target: Labels, shape (N, ...).
        transforms: For some modalities, a function that maps a batch (B, ...) as stored to the
            batch (B, ...) as yielded, such as a normalisation. Runs once a batch. Default: none.

    Raises:
        ValueError: If there is no modality, one is named ``target``, the lengths differ or a
            transform names no modality.
        TypeError: If an input holds something else than tensors, or the target is not one.

    Example:
        >>> dataset = MultimodalDataset(
        ...     {"audio": torch.zeros(5, 3), "image": torch.ones(5, 2)}, torch.arange(5)
        ... )
        >>> loader = torch.utils.data.DataLoader(dataset, 2, collate_fn=dataset.collate)
        >>> [batch["target"].tolist() for batch in loader]
        [[0, 1], [2, 3], [4]]
        >>> dataset[-1]["image"]
        tensor([1., 1.])

        A modality of several tensors, such as tokens and which of them are real:

        >>> text = {"tokens": torch.zeros(5, 7), "mask": torch.ones(5, 7, dtype=torch.bool)}
        >>> dataset = MultimodalDataset({"text": text, "image": torch.ones(5, 2)}, torch.arange(5))
        >>> dataset.sample_shapes
        {'text': {'tokens': (7,), 'mask': (7,)}, 'image': (2,)}
    """

    def __init__(
        self,
        inputs: Mapping[str, PyTree],
        target: Tensor,
        *,
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        _check_inputs(inputs, target)
        check_mapping("transforms", transforms or {}, None, "modalities to functions")
        for name, transform in (transforms or {}).items():
            check_function(
                f"transforms[{name!r}]", transform, "a function of a batch", optional=False
            )
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
    def sample_shapes(self) -> dict[str, PyTree]:
        """The shape of one sample of each modality as yielded, without the batch dimension."""
        return shapes_of(self._batch(slice(0, 1)), self.modalities)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of names, types, shapes and bytes as stored; transforms are not part of it."""
        digest = sha256()
        for name, stored in {**self.inputs, TARGET: self.target}.items():
            for path, tensor in leaves(name, stored):
                update_with_tensor(digest, path, tensor)
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.target)

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return a batch in one indexing operation a modality."""
        rows = torch.as_tensor(indices, dtype=torch.long)
        return self._batch(torch.where(rows < 0, rows + len(self), rows))

    def _batch(self, selection: slice | Tensor) -> Batch:
        batch = {}
        for name, stored in self.inputs.items():
            selected = map_tensors(partial(_select, selection=selection), stored)
            transform = self.transforms.get(name)
            batch[name] = selected if transform is None else transform(selected)
        batch[TARGET] = _select(self.target, selection)
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
            if not isinstance(indices, Tensor):
                check_list("indices", indices, int, "integers, or a slice")
            selection = torch.as_tensor(indices)
            if (
                selection.dim() != 1
                or selection.is_floating_point()
                or selection.dtype == torch.bool
            ):
                raise TypeError(
                    f"`indices` should be integers, shape (K,), or a slice; found "
                    f"{described(selection)}. Of flags take flags.nonzero().flatten()."
                )
            selection = selection.long()
            outside = selection[(selection < -len(self)) | (selection >= len(self))]
            if len(outside):
                raise ValueError(
                    f"`indices` should be in [-{len(self)}, {len(self)}); "
                    f"found {int(outside[0])}. Choose samples that the data set has."
                )
        inputs = {
            name: map_tensors(lambda t: t[selection], stored)
            for name, stored in self.inputs.items()
        }
        return MultimodalDataset(inputs, self.target[selection], transforms=self.transforms)


def _select(stored: Tensor, selection: slice | Tensor) -> Tensor:
    # index_select copies whole samples, several times as fast for bytes as indexing by a tensor.
    return stored[selection] if isinstance(selection, slice) else stored.index_select(0, selection)


def leaves(name: str, tree: PyTree) -> list[tuple[str, PyTree]]:
    """List the leaves of a pytree with the path of each, which begins with a name.

    Example:
        >>> [path for path, _ in leaves("text", {"tokens": 1, "parts": [2, 3]})]
        ['text.tokens', 'text.parts.0', 'text.parts.1']
    """
    if isinstance(tree, Mapping):
        return [leaf for key, part in tree.items() for leaf in leaves(f"{name}.{key}", part)]
    if isinstance(tree, (list, tuple)):
        return [leaf for key, part in enumerate(tree) for leaf in leaves(f"{name}.{key}", part)]
    return [(name, tree)]


def _check_inputs(inputs: Mapping[str, PyTree], target: Tensor) -> None:
    check_mapping("inputs", inputs, None, "names of modalities to tensors")
    if not inputs:
        raise ValueError(
            "`inputs` should hold at least one modality; found none. Pass a name and a tensor."
        )
    if TARGET in inputs:
        raise ValueError(
            f"`inputs` should not hold a modality named {TARGET!r}, the key of the labels; "
            f"found {', '.join(map(repr, inputs))}. Rename it."
        )
    named = [leaf for name, tree in inputs.items() for leaf in leaves(name, tree)]
    named.append((TARGET, target))
    for name, tensor in named:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"`{name}` should be a tensor; found "
                f"{described(tensor)}. Wrap it with torch.as_tensor."
            )
        if tensor.ndim == 0:
            raise ValueError(
                f"`{name}` should have a first dimension of samples; "
                "found a scalar. Pass shape (N, ...)."
            )
        if tensor.is_complex() or tensor.layout != torch.strided or tensor.is_nested:
            kind = "complex" if tensor.is_complex() else "sparse or nested"
            remedy = "Pass real and imaginary part as two" if kind == "complex" else "Make it dense"
            raise TypeError(f"`{name}` should be dense and real; found it {kind}. {remedy}.")
    for name, tree in inputs.items():
        if not tensors(tree):
            raise ValueError(
                f"`{name}` should hold at least one tensor; found an empty pytree. Leave it out."
            )
    lengths = {name: len(tensor) for name, tensor in named}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ValueError(
            f"`inputs` and `target` should have the same number of samples; found {listed}. "
            "Give every sample all modalities and a label."
        )
