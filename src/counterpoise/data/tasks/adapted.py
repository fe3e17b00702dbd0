"""Metrics of torchmetrics that take logits and targets as the tasks have them."""

from __future__ import annotations

import warnings

from torch import Tensor
from torchmetrics.classification import (
    MultilabelAccuracy,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, PearsonCorrCoef

__all__ = [
    "AbsoluteErrors",
    "LabelAccuracy",
    "LabelF1",
    "LabelPrecision",
    "MeanCorrelation",
    "SquaredErrors",
]

# torchmetrics takes numbers in [0, 1] for probabilities and others for logits, batch by batch: a
# batch of small logits would be misread. So all are told probabilities.


class LabelPrecision(MultilabelAveragePrecision):
    """Mean over labels of the average precision, exact: it keeps all outputs until asked.

    Args:
        num_labels: L.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="macro", validate_args=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add logits (B, L) and their targets (B, L)."""
        super().update(preds.float().sigmoid(), target.long())


class LabelF1(MultilabelF1Score):
    """Mean over labels of F1 at a probability of 1/2.

    Args:
        num_labels: L.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="macro", validate_args=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add logits (B, L) and their targets (B, L)."""
        super().update(preds.float().sigmoid(), target.long())


class LabelAccuracy(MultilabelAccuracy):
    """Share of all labels that are right at a probability of 1/2.

    Args:
        num_labels: L.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="micro", validate_args=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add logits (B, L) and their targets (B, L)."""
        super().update(preds.float().sigmoid(), target.long())


class MeanCorrelation(PearsonCorrCoef):
    """Pearson's correlation, mean over targets; 0 of outputs that do not vary.

    Args:
        num_targets: K.
    """

    def __init__(self, num_targets: int) -> None:
        super().__init__(num_outputs=num_targets)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add outputs (B, K) and their targets (B, K)."""
        one = self.num_outputs == 1
        super().update(*(each.squeeze(1) if one else each for each in (preds.float(), target)))

    def compute(self) -> Tensor:
        """Return the mean, a scalar."""
        with warnings.catch_warnings():
            # What does not vary is no accident here: a constant guess does not.
            warnings.filterwarnings("ignore", "The variance of predictions", UserWarning)
            return super().compute().nan_to_num(0.0).mean()


# Responses are slices of what all coalitions gave, which torchmetrics' regression cannot flatten.


class AbsoluteErrors(MeanAbsoluteError):
    """Mean absolute error, of outputs that lie in memory as they like."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add outputs (B, K) and their targets (B, K)."""
        super().update(preds.float().contiguous(), target.contiguous())


class SquaredErrors(MeanSquaredError):
    """Root of the mean squared error, of outputs that lie in memory as they like."""

    def __init__(self) -> None:
        super().__init__(squared=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add outputs (B, K) and their targets (B, K)."""
        super().update(preds.float().contiguous(), target.contiguous())
