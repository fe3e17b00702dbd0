"""Multi-modal competition regulariser.

Legend: f_m features, y logits, y^p logits where the features of modality p are shuffled within
the batch, D^p_m the divergence of y^p and y with gradient through f_m alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoise.core.errors import check_range
from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.labels import class_labels
from counterpoise.methods.shared.losses import divergence
from counterpoise.methods.shared.multitask import Multitask
from counterpoise.methods.shared.rows import check_samples, sample_axis


class MCR(Multitask):
    r"""Lets modalities compete for what the prediction depends on, as players of a game.

    L + sum_m L_m + weight sum_p (mean_{m != p} D^p_m - D^p_p) + contrast sum_m NTXent(f_m). Each
    modality makes the prediction depend on itself: its encoder raises the Jensen-Shannon
    divergence that shuffling its own features makes, and lowers that of shuffling another's.

    Args:
        weight: At least 0. Released setting: 0.1.
        contrast: Weight of the normalised-temperature cross-entropy that draws features of one
            class together, in each modality, at least 0. Default: as ``weight``.
        temperature: Of the contrast, above 0. Released setting: 0.5.
        heads: For L_m, as in :class:`~counterpoise.UnimodalLoss`.

    Needs encoders, and class labels (B,) as targets. Costs M (M + 1) passes through the rest of the
    model beside the full one, with their backward passes.

    Differs from the official code: any fusion; for more than two modalities the mean over the
    others' shuffles.

    Reference: Kontras et al., "Balancing Multimodal Training Through Game-Theoretic
    Regularization", NeurIPS 2025.
    """

    tasks = frozenset({"classification"})
    asks = Needs(features=True, owns="encoders")

    def __init__(
        self,
        weight: float = 0.1,
        *,
        contrast: float | None = None,
        temperature: float = 0.5,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(heads)
        check_range("weight", weight, low=0)
        contrast = weight if contrast is None else contrast
        check_range("contrast", contrast, low=0)
        check_range("temperature", temperature, low=0, open_low=True)
        self.weight, self.contrast, self.temperature = weight, contrast, temperature

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the sum of all losses.

        Raises:
            ValueError: If targets are no class labels, or a feature has no axis of samples.
        """
        target = class_labels(signals.target, "MCR")
        for name, feature in zip(self.modalities, signals.features, strict=True):
            check_samples(f"modality {name!r}", feature, len(target), "MCR")
        total = joint + self.unimodal_losses(signals).sum()
        if self.weight:
            total = total + self.weight * self._game(signals)
        if self.contrast:
            vectors = [_vectors(feature, len(target)) for feature in signals.features]
            labels = target.where(target < signals.logits.shape[1], -1)  # of no class: ignored
            parts = [contrast(rows, labels, self.temperature) for rows in vectors]
            total = total + self.contrast * torch.stack(parts).sum()
        return total

    def _game(self, signals: Signals) -> Tensor:
        features, rest = signals.features, signals.rest
        assert rest is not None
        count = len(features)
        device = tensors(features[0])[0].device
        orders = [torch.randperm(len(signals.logits), device=device) for _ in features]
        value = signals.logits.new_zeros(())
        for m in range(count):
            seen = [f if j == m else map_tensors(Tensor.detach, f) for j, f in enumerate(features)]
            plain = rest(seen)
            for p in range(count):
                shuffled = [_taken(f, orders[p]) if j == p else f for j, f in enumerate(seen)]
                sign = -1.0 if p == m else 1 / (count - 1)
                value = value + sign * divergence(rest(shuffled), plain)
        return value


def contrast(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the normalised-temperature cross-entropy of vectors with labels, a scalar.

    For each pair of a class, in both orders: minus the log of its exp(cosine / temperature) over
    the sum of that and those of all vectors of other classes; the mean over pairs. Zero where no
    class has a pair.

    Args:
        vectors: Shape (B, D).
        labels: Shape (B,); samples of negative ones, which have no class, do not count.
        temperature: Above 0.

    Example: one pair of equal vectors, and another class at a right angle to it.

        >>> vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> contrast(vectors, torch.tensor([0, 0, 1]), 0.5)  # log(1 + exp(-2))
        tensor(0.1269)
    """
    unit = F.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)), dim=1)
    similarity = unit @ unit.T / temperature
    known = labels.ge(0)
    same = (labels.unsqueeze(0) == labels.unsqueeze(1)) | ~known
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    pairs = same & ~own & known & known.unsqueeze(1)
    others = similarity.masked_fill(same, -torch.inf).logsumexp(dim=1, keepdim=True)
    losses = torch.logaddexp(similarity, others) - similarity
    return losses.where(pairs, 0).sum() / pairs.sum().clamp_min(1)


def _taken(feature: PyTree, order: Tensor) -> PyTree:
    """Return a feature with its samples in another order."""

    def taken(tensor: Tensor) -> Tensor:
        axis = sample_axis(tensor, len(order))
        return tensor if axis is None else tensor.index_select(axis, order.to(tensor.device))

    return map_tensors(taken, feature)


def _vectors(feature: PyTree, num_samples: int) -> Tensor:
    """Return a feature as one vector a sample, (B, D)."""
    axes = [(t, sample_axis(t, num_samples)) for t in tensors(feature) if t.is_floating_point()]
    parts = [t.movedim(axis, 0).flatten(1) for t, axis in axes if axis is not None]
    return torch.cat(parts, dim=1)
