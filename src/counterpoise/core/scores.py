"""Per-sample losses, which score the unimodal responses. Lower is better.

A score maps logits (N, ...) and a target with N rows to N losses; any function of that form will
do. Those here also carry ``criterion``, the ordinary scalar loss that training minimises.

Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
Modulation", ICCV 2023, equation 5: the cross-entropy of each unimodal response.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isfinite, log
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoise.core.errors import check_function, check_range, described
from counterpoise.core.pytree import PyTree, map_tensors

__all__ = [
    "AbsoluteError",
    "BinaryCrossEntropy",
    "Criterion",
    "CrossEntropy",
    "Score",
    "SquaredError",
    "are_finite",
    "criterion_of",
    "is_distributed",
    "known_finite",
    "mean_over_processes",
    "score_responses",
    "sum_over_processes",
]

Score = Callable[[Tensor, PyTree], Tensor]
"""Logits (N, ...) and target (N, ...) to losses (N,)."""

Criterion = Callable[[Tensor, PyTree], Tensor]
"""Logits (B, ...) and target (B, ...) to a scalar loss."""


class CrossEntropy:
    """Cross-entropy in nats, the probability floored; for one label a sample, pixel or segment.

    Args:
        floor: Least probability that counts, in (0, 1): a single confident mistake cannot cost
            more than -log(floor). Default 1e-8, as published.
        ignore_index: Label of entries that do not count, such as unlabelled pixels.

    Shapes: logits (N, C) or (N, C, ...); target (N,) or (N, ...) of class indices, or
    probabilities in the shape of the logits. The loss of a sample is the mean over its entries.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [0.0, 1e9]])
        >>> CrossEntropy()(logits, torch.tensor([0, 0]))
        tensor([ 0.6931, 18.4207])
    """

    def __init__(self, floor: float = 1e-8, ignore_index: int = -100) -> None:
        check_range("floor", floor, low=0, high=1, open_low=True)
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
            raise TypeError(
                f"`ignore_index` should be an integer; found {ignore_index!r}. Pass a label."
            )
        self.floor, self.ignore_index = floor, ignore_index

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample, shape (N,), in nats."""
        log_p = logits.log_softmax(dim=1).clamp_min(log(self.floor))
        if target.is_floating_point():
            return _mean_of_sample(-(target * log_p).sum(dim=1))
        losses = F.nll_loss(log_p, target, ignore_index=self.ignore_index, reduction="none")
        if losses.dim() == 1:
            return losses
        counted = target.ne(self.ignore_index)
        return losses.flatten(1).sum(dim=1) / counted.flatten(1).sum(dim=1).clamp_min(1)

    def check(self, logits: Tensor, target: PyTree) -> None:
        """Raise unless the target is of classes; asked on the first batch of a training.

        Raises:
            ValueError: If there are not two classes or more, or the target is neither of class
                indices nor of probabilities.
        """
        remedy = (
            "Pass `score=` for another task: BinaryCrossEntropy() for several labels a sample, "
            "SquaredError() or AbsoluteError() for numbers."
        )
        if logits.dim() < 2 or logits.shape[1] < 2:
            raise ValueError(
                "Logits should be (N, C, ...) of two classes or more for the cross-entropy; found "
                f"{tuple(logits.shape)}. {remedy}"
            )
        if not isinstance(target, Tensor):
            raise ValueError(
                "`target` should be a tensor for the cross-entropy; found a "
                f"{type(target).__name__}. Pass a `score` of your own."
            )
        if target.is_floating_point():
            total = target.sum(dim=1) if target.shape == logits.shape else target.new_zeros(1)
            if target.lt(0).any() or not total.isclose(torch.ones_like(total), atol=1e-2).all():
                raise ValueError(
                    "`target` should hold class indices, or probabilities in the shape of the "
                    f"logits that sum to one; found {target.dtype} of shape {tuple(target.shape)} "
                    f"that does not. {remedy}"
                )
            return
        if target.dtype != torch.int64:
            raise ValueError(
                f"`target` should hold class indices of type int64; found {target.dtype}. Pass "
                "`target.long()`."
            )
        expected = (logits.shape[0], *logits.shape[2:])
        labels = target[target.ne(self.ignore_index)]
        low, high = (int(labels.min()), int(labels.max())) if labels.numel() else (0, 0)
        if target.shape != expected or low < 0 or high >= logits.shape[1]:
            raise ValueError(
                f"`target` should hold class indices from 0 to {logits.shape[1] - 1} in the shape "
                f"{tuple(expected)}; found {low} to {high} in the shape {tuple(target.shape)}. "
                f"{remedy}"
            )

    def counted(self, target: Tensor) -> Tensor:
        """Return which samples have a label at all, boolean, shape (N,)."""
        if target.is_floating_point():
            return torch.ones(target.shape[:1], dtype=torch.bool, device=target.device)
        labelled = target.ne(self.ignore_index)
        return labelled.flatten(1).any(dim=1) if labelled.dim() > 1 else labelled

    def criterion(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return ``torch.nn.functional.cross_entropy``, the mean over the batch, unfloored."""
        return F.cross_entropy(logits, target, ignore_index=self.ignore_index)


class BinaryCrossEntropy:
    """Binary cross-entropy in nats for several labels a sample, the probability floored.

    Args:
        floor: Least probability that counts, in (0, 1).

    Shapes: logits (N, ...), target (N, ...) of 0 and 1. The loss is the mean over labels.

    Example:
        >>> BinaryCrossEntropy()(torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 1.0]]))
        tensor([0.6931])
    """

    def __init__(self, floor: float = 1e-8) -> None:
        check_range("floor", floor, low=0, high=1, open_low=True)
        self.floor = floor

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample, shape (N,), in nats."""
        check_shapes(logits, target)
        losses = F.binary_cross_entropy_with_logits(logits, target.to(logits), reduction="none")
        return _mean_of_sample(losses.clamp_max(-log(self.floor)))

    def check(self, logits: Tensor, target: PyTree) -> None:
        """Raise unless the target is of the shape of the logits and in [0, 1].

        Raises:
            ValueError: If it is not.
        """
        _check_numbers(logits, target, high=1.0)

    def criterion(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the binary cross-entropy, mean over labels and batch, unfloored."""
        return F.binary_cross_entropy_with_logits(logits, target.to(logits))


class SquaredError:
    """Squared error, for regression; in squared units of the target.

    Example:
        >>> SquaredError()(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample, shape (N,)."""
        check_shapes(prediction, target)
        return _mean_of_sample((prediction - target.to(prediction)).square())

    def check(self, prediction: Tensor, target: PyTree) -> None:
        """Raise unless the target is of the shape of the prediction, and finite."""
        _check_numbers(prediction, target)

    def criterion(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error over batch and entries."""
        return F.mse_loss(prediction, target.to(prediction))


class AbsoluteError:
    """Absolute error, for regression with outliers; in units of the target.

    Example:
        >>> AbsoluteError()(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([1.])
    """

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample, shape (N,)."""
        check_shapes(prediction, target)
        return _mean_of_sample((prediction - target.to(prediction)).abs())

    def check(self, prediction: Tensor, target: PyTree) -> None:
        """Raise unless the target is of the shape of the prediction, and finite."""
        _check_numbers(prediction, target)

    def criterion(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean absolute error over batch and entries."""
        return F.l1_loss(prediction, target.to(prediction))


def check_shapes(prediction: Tensor, target: Tensor) -> None:
    """Raise unless shapes are equal: (N, 1) against (N,) would broadcast to N x N differences.

    Raises:
        ValueError: Naming both shapes.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"`target` should have the shape of the prediction, {tuple(prediction.shape)}; found "
            f"{tuple(target.shape)}. Reshape one of them, with `unsqueeze(1)` for example."
        )


def _check_numbers(prediction: Tensor, target: PyTree, high: float | None = None) -> None:
    if not isinstance(target, Tensor) or target.is_complex():
        raise TypeError(
            f"`target` should be a tensor of numbers; found {described(target)}. Convert it, or "
            "pass a `score` of your own."
        )
    check_shapes(prediction, target)
    wrong = ~target.isfinite() if high is None else ~((target >= 0) & (target <= high))
    if wrong.any():
        rule = "finite" if high is None else f"between 0 and {high:g}"
        raise ValueError(
            f"`target` should be {rule}; found {target[wrong][0].item():g}. Mend or leave out such "
            "samples."
        )


def _mean_of_sample(losses: Tensor) -> Tensor:
    return losses if losses.dim() == 1 else losses.flatten(1).mean(dim=1)


class _HasCriterion(Protocol):
    def criterion(self, logits: Tensor, target: PyTree) -> Tensor: ...


def criterion_of(score: Score | _HasCriterion) -> Criterion:
    """Return the scalar loss that goes with a score: its own, else its mean over the batch."""
    check_function("score", score, "a function of logits and target", optional=False)
    own = getattr(score, "criterion", None)
    if own is not None:
        return own  # type: ignore[no-any-return]
    return partial(_mean_score, score)  # type: ignore[arg-type]


def _mean_score(score: Score, logits: Tensor, target: PyTree) -> Tensor:
    return score(logits, target).mean()


_ROW_BY_ROW = (CrossEntropy, BinaryCrossEntropy, SquaredError, AbsoluteError)
"""Scores of a sample that go by that sample alone."""


def score_responses(score: Score, responses_MB: Tensor, target: PyTree) -> Tensor:
    """Score every response on every sample.

    In one call where samples are known not to see each other. Others, such as the loss of a
    sample against the others of its batch, see the samples of one response at a time.

    Args:
        score: The per-sample loss.
        responses_MB: Shape (M, B, ...).
        target: PyTree of tensors with B rows.

    Returns:
        Shape (M, B), float32 or wider.

    Raises:
        ValueError: If the score does not return one loss a sample.
    """
    check_function("score", score, "a function of logits and target", optional=False)
    num_modalities, batch = responses_MB.shape[:2]
    if type(score) in _ROW_BY_ROW:
        repeated = map_tensors(lambda t: torch.cat([t] * num_modalities), target)
        return score(responses_MB.flatten(0, 1), repeated).view(num_modalities, batch)
    losses = [score(phi, target) for phi in responses_MB]
    for loss in losses:
        if loss.shape != (batch,):
            raise ValueError(
                f"`score` should return one loss a sample, shape ({batch},) here; found shape "
                f"{tuple(loss.shape)}. Reduce over all axes but the first (with PyTorch's losses, "
                "start from reduction='none')."
            )
    scores = torch.stack(losses)  # of 0 and 1, say, whose mean is none of them
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def mean_over_processes(
    losses_MB: Tensor, group: object = None, counted_B: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Average per-sample losses over the batch, and over the batches of all processes.

    Args:
        losses_MB: Shape (M, B).
        group: Process group; None for the default one.
        counted_B: Boolean, shape (B,): the samples that count; None for all.

    Returns:
        The mean over all samples, shape (M,), NaN where there is no sample at all; and the
        number of samples, a scalar tensor.
    """
    if counted_B is None:
        count = losses_MB.new_full((), losses_MB.shape[1])
    else:
        count = counted_B.sum(dtype=losses_MB.dtype)
        waits = count.device.type != "cpu" or torch.compiler.is_compiling()
        if waits or float(count.tolist()) != counted_B.shape[0]:  # type: ignore[arg-type]
            losses_MB = losses_MB.where(counted_B, 0)
    sums_M = losses_MB.sum(dim=1)
    if is_distributed():
        both = sum_over_processes(torch.cat([sums_M, count.unsqueeze(0)]), group)
        sums_M, count = both[:-1], both[-1]
    return sums_M / count, count


def sum_over_processes(tensor: Tensor, group: object = None) -> Tensor:
    """Return the sum of a tensor over all processes; itself where there is one."""
    if is_distributed():
        torch.distributed.all_reduce(tensor, group=group)
    return tensor


def is_distributed() -> bool:
    """Return whether this process trains together with others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def are_finite(values: Tensor) -> Tensor:
    """Return whether all values are finite, a boolean scalar."""
    return (values * 0).sum().eq(0)  # a third of the operations of ``isfinite().all()``


def known_finite(values: Tensor) -> bool:
    """Return whether a number, or a few, are known to be finite without waiting for a device.

    For what need not be done then, and can be done in any case: False tells nothing.
    """
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    told = values.tolist()  # which reads memory, where `item` is an operation
    return isfinite(sum(told) if isinstance(told, list) else told)
