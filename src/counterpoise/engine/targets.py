"""Checks, in every batch, that the targets suit the logits."""

from __future__ import annotations

from math import inf
from typing import Any

from torch import Tensor

from counterpoise.core.pytree import PyTree, tensors

_FEW = 128
"""Labels that are sooner read than reduced."""


class TargetChecks:
    """Checks the targets of every batch against the logits, at next to no cost.

    The score's own ``check`` looks at values, which on a GPU makes the step wait. So it is asked
    for the first batch, for one whose targets are of another kind, and on the CPU for one whose
    targets lie beyond all those that were found right.

    Example:
        >>> import torch
        >>> from counterpoise.core.scores import CrossEntropy
        >>> checks, logits = TargetChecks(), torch.zeros(3, 2)
        >>> checks(CrossEntropy(), logits, torch.tensor([0, 1, 1]))
        >>> checks(CrossEntropy(), logits, torch.tensor([0, 2, 1]))
        Traceback (most recent call last):
        ...
        ValueError: `target` should hold class indices from 0 to 1 in the shape (3,); found ...
    """

    def __init__(self) -> None:
        self._kind: Any = None
        self._low, self._high = inf, -inf

    def __call__(self, score: Any, logits: Tensor, target: PyTree, *, values: bool = True) -> None:
        """Check a batch.

        Args:
            score: What compares the two; it may have ``check(logits, target)``.
            logits: Shape (B, ...).
            target: With B rows.
            values: Whether the score has a say, or rows are counted alone.

        Raises:
            ValueError: If rows differ in number, or the score's check says so.
        """
        for leaf in tensors(target):
            if leaf.shape[:1] != logits.shape[:1]:
                raise ValueError(
                    f"`target` should have a row for each of the {len(logits)} rows of logits; "
                    f"found shape {tuple(leaf.shape)}. Pass the labels of this batch."
                )
        check = getattr(score, "check", None)
        if check is None or not values or not logits.shape[0]:
            return
        kind, (low, high) = _kind(logits, target), _range(target)
        if kind != self._kind or not (low >= self._low and high <= self._high):
            check(logits, target)
            same = kind == self._kind
            self._low = min(low, self._low) if same else low
            self._high = max(high, self._high) if same else high
            self._kind = kind


def _kind(logits: Tensor, target: PyTree) -> Any:
    if not isinstance(target, Tensor):
        return type(target).__name__
    shape, whole = target.shape, logits.shape
    if shape == whole:
        return target.dtype, target.dim(), "as logits"
    # Of so many classes: a head may be replaced by another.
    form = whole[1] if shape[1:] == whole[2:] and len(whole) > 1 else shape
    return target.dtype, target.dim(), form


def _range(target: PyTree) -> tuple[float, float]:
    """Return the least and the largest value where looking costs microseconds, else none."""
    if not isinstance(target, Tensor) or target.device.type != "cpu" or not target.numel():
        return inf, -inf
    if target.is_complex():
        return inf, -inf
    if target.dim() == 1 and target.shape[0] <= _FEW and not target.is_floating_point():
        labels: list[int] = target.tolist()
        return min(labels), max(labels)
    low, high = (target.detach() if target.requires_grad else target).aminmax()
    # Which reads memory, where `item` is an operation of its own.
    return float(low.tolist()), float(high.tolist())  # type: ignore[arg-type]
