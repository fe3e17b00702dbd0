"""Which symbols the modalities see: one model, to draw from and to enumerate.

Every sample has a label Y, uniform over K classes, and is of one kind, drawn by its share:

- *unique to m*: modality m sees the class, the others see nothing;
- *redundant*: all modalities see the class;
- *synergetic*: each modality sees a share, uniform over K, and the shares add up to the class
  modulo K, so that any M - 1 of them are independent of it;
- *nothing*, what remains: no modality sees anything.

The three sorts of symbol (nothing, a class, a share) are told apart by sight, so that without
noise the information of a coalition is what its kinds carry, and it adds up exactly:
I(Y; X_S) = log K * (sum over m in S of unique_m + redundancy [S not empty] + synergy [S all]).
Noise replaces what a modality sees, whatever it is, by a random class: false evidence. With it
the information is enumerated.

Legend: K classes, M modalities, N samples; symbol 0 is nothing, 1..K a class, K+1..2K a share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoise.core.errors import check_count, check_range
from counterpoise.data.files.streams import stream

ENUMERATION_LIMIT = 2**24
"""The largest table of joint probabilities that is enumerated (128 MiB of float64)."""


@dataclass(frozen=True)
class SymbolModel:
    """The joint distribution of the label and of the symbol that each modality sees.

    Args:
        unique: For each of M >= 2 modalities the share of samples whose class it alone sees.
        redundancy: The share of samples whose class all modalities see.
        synergy: The share of samples whose class is seen only by all of them together.
        num_classes: K, at least 2.
        noise: For each modality the probability that it sees a random class instead.

    Raises:
        ValueError: If a number is out of range, the shares sum to more than 1, or ``noise``
            and ``unique`` differ in length.

    Example:
        >>> model = SymbolModel((0.5, 0.25), 0.25, 0.0, num_classes=3, noise=(0.0, 0.0))
        >>> model.joint().shape
        torch.Size([3, 4, 4])
    """

    unique: tuple[float, ...]
    redundancy: float
    synergy: float
    num_classes: int
    noise: tuple[float, ...]

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes, at_least=2)
        check_shares(self.unique, self.redundancy, self.synergy)
        if len(self.noise) != len(self.unique):
            raise ValueError(
                f"`noise` should have one number for each of {len(self.unique)} modalities; "
                f"found {len(self.noise)}. Give as many as `unique` has."
            )
        for value in self.noise:
            check_range("noise", value, low=0.0, high=1.0)

    @property
    def num_modalities(self) -> int:
        """M."""
        return len(self.unique)

    def sample(self, num_samples: int, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
        """Draw symbols and labels.

        The same seed and purpose give the same labels whatever the shares, and the same symbols
        to every sample whose kind is the same: a small shift of strengths changes few samples.

        Args:
            num_samples: N, at least 0.
            seed: Any integer.
            purpose: What the samples are for; another purpose draws others.

        Returns:
            Symbols, shape (N, M), and labels, shape (N,), both int64.
        """
        K, M, N = self.num_classes, self.num_modalities, num_samples

        def uniform(what: str, *shape: int) -> Tensor:
            generator = stream(seed, purpose, what)
            return torch.rand(*shape, generator=generator, dtype=torch.float64)

        def classes(what: str, *shape: int) -> Tensor:
            return torch.randint(K, shape, generator=stream(seed, purpose, what))

        target = classes("labels", N)
        shares = torch.tensor([*self.unique, self.redundancy, self.synergy], dtype=torch.float64)
        kind = torch.bucketize(uniform("kinds", N), shares.cumsum(0), right=True)[:, None]
        sees = (kind == torch.arange(M)) | (kind == M)
        symbols = torch.where(sees, 1 + target[:, None], 0)
        addends = classes("shares", N, M)
        addends[:, -1] = (target - addends[:, :-1].sum(dim=1)) % K
        symbols = torch.where(kind == M + 1, 1 + K + addends, symbols)
        misled = uniform("misled", N, M) < torch.tensor(self.noise, dtype=torch.float64)
        return torch.where(misled, 1 + classes("false evidence", N, M), symbols), target

    def joint(self) -> Tensor:
        """Enumerate the joint distribution of label and symbols.

        Returns:
            Shape (K, n, ..., n), float64, sums to 1; n = 2 K + 1 symbols for each modality, or
            K + 1 where there is no synergy.

        Raises:
            ValueError: If the table would have more than :data:`ENUMERATION_LIMIT` entries.
        """
        K, M = self.num_classes, self.num_modalities
        num_symbols = 1 + K if self.synergy == 0 else 1 + 2 * K
        if K * num_symbols**M > ENUMERATION_LIMIT:
            raise ValueError(
                f"`num_classes` and the number of modalities should give a table of at most "
                f"{ENUMERATION_LIMIT} probabilities; found {K} x {num_symbols}^{M}. "
                "Use fewer classes, fewer modalities or no synergy."
            )
        table = torch.zeros(K, *[num_symbols] * M, dtype=torch.float64)
        labels = torch.arange(K)
        nothing = torch.zeros(K, dtype=torch.long)
        rest = max(1 - math.fsum([*self.unique, self.redundancy, self.synergy]), 0.0)
        kinds = [
            *((share, [m]) for m, share in enumerate(self.unique)),
            (self.redundancy, range(M)),
            (rest, ()),
        ]
        for share, members in kinds:
            seen = (1 + labels if m in members else nothing for m in range(M))
            cells = (labels, *seen)
            table[cells] += share / K
        if self.synergy > 0:
            addends = torch.cartesian_prod(*[labels] * M)
            cells = (addends.sum(dim=1) % K, *(1 + K + addends).unbind(dim=1))
            table[cells] += self.synergy / K**M
        return self._mislead(table)

    def _mislead(self, table: Tensor) -> Tensor:
        K = self.num_classes
        for m, noise in enumerate(self.noise):
            axis = 1 + m
            false = torch.zeros_like(table)
            seen = table.sum(dim=axis, keepdim=True)
            false.narrow(axis, 1, K).copy_(seen.expand_as(table).narrow(axis, 1, K) / K)
            table = (1 - noise) * table + noise * false
        return table


def check_shares(unique: Sequence[float], redundancy: float, synergy: float) -> None:
    """Raise unless the shares are those of at least two modalities and fit into 1."""
    if len(unique) < 2:
        raise ValueError(
            f"`unique` should have a share for each of at least 2 modalities; found {unique}. "
            "Give one number a modality."
        )
    for name, value in [*(("unique", u) for u in unique), ("redundancy", redundancy)]:
        check_range(name, value, low=0.0, high=1.0)
    check_range("synergy", synergy, low=0.0, high=1.0)
    total = math.fsum([*unique, redundancy, synergy])
    if total > 1 + 1e-9:  # shares such as 0.1 are not exact in binary
        raise ValueError(
            f"`unique`, `redundancy` and `synergy` should sum to at most 1, since they are "
            f"shares of the samples; found {total:g}. Lower one of them."
        )
