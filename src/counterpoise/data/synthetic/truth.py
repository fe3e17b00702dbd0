"""True contributions of modalities to the label, by exact enumeration.

The value of a coalition S of modalities is the information that it has of the label,
v(S) = I(Y; X_S) in nats. It is 0 for no modality and never falls when one joins. The true
contribution of modality m is its Shapley value phi_m in this game; the contributions sum to
I(Y; X_all).

Reference: L. S. Shapley, "A value for n-person games", 1953.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoise.core.coalitions import coalitions, shapley_weights
from counterpoise.core.errors import check_choice


@dataclass(frozen=True, eq=False)
class Truth:
    """What each coalition of modalities can know of the label, and what each one contributes.

    Attributes:
        modalities: The M names, in their order.
        label_information: H(Y), nats: what there is to know.
        information: Shape (2^M - 1,), float64: I(Y; X_S) in nats for the coalitions in the
            order of :func:`counterpoise.core.coalitions.coalitions`.
        accuracy: Shape (2^M - 1,), float64: the highest accuracy that any classifier reaches
            on each coalition.
        contributions: Shape (M,), float64: Shapley values of ``information``, nats.
    """

    modalities: tuple[str, ...]
    label_information: float
    information: Tensor
    accuracy: Tensor
    contributions: Tensor

    def value(self, *modalities: str) -> float:
        """Return I(Y; X_S) in nats for the coalition of the named modalities, 0 for none.

        Raises:
            ValueError: If a name is unknown; the nearest is suggested.
        """
        for name in modalities:
            check_choice("modalities", name, self.modalities)
        members = tuple(m for m, name in enumerate(self.modalities) if name in modalities)
        if not members:
            return 0.0
        return float(self.information[coalitions(len(self.modalities)).index(members)])


def enumerate_truth(joint: Tensor, modalities: tuple[str, ...]) -> Truth:
    """Map the joint distribution of label and symbols to what every coalition knows.

    Args:
        joint: Shape (K, n_1, ..., n_M), float64, probabilities that sum to 1.
        modalities: M names.

    Returns:
        The truth; exact but for rounding, about 1e-14 nats.

    Example:
        >>> same = torch.eye(2, dtype=torch.float64) / 2  # a modality that shows the label,
        >>> joint = same[:, :, None].expand(2, 2, 3) / 3  # and one that shows nothing of it
        >>> enumerate_truth(joint, ("a", "b")).contributions.round(decimals=4).abs()
        tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    num_modalities = len(modalities)
    label_information = _entropy(joint.flatten(1).sum(dim=1))
    information, accuracy = [], []
    for members in coalitions(num_modalities):
        others = [1 + m for m in range(num_modalities) if m not in members]
        table = (joint.sum(dim=others) if others else joint).flatten(1)
        # Rounding can leave -1e-16 where nothing is known.
        known = label_information + _entropy(table.sum(dim=0)) - _entropy(table)
        information.append(max(known, 0.0))
        accuracy.append(float(table.amax(dim=0).sum()))
    values = torch.tensor(information, dtype=torch.float64)
    return Truth(
        modalities=modalities,
        label_information=label_information,
        information=values,
        accuracy=torch.tensor(accuracy, dtype=torch.float64),
        contributions=shapley_weights(num_modalities) @ values,
    )


def _entropy(probabilities: Tensor) -> float:
    return float(torch.special.entr(probabilities).sum())
