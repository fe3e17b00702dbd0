"""One label a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from counterpoise.core.errors import check_count, described
from counterpoise.core.scores import CrossEntropy, Score
from counterpoise.data.tasks.forms import MetricForm
from counterpoise.data.tasks.task import Task, check_classes, check_integers

if TYPE_CHECKING:
    from torchmetrics import Metric


_NO_LABEL = CrossEntropy().ignore_index


@dataclass(frozen=True)
class Classification(Task):
    """One label a sample: logits (N, C) and targets (N,), integers in [0, C).

    Args:
        num_classes: C, at least 2.
        headline: "accuracy", the share of samples that are classified correctly, or "macro_f1",
            the mean over classes of F1, for classes of unequal size. Default: "accuracy".

    Raises:
        ValueError: If there are fewer than two classes, or no such metric.

    Example:
        >>> task = Classification(3)
        >>> metric = task.metric("macro_f1")
        >>> metric.update(torch.eye(3), torch.tensor([0, 1, 1]))
        >>> round(metric.compute().item(), 3)
        0.556
    """

    kind: ClassVar[str] = "classification"
    forms: ClassVar[Mapping[str, MetricForm]] = {
        "accuracy": MetricForm("accuracy"),
        "macro_f1": MetricForm("macro_f1", "macro-F1", additive=False),
    }

    num_classes: int
    headline: str = "accuracy"

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes, at_least=2)
        self._check_headline()

    @property
    def num_outputs(self) -> int:
        """As many as there are classes."""
        return self.num_classes

    @property
    def score(self) -> Score:
        """The cross-entropy, in nats."""
        return CrossEntropy()

    def metric(self, name: str) -> Metric:
        """Return the metric from torchmetrics."""
        from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

        # Samples without a label, which the loss ignores, count in no metric.
        options: dict[str, Any] = {"ignore_index": _NO_LABEL, "validate_args": False}
        if name == "accuracy":
            return MulticlassAccuracy(self.num_classes, average="micro", **options)
        return MulticlassF1Score(self.num_classes, average="macro", **options)

    def sample_values(self, outputs: Tensor, target: Tensor) -> Tensor | None:
        """Return which samples that have a label are right, if the headline is the accuracy."""
        if self.headline != "accuracy":
            return None
        return (outputs.argmax(dim=1) == target)[target != _NO_LABEL]

    def check_target(self, label: str, target: Tensor) -> None:
        """Raise unless targets are classes, one for each sample."""
        check_integers(label, target, 1, "one class for each sample")
        check_classes(label, target, self.num_classes)

    def constant(self, target: Tensor) -> Tensor:
        """Return the logarithms of the classes' shares, shape (1, C)."""
        return log_shares(target, self.num_classes).unsqueeze(0)


def log_shares(target: Tensor, num_classes: int) -> Tensor:
    """Return the logarithm of each class's share of the targets, shape (C,).

    Example:
        >>> log_shares(torch.tensor([0, 1, 1, 1]), 2).exp()
        tensor([0.2500, 0.7500])
    """
    counts = torch.bincount(target.flatten(), minlength=num_classes).float()
    return (counts / counts.sum()).log()


def task_of(task: object) -> Task:
    """Return a task as it is, and for a number C ``Classification(C)``.

    Raises:
        TypeError: If it is neither.
        ValueError: If C is below 2.

    Example:
        >>> task_of(3)
        Classification(num_classes=3, headline='accuracy')
    """
    if isinstance(task, Task):
        return task
    counted = isinstance(task, int) and not isinstance(task, bool)
    if counted and task >= 2:  # type: ignore[operator]
        return Classification(task)  # type: ignore[arg-type]
    raise (ValueError if counted else TypeError)(
        "`task` should be a task such as Classification(3), or a number of classes, at least 2; "
        f"found {described(task)}. One output is a Regression(), or a MultiLabel(1)."
    )
