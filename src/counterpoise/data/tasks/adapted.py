"""Metrics of torchmetrics that take logits and targets as the tasks have them."""

from __future__ import annotations

import warnings

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    MultilabelAccuracy,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, PearsonCorrCoef


class _OfLogits(Metric):
    """Tells probabilities, and integers, to the metric behind it.

    It takes numbers in [0, 1] for probabilities and others for logits, batch by batch: a batch
    of small logits would be misread.
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add logits (B, L) and their targets (B, L)."""
        super().update(preds.float().sigmoid(), target.long())  # type: ignore[safe-super]


class LabelPrecision(_OfLogits, MultilabelAveragePrecision):
    """Average precision of each label, exact: it keeps all outputs until asked."""


class LabelF1(_OfLogits, MultilabelF1Score):
    """F1 of each label at a probability of 1/2."""


class LabelAccuracy(_OfLogits, MultilabelAccuracy):
    """Share of labels that are right at a probability of 1/2."""


class _OfSlices(Metric):
    """Copies outputs for the metric behind it, which cannot flatten slices, as responses are."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add outputs (B, K) and their targets (B, K)."""
        super().update(preds.float().contiguous(), target.contiguous())  # type: ignore[safe-super]


class AbsoluteErrors(_OfSlices, MeanAbsoluteError):
    """Mean absolute error."""


class SquaredErrors(_OfSlices, MeanSquaredError):
    """Mean squared error, or its root."""


class MeanCorrelation(PearsonCorrCoef):
    """Pearson's correlation, mean over targets; 0 of outputs that do not vary."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add outputs (B, K) and their targets (B, K)."""
        one = self.num_outputs == 1
        super().update(*(v.squeeze(1) if one else v for v in (preds.float(), target)))

    def compute(self) -> Tensor:
        """Return the mean, a scalar."""
        with warnings.catch_warnings():
            # What does not vary is no accident here: a constant guess does not.
            warnings.filterwarnings("ignore", "The variance of predictions", UserWarning)
            return super().compute().nan_to_num(0.0).mean()
