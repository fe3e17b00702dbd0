"""Several labels a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from counterpoise.core.errors import check_count
from counterpoise.core.scores import BinaryCrossEntropy, Score
from counterpoise.data.tasks.forms import MetricForm
from counterpoise.data.tasks.task import Task

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True)
class MultiLabel(Task):
    """Several labels a sample, each there or not: logits (N, L) and targets (N, L) of 0 and 1.

    Args:
        num_labels: L, at least 1.
        headline: "map", the mean over labels of the average precision, which needs no threshold;
            "macro_f1", the mean over labels of F1 at a probability of 1/2; or "accuracy", the
            share of all labels that are right at 1/2, which is high wherever labels are rare.
            Default: "map".

    Raises:
        ValueError: If there is no label, or no such metric.

    Example:
        >>> task = MultiLabel(2)
        >>> metric = task.metric("accuracy")
        >>> metric.update(torch.tensor([[2.0, -1.0], [-3.0, -1.0]]), torch.tensor([[1, 0], [0, 1]]))
        >>> metric.compute()
        tensor(0.7500)
    """

    kind: ClassVar[str] = "multilabel"
    forms: ClassVar[Mapping[str, MetricForm]] = {
        "map": MetricForm("map", "mean average precision", additive=False),
        "macro_f1": MetricForm("macro_f1", "macro-F1", additive=False),
        "accuracy": MetricForm("accuracy", "accuracy of labels"),
    }

    num_labels: int
    headline: str = "map"

    def __post_init__(self) -> None:
        check_count("num_labels", self.num_labels, at_least=1)
        self._check_headline()

    @property
    def num_outputs(self) -> int:
        """As many as there are labels."""
        return self.num_labels

    @property
    def score(self) -> Score:
        """The binary cross-entropy, mean over labels, in nats."""
        return BinaryCrossEntropy()

    def metric(self, name: str) -> Metric:
        """Return the metric from torchmetrics, fed with probabilities."""
        from counterpoise.data.tasks.adapted import LabelAccuracy, LabelF1, LabelPrecision

        if name == "map":
            return LabelPrecision(self.num_labels, average="macro", validate_args=False)
        if name == "macro_f1":
            return LabelF1(self.num_labels, average="macro", validate_args=False)
        return LabelAccuracy(self.num_labels, average="micro", validate_args=False)

    def sample_values(self, outputs: Tensor, target: Tensor) -> Tensor | None:
        """Return the share of each sample's labels that are right, if that is the headline."""
        if self.headline != "accuracy":
            return None
        return ((outputs.float().sigmoid() > 0.5) == target.bool()).float().mean(dim=1)

    def check_target(self, label: str, target: Tensor) -> None:
        """Raise unless targets are 0 and 1, one for each label of each sample."""
        if target.dim() != 2 or target.shape[1] != self.num_labels or target.is_complex():
            raise ValueError(
                f"`{label}` should have 0 or 1 for each of {self.num_labels} labels as target, "
                f"shape (N, {self.num_labels}); found {target.dtype} of shape "
                f"{tuple(target.shape)}. Give each sample a row."
            )
        wrong = (target != 0) & (target != 1)
        if wrong.any():
            raise ValueError(
                f"`{label}` should have targets of 0 and 1; found {target[wrong][0].item():g}. "
                "Mark each label as there or not."
            )

    def constant(self, target: Tensor) -> Tensor:
        """Return the log-odds of each label, shape (1, L)."""
        return torch.logit(target.float().mean(dim=0), eps=1e-6).unsqueeze(0)
