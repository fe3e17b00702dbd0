"""Numbers to predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from counterpoise.core.errors import check_choice, check_count
from counterpoise.core.scores import AbsoluteError, Score, SquaredError
from counterpoise.data.tasks.forms import MetricForm
from counterpoise.data.tasks.task import Task

if TYPE_CHECKING:
    from torchmetrics import Metric

_LOSSES: dict[str, Callable[[], Score]] = {"squared": SquaredError, "absolute": AbsoluteError}


@dataclass(frozen=True)
class Regression(Task):
    """Numbers to predict: outputs (N, K) and targets (N, K), floating point and finite.

    Args:
        num_targets: K, at least 1.
        loss: "squared" or "absolute" error, which training minimises and responses are scored
            by. Absolute where targets have outliers. Default: "squared".
        headline: "mae", the mean absolute error; "rmse", the root of the mean squared error; or
            "correlation", Pearson's, which does not see a wrong scale. Mean over targets.
            Default: "mae".

    Raises:
        ValueError: If there is no target, no such loss or no such metric.

    Example:
        >>> import torch
        >>> task = Regression()
        >>> metric = task.metric("mae")
        >>> metric.update(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.5], [2.0]]))
        >>> metric.compute(), task.form.higher_is_better
        (tensor(0.2500), False)
    """

    kind: ClassVar[str] = "regression"
    forms: ClassVar[Mapping[str, MetricForm]] = {
        "mae": MetricForm("mae", "mean absolute error", False, False, 3),
        "rmse": MetricForm("rmse", "root mean squared error", False, False, 3, additive=False),
        "correlation": MetricForm("correlation", share=False, decimals=3, additive=False),
    }

    num_targets: int = 1
    loss: str = "squared"
    headline: str = "mae"

    def __post_init__(self) -> None:
        check_count("num_targets", self.num_targets, at_least=1)
        check_choice("loss", self.loss, _LOSSES)
        self._check_headline()

    @property
    def num_outputs(self) -> int:
        """As many as there are targets."""
        return self.num_targets

    @property
    def score(self) -> Score:
        """The squared or the absolute error, mean over targets."""
        return _LOSSES[self.loss]()

    def metric(self, name: str) -> Metric:
        """Return the metric from torchmetrics."""
        from counterpoise.data.tasks.adapted import AbsoluteErrors, MeanCorrelation, SquaredErrors

        if name == "correlation":
            return MeanCorrelation(num_outputs=self.num_targets)
        return AbsoluteErrors() if name == "mae" else SquaredErrors(squared=False)

    def sample_values(self, outputs: Tensor, target: Tensor) -> Tensor | None:
        """Return the absolute error of each sample, mean over targets, if that is the headline."""
        return (outputs - target).abs().mean(dim=1) if self.headline == "mae" else None

    def check_target(self, label: str, target: Tensor) -> None:
        """Raise unless targets are finite numbers, a row for each sample."""
        seen = f"found {target.dtype} of shape {tuple(target.shape)}"
        if target.shape[1:] != (self.num_targets,) or not target.is_floating_point():
            raise ValueError(
                f"`{label}` should have numbers as target, floating point of shape "
                f"(N, {self.num_targets}); {seen}. Convert it by `.float()`, or make a column of "
                "it by `.unsqueeze(1)`."
            )
        finite = target.isfinite()
        if not finite.all():
            raise ValueError(
                f"`{label}` should have finite targets; found {target[~finite][0].item()}. Leave "
                "these samples out."
            )

    def constant(self, target: Tensor) -> Tensor:
        """Return the mean of each target, or its median for absolute errors, shape (1, K)."""
        if self.loss == "absolute" or self.headline == "mae":
            return target.median(dim=0, keepdim=True).values
        return target.mean(dim=0, keepdim=True)

    def guess(self, known: Tensor, asked: Tensor) -> float:
        """Return the headline metric of guessing; constants correlate with nothing."""
        return 0.0 if self.headline == "correlation" else super().guess(known, asked)
