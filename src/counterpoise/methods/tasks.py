"""Which tasks a method is defined for."""

from __future__ import annotations

from torch import Tensor

from counterpoise.core.errors import check_choice, check_kind
from counterpoise.core.scores import AbsoluteError, BinaryCrossEntropy, Score, SquaredError
from counterpoise.methods.method import TASKS, Method


def check_task(method: Method, task: str) -> None:
    """Raise unless a method is defined for a task.

    Args:
        method: Any.
        task: "classification" (a label a sample), "multilabel", "regression" or "segments" (a
            label a segment or pixel).

    Raises:
        ValueError: If it is not, or the task is unknown.

    Example:
        >>> from counterpoise import PMR
        >>> check_task(PMR(), "regression")
        Traceback (most recent call last):
        ...
        ValueError: `method` should be defined for the task, regression; found PMR, which is for \
classification. Use another method.
    """
    check_kind("method", method, Method, "a method")
    check_choice("task", task, TASKS)
    if task not in method.tasks:
        known = ", ".join(name for name in TASKS if name in method.tasks) or "no task"
        raise ValueError(
            f"`method` should be defined for the task, {task}; found {method.title()}, which is "
            f"for {known}. Use another method."
        )


def needs_classes(method: Method) -> bool:
    """Return whether a method is for classes alone, whose probabilities it goes by.

    Example:
        >>> from counterpoise import AGM, LFM
        >>> needs_classes(AGM()), needs_classes(LFM())
        (False, True)
    """
    return method.tasks.isdisjoint(("multilabel", "regression"))


def check_classes(method: Method, score: Score, logits: Tensor) -> None:
    """Raise if score or logits tell that there are no classes for a method that needs them.

    Args:
        method: For classes alone.
        score: Of the task.
        logits: Of a batch, shape (B, ...).

    Raises:
        ValueError: If so: the softmax of a single output, or of several labels, means nothing.
    """
    if isinstance(score, (SquaredError, AbsoluteError)):
        check_task(method, "regression")
    if isinstance(score, BinaryCrossEntropy):
        check_task(method, "multilabel")
    if logits.dim() < 2 or logits.shape[1] < 2:
        raise ValueError(
            f"Logits should be (N, C, ...) of two classes or more for {method.title()}, which is "
            f"for classes alone; found {tuple(logits.shape)}. Give the model an output for each "
            "class, or use another method."
        )
    if logits.dim() > 2:
        check_task(method, "segments")
