"""The contract of tasks, so that nothing downstream has to know which task it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from counterpoise.core.errors import check_choice
from counterpoise.core.scores import Criterion, Score, criterion_of
from counterpoise.data.tasks.forms import MetricForm

if TYPE_CHECKING:
    from torchmetrics import Metric

_CHUNK = 1024
"""Samples that the level of guessing is computed on at a time."""

_GROUPS = 20
"""Parts of the samples that are left out in turn, to find the error of a metric."""


class Task(ABC):
    """Says how outputs are trained, scored and judged. A data set has one.

    Subclass it for a task of your own, as a frozen dataclass with a field ``headline``; ``kind``
    has to be "classification", "multilabel", "regression" or "segments", by which methods say
    what they are defined for.

    Attributes:
        kind: Which kind of task it is.
        forms: The metrics that it reports, as they are written, by name.
        headline: Name of the metric by which epochs are chosen and methods compared.

    Example:
        >>> from counterpoise.data import Classification
        >>> task = Classification(3)
        >>> task.kind, task.headline, task.num_outputs, task.form.text(0.5)
        ('classification', 'accuracy', 3, '50.0%')
    """

    kind: ClassVar[str]
    forms: ClassVar[Mapping[str, MetricForm]]
    headline: str

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """How many numbers a network puts out, for a sample or for each of its segments."""

    @property
    def has_classes(self) -> bool:
        """Whether outputs are logits of classes of which one is right."""
        return self.kind in ("classification", "segments")

    @property
    @abstractmethod
    def score(self) -> Score:
        """The loss of each sample, by which responses are scored."""

    @property
    def criterion(self) -> Criterion:
        """The scalar loss that training minimises: the one that goes with the score."""
        return criterion_of(self.score)

    @property
    def form(self) -> MetricForm:
        """How the headline metric is written."""
        return self.forms[self.headline]

    @abstractmethod
    def metric(self, name: str) -> Metric:
        """Return a new metric of ``update(outputs, target)``, for a name in ``forms``."""

    def sample_values(self, outputs: Tensor, target: Tensor) -> Tensor | None:
        """Map outputs to the headline metric of each sample, whose mean is that of the data set.

        Args:
            outputs: Shape (B, ...).
            target: Shape (B, ...).

        Returns:
            Shape (B,), booleans or floating point. None, the default, where the metric of a data
            set is no mean over its samples.

        Example:
            >>> from counterpoise.data import Classification
            >>> Classification(3).sample_values(torch.eye(3), torch.tensor([0, 1, 1]))
            tensor([ True,  True, False])
        """
        return None

    @abstractmethod
    def check_target(self, label: str, target: Tensor) -> None:
        """Raise unless targets suit the task.

        Args:
            label: What the targets are called in the message, such as "train".
            target: Shape (N, ...).

        Raises:
            ValueError: If they do not.
        """

    @abstractmethod
    def constant(self, target: Tensor) -> Tensor:
        """Return the outputs of one sample, shape (1, ...), by which one guesses best.

        Args:
            target: What is known, shape (N, ...): targets to train on.
        """

    def guess(self, known: Tensor, asked: Tensor) -> float:
        """Return the headline metric of guessing: the same best outputs for each sample.

        Args:
            known: Targets that the guess goes by, shape (N, ...), those of the training data.
            asked: Targets to guess, shape (K, ...), those of the test data.

        Example:
            >>> from counterpoise.data import Classification
            >>> Classification(2).guess(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1, 1]))
            0.75
        """
        outputs, metric = self.constant(known), self.metric(self.headline)
        for start in range(0, len(asked), _CHUNK):
            targets = asked[start : start + _CHUNK]
            metric.update(outputs.expand(len(targets), *outputs.shape[1:]), targets)
        return float(metric.compute())

    def guess_error(self, known: Tensor, asked: Tensor) -> float:
        """Return the standard error of :meth:`guess`: of the choice of the samples to guess.

        By the jackknife, which holds for any metric: the samples in 20 groups, each left out once.

        Args:
            known: As for :meth:`guess`.
            asked: As for :meth:`guess`, at least two.

        Example:
            The standard error of a share of one half, of 400 samples: 0.5 / 20.

            >>> from counterpoise.data import Classification
            >>> target = torch.randint(2, (400,), generator=torch.Generator().manual_seed(7))
            >>> error = Classification(2).guess_error(torch.tensor([0, 1, 1]), target)
            >>> 0.017 < error < 0.033
            True
        """
        # At random, lest a group be of one class where classes take turns.
        order = torch.randperm(len(asked), generator=torch.Generator().manual_seed(0))
        groups = order % min(_GROUPS, len(asked))
        left = [self.guess(known, asked[groups != group]) for group in range(int(groups.max()) + 1)]
        values = torch.tensor(left, dtype=torch.float64)
        return float(((len(left) - 1) * values.var(correction=0)).sqrt())

    def describe(self) -> dict[str, Any]:
        """Return what a record says of the task: its kind, its outputs and its metrics."""
        return {
            "kind": self.kind,
            "num_outputs": self.num_outputs,
            "headline": self.headline,
            "metrics": {name: form.describe() for name, form in self.forms.items()},
        }

    def _check_headline(self) -> None:
        check_choice("headline", self.headline, self.forms)


def check_integers(label: str, target: Tensor, dims: int, what: str) -> None:
    """Raise unless targets are integers of so many dimensions.

    Raises:
        ValueError: If they are not.
    """
    plain = not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)
    if target.dim() != dims or not plain:
        shape = "(N,)" if dims == 1 else "(N, T)"
        raise ValueError(
            f"`{label}` should have {what} as target, integers of shape {shape}; found "
            f"{target.dtype} of shape {tuple(target.shape)}. Convert it, or pass another task: "
            "MultiLabel(...), Regression(...) or Segments(...)."
        )


def check_classes(label: str, target: Tensor, num_classes: int) -> None:
    """Raise unless targets lie in [0, C).

    Raises:
        ValueError: If they do not.
    """
    if not target.numel():
        return
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"`{label}` should have targets in [0, {num_classes}); found {low} to {high}. "
            "Renumber the classes or raise `num_classes`."
        )
