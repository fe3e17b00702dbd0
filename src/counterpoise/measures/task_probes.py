"""Linear probes for any task: how well a linear model does on an encoder's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from counterpoise.data.files.extras import require
from counterpoise.data.tasks import Task
from counterpoise.measures.features import Extracted
from counterpoise.measures.probes import PENALTIES, standardised
from counterpoise.measures.rows import rows


def task_probe(
    parts: Mapping[str, Extracted],
    name: str,
    task: Task,
    *,
    penalties: Sequence[float] = PENALTIES,
) -> float:
    """Fit a ridge regression from features to what the task asks for; judge it by its metric.

    It predicts the numbers of a regression, and 1 or -1 for each label or class. For one label a
    sample judged by accuracy that is :func:`linear_probe` of kind "ridge".

    Args:
        parts: Features and targets of "train", "validation" and "test": fitted on the first, the
            penalty chosen on the second, judged on the third.
        name: Which of the features.
        task: What is to be learnt.
        penalties: As in :func:`linear_probe`.

    Returns:
        The task's headline metric on the test part.

    Raises:
        ValueError: If a feature is not finite.
        ImportError: If scikit-learn is not installed.

    Example:
        >>> from counterpoise.data import Regression
        >>> def part(seed):
        ...     x = torch.randn(50, 3, generator=torch.Generator().manual_seed(seed))
        ...     return Extracted({"ear": x}, x @ torch.tensor([[1.0], [-2.0], [0.0]]))
        >>> parts = {"train": part(0), "validation": part(1), "test": part(2)}
        >>> task_probe(parts, "ear", Regression()) < 0.01
        True
    """
    require("A linear probe", "train", {"sklearn": "scikit-learn"})
    from sklearn.linear_model import Ridge  # type: ignore[import-untyped]

    x = standardised({part: rows(part, split.features[name]) for part, split in parts.items()})
    y = {part: split.target for part, split in parts.items()}
    best: tuple[float, Any] | None = None
    for penalty in sorted(penalties, reverse=True):
        fitted = Ridge(alpha=penalty, solver="svd").fit(x["train"], _asked(y["train"], task))
        value = _judged(fitted, x["validation"], y["validation"], task)
        if best is None or task.form.is_better(value, than=best[0]):
            best = value, fitted
    assert best is not None
    return _judged(best[1], x["test"], y["test"], task)


def _asked(target: Tensor | None, task: Task) -> NDArray[np.float64]:
    """Return what a regression predicts, shape (N, K)."""
    assert target is not None
    if task.has_classes:
        target = F.one_hot(target, task.num_outputs)
    numbers = target.double()
    return (numbers if task.kind == "regression" else 2 * numbers - 1).numpy()


def _judged(fitted: Any, x: NDArray[np.float64], target: Tensor | None, task: Task) -> float:
    assert target is not None
    outputs = torch.from_numpy(fitted.predict(x)).float().reshape(len(x), -1)
    metric = task.metric(task.headline)
    metric.update(outputs, target)
    return float(metric.compute())
