"""Calibrated multi-modal learning.

Legend: v(S) logits with the modalities of S alone, conf(S) the largest probability of v(S).
"""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoise.core.errors import check_range
from counterpoise.methods.method import Method, Needs, Signals
from counterpoise.methods.shared.losses import criteria
from counterpoise.methods.shared.subsets import values_of


class CML(Method):
    r"""Punishes a model that is surer when a modality is taken away.

    Modalities are put in a random order in each step, of which the first one, two, ... and all M
    are nested subsets. The loss is the mean of the losses of v(S) over them, plus weight times
    the sum over neighbours S and T, one larger, of the batch mean of max(0, conf(S) - conf(T)).

    Args:
        weight: At least 0. Released setting: 0.1.

    Works for any model; what stands in for a modality that is absent is ``Balanced``'s to say. For
    classes, a label a sample or a segment; coalitions have to be exact.

    Differs from the official code: any number of modalities, whose subsets are drawn anew in
    each step; coalitions run without dropout and with the batch statistics of the full one.

    Example: the second modality by itself is surer than the two together.

        >>> method = CML(weight=1.0)
        >>> both, one = torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[0.0, 1.0986]]])
        >>> method.excess(torch.cat([one, both]))
        tensor(0.2500)

    Reference: Ma et al., "Calibrating Multimodal Learning", ICML 2023.
    """

    tasks = frozenset({"classification", "segments"})

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        check_range("weight", weight, low=0)
        self.weight = weight

    def needs(self) -> Needs:
        """Return that values of coalitions are trained."""
        return Needs(responses="gradients", values=True)

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the mean loss over nested subsets, and the excess of confidence."""
        order = torch.randperm(len(self.modalities)).tolist()
        nested = [order[: size + 1] for size in range(len(order))]
        values = values_of(signals, nested[:-1], "CML")
        values = torch.cat([values, signals.logits.unsqueeze(0).to(values)])
        losses = torch.cat([criteria(values[:-1], signals), joint.unsqueeze(0)])
        return losses.mean() + self.weight * self.excess(values)

    def excess(self, values: Tensor) -> Tensor:
        """Return the summed excess of confidence of nested subsets, smallest first.

        Args:
            values: Logits, shape (number of subsets, B, C, ...).
        """
        confidence = values.softmax(dim=2).amax(dim=2)
        return (confidence[:-1] - confidence[1:]).clamp_min(0).flatten(1).mean(dim=1).sum()
