"""What each modality contributes to a model's performance: pure functions of performances v(S).

v(S) is how well the model does on a data set with every modality outside the coalition S absent:
its accuracy, or its mean loss with the sign turned. Models are evaluated elsewhere.

Legend: M modalities, S coalitions (2^M of them, the empty one first), P probabilities.

Reference: Hu et al., "SHAPE: An Unified Approach to Evaluate the Contribution and Cooperation of
Individual Modalities", IJCAI 2022.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from counterpoise.core.coalitions import Coalition, coalitions, shapley_weights
from counterpoise.core.errors import check_kind, described


def every_coalition(num_modalities: int) -> tuple[Coalition, ...]:
    """List all subsets of the modalities: none, then those of one modality and so on, all last.

    Args:
        num_modalities: M, at least 1.

    Returns:
        2^M tuples of indices, in the order of every S axis here.

    Example:
        >>> every_coalition(2)
        ((), (0,), (1,), (0, 1))
    """
    return ((), *coalitions(num_modalities))


def contributions(performances: Tensor) -> Tensor:
    """Map performances of coalitions to each modality's contribution: its Shapley value.

    phi_m = sum over S without m of |S|! (M-|S|-1)! / M! * [v(S + m) - v(S)], the empty coalition
    included: what a model is right about by chance is nobody's contribution.

    Args:
        performances: v(S), shape (2^M,) or (2^M, ...), in the order of :func:`every_coalition`.

    Returns:
        Shape (M, ...), in the units of the performances. Sums over M to v(all) - v(none).

    Raises:
        ValueError: If there is no M with so many coalitions, or a performance is not finite.

    Example:
        One modality right in 9 of 10 cases, the other in 3, both together always; chance 1 in 10:

        >>> contributions(torch.tensor([0.1, 0.9, 0.3, 1.0]))
        tensor([0.7500, 0.1500])
    """
    M = num_modalities_of(performances)
    performances = in_floating_point(performances)
    # The weights of responses share v(none) equally among modalities, on top of Shapley's.
    weights = shapley_weights(M).to(performances)
    shares: Tensor = torch.tensordot(weights, performances[1:], dims=1)
    return shares - performances[0] / M


def cooperation(performances: Tensor) -> Tensor:
    """Map performances of coalitions to what the whole has beyond its parts.

    v(all) - v(none) - sum over m of [v({m}) - v(none)]. Positive: modalities know together what
    none of them knows alone. Negative: they repeat each other.

    Args:
        performances: v(S), shape (2^M,) or (2^M, ...), in the order of :func:`every_coalition`.

    Returns:
        Shape () or (...), in the units of the performances, not divided by anything.

    Raises:
        ValueError: If there is no M with so many coalitions, or a performance is not finite.

    Example:
        An exclusive or: neither modality alone knows anything.

        >>> cooperation(torch.tensor([0.5, 0.5, 0.5, 1.0]))
        tensor(0.5000)
    """
    single = in_floating_point(alone(performances))
    performances = in_floating_point(performances)
    none = performances[0]
    return performances[-1] - none - (single - none).sum(dim=0)


def alone(performances: Tensor) -> Tensor:
    """Return the performances with each modality alone, all others absent: v({m}).

    Args:
        performances: v(S), shape (2^M,) or (2^M, ...), in the order of :func:`every_coalition`.

    Returns:
        Shape (M, ...).

    Raises:
        ValueError: If there is no M with so many coalitions, or a performance is not finite.

    Example:
        >>> alone(torch.tensor([0.1, 0.9, 0.3, 1.0]))
        tensor([0.9000, 0.3000])
    """
    return performances[1 : 1 + num_modalities_of(performances)]


def robustness(performances: Tensor, probabilities: Tensor) -> Tensor:
    """Map performances of coalitions to what is to be expected when modalities go missing.

    With each modality absent with probability p, independently of the others,

        sum over S of v(S) (1 - p)^|S| p^(M - |S|),

    exactly: nothing is drawn, and no pass beyond those of the coalitions is needed.

    Args:
        performances: v(S), shape (2^M,), in the order of :func:`every_coalition`.
        probabilities: p in [0, 1], shape (P,); or (P, M), one for each modality.

    Returns:
        Shape (P,), in the units of the performances; v(all) at p = 0, v(none) at p = 1.

    Raises:
        ValueError: If there is no M with so many coalitions, a performance is not finite, or
            probabilities have another shape or lie outside [0, 1].

    Example:
        >>> robustness(torch.tensor([0.1, 0.9, 0.3, 1.0]), torch.tensor([0.0, 0.5, 1.0]))
        tensor([1.0000, 0.5750, 0.1000])
    """
    M = num_modalities_of(performances)
    performances = in_floating_point(performances)
    check_kind("probabilities", probabilities, Tensor, "a tensor of shape (P,) or (P, M)")
    p_PM = probabilities.to(performances)
    if p_PM.dim() == 1:
        p_PM = p_PM.unsqueeze(1).expand(-1, M)
    if p_PM.dim() != 2 or p_PM.shape[1] != M:
        raise ValueError(
            f"`probabilities` should have shape (P,) or (P, {M}); found "
            f"{tuple(probabilities.shape)}. Pass one for all modalities or one "
            "for each."
        )
    outside = p_PM[~((p_PM >= 0) & (p_PM <= 1))]
    if len(outside):
        raise ValueError(
            f"`probabilities` should be in [0, 1]; found {outside[0]:g}. Pass the probability "
            "that a modality is absent."
        )
    members_SM = torch.tensor([[m in s for m in range(M)] for s in every_coalition(M)])
    members_SM = members_SM.to(performances.device)
    weights_PS = torch.where(members_SM, 1 - p_PM.unsqueeze(1), p_PM.unsqueeze(1)).prod(dim=2)
    return weights_PS @ performances


def in_floating_point(performances: Tensor) -> Tensor:
    """Return counts, or per cents, of integers as numbers that weights of less than 1 go with."""
    return performances if performances.is_floating_point() else performances.double()


def num_modalities_of(performances: Tensor) -> int:
    """Return M, given one finite performance for each of 2^M coalitions."""
    check_kind("performances", performances, Tensor, "a tensor of one value a coalition")
    if performances.is_complex() or not performances.dim():
        raise TypeError(
            f"`performances` should be real numbers, one a coalition; found "
            f"{described(performances)}. Pass those of `every_coalition(M)`."
        )
    count = len(performances) if performances.dim() else 0
    M = int(log2(count)) if count else 0
    if M < 1 or count != 2**M:
        raise ValueError(
            f"`performances` should hold 2^M values for M modalities, the empty coalition first; "
            f"found shape {tuple(performances.shape)}. Evaluate every coalition."
        )
    for coalition, value in zip(every_coalition(M), performances, strict=True):
        if not value.isfinite().all():
            raise ValueError(
                f"`performances` should be finite; found {value.tolist()} for the coalition of "
                f"modalities {coalition}. Check the model's logits there."
            )
    return M
