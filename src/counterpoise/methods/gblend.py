"""Gradient blending.

Legend: M modalities; N, n checkpoints after and before; L^T training loss, L^V validation loss,
G generalisation, O overfitting, w weight; entry M is the joint loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_count, check_list, check_range
from counterpoise.core.scores import sum_over_processes
from counterpoise.methods.method import Evaluation, Signals
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.multitask import Multitask
from counterpoise.methods.shared.reminders import Validated


class GBlend(Validated, Multitask):
    r"""Weighs the modalities' losses and the joint one by how they generalise and overfit.

    L = sum_i w_i L_i over the modalities and, last, the joint loss, with w_i proportional to
    G_i / O_i^2 between two validation epochs and sum_i w_i = 1: G_i is how much the validation
    loss fell, O_i how much the gap between validation and training loss grew. Weights are equal
    until they are first known. The first validation after a step is the first checkpoint.

    Args:
        mode: "offline": weights are measured once. "online": measured again every ``later``
            epochs.
        super_epoch: Epochs from the first checkpoint to the first weights, at least 1.
        later: Epochs from one measurement to the next when online, at least 1.
        weights: w of each modality in order and of the joint loss, at least 0, kept as given:
            nothing is measured. (0, ..., 0, 1) is joint training bit for bit.
        least_overfitting: An absolute O that is smaller counts as this much, above 0, in nats:
            where a modality hardly overfits its weight would be noise.
        heads: Modality to a module that maps its encoder's output to logits, or "linear", as in
            :class:`~counterpoise.methods.unimodal.UnimodalLoss`; on detached features where a
            weight is given as 0. None: the additive heads that the model was wrapped with, or
            else what the model answers to each modality's features with the others' at zero.

    Attributes:
        blend: The weights in force, shape (M + 1,).

    Raises:
        ValueError: If an argument is out of range; when a model is wrapped, if weights or heads
            do not match the modalities.

    A loss that did not fall gets weight 0 until the next measurement; if none fell, or a number
    is not finite, weights stay as they are.

    Example:
        >>> method = GBlend(weights=[0.1, 0.3, 0.6])
        >>> method.bind(["audio", "image"])
        >>> total = lambda logits, target: logits.sum()
        >>> signals = Signals(None, None, unimodal_logits=2 * torch.eye(2), criterion=total)
        >>> method.loss(torch.tensor(1.0), signals)
        tensor(1.4000)

    Reference: Wang et al., "What Makes Training Multi-modal Classification Networks Hard?",
    CVPR 2020, proposition 1 and the algorithms for offline and online blending; super-epochs of
    10 and then 5 epochs.

    Differs from the paper, which estimates G and O by training a copy of the network for each
    loss apart: here they are those of the run itself, at no cost, and training goes on. To start
    afresh with measured weights, pass ``blend`` of one run as ``weights`` of the next. The
    training loss is the mean over the samples since the last validation, instead of a pass over
    part of the training data.
    """

    blend: Tensor
    fixed: Tensor
    loss_sums: Tensor
    num_samples: Tensor
    checkpoint: Tensor
    checkpoint_epoch: Tensor
    num_measured: Tensor

    def __init__(
        self,
        mode: str = "online",
        super_epoch: int = 10,
        *,
        later: int = 5,
        weights: Sequence[float] | None = None,
        least_overfitting: float = 0.01,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(heads)
        check_choice("mode", mode, ("offline", "online"))
        check_count("super_epoch", super_epoch, at_least=1)
        check_count("later", later, at_least=1)
        check_range("least_overfitting", least_overfitting, low=0, open_low=True)
        if weights is not None:
            check_list(
                "weights", weights, (int, float), "a number a modality, and one for the joint"
            )
        for weight in () if weights is None else weights:
            check_range("weights", weight, low=0)
        self.mode, self.super_epoch, self.later = mode, super_epoch, later
        self.weights, self.least_overfitting = weights, least_overfitting

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for weights, sums of training losses and the losses at a checkpoint."""
        super().allocate(num_modalities, dtype)
        count = num_modalities + 1
        if self.weights is not None and len(self.weights) != count:
            raise ValueError(
                f"`weights` should have a number for each of {', '.join(self.modalities)} and "
                f"one for the joint loss; found {len(self.weights)}. Give {count}."
            )
        blend = torch.tensor(self.weights or [1 / count] * count, dtype=dtype)
        self.register_buffer("blend", blend)
        *own, of_joint = blend.tolist()
        fixed = torch.tensor([*self.loss_weights(own), of_joint], dtype=dtype)
        self.register_buffer("fixed", fixed, persistent=False)
        self.register_buffer("loss_sums", torch.zeros(count, dtype=dtype))
        self.register_buffer("num_samples", torch.zeros((), dtype=dtype))
        self.register_buffer("checkpoint", torch.zeros(2, count, dtype=dtype))
        self.register_buffer("checkpoint_epoch", torch.tensor(-1))
        self.register_buffer("num_measured", torch.tensor(0))

    def trains_encoder(self, index: int) -> bool:
        """Return whether the modality's weight is above zero, or may come to be."""
        return self.weights is None or self.weights[index] > 0

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the weighted sum of all losses; remember each for the training loss."""
        if not self.trains_unimodal():
            return self.weights[-1] * joint if self.weights else joint
        losses = torch.cat([self.unimodal_losses(signals), joint.unsqueeze(0)])
        if self.weights is None:
            self._remember(losses.detach(), signals)
        weights = self.blend if self.weights is None else self.fixed
        return (weights.to(losses) * losses).sum()

    def _remember(self, losses: Tensor, signals: Signals) -> None:
        # A batch without samples, or labels, has no loss: one would leave no mean of the others.
        known = losses.isfinite().all()
        num_samples = known * losses.new_full((1,), len(signals.logits))
        totals = torch.cat([losses.where(known, 0) * num_samples, num_samples])
        totals = sum_over_processes(totals, signals.process_group)
        self.loss_sums = self.loss_sums + totals[:-1]
        self.num_samples = self.num_samples + totals[-1]

    @property
    def goes_by_validation(self) -> bool:
        """Whether weights are measured."""
        return self.weights is None

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """At a checkpoint, measure from the one before; start the next training losses."""
        super().on_validation(evaluation, branches)
        if self.weights is not None:
            return
        if not self.num_samples:  # before training, say: a checkpoint needs a training loss
            return
        own = evaluation.required("unimodal_loss", "GBlend")
        validation = torch.cat([own, own.new_tensor([evaluation.loss])]).to(self.loss_sums)
        now = torch.stack([self.loss_sums / self.num_samples, validation])
        now = now.where(now.isfinite(), float("inf"))  # a state without NaN compares equal
        self.loss_sums = torch.zeros_like(self.loss_sums)
        self.num_samples = torch.zeros_like(self.num_samples)
        start, num_measured = int(self.checkpoint_epoch), int(self.num_measured)
        length = self.later if num_measured else self.super_epoch
        if start >= 0 and (evaluation.epoch - start < length or not self._measures(num_measured)):
            return
        if start >= 0:
            blend = blend_weights(self.checkpoint, now, self.least_overfitting)
            self.blend = self.blend if blend is None else blend
            self.num_measured = self.num_measured + 1
        self.checkpoint = now
        self.checkpoint_epoch = torch.full_like(self.checkpoint_epoch, evaluation.epoch)

    def _measures(self, num_measured: int) -> bool:
        return self.mode == "online" or num_measured == 0


def blend_weights(before: Tensor, after: Tensor, least_overfitting: float = 0.01) -> Tensor | None:
    r"""Map losses at two checkpoints to weights proportional to G / O^2, which sum to 1.

    Args:
        before: Training losses, then validation losses, shape (2, K), at the earlier checkpoint.
        after: The same at the later one.
        least_overfitting: Least absolute O that counts.

    Returns:
        Shape (K,), at least 0; 0 where the validation loss did not fall. None if it fell
        nowhere, or a loss is not finite.

    Example:
        >>> before = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
        >>> after = torch.tensor([[0.5, 0.2], [0.7, 0.6]])  # G = 0.3, 0.4; O = 0.2, 0.4
        >>> blend_weights(before, after)
        tensor([0.7500, 0.2500])

    Reference: Wang et al., CVPR 2020, proposition 1.
    """
    generalisation = before[1] - after[1]
    overfitting = (after[1] - after[0]) - (before[1] - before[0])
    magnitude = overfitting.abs().clamp_min(least_overfitting)
    share = generalisation.clamp_min(0) / magnitude / magnitude
    known = torch.stack([*before, *after, share]).isfinite().all()
    if not (known and share.gt(0).any()):
        return None
    share = share / share.max()  # first, so that the sum cannot overflow
    return share / share.sum()
