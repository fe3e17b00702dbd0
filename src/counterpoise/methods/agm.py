"""Adaptive gradient modulation.

Legend: s_m score of modality m (lower is better), r_m its discrepancy ratio, tau_m the same of
the reference scores, kappa_m its coefficient, alpha strength, c clamp.

Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
Modulation", ICCV 2023, section 3.2, equations 5 to 9.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from counterpoise.core.errors import check_choice, check_range
from counterpoise.core.references import Reference, RunningMean
from counterpoise.methods.method import Method, Need, Signals
from counterpoise.methods.shared.window import HostCount, check_window, need_in

__all__ = ["AGM", "discrepancy_ratio"]


class AGM(Method):
    r"""Scales each response's gradient by how its lead compares with its own history.

    kappa_m = exp(-alpha * clamp(r_m - tau_m, -c, c)). A modality that is further ahead than it
    used to be is braked (kappa < 1), one that is less so is boosted. Modalities that differ by
    as much as ever are left alone, which separates AGM from OGM.

    Args:
        alpha: Strength, at least 0; 0 is joint training bit for bit. The authors state 2.5 for
            AV-MNIST, 1.5 for CREMA-D, 4 (late fusion) and 6 (early) for UR-Funny.
        clamp: c, the largest difference of ratios that counts, above 0.
        reference: What today's scores are compared with; the running mean, as published, by
            default. See :mod:`counterpoise.references`.
        window: (start, stop): modulate only from ``start`` on and before ``stop``; before it
            the reference learns all the same. None: the whole run, as published.
        window_unit: "epochs" or "steps" of the window. Before it the coalitions cost no backward
            passes, and once it is over nothing at all. Under ``torch.compile`` a window in steps
            costs as much outside as inside, and the reference goes on learning after it: what
            one graph computes cannot depend on the step.

    Attributes:
        running_scores: Shape (M,), the reference's scores, in the score's units (nats).

    Differs from the official code: the difference of ratios is clamped on both sides, where the
    code clamps above only, at 10, at 7 or not at all depending on the data set.

    Example:
        >>> import counterpoise as cp
        >>> method = cp.AGM(alpha=1.0)
        >>> method.bind(["audio", "image"])
        >>> def step(*scores):
        ...     return method.coefficients(cp.Signals(None, None, scores=torch.tensor(scores)))
        >>> _ = step(1.0, 1.0)
        >>> step(0.9, 1.0)  # the first gained on its history: it is braked
        tensor([0.9002, 1.0998])

    Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
    Modulation", ICCV 2023, equations 5 to 9.
    """

    num_steps: Tensor
    nonfinite_steps: Tensor

    def __init__(
        self,
        alpha: float = 1.0,
        clamp: float = 10.0,
        *,
        reference: Reference | None = None,
        window: tuple[float, float] | None = None,
        window_unit: str = "epochs",
    ) -> None:
        super().__init__()
        check_range("alpha", alpha, low=0)
        check_range("clamp", clamp, low=0, open_low=True)
        check_choice("window_unit", window_unit, ("epochs", "steps"))
        self.alpha, self.clamp = alpha, clamp
        self.window, self.window_unit = check_window(window), window_unit
        if not (reference is None or isinstance(reference, Reference)):
            raise TypeError(
                "`reference` should be a reference such as RunningMean(); found "
                f"{reference!r}. Pass an object of `counterpoise.references`."
            )
        self.reference = RunningMean() if reference is None else reference
        self._count = HostCount()
        self.set_epoch(0)

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the reference, a count of steps and what to report of bad ones."""
        self.reference.bind(num_modalities, dtype)
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("nonfinite_steps", torch.full((num_modalities,), -1))

    @property
    def running_scores(self) -> Tensor:
        """The scores that the next step is compared with, shape (M,)."""
        return self.reference.scores

    def needs(self) -> Need:
        """Return "gradients" inside the window, "values" before it, "nothing" after it."""
        if not self._counts_steps:
            return self._need
        return need_in(self.window, self._count.read(self.num_steps))

    def set_epoch(self, epoch: int) -> None:
        """Learn the epoch, from 0 on."""
        super().set_epoch(epoch)
        # Kept, and not worked out in `needs`: a compiled step that read the epoch would be
        # compiled anew each time.
        epochs = self.window_unit == "epochs"
        self._need: Need = need_in(self.window, epoch) if epochs else "gradients"

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Return kappa, shape (M,), None outside the window; let the reference learn from scores.

        A step with a non-finite score, or with no sample, gets coefficients of one and leaves
        the reference alone; :meth:`check` reports the former.
        """
        scores, modulates = signals.scores, self.needs() == "gradients"
        assert scores is not None
        valid = scores.isfinite().all()
        kappa = self.coefficient(scores, self.reference.scores)
        self._record_nonfinite(valid, signals)
        self.reference.observe(scores, valid)
        active = valid & self._inside_window()
        self._advance()
        return kappa.where(active, torch.ones_like(kappa)) if modulates else None

    def coefficient(self, scores: Tensor, reference: Tensor) -> Tensor:
        """Return kappa for given scores and reference scores, each of shape (M,)."""
        difference = discrepancy_ratio(scores) - discrepancy_ratio(reference.to(scores))
        exponent = -self.alpha * difference.clamp(-self.clamp, self.clamp)
        return _finite_exp(exponent)

    def check(self) -> None:
        """Raise if a score was ever infinite or NaN, naming the modality and the step.

        Raises:
            FloatingPointError: If so. Modulation was skipped in such steps.
        """
        steps = self.nonfinite_steps.tolist()
        met = [(step, name) for step, name in zip(steps, self.modalities, strict=True) if step >= 0]
        if met:
            step, name = min(met)
            raise FloatingPointError(
                f"The score of modality {name!r} should be finite; found inf or NaN at step "
                f"{step}. Look for NaN in its inputs, or lower the learning rate."
            )

    def _inside_window(self) -> Tensor:
        if self.window is None or self.window_unit == "epochs":
            inside = self.needs() == "gradients"
            return torch.full_like(self.num_steps, inside, dtype=torch.bool)
        start, stop = self.window
        return self.num_steps.ge(start) & self.num_steps.lt(stop)

    @property
    def _counts_steps(self) -> bool:
        """Whether steps are counted on the host: where they matter, and in no compiled graph."""
        in_steps = self.window is not None and self.window_unit == "steps"
        return in_steps and not torch.compiler.is_compiling()

    def _advance(self) -> None:
        if not self._counts_steps:
            self.num_steps = self.num_steps + 1
            return
        step = self._count.read(self.num_steps)
        self.num_steps = self.num_steps + 1
        self._count.note(self.num_steps, step + 1)

    def _record_nonfinite(self, valid: Tensor, signals: Signals) -> None:
        bad = ~valid
        if signals.num_samples is not None:  # the scores of no sample are NaN, and rightly so
            bad = bad & signals.num_samples.gt(0)
        suspects = torch.ones_like(self.nonfinite_steps, dtype=torch.bool)
        if signals.finite is not None:  # blame who is non-finite without the others' help
            suspects = ~signals.finite | signals.finite.all()
        first = bad & suspects & self.nonfinite_steps.lt(0)
        self.nonfinite_steps = self.num_steps.where(first, self.nonfinite_steps)


def discrepancy_ratio(scores_M: Tensor) -> Tensor:
    """Map scores to how far each modality is ahead: r_m = exp(sum_{j != m} (s_j - s_m) / (M-1)).

    The paper prints the difference the other way round because its s is a log-likelihood.

    Args:
        scores_M: Shape (M,), lower is better.

    Returns:
        Shape (M,); above 1 for a modality that is ahead of the mean of the others. Saturates
        at the largest number of its type and never overflows.

    Example:
        >>> discrepancy_ratio(torch.tensor([0.0, 0.69315]))
        tensor([2.0000, 0.5000])
    """
    # Differences first, sum after: equal scores give exactly 1 however large they are.
    differences_MM = scores_M.unsqueeze(0) - scores_M.unsqueeze(1)
    return _finite_exp(differences_MM.sum(dim=1) / (len(scores_M) - 1))


def _finite_exp(exponent: Tensor) -> Tensor:
    limit = log(torch.finfo(exponent.dtype).max) - 1
    return exponent.clamp(-limit, limit).exp()
