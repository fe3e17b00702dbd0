"""Coalitions of modalities and the weights that turn their values into responses.

Pure mathematics on indices 0..M-1; what a coalition's value is, is the engine's business.

Legend: M modalities, S coalitions, phi_m the response of modality m, v(S) the value of S.

Reference: L. S. Shapley, "A value for n-person games", 1953; Li et al., "Boosting Multi-modal
Model Performance with Adaptive Gradient Modulation", ICCV 2023, equations 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, sqrt

import torch
from torch import Tensor

from counterpoise.core.errors import check_count

Coalition = tuple[int, ...]

MOST_MODALITIES = 20
"""Coalitions of more are never listed: there are a million of 20. Sampling has no such limit."""

EXACT_LIMIT = 8
"""Up to this many modalities (255 coalitions) Shapley values are exact unless sampling is asked."""


def coalitions(num_modalities: int) -> tuple[Coalition, ...]:
    """List the non-empty subsets of the modalities: by size, then lexicographically, all last.

    Args:
        num_modalities: M, from 1 to 20.

    Returns:
        2^M - 1 tuples of indices.

    Example:
        >>> coalitions(3)
        ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    """
    check_count("num_modalities", num_modalities, at_least=1, at_most=MOST_MODALITIES)
    members = range(num_modalities)
    return tuple(s for size in members for s in combinations(members, size + 1))


def shapley_weights(num_modalities: int, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Map the values of coalitions to unimodal responses, which are their Shapley values.

    phi_m = sum over S without m of |S|! (M-|S|-1)! / M! * [v(S + m) - v(S)] + v(none) / M,
    in which v(none) cancels, so that the empty coalition is never needed.

    Args:
        num_modalities: M, at least 1.
        dtype: Of the result. Default: float64, in which the weights are exact to the last bit.

    Returns:
        Shape (M, 2^M - 1), columns in the order of :func:`coalitions`. Columns sum to 0 but for
        the last, which sums to 1: the responses sum to the value of the full coalition.

    Raises:
        ValueError: If ``num_modalities`` is below 1.

    Example:
        >>> shapley_weights(2)
        tensor([[ 0.5000, -0.5000,  0.5000],
                [-0.5000,  0.5000,  0.5000]], dtype=torch.float64)
    """
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(
            f"`dtype` should be a floating-point type; found {dtype}. Pass for "
            "example torch.float32."
        )
    columns = coalitions(num_modalities)
    rows = [
        [_shapley_weight(num_modalities, len(s), member=m in s) for s in columns]
        for m in range(num_modalities)
    ]
    return torch.tensor(rows, dtype=torch.float64).to(dtype)


def _shapley_weight(num_modalities: int, size: int, *, member: bool) -> float:
    # |S|! (M-|S|-1)! / M! = 1 / (M * comb(M-1, |S|)), which stays exact for any M.
    if member:
        return 1 / (num_modalities * comb(num_modalities - 1, size - 1))
    return -1 / (num_modalities * comb(num_modalities - 1, size))


ATTRIBUTIONS = ("shapley", "leave_one_out", "alone")
"""Ways to make responses of values: by Shapley; what the whole loses without a modality, v(all) -
v(all - m); what a modality says with all others absent, v({m})."""


@dataclass(frozen=True)
class Plan:
    """Which coalitions to evaluate beside the full one, and how to weigh what comes out.

    Attributes:
        partial: The coalitions other than the full one, in the order of evaluation. The empty
            coalition may be among them when the plan is sampled.
        weights: Shape (M, len(partial) + 1), float64, the full coalition last:
            ``weights @ values = responses``.
        members: Shape (M, len(partial) + 1), boolean: which modality is in which coalition.
        groups: Shape (G, M, len(partial) + 1) or None: independent estimates of ``weights``
            whose mean is ``weights``, from which the sampling error is taken.
    """

    partial: tuple[Coalition, ...]
    weights: Tensor
    members: Tensor
    groups: Tensor | None = None

    @classmethod
    def make(
        cls, partial: Sequence[Coalition], weights: Tensor, groups: Tensor | None = None
    ) -> Plan:
        """Make a plan, membership included."""
        everyone = tuple(range(len(weights)))
        members = [[m in s for s in (*partial, everyone)] for m in everyone]
        return cls(tuple(partial), weights, torch.tensor(members), groups)

    @classmethod
    def unweighted(cls, partial: Sequence[Coalition], num_modalities: int) -> Plan:
        """Make a plan for values alone: all weights are zero.

        Example:
            >>> Plan.unweighted([(0,), (1,)], num_modalities=2).weights.shape
            torch.Size([2, 3])
        """
        return cls.make(partial, torch.zeros(num_modalities, len(partial) + 1))

    def to(self, device: torch.device, dtype: torch.dtype) -> Plan:
        """Return the plan with its tensors on a device, weights of a type."""
        groups = None if self.groups is None else self.groups.to(device, dtype)
        return Plan(self.partial, self.weights.to(device, dtype), self.members.to(device), groups)


def exact_plan(num_modalities: int, attribution: str = "shapley") -> Plan:
    """Evaluate every coalition that carries a weight.

    Args:
        num_modalities: M, at least 2.
        attribution: One of :data:`ATTRIBUTIONS`.

    Returns:
        A plan without sampling error; coalitions of weight zero are left out of it.

    Example:
        >>> exact_plan(3, "alone").partial
        ((0,), (1,), (2,))
    """
    everyone = tuple(range(num_modalities))
    if attribution == "shapley":
        return Plan.make(coalitions(num_modalities)[:-1], shapley_weights(num_modalities))
    # The others need M coalitions: to list all 2^M - 1 first would be no small matter.
    one, zero = torch.eye(num_modalities, dtype=torch.float64), torch.zeros(num_modalities, 1)
    if attribution == "alone":
        return Plan.make([(m,) for m in everyone], torch.cat([one, zero], dim=1))
    rest = [tuple(j for j in everyone if j != m) for m in reversed(everyone)]
    return Plan.make(rest, torch.cat([-one.flip(1), zero + 1], dim=1))


def separable_plan(num_modalities: int) -> Plan:
    """Evaluate each modality alone: enough where values are sums of what each modality gives.

    If v(S) is additive over the members of S, all 2^M - 1 Shapley weights collapse into
    phi_m = v(all) / M + v({m}) - mean over j of v({j}), exactly, and for a full coalition that
    differs from the sum (because it ran in train mode) too.

    Args:
        num_modalities: M, at least 2.

    Returns:
        A plan of M coalitions beside the full one.

    Example:
        >>> separable_plan(2).weights
        tensor([[ 0.5000, -0.5000,  0.5000],
                [-0.5000,  0.5000,  0.5000]], dtype=torch.float64)
    """
    check_count("num_modalities", num_modalities, at_least=2)
    share = torch.full((num_modalities, 1), 1 / num_modalities, dtype=torch.float64)
    alone = torch.eye(num_modalities, dtype=torch.float64) - share
    return Plan.make(coalitions(num_modalities)[:num_modalities], torch.cat([alone, share], dim=1))


@dataclass(frozen=True)
class Sampling:
    """Estimate Shapley values from random orderings of the modalities, drawn anew at each step.

    Each modality is credited with what it adds to those before it, averaged over orderings. An
    ordering is always followed by its reverse (antithetic sampling), which never adds variance
    for values that are monotone and removes all of it for values that are quadratic. The
    estimate is unbiased, and the responses still sum to the full value exactly. Orderings are
    drawn from PyTorch's global CPU generator, so that seeding and resuming govern them.

    Args:
        num_passes: The most passes a step may cost, the full one included; at least
            ``minimum_passes(M)``. A pair of orderings costs 2 (M - 1), beside the full and the
            empty coalition. More passes mean a smaller sampling error, by the square root.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> plan = Sampling(num_passes=50).plan(num_modalities=9)
        >>> len(plan.partial) + 1
        50
    """

    num_passes: int

    def __post_init__(self) -> None:
        check_count("num_passes", self.num_passes, at_least=1)

    @staticmethod
    def minimum_passes(num_modalities: int) -> int:
        """Return the passes that two pairs of orderings cost: fewer would hide the error."""
        return 2 + 4 * (num_modalities - 1)

    def num_pairs(self, num_modalities: int) -> int:
        """Return how many antithetic pairs of orderings fit into ``num_passes``.

        Raises:
            ValueError: If fewer than two do, since the sampling error could not be told.
        """
        least = self.minimum_passes(num_modalities)
        check_count("num_passes", self.num_passes, at_least=least)
        return (self.num_passes - 2) // (2 * (num_modalities - 1))

    def plan(self, num_modalities: int) -> Plan:
        """Draw orderings and return the coalitions that they pass through."""
        M, num_pairs = num_modalities, self.num_pairs(num_modalities)
        # The empty coalition is shared by all orderings; every other one is evaluated even when
        # two orderings pass through it, so that the number of passes is the same at each step.
        partial: list[Coalition] = [()]
        groups = torch.zeros(num_pairs, M, 2 + 2 * num_pairs * (M - 1), dtype=torch.float64)
        for pair in range(num_pairs):
            ordering = torch.randperm(M).tolist()
            for permutation in (ordering, ordering[::-1]):
                column = 0
                for position, m in enumerate(permutation):
                    groups[pair, m, column] -= 0.5
                    if position == M - 1:
                        column = groups.shape[-1] - 1
                    else:
                        partial.append(tuple(sorted(permutation[: position + 1])))
                        column = len(partial) - 1
                    groups[pair, m, column] += 0.5
        groups[:, :, 0] += 1 / M  # v(none) is shared equally, as in the exact formula
        return Plan.make(partial, groups.mean(dim=0), groups)

    @staticmethod
    def error(plan: Plan, values: Tensor) -> Tensor:
        """Return the standard error of each response, as a root mean square over its entries.

        Args:
            plan: A sampled plan with G pairs of orderings.
            values: Shape (S, ...), the full coalition last, floating point.

        Returns:
            Shape (M,), in the units of the values, detached.
        """
        assert plan.groups is not None
        groups = plan.groups.to(values)
        estimates_GM = torch.einsum("gms,s...->gm...", groups, values.detach()).flatten(2)
        error = estimates_GM.std(dim=0) / sqrt(len(groups))
        return error.square().mean(dim=-1).sqrt()
