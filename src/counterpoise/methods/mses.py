"""Modality-specific early stopping."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range
from counterpoise.methods.method import Evaluation, Needs, Signals
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.multitask import Multitask
from counterpoise.methods.shared.reminders import Reminding, Validated
from counterpoise.methods.shared.settings import PerModality, check_per_modality
from counterpoise.methods.shared.snapshots import Snapshots

logger = logging.getLogger(__name__)


class MSES(Validated, Reminding, Multitask):
    r"""Stops each modality's branch when its own validation loss no longer improves.

    After each validation epoch t, of each modality's own loss L_t: smoothed_t = smoothing
    L_(t-1) + (1 - smoothing) L_t. Where it has had no new minimum for ``patience`` epochs, the
    modality's branch (its encoder and head) goes back to its weights of the minimum, bit for
    bit, and is frozen. Training ends when every branch is.

    Args:
        patience: Epochs without a new minimum after which a modality stops, at least 1. The
            authors of AGM state 10 for AV-MNIST, 80 for CREMA-D, 30 for UR-Funny.
        smoothing: Weight of the previous epoch's loss in [0, 1). 0 takes losses as they are.
        weights: Of the modalities' losses in the training loss, as in
            :class:`~counterpoise.methods.unimodal.UnimodalLoss`; those of stopped modalities no
            longer count. Default 0: the joint loss alone, as the authors of AGM compare with.
            1 is the multi-task training of the original paper.
        heads: Heads of the method's own or "linear", as in ``UnimodalLoss``. They tell when to
            stop, but are no part of the branches; with weight 0 they learn on detached features.

    Attributes:
        stopped: Boolean, shape (M,): whose branch is frozen.
        best: Smallest smoothed loss of each modality so far, shape (M,), in the units of the
            criterion.
        best_epoch: Epoch of it, shape (M,); -1 before the first validation.

    Raises:
        ValueError: If an argument is out of range; when a model is wrapped, if weights or heads
            do not match the modalities or a modality has no branch.

    An epoch whose loss is not finite counts as one without improvement.

    Example:
        >>> method, layers = MSES(patience=1, smoothing=0.0), [[nn.Linear(1, 1)], [nn.ReLU()]]
        >>> method.bind(["audio", "image"])
        >>> for epoch, losses in enumerate([(0.9, 0.8), (0.7, 0.9)]):
        ...     losses = torch.tensor(losses)
        ...     method.on_validation(Evaluation(epoch, 0.8, 0.5, losses, losses), layers)
        >>> method.learning_rates(), method.finished()
        (tensor([1., 0.]), False)

    Reference: Fujimori et al., "Modality-Specific Learning Rate Control for Multimodal
    Classification", ACPR 2019. Smoothing as in the code of Li et al., "Boosting Multi-modal
    Model Performance with Adaptive Gradient Modulation", ICCV 2023.

    Differs from the code of the latter, which decides on test data; restores the whole network
    and the optimiser, with it the other modalities; lets a stopped branch's batch-norm
    statistics move on; and waits for an epoch more.
    """

    previous: Tensor
    best: Tensor
    best_epoch: Tensor
    stopped: Tensor
    awaits = "learning_rates"
    because = "which acts by them"
    until = "this is training without early stops"
    asks = Needs(owns="branches")

    def __init__(
        self,
        patience: int = 10,
        smoothing: float = 0.6,
        *,
        weights: PerModality = 0.0,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(heads, weights)
        check_per_modality("weights", weights)
        check_count("patience", patience, at_least=1)
        check_range("smoothing", smoothing, low=0, high=1, open_high=True)
        self.patience, self.smoothing, self.weights = patience, smoothing, weights
        self.snapshots = Snapshots()

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for each modality's losses and for whether it has stopped."""
        super().allocate(num_modalities, dtype)
        shape = (num_modalities,)
        self.register_buffer("previous", torch.full(shape, float("inf"), dtype=dtype))
        self.register_buffer("best", torch.full(shape, float("inf"), dtype=dtype))
        self.register_buffer("best_epoch", torch.full(shape, -1))
        self.register_buffer("stopped", torch.zeros(shape, dtype=torch.bool))

    def places(self) -> frozenset[str]:
        """Return the places; losses that train no encoder are none for another to combine."""
        places = super().places()
        if not self.modalities or any(map(self.trains_encoder, range(len(self.modalities)))):
            return places
        return places - {"modality_losses"} if self.heads is None else places | {"loss"}

    def modality_losses(self, signals: Signals) -> Tensor | None:
        """Return the weighted losses of the modalities still in training, shape (M,)."""
        own_M = super().modality_losses(signals)
        return None if own_M is None else own_M.where(~self.stopped, torch.zeros_like(own_M))

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """Look for new minima, keep the weights there, stop branches that have waited too long."""
        super().on_validation(evaluation, branches)
        losses = evaluation.required("unimodal_loss", "MSES").to(self.previous)
        losses = losses.where(losses.isfinite(), float("inf"))
        smoothed = self.smoothing * self.previous + (1 - self.smoothing) * losses
        smoothed = smoothed.where(self.previous.isfinite(), losses)
        self.previous = losses
        improved = ~self.stopped & ((smoothed < self.best) | self.best_epoch.lt(0))
        self.best = smoothed.where(improved, self.best)
        epoch = torch.full_like(self.best_epoch, evaluation.epoch)
        self.best_epoch = epoch.where(improved, self.best_epoch)
        stops = ~self.stopped & (epoch - self.best_epoch).ge(self.patience)
        self.stopped = self.stopped | stops
        for index in improved.nonzero().flatten().tolist():
            self.snapshots.keep(f"branch{index}", branches[index])
        for index in stops.nonzero().flatten().tolist():
            self.snapshots.restore(f"branch{index}", branches[index])
            logger.info(
                "Modality %r stopped after epoch %d; its branch is that of epoch %d.",
                self.modalities[index],
                evaluation.epoch,
                int(self.best_epoch[index]),
            )

    def learning_rates(self) -> Tensor:
        """Return 0 for modalities that have stopped and 1 for the others."""
        self._due = False
        return (~self.stopped).to(self.best.dtype)

    def finished(self) -> bool:
        """Return whether all modalities have stopped."""
        return bool(self.stopped.all())
