"""Trees of tensors: what a modality, a feature or a target may be.

A tree is a tensor or any combination of lists, tuples, named tuples and dictionaries of them
(whatever PyTorch's pytree knows); leaves that are not tensors travel along untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # the one PyTorch itself uses; stable since 2.0

PyTree = Any
"""A tensor, or a container of trees."""


def tensors(tree: PyTree) -> list[Tensor]:
    """Return the tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def map_tensors(function: Callable[..., Any], tree: PyTree, *others: PyTree) -> PyTree:
    """Apply ``function`` to each tensor of ``tree`` and its counterparts in ``others``."""
    if isinstance(tree, Tensor):  # by far the most frequent, spared the walk
        return function(tree, *others)

    def apply(leaf: Any, *rest: Any) -> Any:
        return function(leaf, *rest) if isinstance(leaf, Tensor) else leaf

    return pytree.tree_map(apply, tree, *others)


def shapes(tree: PyTree) -> list[torch.Size]:
    """Return the shapes of the tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        return [tree.shape]
    return [tensor.shape for tensor in tensors(tree)]


def repeat_rows(tree: PyTree, times: int) -> PyTree:
    """Stack ``times`` copies of each tensor along its first axis."""
    return map_tensors(lambda t: t.expand(times, *t.shape).flatten(0, 1), tree)


def expand_rows(tree: PyTree, num_rows: int) -> PyTree:
    """Show the first row of each tensor as ``num_rows`` rows, without copying."""
    if not isinstance(tree, Tensor):
        return map_tensors(lambda t: expand_rows(t, num_rows), tree)
    row = tree if tree.shape[0] == 1 else tree[:1]
    return row.expand(num_rows, *tree.shape[1:])


def versions(*trees: PyTree) -> list[int]:
    """Return the counters that in-place operations move; nothing while compiling."""
    counters: list[int] = []
    if torch.compiler.is_compiling():
        return counters
    for tree in trees:
        leaves = (tree,) if isinstance(tree, Tensor) else tensors(tree)
        for tensor in leaves:
            counters.append(0 if tensor.is_inference() else tensor._version)  # noqa: PERF401 - a call
    return counters
