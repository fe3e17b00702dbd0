"""Prototypical modal rebalance.

Legend: c_k^m prototype of class k in the features of modality m, d Euclidean distance, p_m softmax
of -d over the classes, s_m mean of p_m at the label, w_m and v_m how far m is behind and ahead.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from counterpoise.core.autocast import without_autocast
from counterpoise.core.errors import check_count, check_range
from counterpoise.core.pytree import PyTree
from counterpoise.core.scores import mean_over_processes
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.evidence import mean_of_others
from counterpoise.methods.shared.labels import class_labels
from counterpoise.methods.shared.prototypes import Prototypes
from counterpoise.methods.shared.reminders import Reminding


class PMR(Reminding):
    r"""Draws the features of modalities that are behind to the prototypes of their classes.

    L + alpha sum_m w_m PCE_m - mu sum_m v_m H_m, where PCE_m is the cross-entropy of p_m, H_m
    its entropy, w_m = clip(mean_{j != m} s_j / s_m - 1, 0, 1) and v_m = clip(s_m / mean_{j != m}
    s_j - 1, 0, 1); the last term only in the first epochs, to hold back who is ahead. For two
    modalities these are the published coefficients.

    Args:
        alpha: Weight of the prototypes' cross-entropy, at least 0. Default 1, as in the code.
        momentum: What a prototype keeps of itself from epoch to epoch, in [0, 1). Published: 0.2.
        entropy: mu, at least 0. With 0, and alpha 0, this is joint training bit for bit.
        entropy_epochs: Before which epoch the entropy counts; the first epoch has no prototypes
            yet.
        vector: From the output of an encoder to vectors (B, D). None: flattened to rows.

    Attributes:
        bank: The prototypes; ``bank.prototypes`` are those of each modality, shape (K, D_m).

    Needs encoders, class labels (B,) as targets, and a training loop that calls
    ``method.set_epoch(epoch)`` when an epoch starts, as ours does: prototypes are the mean
    features of the epoch before, accumulated as training goes along. Classes without a
    prototype, not seen so far, are left out.

    Acts in the whole run; the released settings do in the first 100 of 150 epochs, which is
    ``cp.Windowed(cp.PMR(...), 0, 100)``.

    Differs from the official code, which has coefficients of 0 or 1 where the paper has w_m, no
    entropy term, and prototypes from a further pass over a part of the data (on some data sets
    that of validation or test) before the first epoch and after each.

    Example:
        >>> method = PMR(alpha=0.5)
        >>> method.lags(torch.tensor([0.4, 0.5]))  # w, v: the first is behind by a quarter
        (tensor([0.2500, 0.0000]), tensor([0.0000, 0.2500]))

    Reference: Fan et al., "PMR: Prototypical Modal Rebalance for Multimodal Learning", CVPR
    2023, equations 9 to 13.
    """

    tasks = frozenset({"classification"})
    because = "whose prototypes are those of the epoch before"
    until = "this is joint training"
    bank: Prototypes

    def __init__(
        self,
        alpha: float = 1.0,
        momentum: float = 0.2,
        *,
        entropy: float = 0.01,
        entropy_epochs: int = 5,
        vector: Callable[[PyTree], Tensor] | None = None,
    ) -> None:
        super().__init__()
        check_range("alpha", alpha, low=0)
        check_range("momentum", momentum, low=0, high=1, open_high=True)
        check_range("entropy", entropy, low=0)
        check_count("entropy_epochs", entropy_epochs, at_least=0)
        if vector is not None and not callable(vector):
            raise TypeError(
                f"`vector` should be a function from features to vectors; found {vector!r}. "
                "Leave it out to flatten them."
            )
        self.alpha, self.momentum, self.vector = alpha, momentum, vector
        self.entropy, self.entropy_epochs = entropy, entropy_epochs
        self._flattens = False

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make the bank of prototypes."""
        self.bank = Prototypes(self.modalities, self.momentum, dtype)

    def needs(self) -> Needs:
        """Return that features of encoders are looked at."""
        return Needs(features=True, owns="encoders")

    def set_epoch(self, epoch: int) -> None:
        """Renew the prototypes from the epoch that is over."""
        super().set_epoch(epoch)
        self._flattens = epoch < self.entropy_epochs
        self.bank.renew(epoch)

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the joint loss with the prototype terms; add the features to the next prototypes.

        Raises:
            ValueError: If targets are no class labels, or features are not of one length, or not a
                row a sample.
            TypeError: If a feature is no tensor and ``vector`` is not given.
        """
        num_classes, target = signals.logits.shape[1], class_labels(signals.target, "PMR")
        with without_autocast(joint.device):
            features = [
                self._vectors(m, feature, len(target)) for m, feature in enumerate(signals.features)
            ]
            self.bank.take_shape(features, num_classes)
            known_B = target.ge(0) & target.lt(num_classes)
            labels = target.where(known_B, 0)
            total = joint
            if self.alpha or self.entropy:
                counted_B = known_B & self.bank.seen[labels]
                pull = self._pull(features, labels, counted_B, signals.process_group)
                total = joint + pull.to(joint.dtype)
            self.bank.accumulate(features, labels, known_B, signals.process_group)
        return total

    def lags(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return w and v, each of shape (M,), for given s; zeros where s is not finite."""
        s = s.clamp_min(torch.finfo(s.dtype).tiny)
        others = mean_of_others(s)
        behind, ahead = (others / s - 1).clamp(0, 1), (s / others - 1).clamp(0, 1)
        return behind.nan_to_num(nan=0.0), ahead.nan_to_num(nan=0.0)

    def _pull(
        self, features: list[Tensor], labels: Tensor, counted_B: Tensor, group: object
    ) -> Tensor:
        logits = self.bank(features)
        # Finite, so that samples of classes without prototypes have zero gradients and not NaN.
        least = torch.finfo(logits.dtype).min / 2
        log_p = logits.masked_fill(~self.bank.seen, least).log_softmax(dim=2)
        picked_MB = log_p.gather(2, labels.expand(len(features), -1).unsqueeze(2)).squeeze(2)
        s, _ = mean_over_processes(picked_MB.detach().exp(), group, counted_B)
        behind, ahead = self.lags(s)
        pull: Tensor = self.alpha * (behind * -(picked_MB * counted_B).mean(dim=1)).sum()
        if self._flattens:
            entropy_MB = -(log_p.exp() * log_p).sum(dim=2)
            pull = pull - self.entropy * (ahead * (entropy_MB * counted_B).mean(dim=1)).sum()
        return pull

    def _vectors(self, m: int, feature: PyTree, num_samples: int) -> Tensor:
        if self.vector is not None:
            feature = self.vector(feature)
        if not isinstance(feature, Tensor):
            raise TypeError(
                f"The feature of modality {self.modalities[m]!r} should be a tensor; found "
                f"{type(feature).__name__}. Pass `vector=`, a function from it to vectors (B, D)."
            )
        if feature.dim() < 2 or len(feature) != num_samples:
            raise ValueError(
                f"The feature of modality {self.modalities[m]!r} should have a row for each of the "
                f"{num_samples} samples; found shape {tuple(feature.shape)}. Pass `vector=`, a "
                "function from it to vectors (B, D), such as the mean over the frames of a sample."
            )
        return feature.to(torch.promote_types(feature.dtype, torch.float32)).flatten(1)
