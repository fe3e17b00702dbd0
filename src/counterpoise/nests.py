"""Nests of tensors: what a modality, a feature or a target may be.

A nest is a tensor or any combination of lists, tuples, named tuples and dictionaries of them
(whatever PyTorch's pytree knows); leaves that are not tensors travel along untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # the one PyTorch itself uses; stable since 2.0

__all__ = ["Nest", "expand_rows", "map_tensors", "repeat_rows", "shapes", "tensors"]

Nest = Any
"""A tensor, or a container of nests."""


def tensors(nest: Nest) -> list[Tensor]:
    """Return the tensors of a nest, in order."""
    if isinstance(nest, Tensor):
        return [nest]
    return [leaf for leaf in pytree.tree_leaves(nest) if isinstance(leaf, Tensor)]


def map_tensors(function: Callable[..., Any], nest: Nest, *others: Nest) -> Nest:
    """Apply ``function`` to each tensor of ``nest`` and its counterparts in ``others``."""
    if isinstance(nest, Tensor):  # by far the most frequent nest, spared the tree
        return function(nest, *others)

    def apply(leaf: Any, *rest: Any) -> Any:
        return function(leaf, *rest) if isinstance(leaf, Tensor) else leaf

    return pytree.tree_map(apply, nest, *others)


def shapes(nest: Nest) -> list[torch.Size]:
    """Return the shapes of the tensors of a nest, in order."""
    return [tensor.shape for tensor in tensors(nest)]


def repeat_rows(nest: Nest, times: int) -> Nest:
    """Stack ``times`` copies of each tensor along its first axis."""
    return map_tensors(lambda t: t.expand(times, *t.shape).flatten(0, 1), nest)


def expand_rows(nest: Nest, num_rows: int) -> Nest:
    """Show the first row of each tensor as ``num_rows`` rows, without copying."""
    return map_tensors(lambda tensor: tensor[:1].expand(num_rows, *tensor.shape[1:]), nest)
