"""On-the-fly gradient modulation, with and without its noise.

Legend: s_m summed confidence of modality m, rho_m its discrepancy ratio, k_m its coefficient,
alpha strength, g_m the gradient of encoder m.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_flag, check_range
from counterpoise.methods.method import Method, Needs, Signals
from counterpoise.methods.shared.evidence import confidences, mean_of_others


class _OnTheFly(Method):
    """What OGM and OGM-GE share: everything but the noise."""

    def __init__(self, alpha: float = 0.5, *, convolutions_only: bool = False) -> None:
        super().__init__()
        check_range("alpha", alpha, low=0)
        check_flag("convolutions_only", convolutions_only)
        self.alpha, self.convolutions_only = alpha, convolutions_only

    def needs(self) -> Needs:
        """Return that unimodal logits are looked at and encoders acted on."""
        return Needs(unimodal_logits="values", owns="encoders")

    def encoder_factors(self, signals: Signals) -> Tensor:
        """Return k, shape (M,); ones where a confidence is not finite."""
        s = confidences(signals)
        k = self.coefficient(s)
        return k.where(s.isfinite().all(), torch.ones_like(k))

    def coefficient(self, s: Tensor) -> Tensor:
        """Return k for given confidences, shape (M,); their scale does not matter."""
        # The floor serves scores without one: two modalities that are surely wrong are equal.
        rho = s / mean_of_others(s).clamp_min(torch.finfo(s.dtype).tiny)
        return (1 - torch.tanh(self.alpha * rho)).where(rho > 1, torch.ones_like(rho))

    def _scales(self, gradient: Tensor) -> bool:
        return gradient.dim() == 4 or not self.convolutions_only


class OGM(_OnTheFly):
    r"""Slows the encoder of the modality that is surer than the others, on each batch.

    k_m = 1 - tanh(alpha rho_m) if rho_m > 1, else 1, with rho_m = s_m / mean_{j != m} s_j and
    s_m the probability that modality m's own logits give to the labels, summed over the batch.

    Args:
        alpha: Strength, at least 0; 0 is joint training bit for bit. Published: in [0, 1],
            chosen for each data set. Note that k falls from 1 to 1 - tanh(alpha) where rho_m
            passes 1: there is no gentle onset.
        convolutions_only: Scale 4-D gradients, the weights of 2-D convolutions, alone, as the
            official code does. Default: all parameters of the encoders.

    Needs encoders. The modalities' own logits are those of additive heads, else what the model
    answers to each modality's features with the others' at zero, so that any fusion will do: for
    a linear head on a concatenation that is W_m f_m + b / M, as published.

    Modulates the whole run. The official code stops after 50 of 100 epochs, which is
    ``cp.Windowed(cp.OGM(...), 0, 50)``.

    Differs from the official code: any number of modalities, through the mean of the others;
    all parameters of an encoder and not its convolutions alone (see ``convolutions_only``);
    probabilities are floored by the score, so that rho is defined where all are wrong.

    Example:
        >>> method = OGM(alpha=0.5)
        >>> method.coefficient(torch.tensor([0.8, 0.4]))  # rho = 2, 1/2: the first is ahead
        tensor([0.2384, 1.0000])

    Reference: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation",
    CVPR 2022, section 3.2, equation 10.
    """

    def encoder_gradient(self, gradient: Tensor, factor: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return k_m g."""
        return factor * gradient if self._scales(gradient) else gradient


class OGMGE(_OnTheFly):
    r"""OGM with noise that makes up for the gradient noise that slowing takes away.

    g_m <- k_m g_m + N(0, std(g_m)), each tensor of every encoder with its own deviation, drawn
    on each backward pass.

    Args:
        alpha: Strength, as for :class:`OGM`; the noise is there also at 0.
        convolutions_only: As for :class:`OGM`; the noise goes where the scaling goes.

    Differs from the official code: as :class:`OGM`; besides, tensors of one element, which have
    no deviation, get no noise. Under accumulation and several processes each backward pass
    draws noise of its own, which is averaged as gradients are.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> method, gradient = OGMGE(alpha=0.5), 3 * torch.randn(100, 100)
        >>> noisy = method.encoder_gradient(gradient, torch.tensor(0.2), None)
        >>> (noisy - 0.2 * gradient).std().round(decimals=1)
        tensor(3.)

    Reference: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation",
    CVPR 2022, section 3.3; the deviation per tensor is that of the official code.
    """

    def encoder_gradient(self, gradient: Tensor, factor: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return k_m g and noise."""
        if not self._scales(gradient):
            return gradient
        if gradient.numel() < 2:
            return factor * gradient
        gradient = gradient.to_dense()  # of a sparse embedding: noise falls on every entry
        return factor * gradient + gradient.std() * torch.randn_like(gradient)
