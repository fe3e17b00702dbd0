"""Sentiment from -3 to 3 as the target of a task, in the ways that the field has."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Task = Literal["binary", "regression", "seven"]

Binarisation = Literal["non-negative", "without-zero", "positive"]

BINARISATIONS = {
    "non-negative": "negative against non-negative sentiment",
    "without-zero": "negative against positive sentiment, without the neutral",
    "positive": "non-positive against positive sentiment",
}
"""What class 0 and class 1 are; results by different ones are not comparable."""


def target_of(
    sentiment: Tensor, task: Task, binarisation: Binarisation = "non-negative"
) -> tuple[Tensor, Tensor]:
    """Map sentiment to the target of a task.

    Args:
        sentiment: Shape (N,), in [-3, 3].
        task: ``"binary"``: 2 classes; ``"regression"``: the number itself; ``"seven"``: 7 classes,
            the nearest integer plus 3, halves to the even one.
        binarisation: What the two classes are.

    Returns:
        Which samples are kept, shape (N,), booleans; and their targets: integers, or float32 for
        regression, with a second axis of one.

    Example:
        >>> kept, target = target_of(torch.tensor([-1.0, 0.0, 2.4]), "binary")
        >>> target
        tensor([0, 1, 1])
    """
    kept = torch.ones(len(sentiment), dtype=torch.bool)
    if task == "regression":
        return kept, sentiment.float().unsqueeze(1)
    if task == "seven":
        return kept, sentiment.round().clamp(-3, 3).long() + 3
    if binarisation == "without-zero":
        kept = sentiment != 0
    positive = sentiment >= 0 if binarisation == "non-negative" else sentiment > 0
    return kept, positive[kept].long()
