"""Picking values of coalitions by their members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from counterpoise.methods.method import Signals


def values_of(signals: Signals, subsets: Iterable[Sequence[int]], method: str) -> Tensor:
    """Return the values of some coalitions, shape (number of subsets, B, ...).

    Args:
        signals: Of a method that needs ``values``.
        subsets: Members of each, in any order.
        method: Who asks, for errors.

    Raises:
        ValueError: If one was not evaluated, as where coalitions are sampled.

    Example:
        >>> values = torch.tensor([[1.0], [2.0], [3.0]])
        >>> signals = Signals(None, None, values=values, coalitions=((0,), (1,), (0, 1)))
        >>> values_of(signals, [(1, 0), (0,)], "CML")
        tensor([[3.],
                [1.]])
    """
    assert signals.values is not None
    places = {coalition: s for s, coalition in enumerate(signals.coalitions)}
    values = []
    for subset in subsets:
        members = tuple(sorted(subset))
        if members not in places:
            raise ValueError(
                f"Coalitions should be exact for {method}, which needs that of modalities "
                f"{members}; found it left out. Wrap at most 8 modalities, and give neither "
                "sampling nor another attribution."
            )
        values.append(signals.values[places[members]])
    return torch.stack(values)


def values_alone(signals: Signals, num_modalities: int, method: str) -> Tensor:
    """Return the value of each modality alone, shape (M, B, ...)."""
    return values_of(signals, [(m,) for m in range(num_modalities)], method)
