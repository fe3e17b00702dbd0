"""Adaptive gradient modulation.

Legend: s_m score of modality m (lower is better), r_m its discrepancy ratio, tau_m the same of
the reference scores, kappa_m its coefficient, alpha strength, c clamp, b bound.
"""

from __future__ import annotations

from math import inf, log

import torch
from torch import Tensor

from counterpoise.core.errors import check_kind, check_range, described
from counterpoise.core.references import Reference, RunningMean
from counterpoise.core.scores import are_finite, known_finite
from counterpoise.methods.method import Method, Needs, Signals

DEFAULT_BOUND = 1.5
"""Factor by which a coefficient of AGM differs from 1 at most, unless told otherwise."""

DEFAULT_CLAMP = 10.0

_LIMITS = {
    dtype: log(torch.finfo(dtype).max) - 1
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
}
"""The largest exponent whose exponential is finite, by type."""


class AGM(Method):
    r"""Scales each response's gradient by how its lead compares with its own history.

    kappa_m = exp(-alpha * clamp(r_m - tau_m, -c, c)), kept within [1/b, b]. A modality that is
    further ahead than it used to be is braked (kappa < 1), one that is less so is boosted.
    Modalities that differ by as much as ever are left alone, which separates AGM from OGM.

    Args:
        alpha: Strength, at least 0; 0 is joint training bit for bit. The authors state 2.5 for
            AV-MNIST, 1.5 for CREMA-D, 4 (late fusion) and 6 (early) for UR-Funny.
        clamp: c, the largest difference of ratios that counts, above 0. Given without a bound
            this is the published rule to the bit; the authors use 10 or 7. None: 10.
        bound: b, at least 1, the factor by which a coefficient may differ from 1 at most.
            ``float("inf")``: none. None: :data:`DEFAULT_BOUND`, or none where ``clamp`` is given.
            Published coefficients reach exp(c alpha), and training breaks where the learning rate
            is not small.
        reference: What today's scores are compared with; the running mean, as published, by
            default. See :mod:`counterpoise.references`.

    Attributes:
        running_scores: Shape (M,), the reference's scores, in the score's units (nats).
        bounded_share: Shape (M,), the share of all steps in which the coefficient met its bound.

    Modulates the whole run, as the authors state for their results. The released code does so
    for 20 epochs by default, which is ``cp.Windowed(cp.AGM(...), 0, 20)``, and goes on to
    multiply with the coefficients of the last batch of these.

    Differs from the official code: the difference of ratios is clamped on both sides, where the
    code clamps one alone, at 10, at 7 or not at all depending on the data set: that bounds how
    much a modality that has lost its lead is boosted, and not how much one ahead is braked.

    Example:
        >>> import counterpoise as cp
        >>> method = cp.AGM(alpha=1.0)
        >>> method.bind(["audio", "image"])
        >>> def step(*scores):
        ...     return method.coefficients(cp.Signals(None, None, scores=torch.tensor(scores)))
        >>> _ = step(1.0, 1.0)
        >>> step(0.9, 1.0)  # the first gained on its history: it is braked
        tensor([0.9002, 1.0998])
        >>> step(0.1, 1.0), method.diagnostics()["bounded"]
        (tensor([0.6667, 1.5000]), tensor([True, True]))

    Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
    Modulation", ICCV 2023, equations 5 to 9. The bound is ours.
    """

    num_steps: Tensor
    nonfinite_steps: Tensor
    bounded_steps: Tensor

    def __init__(
        self,
        alpha: float = 1.0,
        clamp: float | None = None,
        *,
        bound: float | None = None,
        reference: Reference | None = None,
    ) -> None:
        super().__init__()
        check_range("alpha", alpha, low=0)
        if clamp is not None:
            check_range("clamp", clamp, low=0, open_low=True)
        if bound is not None and bound != inf:
            check_range("bound", bound, low=1)
        # As given, so that a record of them makes the same method, whatever the default will be.
        self.alpha, self.clamp = alpha, clamp
        self.bound = DEFAULT_BOUND if bound is None and clamp is None else bound
        self._clamp = DEFAULT_CLAMP if clamp is None else clamp
        self._log_bound = inf if self.bound is None else log(self.bound)
        self.reference = RunningMean() if reference is None else reference
        check_kind("reference", self.reference, Reference, "a reference such as RunningMean()")

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the reference, counts of steps and what to report of bad ones."""
        self.reference.bind(num_modalities, dtype)
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("nonfinite_steps", torch.full((num_modalities,), -1))
        self.register_buffer("bounded_steps", torch.zeros(num_modalities, dtype=torch.int64))
        # Of the last step, to be told and not to be saved.
        self._told = {
            "lead": torch.zeros(num_modalities, dtype=dtype),
            "bounded": self.bounded_steps.bool(),
        }

    @property
    def running_scores(self) -> Tensor:
        """The scores that the next step is compared with, shape (M,)."""
        return self.reference.scores

    @property
    def bounded_share(self) -> Tensor:
        """The share of steps in which each coefficient met its bound, shape (M,)."""
        return self.bounded_steps / self.num_steps.clamp_min(1)

    def needs(self) -> Needs:
        """Return that responses are to be modulated."""
        return Needs(responses="gradients")

    def coefficients(self, signals: Signals) -> Tensor:
        """Return kappa, shape (M,); let the reference learn from the scores.

        A step with a non-finite score, or with no sample, gets coefficients of one and leaves
        the reference alone; :meth:`check` reports the former.
        """
        scores, reference = signals.scores, self.reference
        assert scores is not None
        valid = None if known_finite(scores) else are_finite(scores)
        lead = self._lead(scores, reference.scores)
        if valid is not None:
            self._record_nonfinite(valid, signals)
            lead = lead.where(valid, 0)  # of which the coefficient is 1
        kappa = self._published(lead)
        bounded_kappa = self._bounded(kappa)
        bounded = bounded_kappa.ne(kappa)
        self._told.update(lead=lead, bounded=bounded)  # an attribute of a module is slow to set
        self._buffers["bounded_steps"] = self.bounded_steps + bounded
        self._buffers["num_steps"] = self.num_steps + 1
        reference.observe(scores, valid)
        return bounded_kappa

    def coefficient(self, scores: Tensor, reference: Tensor) -> Tensor:
        """Return kappa for given scores and reference scores, each of shape (M,)."""
        return self._bounded(self._published(self._lead(scores, reference)))

    def diagnostics(self) -> dict[str, Tensor]:
        """Return of the last step "lead", r - tau, and "bounded", who met the bound; (M,) each."""
        return dict(self._told)

    def _lead(self, scores: Tensor, reference: Tensor) -> Tensor:
        ratio, tau = discrepancy_ratio(torch.stack([scores, reference.to(scores)])).unbind()
        return ratio - tau

    def _published(self, lead: Tensor) -> Tensor:
        clamped = lead.clamp(-self._clamp, self._clamp)
        return _finite_exp(-self.alpha * clamped, largest=self.alpha * self._clamp)

    def _bounded(self, kappa: Tensor) -> Tensor:
        return kappa if self.bound is None else kappa.clamp(1 / self.bound, self.bound)

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

    def _record_nonfinite(self, valid: Tensor, signals: Signals) -> None:
        first = ~valid & self.nonfinite_steps.lt(0)
        if signals.num_samples is not None:  # the scores of no sample are NaN, and rightly so
            first = first & signals.num_samples.gt(0)
        if signals.finite is not None:  # blame who is non-finite without the others' help
            first = first & (~signals.finite | signals.finite.all())
        self.nonfinite_steps = self.num_steps.where(first, self.nonfinite_steps)


def discrepancy_ratio(scores_M: Tensor) -> Tensor:
    """Map scores to how far each modality is ahead: r_m = exp(sum_{j != m} (s_j - s_m) / (M-1)).

    The paper prints the difference the other way round because its s is a log-likelihood.

    Args:
        scores_M: Shape (..., M), lower is better.

    Returns:
        Shape (..., M); above 1 for a modality that is ahead of the mean of the others. Saturates
        at the largest number of its type and never overflows.

    Example:
        >>> discrepancy_ratio(torch.tensor([0.0, 0.69315]))
        tensor([2.0000, 0.5000])
    """
    if not isinstance(scores_M, Tensor) or scores_M.dim() < 1 or scores_M.shape[-1] < 2:
        raise TypeError(
            f"`scores_M` should be a tensor of two scores or more, shape (..., M); found "
            f"{described(scores_M)}. Pass one score a modality."
        )
    # Differences first, sum after: equal scores give exactly 1 however large they are.
    sums_M = (scores_M.unsqueeze(-2) - scores_M.unsqueeze(-1)).sum(dim=-1)
    num_others = scores_M.shape[-1] - 1
    return _finite_exp(sums_M if num_others == 1 else sums_M / num_others)


def _finite_exp(exponent: Tensor, largest: float = inf) -> Tensor:
    limit = _LIMITS[exponent.dtype]
    return (exponent if largest <= limit else exponent.clamp(-limit, limit)).exp()
