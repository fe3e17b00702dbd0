"""Multi-loss balanced training.

Legend: s_m summed confidence of modality m, r_m how far the others are ahead of it, k_m its
coefficient, beta_m the limit it tends to, alpha strength, L the joint loss, L_m a modality's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoise.core.errors import check_range
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.evidence import confidences, mean_of_others
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.multitask import Multitask


class MLB(Multitask):
    r"""Trains each modality on its own loss too, slows the surer ones and speeds up the others.

    Loss L + sum_m L_m; gradient of encoder m times k_m = 1 + (beta_m - 1) tanh(alpha (r_m - 1)),
    where r_m = mean_{j != m} s_j / s_m and beta_m = beta_max if r_m > 1, else 2. So k_m goes from
    1 - tanh(alpha) for a modality far ahead, over 1 at par, to beta_max for one far behind.

    Args:
        alpha: Strength, at least 0; 0 leaves the gradients alone. Published: 2 for AVE, UCF101
            and Something-Something, 0.5 for CREMA-D with ResNets. Released settings: 0.8 for AVE,
            CREMA-D and CMU-MOSEI, 1 for UCF101.
        beta_max: Limit of the speed-up, at least 1. Published: 2; 10 for CREMA-D with ResNets.
        weight: Of each L_m, at least 0. Published: 1. With 0, and alpha 0, this is joint
            training bit for bit.
        heads: Modality to a module that maps its encoder's output to logits: the paper's
            classifiers beside the fused one, trained along; on detached features with weight 0.
            "linear" makes them. None: the additive heads that the model was wrapped with, or
            else what the model answers to each modality's features with the others' at zero.

    Needs encoders.

    Differs from the official code: any number of modalities, as the paper; only encoders are
    scaled, where the code scales the modality's part of a linear fusion as well; in regression
    the evidence is the mean of exp(-score), where the code takes ratios of squared errors.

    Example:
        >>> method = MLB(alpha=1.0, beta_max=3.0)
        >>> method.coefficient(torch.tensor([0.8, 0.4]))  # r = 1/2, 2
        tensor([0.5379, 2.5232])

    Reference: Kontras et al., "Improving Multimodal Learning with Multi-Loss Gradient
    Modulation", BMVC 2024, section 3.
    """

    asks = Needs(unimodal_logits="values", owns="encoders")

    def __init__(
        self,
        alpha: float = 2.0,
        beta_max: float = 2.0,
        *,
        weight: float = 1.0,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(heads, weight)
        check_range("alpha", alpha, low=0)
        check_range("beta_max", beta_max, low=1)
        check_range("weight", weight, low=0)
        self.alpha, self.beta_max, self.weight = alpha, beta_max, weight

    def encoder_factors(self, signals: Signals) -> Tensor:
        """Return k, shape (M,); ones where a confidence is not finite."""
        s = confidences(signals)
        k = self.coefficient(s)
        return k.where(s.isfinite().all(), torch.ones_like(k))

    def coefficient(self, s: Tensor) -> Tensor:
        """Return k for given confidences, shape (M,); their scale does not matter."""
        s = s.clamp_min(torch.finfo(s.dtype).tiny)
        lead = torch.tanh(self.alpha * (mean_of_others(s) / s - 1))
        return 1 + lead * torch.where(lead > 0, lead.new_tensor(self.beta_max - 1), 1.0)
