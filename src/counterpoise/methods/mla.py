"""Multi-modal learning with alternating unimodal adaptation.

Legend: f_m features, r_m their mean over the batch, P projection of the head's gradient, H_m
entropy of modality m's prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.autocast import without_autocast
from counterpoise.core.errors import check_count
from counterpoise.core.pytree import PyTree, map_tensors
from counterpoise.core.scores import sum_over_processes
from counterpoise.methods.method import Method, Needs, Signals
from counterpoise.methods.shared.losses import log_probabilities


class MLA(Method):
    r"""Trains one modality after the other through a shared head that does not forget the others.

    A batch is M steps: in that of modality m the others' features are zero, and the loss is that
    of the head on f_m alone. The gradient G of the head's weight becomes G P', where P leaves
    only the directions that no feature so far has used: with k = P r_m, P <- P - k k' / (a + r_m
    k), P <- P / ||P||, a = 0.1^(1 + t), t the share of the epoch that is over.

    Args:
        num_batches: Batches of an epoch, at least 1: the t-th counts t / num_batches.

    Needs encoders whose features have one length D, a rest of the model that sees a modality with
    the others' features at zero as if by itself (the sum or mean of the features, before a head
    with a weight (C, D)), a training loop over ``balanced.steps(...)``, and
    ``method.set_epoch(epoch)``. At test the paper weighs what the head makes of each feature by
    itself, as in training: ``method.fuse(torch.stack([head(f_1), head(f_2)]))``. The responses and
    unimodal logits of ``balanced.respond`` are shares of the logits of all, and not that.

    Differs from the official code: any number of modalities; a step is kept free of what the steps
    before it used, as in the paper, where the code puts the step's own feature into P first; the
    denominator is a number, where the code divides entry by entry by a + k r'. All encoders run in
    each of the M steps, so that statistics of batch-norm move M times a batch.

    Example:
        >>> method, sure = MLA(num_batches=7), torch.tensor([[4.0, 0.0]])
        >>> method.fuse(torch.stack([sure, 0 * sure])).round(decimals=2)  # the sure one decides
        tensor([[2.5900, 0.0000]])

    Reference: Zhang et al., "Multimodal Representation Learning by Alternating Unimodal
    Adaptation", CVPR 2024.
    """

    tasks = frozenset({"classification"})
    projection: Tensor
    batch_number: Tensor
    counted_epoch: Tensor

    def __init__(self, num_batches: int) -> None:
        super().__init__()
        check_count("num_batches", num_batches, at_least=1)
        self.num_batches = num_batches
        self._turn: int | None = None
        self._used: Tensor | None = None

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the projection, which takes its size from the first feature."""
        self.register_buffer("projection", torch.zeros(0, 0, dtype=dtype))
        self.register_buffer("batch_number", torch.zeros((), dtype=torch.int64))
        self.register_buffer("counted_epoch", torch.tensor(0))

    def needs(self) -> Needs:
        """Return that features are acted on."""
        return Needs(features=True, owns="encoders")

    def set_epoch(self, epoch: int) -> None:
        """Start counting the batches anew."""
        super().set_epoch(epoch)
        if self.modalities and epoch != int(self.counted_epoch):  # resumed, it goes on counting
            self.counted_epoch = torch.full_like(self.counted_epoch, epoch)
            self.batch_number = torch.zeros_like(self.batch_number)

    def substeps(self, target: PyTree, unimodal: Callable[[], Tensor]) -> Iterator[Tensor | None]:
        """Yield a step for each modality."""
        try:
            for index in range(len(self.modalities)):
                self._turn = index
                yield None
        finally:  # also where the loop was left
            self._turn = None
        self.batch_number = self.batch_number + 1

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return the feature of the modality whose turn it is; zeros for the others.

        Raises:
            RuntimeError: Outside ``balanced.steps``.
        """
        if self._turn is None:
            raise RuntimeError(
                "`balanced.steps(...)` should make the steps of MLA, one for each modality; found "
                "a plain call in training mode. Write `for out in balanced.steps(**batch, "
                "target=target)`, and go backward and step for each."
            )
        return feature if index == self._turn else map_tensors(torch.zeros_like, feature)

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the loss as it is; let the feature enter the projection of the next step.

        Raises:
            ValueError: If a feature is no tensor (B, D) of the length of those before.
        """
        assert self._turn is not None
        feature = signals.features[self._turn]
        size = len(self.projection) or None
        if (
            not isinstance(feature, Tensor)
            or feature.dim() != 2
            or feature.shape[1] != (size or feature.shape[1])
        ):
            shown = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
            raise ValueError(
                f"The encoder of {self.modalities[self._turn]!r} should return a tensor (B, D) "
                f"for MLA, of one length in all modalities; found {shown}. Use another method."
            )
        if size is None:
            self.projection = torch.eye(
                feature.shape[1], dtype=self.projection.dtype, device=feature.device
            )
            self._used = None  # nothing to keep free of yet
        else:
            self._used = self.projection
        self.projection = self._next(feature.detach(), signals.process_group)
        return joint

    def rest_gradient(self, gradient: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return the gradient of a weight that takes features, projected."""
        used = self._used
        if used is None or gradient.dim() != 2 or gradient.shape[1] != len(used):
            return gradient
        with without_autocast(gradient.device):  # a gradient keeps its type
            return gradient @ used.to(gradient.dtype).T

    def fuse(self, unimodal_logits: Tensor) -> Tensor:
        """Return the modalities' logits weighed by how sure each is of a sample.

        sum_m w_m z_m, w_m proportional to exp(max_j H_j - H_m).

        Args:
            unimodal_logits: Of the head on each modality's feature alone, shape (M, B, C).

        Returns:
            Shape (B, C).
        """
        log_p = log_probabilities(unimodal_logits, dim=2)
        entropy_MB = -(log_p.exp() * log_p).sum(dim=2)
        weights_MB = torch.softmax(-entropy_MB, dim=0)
        return (weights_MB.unsqueeze(2) * unimodal_logits).sum(dim=0)

    def _next(self, feature: Tensor, group: object) -> Tensor:
        P = self.projection
        total = torch.cat([feature.sum(dim=0), feature.new_full((1,), len(feature))]).to(P)
        total = sum_over_processes(total, group)
        r = total[:-1] / total[-1].clamp_min(1)
        a = 0.1 ** (1 + self.batch_number.to(P) / self.num_batches)
        k = P @ r
        moved: Tensor = P - torch.outer(k, k) / (a + r @ k)
        moved = moved / moved.norm().clamp_min(torch.finfo(P.dtype).tiny)
        return moved.where(moved.isfinite().all(), P)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "projection")
        if saved is not None:  # takes the shape of what was saved
            self.projection = self.projection.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
