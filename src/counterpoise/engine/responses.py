"""From the values of coalitions to what a method sees: responses, scores, and who spoils them.

Legend: M modalities, S coalitions with the full one last, B rows of the batch, W weights (M, S),
phi = W v the responses.

Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
Modulation", ICCV 2023, equations 3 to 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from counterpoise.core.coalitions import Plan, Sampling
from counterpoise.core.pytree import PyTree, tensors
from counterpoise.core.scores import Score, mean_over_processes, score_responses, sum_over_processes
from counterpoise.engine.evaluator import Values
from counterpoise.engine.output import Output
from counterpoise.methods.method import Signals

__all__ = ["Evaluated", "evaluate", "free_of_blame"]


class Evaluated(NamedTuple):
    """What the passes of one step came to.

    Attributes:
        values: Of the coalitions.
        signals: What there is for a method to see so far.
        weights: W, shape (M, S), float32 or wider; None where no coalitions were evaluated.
        sampling_error: Standard error of each response, shape (M,); None where coalitions are
            exact.
    """

    values: Values
    signals: Signals
    weights: Tensor | None = None
    sampling_error: Tensor | None = None

    def output(self, logits: Tensor, loss: Tensor | None, coefficients: Tensor | None) -> Output:
        """Return it as the output of a call."""
        return Output(
            logits,
            self.values.raw,
            loss,
            self.signals.responses,
            self.signals.scores,
            coefficients,
            self.sampling_error,
        )


def evaluate(
    values: Values,
    plan: Plan | None,
    inputs: Sequence[PyTree],
    target: PyTree,
    score: Score,
    *,
    gradient: bool,
    training: bool,
    process_group: object = None,
) -> Evaluated:
    """Make responses of the values of coalitions, and score them where there is a target.

    Args:
        values: Of the coalitions in the plan.
        plan: How to weigh them; None where there are none.
        inputs: Batch of each modality, in order.
        target: What the score compares with; None: no scores.
        score: The per-sample loss.
        gradient: Whether responses carry gradients.
        training: Whether scores are means over the batches of all processes, and non-finite
            values get looked into; if not, they are means over this batch.
        process_group: Processes to average over; None for all.
    """
    signals = Signals(values.full, target)
    if plan is None or values.partial is None:
        return Evaluated(values, signals)
    # Differences of half-precision logits are noise: from here on float32 at least.
    with torch.autocast(values.full.device.type, enabled=False):
        values_SB = torch.cat([values.partial, values.full.unsqueeze(0)])
        values_SB = values_SB.to(torch.promote_types(values_SB.dtype, torch.float32))
        weights = plan.weights.to(values_SB)
        responses = torch.tensordot(weights, values_SB, dims=1)
        signals = signals._replace(responses=responses if gradient else responses.detach())
        error = None if plan.groups is None else Sampling.error(plan, values_SB)
        if target is not None:
            losses = score_responses(score, responses.detach(), target).detach()
            signals = _scored(signals, losses, score, training, process_group)
        if target is not None and training:
            blameless = free_of_blame(inputs, plan.members, values_SB.detach(), process_group)
            signals = signals._replace(finite=blameless)
    return Evaluated(values, signals, weights, error)


def _scored(
    signals: Signals, losses_MB: Tensor, score: Score, training: bool, process_group: object
) -> Signals:
    counted = getattr(score, "counted", None)
    counted_B = None if counted is None else counted(signals.target)
    if not training:
        counts = torch.ones_like(losses_MB[0]) if counted_B is None else counted_B.to(losses_MB)
        return signals._replace(scores=(losses_MB * counts).sum(dim=1) / counts.sum())
    scores, num_samples = mean_over_processes(losses_MB, process_group, counted_B)
    return signals._replace(scores=scores, num_samples=num_samples)


def free_of_blame(
    inputs: Sequence[PyTree], members_MS: Tensor, values_SB: Tensor, process_group: object = None
) -> Tensor:
    """Tell of each modality, on any process, whether it is free of blame for inf and NaN.

    Who has them in its input is to blame; where nobody has, who makes every coalition that it is
    in so. The input comes first because NaN spread through batch-norm statistics.

    Args:
        inputs: Batch of each modality, in order.
        members_MS: Boolean, shape (M, S): which modality is in which coalition.
        values_SB: Values of the coalitions, shape (S, B, ...).
        process_group: Processes to ask; None for all.

    Returns:
        Boolean, shape (M,).

    Example:
        >>> members = torch.tensor([[True, False, True], [False, True, True]])
        >>> values = torch.tensor([[1.0], [float("nan")], [float("nan")]])
        >>> free_of_blame([torch.ones(1), torch.ones(1)], members, values)
        tensor([ True, False])
    """
    inputs_M = torch.stack([_all_finite(value) for value in inputs])
    finite_S = values_SB.isfinite().flatten(1).all(dim=1)
    coalitions_M = (members_MS & finite_S).any(dim=1)
    bad = torch.stack([~inputs_M, ~coalitions_M]).to(torch.float32)
    bad_inputs_M, bad_coalitions_M = sum_over_processes(bad, process_group)
    return torch.where(bad_inputs_M.any(), bad_inputs_M, bad_coalitions_M).eq(0)


def _all_finite(nest: PyTree) -> Tensor:
    floating = [t for t in tensors(nest) if t.is_floating_point()]
    if not floating:
        return torch.ones((), dtype=torch.bool, device=tensors(nest)[0].device)
    return torch.stack([t.isfinite().all() for t in floating]).all()
