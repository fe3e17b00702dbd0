"""On-the-fly prediction modulation.

Legend: s_m summed confidence of modality m, rho_m its discrepancy ratio, q_m the probability that
its feature is dropped, q_base and lambda as in the paper, B batch.

Reference: Wei et al., "On-the-fly Modulation for Balanced Multimodal Learning", TPAMI 2024,
arXiv 2410.11582, equations 6 to 8.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from counterpoise.core.errors import check_range
from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.methods.method import Need, Signals
from counterpoise.methods.shared.evidence import confidences, mean_of_others
from counterpoise.methods.shared.window import Window, Windowed

__all__ = ["OPM"]

SPARED = 1 / 8
"""Expected share of the samples that keep all features, for confidences to be learnt from."""


class OPM(Windowed):
    r"""Drops the feature of the surer modality from a random part of the samples.

    q_m = q_base (1 + lambda tanh(rho_m - 1)) if rho_m > 1, else 0, with rho_m = mean_{j != m}
    s_m / s_j of the last step. A dropped feature is zero in the full pass; the least sure
    modality is never dropped.

    Args:
        probability: q_base, in [0, 1]; 0 is joint training bit for bit. Published: 0.5.
        strength: lambda, at least 0: how much the lead adds to q, which is at most 7/8.
            Published: 0.5, with which q stays below 3/4.
        window: (start, stop) in epochs: drop only from ``start`` on and before ``stop``. The
            official code starts at epoch 6. None: the whole run.

    Attributes:
        probabilities: q of the coming step, shape (M,). Zero at the first.

    Needs ``encoders``, whose floating-point outputs with rows of the batch first are dropped.

    Differs from the paper, whose confidences are of the full features of all samples, before any
    is dropped, which would cost a further pass: here they are of the samples that lost nothing.
    For these not to run out, an eighth of the samples, drawn at random, keeps all features: q is
    at most 7/8, and samples that are not spared lose a feature with probability q / (7/8).

    Differs from the official code: any number of modalities; q is of the last iteration, as the
    paper says, where the code uses the batch's own; no rescaling of what is kept by one over the
    mean share kept, and no second coin by which 30% of the batches are spared, neither of which
    the method's formula has.

    Example:
        >>> method = OPM(probability=0.5, strength=0.5)
        >>> method.probability_of(torch.tensor([0.8, 0.4]))  # 0.5 (1 + 0.5 tanh 1), 0
        tensor([0.6904, 0.0000])

    Reference: Wei et al., "On-the-fly Modulation for Balanced Multimodal Learning", TPAMI 2024,
    equations 6 to 8.
    """

    acts_on = "encoders"
    asks_features = True
    probabilities: Tensor

    def __init__(
        self, probability: float = 0.5, strength: float = 0.5, *, window: Window = None
    ) -> None:
        super().__init__(window)
        check_range("probability", probability, low=0, high=1)
        check_range("strength", strength, low=0)
        self.probability, self.strength = probability, strength
        # Of the step under way: which samples each modality keeps, and which all of them do.
        self._kept: list[Tensor] = []
        self._spared_B: Tensor | None = None

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the probabilities."""
        self.register_buffer("probabilities", torch.zeros(num_modalities, dtype=dtype))

    def needs_unimodal(self) -> Need:
        """Return "values" inside the window, "nothing" outside or where nothing is dropped."""
        return "values" if self._is_active() else "nothing"

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Leave the data as they are; forget what a step that broke off has kept."""
        self._kept, self._spared_B = [], None
        return inputs

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return the feature of modality number ``index`` with some rows dropped."""
        if not self._is_active():
            return feature
        first = tensors(feature)[0]
        drawn_B = torch.rand(len(first), device=first.device)
        if self._spared_B is None:
            self._spared_B = torch.rand_like(drawn_B) < SPARED
        kept_B = self._spared_B | (drawn_B >= self.probabilities[index] / (1 - SPARED))
        self._kept.append(kept_B)

        def drop(tensor: Tensor) -> Tensor:
            if not tensor.is_floating_point() or len(tensor) != len(kept_B):
                return tensor
            return tensor.where(kept_B.view(-1, *[1] * (tensor.dim() - 1)), 0)

        return map_tensors(drop, feature)

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the joint loss as it is; learn the probabilities of the next step."""
        if self._is_active():
            whole_B = torch.stack(self._kept).all(dim=0)
            s = confidences(signals, whole_B)
            q = self.probability_of(s).to(self.probabilities.dtype)
            self.probabilities = q.where(s.isfinite().all(), self.probabilities)
        return joint

    def probability_of(self, s: Tensor) -> Tensor:
        """Return q for given confidences, shape (M,); their scale does not matter."""
        s = s.clamp_min(torch.finfo(s.dtype).tiny)
        rho = mean_of_others(s.unsqueeze(1) / s.unsqueeze(0))
        q = self.probability * (1 + self.strength * torch.tanh(rho - 1))
        return q.clamp_max(1 - SPARED).where(rho > 1, torch.zeros_like(rho))

    def _is_active(self) -> bool:
        return self.probability > 0 and self.modulates
