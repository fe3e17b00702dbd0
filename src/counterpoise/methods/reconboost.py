"""Reconcilement boosting.

Legend: z_m unimodal logits, y the label, q_y what the sum of the others' logits gives it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoise.core.errors import check_count, check_range
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.labels import class_labels
from counterpoise.methods.shared.reminders import Reminding


class ReconBoost(Reminding):
    r"""Trains modalities in turns, each on what the others have left, and then all together.

    Turns of ``stage`` epochs: modality 1 alone, all, modality 2 alone, all, and so on. Alone, the
    loss of modality m is the batch mean of (weight - q_y) CE(z_m, y), where q is the softmax of
    boost times the sum of the others' logits, without gradient: of a sample that the others have
    right there is less to learn. Branches of the others stand still. All together, it is
    CE(boost sum_m z_m, y), with everything trained, ``boost`` included.

    Args:
        stage: Epochs of a turn, at least 1. Published: 4.
        weight: Of the cross-entropy beside the agreement's 1, at least 1. Published: 5.

    Attributes:
        boost: The factor of the ensemble, a parameter that starts at 1.

    Needs branches, class labels (B,) as targets, and a training loop that tells epochs and
    asks for learning rates (see :class:`~counterpoise.BranchRates`). The joint loss is not used: at
    test the prediction is the sum of the modalities' logits, which additive fusions return.
    ``boost`` gets no gradient while one is trained alone: DistributedDataParallel needs
    ``find_unused_parameters=True`` (``--trainer.strategy ddp_find_unused_parameters_true``).

    Differs from the official code: the optimiser is the loop's and lives on, where the code
    makes one anew for each turn; any fusion, by unimodal logits.

    Example:
        >>> method = ReconBoost(stage=4)
        >>> method.bind(["audio", "image"])
        >>> for epoch in (0, 4, 8, 12, 16):
        ...     method.set_epoch(epoch)
        ...     print(epoch, method.learning_rates().tolist())
        0 [1.0, 0.0]
        4 [1.0, 1.0]
        8 [0.0, 1.0]
        12 [1.0, 1.0]
        16 [1.0, 0.0]

    Reference: Hua et al., "ReconBoost: Boosting Can Achieve Modality Reconcilement", ICML 2024.
    """

    tasks = frozenset({"classification"})
    awaits = "learning_rates"
    because = "which trains one modality at a time by them"
    place: Tensor

    def __init__(self, stage: int = 4, weight: float = 5.0) -> None:
        super().__init__()
        check_count("stage", stage, at_least=1)
        check_range("weight", weight, low=1)
        self.stage, self.weight = stage, weight
        self.boost = nn.Parameter(torch.ones(()))

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Give the factor the type of the weights."""
        self.boost.data = self.boost.data.to(dtype)
        self.register_buffer("place", torch.zeros((), dtype=dtype), persistent=False)

    def needs(self) -> Needs:
        """Return that unimodal logits are trained and branches stopped."""
        return Needs(unimodal_logits="gradients", owns="branches")

    @property
    def turn(self) -> int | None:
        """The number of the modality whose turn it is; None where all train."""
        turn, together = divmod(self.epoch // self.stage, 2)
        return None if together else turn % len(self.modalities)

    def learning_rates(self) -> Tensor:
        """Return 1 for the modalities that train and 0 for the others."""
        self._due = False
        ones = torch.ones(len(self.modalities), dtype=self.place.dtype, device=self.place.device)
        if self.turn is None:
            return ones
        return ones * torch.arange(len(ones), device=ones.device).eq(self.turn)

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the loss of the turn.

        Raises:
            ValueError: If targets are no class labels.
        """
        logits_M, target = signals.unimodal_logits, class_labels(signals.target, "ReconBoost")
        assert logits_M is not None
        assert signals.criterion is not None
        turn = self.turn
        if turn is None:
            return signals.criterion(self.boost.to(logits_M) * logits_M.sum(dim=0), target)
        rest_M = torch.cat([logits_M[:turn], logits_M[turn + 1 :]]).detach()
        others = self.boost.detach().to(logits_M) * rest_M.sum(dim=0)
        known = target.ge(0) & target.lt(others.shape[1])
        labels = target.where(known, 0).unsqueeze(1)
        q = others.softmax(dim=1).gather(1, labels).squeeze(1)
        losses = F.cross_entropy(logits_M[turn], labels.squeeze(1), reduction="none")
        return ((self.weight - q) * losses * known).sum() / known.sum().clamp_min(1)
