"""Targets that have to be class labels."""

from __future__ import annotations

from torch import Tensor

from counterpoise.core.pytree import PyTree


def class_labels(target: PyTree, user: str) -> Tensor:
    """Return a target that holds class labels, shape (B,).

    Args:
        target: As given.
        user: Who is defined for classes alone, for errors.

    Raises:
        ValueError: If it holds anything else.
    """
    if isinstance(target, Tensor) and not target.is_floating_point() and target.dim() == 1:
        return target
    shown = f"{target.dtype} {tuple(target.shape)}" if isinstance(target, Tensor) else target
    raise ValueError(
        f"`target` should be class labels (B,) for {user}, which is defined for classes alone; "
        f"found {shown}. Use another method for other tasks."
    )
