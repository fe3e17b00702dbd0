"""Learning the modality gap.

Legend: L the joint loss, z_m unimodal logits, a weight of the labels and 1 - a that of agreement.
"""

from __future__ import annotations

from itertools import combinations
from math import fsum
from typing import Any

import torch
from torch import Tensor

from counterpoise.core.errors import check_choice, check_range
from counterpoise.core.gradient_scaling import check_whole
from counterpoise.core.scores import sum_over_processes
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.losses import divergence
from counterpoise.methods.shared.reminders import Reminding

COEFFICIENTS = (0.2046, 3.355e-3, 1.230e-4, -2.929e-6, 2.238e-8, -5.397e-11)
LAST_EPOCH = 200
"""Beyond it the polynomial falls without end: the weight stays what it is there."""


class LFM(Reminding):
    r"""Trains for the labels and for agreement of the modalities, in shares that change.

    2 [a L + (1 - a) JS], with JS the Jensen-Shannon divergence between the predictions of two
    modalities by themselves, mean over the batch and over all pairs.

    Args:
        mode: "fitted": a is the released polynomial of the epoch, :func:`fitted_weight`.
            "learned": a follows the gradient of the joint loss of the next batch, which is not
            learnt from yet: it rises by ``rate`` times the cosine of that gradient and of the
            last step's gradient of L less that of JS, in the encoders.
        start: The first a of "learned", in [0, 1].
        rate: Of "learned", above 0.

    Attributes:
        weight: a, a scalar.

    "fitted" needs a training loop that calls ``method.set_epoch(epoch)``; "learned" needs
    encoders, and costs a backward pass more for each of the two losses. For classes, a label a
    sample or a segment.

    Differs from the official code: any number of modalities; the joint loss is that of the
    model's own logits, where the code takes the mean of unimodal logits. "learned" judges a step
    by the next batch of training data, where the paper takes a batch of validation data in every
    step: no sample that methods and epochs are chosen by is then trained on. In the first epoch
    the next batch is as new to the model; later it has seen it in epochs before.

    Example:
        >>> method = LFM()
        >>> method.bind(["audio", "image"])
        >>> method.set_epoch(50)
        >>> method.weight
        tensor(0.4367)

    Reference: Yang et al., "Facilitating Multimodal Classification via Dynamically Learning
    Modality Gap", NeurIPS 2024.
    """

    tasks = frozenset({"classification", "segments"})
    because = "whose weight depends on it"
    until = "the weight is that of epoch 0"
    weight: Tensor
    difference: Tensor

    def __init__(self, mode: str = "fitted", *, start: float = 0.5, rate: float = 0.01) -> None:
        super().__init__()
        check_choice("mode", mode, ("fitted", "learned"))
        check_range("start", start, low=0, high=1)
        check_range("rate", rate, low=0, open_low=True)
        self.mode, self.start, self.rate = mode, start, rate
        self._due = mode == "fitted"

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the weight, and for the last gradients where it is learned."""
        first = fitted_weight(0) if self.mode == "fitted" else self.start
        self.register_buffer("weight", torch.tensor(first, dtype=dtype))
        self.register_buffer("difference", torch.zeros(0, dtype=dtype))

    def needs(self) -> Needs:
        """Return that unimodal logits are trained, and encoders where the weight is learned."""
        needs = Needs(unimodal_logits="gradients")
        return needs._replace(owns="encoders") if self.mode == "learned" else needs

    def set_epoch(self, epoch: int) -> None:
        """Learn the weight of the epoch."""
        super().set_epoch(epoch)
        if self.mode == "fitted" and self.modalities:
            self.weight = torch.full_like(self.weight, fitted_weight(epoch))

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return 2 [a L + (1 - a) JS]."""
        logits_M = signals.unimodal_logits
        assert logits_M is not None
        pairs = [divergence(one, other) for one, other in combinations(logits_M, 2)]
        agreement = torch.stack(pairs).mean()
        if self.mode == "learned" and torch.is_grad_enabled():
            self._learn(joint, agreement, signals)
        a = self.weight.to(joint)
        return 2 * (a * joint + (1 - a) * agreement)

    def _learn(self, joint: Tensor, agreement: Tensor, signals: Signals) -> None:
        parameters = [p for ps in signals.encoder_parameters for p in ps if p.requires_grad]
        if not parameters:  # a head is trained alone, for a while
            return
        check_whole(parameters)
        of_joint, of_agreement = (
            _gradient(loss, parameters, signals.process_group) for loss in (joint, agreement)
        )
        if len(self.difference) == len(of_joint):  # and none was frozen or replaced since
            last = self.difference.to(of_joint)
            norms = of_joint.norm() * last.norm()
            cosine = of_joint @ last / norms.clamp_min(torch.finfo(norms.dtype).tiny)
            moved = (self.weight + self.rate * cosine.to(self.weight)).clamp(0, 1)
            self.weight = moved.where(moved.isfinite(), self.weight)
        self.difference = (of_joint - of_agreement).to(self.difference.dtype)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "difference")
        if saved is not None:  # takes the shape of what was saved
            self.difference = self.difference.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


def fitted_weight(epoch: int) -> float:
    """Map an epoch, from 0, to the weight a in [0, 1] that the released settings fix.

    Example:
        >>> [round(fitted_weight(epoch), 4) for epoch in (0, 50, 1000)]
        [0.2046, 0.4367, 0.9012]
    """
    e = min(epoch, LAST_EPOCH)
    terms = [coefficient * float(e) ** power for power, coefficient in enumerate(COEFFICIENTS)]
    return min(max(fsum(terms), 0.0), 1.0)


def _gradient(loss: Tensor, parameters: list[Any], group: object) -> Tensor:
    """Return the gradient of a loss in some parameters as one vector, over all processes."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    vector = torch.cat([g.to_dense().flatten() for g in gradients])
    exact = torch.promote_types(vector.dtype, torch.float32)
    return sum_over_processes(vector.to(exact), group)
