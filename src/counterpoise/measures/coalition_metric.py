"""Any metric of torchmetrics, for every coalition of modalities at once."""

from __future__ import annotations

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.wrappers import MultioutputWrapper

from counterpoise.core.errors import check_count


class CoalitionMetric(MultioutputWrapper):
    """Maps the logits of every coalition to a metric of each: v(S) of any task.

    :class:`CoalitionPerformance` adds up what is a mean over samples; this one takes metrics that
    are not, such as macro-F1 or a correlation, too.

    Args:
        num_modalities: M, at least 2.
        metric: Takes ``update(outputs, target)``, such as ``task.metric(task.headline)``; of
            one number.

    Shapes: ``update`` takes logits (2^M, B, ...), as :func:`coalition_logits` returns them, and
    their target (B, ...). ``compute`` returns (2^M,), in the order of :func:`every_coalition`.

    Example:
        >>> import torch
        >>> from counterpoise.data import Regression
        >>> metric = CoalitionMetric(2, Regression().metric("mae"))
        >>> outputs = torch.tensor([0.0, 1.0, 0.0, 3.0]).view(4, 1, 1).expand(4, 5, 1)
        >>> metric.update(outputs, torch.full((5, 1), 3.0))
        >>> metric.compute()
        tensor([3., 2., 3., 0.])
    """

    def __init__(self, num_modalities: int, metric: Metric) -> None:
        check_count("num_modalities", num_modalities, at_least=2)
        super().__init__(metric, 2**num_modalities, output_dim=0, remove_nans=False)

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add the coalitions' logits on one batch."""
        super().update(logits, target.expand(len(logits), *target.shape))
