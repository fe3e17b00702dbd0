"""Metrics that add up how well each coalition of modalities does, over batches and processes.

All take the same ``update(logits, target)``, so that one pass over a data set serves any number
of them, in a ``torchmetrics.MetricCollection`` or not: see :func:`measure`.

Legend: M modalities, S coalitions (2^M of them, the empty one first), B rows of the batch,
C classes, P probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from counterpoise.core.coalitions import MOST_MODALITIES, shapley_weights
from counterpoise.core.errors import (
    check_count,
    check_function,
    check_list,
    check_range,
    described,
)
from counterpoise.core.pytree import PyTree, tensors
from counterpoise.core.scores import Score, score_responses
from counterpoise.measures.contributions import alone, contributions, cooperation, robustness

PROBABILITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of absence, at which robustness curves are computed unless told otherwise."""


class _Performance(Metric):
    """Adds up the performance of several predictions of the same samples."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(
        self, num_modalities: int, num_predictions: int, score: Score | None, **options: Any
    ) -> None:
        super().__init__(**options)
        check_function("score", score, "a function of logits and target, or None for accuracy")
        self.num_modalities, self.score = num_modalities, score
        # Double precision: sums of losses over millions of samples stay right.
        zeros = torch.zeros(num_predictions, dtype=torch.float64)
        self.add_state("total", default=zeros, dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

    def _add(self, logits: Tensor, target: PyTree) -> None:
        total, count = _performance(logits, target, self.score)
        self.total += total.to(self.total.dtype)
        self.count += count

    def _mean(self) -> Tensor:
        if self.count == 0:
            raise ValueError(
                f"`{type(self).__name__}` should see at least one sample before it is asked for "
                "its value; found none. Call update() with a batch first."
            )
        return self.total / self.count


class CoalitionPerformance(_Performance):
    """Performance of every coalition of modalities, and the base of what is made of it.

    Args:
        num_modalities: M, at least 2.
        score: Per-sample loss whose negative is the performance, as of
            :mod:`counterpoise.scores`; nats for ``CrossEntropy()``. Default: None, accuracy.
        **options: Passed on to ``torchmetrics.Metric``.

    Shapes: ``update`` takes logits (2^M, B, C, ...), as :func:`coalition_logits` returns them,
    and their target: for accuracy class indices (B, ...), negative where an entry does not count.

    Returns:
        ``compute`` gives v(S), shape (2^M,), in the order of :func:`every_coalition`.

    Raises:
        ValueError: In ``update``, if there are not 2^M rows of logits, or target and logits have
            different numbers of samples; in ``compute``, if there was no sample.
        TypeError: If accuracy is asked for of a target that is no class index.

    Example:
        >>> metric = CoalitionPerformance(num_modalities=2)
        >>> right = torch.tensor([[5.0, 0.0], [0.0, 5.0]])  # logits of two samples
        >>> metric.update(torch.stack([0 * right, right, 0 * right, right]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor([0.5000, 1.0000, 0.5000, 1.0000], dtype=torch.float64)
    """

    def __init__(self, num_modalities: int, score: Score | None = None, **options: Any) -> None:
        check_count("num_modalities", num_modalities, at_least=2, at_most=MOST_MODALITIES)
        super().__init__(num_modalities, 2**num_modalities, score, **options)

    def update(self, logits: Tensor, target: PyTree) -> None:
        """Add the coalitions' logits, shape (2^M, B, C, ...), on one batch."""
        _check_coalitions(logits, self.num_modalities)
        self._add(logits, target)

    def compute(self) -> Tensor:
        """Return v(S), shape (2^M,)."""
        return self._mean()


class Contribution(CoalitionPerformance):
    """Contribution of each modality, shape (M,): :func:`contributions` of the performances.

    Example:
        >>> metric = Contribution(num_modalities=2)
        >>> right = torch.tensor([[5.0, 0.0], [0.0, 5.0]])  # logits of two samples
        >>> metric.update(torch.stack([0 * right, right, 0 * right, right]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Return the contributions, shape (M,)."""
        return contributions(self._mean())


class Cooperation(CoalitionPerformance):
    """What the whole has beyond its parts: :func:`cooperation` of the performances.

    Example:
        >>> metric = Cooperation(num_modalities=2)
        >>> right = torch.tensor([[5.0, 0.0], [0.0, 5.0]])  # logits of two samples
        >>> metric.update(torch.stack([0 * right, right, 0 * right, right]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor(0., dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Return the cooperation, a scalar."""
        return cooperation(self._mean())


class Alone(CoalitionPerformance):
    """Performance of the model with each modality alone, shape (M,).

    Example:
        >>> metric = Alone(num_modalities=2)
        >>> right = torch.tensor([[5.0, 0.0], [0.0, 5.0]])  # logits of two samples
        >>> metric.update(torch.stack([0 * right, right, 0 * right, right]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Return v({m}), shape (M,)."""
        return alone(self._mean())


class Robustness(CoalitionPerformance):
    """Performance to be expected when modalities go missing: :func:`robustness`, shape (P,).

    Args:
        num_modalities: M, at least 2.
        probabilities: Of absence, in [0, 1]. Default: 0, 0.1, ..., 1.
        score: As in :class:`CoalitionPerformance`.
        **options: Passed on to ``torchmetrics.Metric``.

    Example:
        >>> metric = Robustness(num_modalities=2, probabilities=(0.0, 0.5))
        >>> right = torch.tensor([[5.0, 0.0], [0.0, 5.0]])  # logits of two samples
        >>> metric.update(torch.stack([0 * right, right, 0 * right, right]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor([1.0000, 0.7500], dtype=torch.float64)
    """

    def __init__(
        self,
        num_modalities: int,
        probabilities: Sequence[float] = PROBABILITIES,
        score: Score | None = None,
        **options: Any,
    ) -> None:
        super().__init__(num_modalities, score, **options)
        check_list("probabilities", probabilities, (int, float), "numbers in [0, 1]")
        if not probabilities:
            raise ValueError(
                f"`probabilities` should hold at least one number; found {probabilities!r}. "
                "Pass (0.0, 0.5), say."
            )
        for probability in probabilities:
            check_range("probabilities", probability, low=0, high=1)
        self.probabilities = tuple(probabilities)

    def compute(self) -> Tensor:
        """Return the expected performance at each probability, shape (P,)."""
        return robustness(self._mean(), torch.tensor(self.probabilities))


class ResponsePerformance(_Performance):
    """Performance of each modality's response, its Shapley value of the logits, shape (M,).

    Args:
        num_modalities: M, at least 2.
        score: As in :class:`CoalitionPerformance`.
        **options: Passed on to ``torchmetrics.Metric``.

    Raises:
        ValueError: As :class:`CoalitionPerformance`.
        TypeError: As :class:`CoalitionPerformance`.

    Example:
        >>> metric = ResponsePerformance(num_modalities=2)
        >>> right = torch.tensor([[5.0, 0.0], [0.0, 5.0]])  # logits of two samples
        >>> metric.update(torch.stack([0 * right, right, 0 * right, right]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """

    def __init__(self, num_modalities: int, score: Score | None = None, **options: Any) -> None:
        check_count("num_modalities", num_modalities, at_least=2, at_most=MOST_MODALITIES)
        super().__init__(num_modalities, num_modalities, score, **options)

    def update(self, logits: Tensor, target: PyTree) -> None:
        """Add the responses that the coalitions' logits, (2^M, B, C, ...), come to."""
        _check_coalitions(logits, self.num_modalities)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        weights = shapley_weights(self.num_modalities).to(logits)
        self._add(torch.tensordot(weights, logits[1:], dims=1), target)

    def compute(self) -> Tensor:
        """Return the performance of each response, shape (M,)."""
        return self._mean()


def modality_metrics(
    num_modalities: int,
    score: Score | None = None,
    probabilities: Sequence[float] = PROBABILITIES,
) -> MetricCollection:
    """Collect all metrics, which then share their sums.

    Args:
        num_modalities: M, at least 2.
        score: Per-sample loss whose negative is the performance. Default: None, accuracy.
        probabilities: Of absence, for the robustness curve.

    Returns:
        A collection of "performance" (2^M,), "contribution" (M,), "cooperation" (), "alone"
        (M,), "robustness" (P,) and "response" (M,).

    Example:
        >>> metrics = modality_metrics(num_modalities=2)
        >>> metrics.update(torch.randn(4, 5, 3), torch.tensor([0, 1, 2, 0, 1]))
        >>> for name, value in metrics.compute().items():
        ...     print(name, tuple(value.shape))
        alone (2,)
        contribution (2,)
        cooperation ()
        performance (4,)
        response (2,)
        robustness (11,)
    """
    shared = {
        "performance": CoalitionPerformance(num_modalities, score),
        "contribution": Contribution(num_modalities, score),
        "cooperation": Cooperation(num_modalities, score),
        "alone": Alone(num_modalities, score),
        "robustness": Robustness(num_modalities, probabilities, score),
    }
    own = {"response": ResponsePerformance(num_modalities, score)}
    return MetricCollection({**shared, **own}, compute_groups=[list(shared), list(own)])


# -- performance of one batch --------------------------------------------------------------------


def _performance(
    logits: Tensor, target: PyTree, score: Score | None
) -> tuple[Tensor, Tensor | int]:
    """Return the summed performance of each prediction (N, B, C, ...), and of how many entries."""
    batch = logits.shape[1]
    for tensor in tensors(target):
        if tensor.shape[:1] != (batch,):
            raise ValueError(
                f"`target` should have a row for each of {batch} samples of the logits; found "
                f"shape {tuple(tensor.shape)}. Pass the target of the same batch."
            )
    if batch == 0:
        return logits.new_zeros(len(logits)), 0
    if score is not None:
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        losses = score_responses(score, wide, target).double()
        known = getattr(score, "counted", None)  # scores may know samples without a label
        if known is None:
            return -losses.sum(dim=1), batch
        return -losses.where(known(target), 0).sum(dim=1), known(target).sum()
    fits = isinstance(target, Tensor) and target.shape == (batch, *logits.shape[3:])
    if not fits or target.is_floating_point() or logits.shape[2] < 2:
        raise TypeError(
            f"`target` should be class indices for accuracy, one for each of two logits or more; "
            f"found {described(target)} for logits {tuple(logits.shape)}. Pass score=, such as "
            "counterpoise.scores.BinaryCrossEntropy(), for other tasks."
        )
    counted = target >= 0
    right = (logits.argmax(dim=2) == target) & counted
    return right.flatten(1).sum(dim=1), counted.sum()


def _check_coalitions(logits: Tensor, num_modalities: int) -> None:
    if logits.dim() < 3 or len(logits) != 2**num_modalities:
        raise ValueError(
            f"`logits` should have shape (2^M, B, C, ...) with 2^M = {2**num_modalities} for "
            f"{num_modalities} modalities; found {tuple(logits.shape)}. Pass what "
            "coalition_logits() returns."
        )
