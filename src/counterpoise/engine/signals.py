"""From the values of coalitions to what a method sees: responses, scores, which are finite.

Legend: M modalities, S coalitions with the full one last, B rows of the batch, W weights (M, S),
phi = W v the responses.

Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
Modulation", ICCV 2023, equations 3 to 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from counterpoise.core.pytree import PyTree, tensors
from counterpoise.core.scores import (
    Score,
    known_finite,
    mean_over_processes,
    score_responses,
    sum_over_processes,
)


def respond(values_SB: Tensor, weights_MS: Tensor) -> Tensor:
    """Map the values of coalitions to responses, (S, B, ...) to (M, B, ...).

    Logits that the full coalition masks with an infinite value are masked in every response.

    Args:
        values_SB: The full coalition last, float32 or wider.
        weights_MS: W, of the same type.
    """
    full, num_modalities = values_SB[-1], weights_MS.shape[0]  # `len` takes a microsecond
    responses = (weights_MS @ values_SB.flatten(1)).view(num_modalities, *full.shape)
    if known_finite((full.detach() if full.requires_grad else full).sum()):
        return responses
    return responses.where(full.isfinite(), full)


def scored(
    score: Score,
    responses_MB: Tensor,
    target: PyTree,
    *,
    over_processes: bool,
    group: object = None,
) -> tuple[Tensor, Tensor]:
    """Score responses: the mean loss of each over the samples that count.

    Args:
        score: The loss of each sample.
        responses_MB: Shape (M, B, ...), detached.
        target: What the score compares with.
        over_processes: Whether the mean is over the batches of all processes.
        group: Processes; None for all.

    Returns:
        The scores, shape (M,), and the number of samples that they are the mean of.
    """
    losses_MB = score_responses(score, responses_MB, target).detach()
    counted = getattr(score, "counted", None)
    counted_B = None if counted is None else counted(target)
    if over_processes:
        return mean_over_processes(losses_MB, group, counted_B)
    counts = torch.ones_like(losses_MB[0]) if counted_B is None else counted_B.to(losses_MB)
    total = counts.sum()
    return (losses_MB * counts).sum(dim=1) / total, total


def finite_modalities(
    inputs: Sequence[PyTree], members_MS: Tensor, values_SB: Tensor, process_group: object = None
) -> Tensor:
    """Return which modalities are not the cause of infinities and NaN on any process.

    A modality is a cause if its input has them or, where no input has, if all coalitions with it
    have. Inputs are asked first because NaN spread through batch-norm statistics.

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
        >>> finite_modalities([torch.ones(1), torch.ones(1)], members, values)
        tensor([ True, False])
    """
    # Sums are not finite where a summand is not: this is done in every step, and one operation
    # a tensor is cheaper than three.
    num_modalities = len(inputs)
    sums = torch.stack(
        [*map(_sum, inputs), *values_SB.flatten(1).sum(dim=1, dtype=torch.float32).unbind()]
    )
    finite = sums.isfinite()
    bad_M = (members_MS & finite[num_modalities:]).any(dim=1).logical_not()
    bad = torch.stack([finite[:num_modalities].logical_not(), bad_M]).to(torch.float32)
    bad_inputs_M, bad_coalitions_M = sum_over_processes(bad, process_group)
    return torch.where(bad_inputs_M.any(), bad_inputs_M, bad_coalitions_M).eq(0)


def _sum(tree: PyTree) -> Tensor:
    floating = [t for t in tensors(tree) if t.is_floating_point()]
    if not floating:
        return torch.zeros((), device=tensors(tree)[0].device)
    sums = [t.detach().sum(dtype=torch.float32) for t in floating]
    return sums[0] if len(sums) == 1 else torch.stack(sums).sum()
