"""A label for each segment of a sequence, or each pixel of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from counterpoise.core.errors import check_count
from counterpoise.core.fields import check_fields
from counterpoise.core.scores import CrossEntropy, Score
from counterpoise.data.tasks.classification import log_shares
from counterpoise.data.tasks.forms import MetricForm
from counterpoise.data.tasks.task import Task, check_classes

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True)
class Segments(Task):
    """A label for each segment or pixel: logits (N, C, ...) and targets (N, ...) of classes.

    Args:
        num_classes: C, at least 2, with the background where there is one.
        headline: "accuracy", the share of segments that are classified correctly; "macro_f1",
            the mean over classes of F1; or "mean_iou", the mean over classes of the intersection
            over the union, the usual one for pixels. Default: "accuracy".
        ignore_index: The target of segments that do not count. Default: -100.

    Raises:
        ValueError: If there are fewer than two classes, or no such metric.

    Example:
        >>> task = Segments(2)
        >>> metric = task.metric("accuracy")
        >>> logits = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]]])  # (1, 2, 3)
        >>> metric.update(logits, torch.tensor([[0, 0, -100]]))
        >>> metric.compute()
        tensor(0.5000)
    """

    kind: ClassVar[str] = "segments"
    forms: ClassVar[Mapping[str, MetricForm]] = {
        "accuracy": MetricForm("accuracy", "accuracy of segments"),
        "macro_f1": MetricForm("macro_f1", "macro-F1", additive=False),
        "mean_iou": MetricForm("mean_iou", "mean IoU", additive=False),
    }

    num_classes: int
    headline: str = "accuracy"
    ignore_index: int = -100

    def __post_init__(self) -> None:
        check_fields(self, "ignore_index")
        check_count("num_classes", self.num_classes, at_least=2)
        self._check_headline()

    @property
    def num_outputs(self) -> int:
        """As many as there are classes."""
        return self.num_classes

    @property
    def score(self) -> Score:
        """The cross-entropy, mean over the segments of a sample, in nats."""
        return CrossEntropy(ignore_index=self.ignore_index)

    def metric(self, name: str) -> Metric:
        """Return the metric from torchmetrics."""
        from torchmetrics import classification

        options: dict[str, Any] = {"ignore_index": self.ignore_index, "validate_args": False}
        if name == "accuracy":
            return classification.MulticlassAccuracy(self.num_classes, average="micro", **options)
        if name == "macro_f1":
            return classification.MulticlassF1Score(self.num_classes, average="macro", **options)
        return classification.MulticlassJaccardIndex(self.num_classes, **options)

    def check_target(self, label: str, target: Tensor) -> None:
        """Raise unless targets are classes, or ``ignore_index``, for each segment."""
        if target.dim() < 2 or target.dtype != torch.int64:
            raise ValueError(
                f"`{label}` should have a class for each segment as target, int64 of shape (N, T) "
                f"or (N, height, width); found {target.dtype} of shape {tuple(target.shape)}. "
                "Convert it by `.long()`, or pass Classification(...) for one label a sample."
            )
        check_classes(label, target[target != self.ignore_index], self.num_classes)

    def constant(self, target: Tensor) -> Tensor:
        """Return the logarithms of the classes' shares for each segment, shape (1, C, ...)."""
        shares = log_shares(target[target != self.ignore_index], self.num_classes)
        places = target.shape[1:]
        return shares.view(1, -1, *[1] * len(places)).expand(1, -1, *places)
