"""Which tasks a method is defined for."""

from __future__ import annotations

from counterpoise.core.errors import check_choice, check_kind
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
