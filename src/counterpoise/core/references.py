"""What today's scores are compared with.

A reference answers one question, the scores of the past, and learns from each step. It holds its
state in buffers, so that it moves, checkpoints and resumes with the method that owns it.

Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
Modulation", ICCV 2023, equations 7 and 8: the running average.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range, described

__all__ = ["ExponentialAverage", "Fixed", "NoReference", "Reference", "RunningMean"]


class Reference(nn.Module):
    """Remembers past scores. Subclass it and say in :meth:`rate` how fast it learns.

    Attributes:
        scores: Shape (M,), the remembered scores; zeros, which favour nobody, at first.
        num_steps: How many steps were remembered, an integer scalar.
    """

    scores: Tensor
    num_steps: Tensor

    def bind(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the scores of ``num_modalities`` modalities."""
        self.register_buffer("scores", torch.zeros(num_modalities, dtype=dtype))
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))

    def rate(self, step: Tensor) -> Tensor:
        """Return the weight of the scores of step 1, 2, ...: a scalar in [0, 1] like ``step``."""
        raise NotImplementedError

    def observe(self, scores: Tensor, valid: Tensor | None = None) -> None:
        """Learn from the scores of a step, unless ``valid``, a boolean scalar, says not to."""
        old = self.scores
        if old.dtype != scores.dtype:
            old = old.to(torch.promote_types(old.dtype, scores.dtype))
        # A module's attribute takes longer to set than the numbers to work out.
        num_steps = self._buffers["num_steps"] = self.num_steps + (1 if valid is None else valid)
        moved = old + self.rate(num_steps.to(old)) * (scores - old)
        self._buffers["scores"] = moved if valid is None else moved.where(valid, old)


class RunningMean(Reference):
    """Remembers the plain mean of the scores of all steps since the start, as published.

    Example:
        >>> reference = RunningMean()
        >>> reference.bind(2, torch.float32)
        >>> for scores in ([1.0, 2.0], [2.0, 4.0]):
        ...     reference.observe(torch.tensor(scores), torch.tensor(True))
        >>> reference.scores
        tensor([1.5000, 3.0000])
    """

    def rate(self, step: Tensor) -> Tensor:
        """Return 1 / n at step n."""
        return step.reciprocal()


class ExponentialAverage(Reference):
    """Remembers an exponential average, which forgets: for strengths that shift in training.

    Args:
        decay: Weight of the past in [0, 1). 0.99 remembers about the last 100 steps. The first
            steps are averaged plainly, so that the start does not weigh in for long.

    Example:
        >>> reference = ExponentialAverage(decay=0.5)
        >>> reference.bind(2, torch.float32)
        >>> for scores in ([1.0, 2.0], [2.0, 4.0], [3.5, 5.0]):
        ...     reference.observe(torch.tensor(scores), torch.tensor(True))
        >>> reference.scores
        tensor([2.5000, 4.0000])
    """

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        check_range("decay", decay, low=0, high=1, open_high=True)
        self.decay = decay

    def rate(self, step: Tensor) -> Tensor:
        """Return 1 / n at first and 1 - decay in the long run."""
        return step.reciprocal().clamp_min(1 - self.decay)


class Fixed(Reference):
    """Remembers the first steps, or given scores, and never changes after.

    Args:
        scores: The scores to compare with, one a modality, in the score's units (nats for
            cross-entropy), such as those of models trained on each modality alone.
        num_steps: Without ``scores``: average over this many first steps, at least 1.

    Example:
        >>> reference = Fixed(scores=[1.0, 2.0])
        >>> reference.bind(2, torch.float32)
        >>> reference.observe(torch.tensor([9.0, 9.0]), torch.tensor(True))
        >>> reference.scores
        tensor([1., 2.])
    """

    def __init__(self, scores: Sequence[float] | None = None, *, num_steps: int = 1) -> None:
        super().__init__()
        check_count("num_steps", num_steps, at_least=1)
        if scores is not None:
            _check_scores(scores)
        self.given = None if scores is None else tuple(float(s) for s in scores)
        if not all(isfinite(s) for s in self.given or ()):
            raise ValueError(
                f"`scores` should be finite; found {list(self.given or ())}. Give each modality's "
                "score, such as that of a model trained on it alone."
            )
        self.warm_up = 0 if scores is not None else num_steps

    def bind(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room, and fill in the given scores.

        Raises:
            ValueError: If the number of given scores is not the number of modalities.
        """
        super().bind(num_modalities, dtype)
        if self.given is None:
            return
        if len(self.given) != num_modalities:
            raise ValueError(
                f"`scores` should be one a modality, {num_modalities} here; found "
                f"{len(self.given)}. Give them in the order of the modalities."
            )
        self.scores = torch.tensor(self.given, dtype=dtype)

    def settings(self) -> dict[str, object]:
        """Return the arguments to make another from, for a record of a run."""
        return {"scores": self.given} if self.given is not None else {"num_steps": self.warm_up}

    def rate(self, step: Tensor) -> Tensor:
        """Return 1 / n during the first steps, 0 after."""
        return step.reciprocal() * step.le(self.warm_up)


def _check_scores(scores: Sequence[float]) -> None:
    numbers = not isinstance(scores, str) and isinstance(scores, Iterable)
    listed = list(scores) if numbers else []
    if not listed or not all(
        isinstance(score, (int, float, Tensor)) and not isinstance(score, bool) for score in listed
    ):
        raise TypeError(
            f"`scores` should be numbers, one a modality; found {described(scores)}. Give each "
            "modality's score in a list."
        )


class NoReference(Reference):
    """Compares with equality (tau = 1): slows the modality that is ahead, whatever the past scores.

    Example:
        >>> reference = NoReference()
        >>> reference.bind(2, torch.float32)
        >>> reference.observe(torch.tensor([9.0, 1.0]), torch.tensor(True))
        >>> reference.scores
        tensor([0., 0.])
    """

    def rate(self, step: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(step)
