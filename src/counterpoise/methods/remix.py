"""Data remixing.

Legend: p_m prediction of modality m by itself, KL(p_m || uniform) how sure it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from counterpoise.core.errors import check_count, check_range
from counterpoise.core.pytree import PyTree, map_tensors
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.losses import log_probabilities
from counterpoise.methods.shared.multitask import Multitask
from counterpoise.methods.shared.reminders import Reminding


class Remix(Reminding, Multitask):
    r"""Shows of each sample only the modality that is least sure of it, batches of one modality.

    In the first ``warm_up`` epochs the loss is L + weight sum_m L_m. After them each sample goes
    to the modality with the smallest KL(p_m || uniform), and a batch is a step for each modality:
    its samples, with the features of the others at zero.

    Args:
        warm_up: Epochs, at least 0. Published: 10.
        weight: Of each L_m in the warm-up, at least 0. Published: 0.5.
        heads: As in :class:`~counterpoise.UnimodalLoss`.

    Needs encoders, a training loop over ``balanced.steps(...)``, and ``method.set_epoch(epoch)``.
    For class labels.

    Differs from the official code, which assigns samples once an epoch, by a pass through the
    training data, and fills its batches from the samples of one modality: here a batch is parted
    when it comes, by a forward pass of its own, and its steps are as large as its parts. A part of
    a single sample is left out, since batch-norm cannot be trained on it.

    Example:
        >>> method = Remix()
        >>> sure, unsure = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.1, 0.0]])
        >>> method.assigned(torch.stack([torch.cat([sure, unsure]), torch.cat([unsure, sure])]))
        tensor([1, 0])

    Reference: Ma et al., "Improving Multimodal Learning Balance and Sufficiency through Data
    Remixing", ICML 2025.
    """

    tasks = frozenset({"classification"})
    because = "whose warm-up is counted in epochs"
    until = "all epochs are warm-up"
    asks = Needs(features=True, owns="encoders")

    def __init__(
        self, warm_up: int = 10, weight: float = 0.5, *, heads: Heads | None = None
    ) -> None:
        super().__init__(heads, weight)
        check_count("warm_up", warm_up, at_least=0)
        check_range("weight", weight, low=0)
        self.warm_up, self.weight = warm_up, weight
        self._turn: int | None = None

    def substeps(self, target: PyTree, unimodal: Callable[[], Tensor]) -> Iterator[Tensor | None]:
        """Yield all rows in the warm-up; after it those of each modality that has two or more."""
        if self.epoch < self.warm_up:
            yield None
            return
        assigned = self.assigned(unimodal())
        try:
            for index in range(len(self.modalities)):
                rows = assigned.eq(index).nonzero().squeeze(1)
                if len(rows) > 1:
                    self._turn = index
                    yield rows
        finally:  # also where the loop was left
            self._turn = None

    def assigned(self, logits_MB: Tensor) -> Tensor:
        """Return which modality each sample goes to, shape (B,).

        Args:
            logits_MB: Unimodal logits, shape (M, B, C).
        """
        log_p = log_probabilities(logits_MB, dim=2)
        # KL to the uniform distribution is a constant less the entropy.
        return (log_p.exp() * log_p).sum(dim=2).argmin(dim=0)

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return the feature of the modality whose turn it is; zeros for the others.

        Raises:
            RuntimeError: After the warm-up, outside ``balanced.steps``.
        """
        if self._turn is None and self.epoch >= self.warm_up:
            raise RuntimeError(
                "`balanced.steps(...)` should make the steps of Remix, one for each modality; "
                "found a plain call in training mode. Write `for out in balanced.steps(**batch, "
                "target=target)`, and go backward and step for each."
            )
        if self._turn in (None, index):
            return feature
        return map_tensors(torch.zeros_like, feature)

    def modality_losses(self, signals: Signals) -> Tensor | None:
        """Return weight L_m in the warm-up, shape (M,)."""
        return super().modality_losses(signals) if self._turn is None else None
