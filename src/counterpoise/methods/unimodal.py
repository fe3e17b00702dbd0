"""Joint training with a loss on each modality's own logits."""

from __future__ import annotations

from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.multitask import Multitask
from counterpoise.methods.shared.settings import PerModality, check_per_modality


class UnimodalLoss(Multitask):
    r"""Adds to the joint loss that of each modality's own logits: L + sum_m w_m L_m.

    The plainest remedy for modality competition, and the baseline that later methods have to
    beat: every encoder is told directly, however little the fused logits need it.

    Args:
        weights: w_m, at least 0: one for all modalities, one each, or one each by name. None:
            1 each, as published. 0 for all is joint training bit for bit.
        heads: Modality to a module that maps its encoder's output to logits: trained along and
            not needed afterwards. "linear": a linear map of all values of that output, which
            learns its sizes from the first batch (see
            :class:`~counterpoise.methods.shared.heads.LinearHead`). Where the modality's weight is
            0 its head learns on detached features. None: the additive heads that the model was
            wrapped with, or else what the model answers to each modality's features with the
            others' at zero, or its response where encoders are not known.

    Raises:
        ValueError: When a model is wrapped, if weights or heads do not match the modalities.

    Example:
        >>> import torch
        >>> from counterpoise import Signals
        >>> method = UnimodalLoss(weights=[0.5, 2.0])
        >>> method.bind(["audio", "image"])
        >>> total = lambda logits, target: logits.sum()
        >>> signals = Signals(None, None, unimodal_logits=torch.eye(2), criterion=total)
        >>> method.loss(torch.tensor(3.0), signals)
        tensor(5.5000)

    Reference: Wang et al., "What Makes Training Multi-modal Classification Networks Hard?",
    CVPR 2020, where it is blending with equal weights. On the responses it needs no head and
    no additive fusion, which is ours.
    """

    def __init__(self, weights: PerModality | None = None, heads: Heads | None = None) -> None:
        super().__init__(heads, 1.0 if weights is None else weights)
        check_per_modality("weights", weights)
        self.weights = weights
