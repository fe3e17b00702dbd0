"""Disentangled gradient learning.

Legend: L the joint loss, L_m the loss of modality m's feature through the same fusion with the
other features at zero, alpha their weight.
"""

from __future__ import annotations

from torch import Tensor

from counterpoise.core.errors import check_range
from counterpoise.core.pytree import PyTree, map_tensors
from counterpoise.methods.method import Method, Needs, Signals
from counterpoise.methods.shared.losses import criteria
from counterpoise.methods.shared.subsets import values_alone


class DGL(Method):
    r"""Trains encoders by unimodal losses alone, and fusion and head by the joint loss alone.

    L(detached features) + alpha sum_m L_m, where the gradient of L_m reaches encoder m and no
    parameter of fusion or head: no modality's gradient passes through what another one shaped.

    Args:
        alpha: Weight of each L_m, above 0. Released setting: 4.

    Needs encoders, and coalitions that are exact.

    Differs from the official code: any fusion and number of modalities. The released settings
    clip the gradient's norm to 40, which is the training loop's to do.

    Example:
        >>> method = DGL(alpha=2.0)
        >>> method.bind(["audio", "image"])
        >>> import torch
        >>> values, sets = torch.tensor([[1.0], [2.0], [5.0]]), ((0,), (1,), (0, 1))
        >>> total = lambda logits, target: logits.sum()
        >>> signals = Signals(None, None, values=values, coalitions=sets, criterion=total)
        >>> method.loss(torch.tensor(5.0), signals)  # 5 + 2 (1 + 2)
        tensor(11.)

    Reference: Wei et al., "Boosting Multimodal Learning via Disentangled Gradient Learning",
    ICCV 2025.
    """

    def __init__(self, alpha: float = 4.0) -> None:
        super().__init__()
        check_range("alpha", alpha, low=0, open_low=True)
        self.alpha = alpha

    def needs(self) -> Needs:
        """Return that each feature is trained by itself, through a fusion that is not."""
        return Needs(
            unimodal_logits="gradients",
            features=True,
            owns="encoders",
            values=True,
            rest_frozen=True,
        )

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return the feature without its graph: the joint loss stops at it."""
        return map_tensors(Tensor.detach, feature)

    def modality_losses(self, signals: Signals) -> Tensor:
        """Return alpha L_m, shape (M,)."""
        alone = values_alone(signals, len(self.modalities), "DGL")
        return self.alpha * criteria(alone, signals)
