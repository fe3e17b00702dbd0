"""Asymmetric representation learning.

Legend: l_m unimodal logits, c_m share of modality m in their size, h_m share of its entropy, u_m
how sure it is beside the others, w_m by how much its encoder is sped up, T temperature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoise.core.errors import check_range
from counterpoise.core.scores import mean_over_processes
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.evidence import mean_of_others
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.losses import log_probabilities
from counterpoise.methods.shared.multitask import Multitask

LEAST_SHARE = 0.3
"""A share of the entropy that is smaller counts as this much, as published."""


class ARL(Multitask):
    r"""Speeds up encoders by how sure a modality is and how little it counts in the fusion.

    Loss L + gamma sum_m L_m; gradient of encoder m times 1 + w_m, w = softmax_m(T c_others u_m):
    c_m is the share of modality m in the batch means of |l_m|, summed over classes and then over
    modalities, c_others the mean of the others' shares; u_m proportional to 1 / max(h_m, 0.3) with
    h_m the share of modality m in the sum of the mean entropies. The shares of contribution are
    so driven to the ratio of the modalities' variances, and not to equality.

    Args:
        gamma: Weight of each L_m, at least 0. Published: 4; released setting: 1.
        temperature: T, at least 0. Released setting: 8. 0 scales all encoders alike.
        heads: As in :class:`~counterpoise.UnimodalLoss`.

    Needs encoders. For classes, a label a sample or a segment.

    Differs from the official code, which works w out and does not use it; any number of
    modalities. The gradient is scaled in the encoders' parameters instead of at their outputs,
    which is the same.

    Example:
        >>> method = ARL()
        >>> sure, unsure = torch.tensor([[2.0, -2.0]]), torch.tensor([[0.5, -0.5]])
        >>> method.weights_of(torch.stack([sure, unsure])).round(decimals=3)
        tensor([0.3870, 0.6130])

    Reference: Wei et al., "Improving Multimodal Learning via Imbalanced Learning", ICCV 2025.
    """

    tasks = frozenset({"classification", "segments"})
    asks = Needs(unimodal_logits="values", owns="encoders")

    def __init__(
        self, gamma: float = 4.0, temperature: float = 8.0, *, heads: Heads | None = None
    ) -> None:
        super().__init__(heads, gamma)
        check_range("gamma", gamma, low=0)
        check_range("temperature", temperature, low=0)
        self.gamma, self.temperature = gamma, temperature

    def encoder_factors(self, signals: Signals) -> Tensor:
        """Return 1 + w, shape (M,); ones where it is not finite."""
        assert signals.unimodal_logits is not None
        w = self.weights_of(signals.unimodal_logits.detach(), signals.process_group)
        factors = 1 + w
        return factors.where(w.isfinite().all(), torch.ones_like(w))

    def weights_of(self, logits_MB: Tensor, group: object = None) -> Tensor:
        """Return w for unimodal logits of shape (M, B, C, ...), over all processes."""
        logits_MB = logits_MB.to(torch.promote_types(logits_MB.dtype, torch.float32))
        log_p = log_probabilities(logits_MB, dim=2)
        entropy_MB = -(log_p.exp() * log_p).sum(dim=2)
        size_MB = logits_MB.where(logits_MB.isneginf().logical_not(), 0).abs().sum(dim=2)
        both = torch.cat([entropy_MB, size_MB])
        means, _ = mean_over_processes(both.flatten(2).mean(2) if both.dim() > 2 else both, group)
        entropy, size = means.chunk(2)
        tiny = torch.finfo(means.dtype).tiny
        c = size / size.sum().clamp_min(tiny)
        h = (entropy / entropy.sum().clamp_min(tiny)).clamp_min(LEAST_SHARE)
        u = h.reciprocal() / h.reciprocal().sum()
        return torch.softmax(self.temperature * mean_of_others(c) * u, dim=0)
