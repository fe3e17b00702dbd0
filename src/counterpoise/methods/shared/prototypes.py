"""Class prototypes: the mean features of an epoch, renewed with momentum when the next starts.

Legend: M modalities, B batch, K classes, D_m length of modality m's feature vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.scores import sum_over_processes


class Prototypes(nn.Module):
    """A prototype for each class and modality, with the sums that the next ones come from.

    Args:
        modalities: Names, in order.
        momentum: What a prototype keeps of itself when it is renewed, in [0, 1).
        dtype: Of sums and prototypes.

    Attributes:
        seen: Boolean, shape (K,): which classes have a prototype.
        renewed: Epoch of the last renewal.

    Buffers take shape at the first step, or when a checkpoint is loaded.
    """

    counts: Tensor
    seen: Tensor
    renewed: Tensor

    def __init__(self, modalities: Sequence[str], momentum: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.modalities, self.momentum = tuple(modalities), momentum
        self.register_buffer("renewed", torch.tensor(0))
        self.register_buffer("counts", torch.zeros(0, dtype=dtype))
        self.register_buffer("seen", torch.zeros(0, dtype=torch.bool))
        for m in range(len(self.modalities)):
            self.register_buffer(f"sums{m}", torch.zeros(0, 0, dtype=dtype))
            self.register_buffer(f"prototypes{m}", torch.zeros(0, 0, dtype=dtype))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return minus the Euclidean distance of each feature to each prototype, (M, B, K)."""
        return torch.stack([
            # Differences first: the faster formula by products cancels where vectors are near.
            -torch.cdist(f, c.to(f.dtype), compute_mode="donot_use_mm_for_euclid_dist")
            for f, c in zip(features, self.prototypes, strict=True)
        ])  # fmt: skip

    @property
    def prototypes(self) -> list[Tensor]:
        """The prototypes of each modality, shape (K, D_m)."""
        return [getattr(self, f"prototypes{m}") for m in range(len(self.modalities))]

    @torch.inference_mode(False)  # or they could not be trained with, wherever they are made
    def take_shape(self, features: Sequence[Tensor], num_classes: int) -> None:
        """Make room at the first step.

        Raises:
            ValueError: If features have another length than those before.
        """
        if len(self.counts) == 0:
            self.counts = features[0].new_zeros(num_classes, dtype=self.counts.dtype)
            self.seen = self.counts.bool()
            for m, f in enumerate(features):
                zeros = self.counts.new_zeros(num_classes, f.shape[1])
                setattr(self, f"sums{m}", zeros)
                setattr(self, f"prototypes{m}", zeros)
        for name, f, c in zip(self.modalities, features, self.prototypes, strict=True):
            if f.shape[1] != c.shape[1]:
                raise ValueError(
                    f"The feature of modality {name!r} should have one length in all batches; "
                    f"found {f.shape[1]} after {c.shape[1]}. Pass `vector=`, a function from the "
                    "feature to vectors (B, D), such as the mean over time."
                )

    @torch.no_grad()
    def accumulate(
        self, features: Sequence[Tensor], labels: Tensor, known_B: Tensor, group: object
    ) -> None:
        """Add the features of the samples that are known to their classes, of all processes."""
        for f in features:
            known_B = known_B & f.isfinite().all(dim=1)
        classes_K = torch.arange(len(self.counts), device=labels.device).unsqueeze(1)
        member_KB = (classes_K.eq(labels) & known_B).to(self.counts.dtype)
        parts = [member_KB.sum(dim=1, keepdim=True)]
        parts += [member_KB @ f.nan_to_num(0, 0, 0).to(self.counts.dtype) for f in features]
        together = sum_over_processes(torch.cat(parts, dim=1), group)
        counts, *sums = torch.split(together, [part.shape[1] for part in parts], dim=1)
        self.counts = self.counts + counts.squeeze(1)
        for m, added in enumerate(sums):
            setattr(self, f"sums{m}", getattr(self, f"sums{m}") + added)

    def renew(self, epoch: int) -> None:
        """Make prototypes of the sums and start anew, if an epoch has passed since the last."""
        if epoch == int(self.renewed):
            return
        self.renewed = torch.full_like(self.renewed, epoch)
        present = self.counts.gt(0)
        for m, old in enumerate(self.prototypes):
            new = getattr(self, f"sums{m}") / self.counts.clamp_min(1).unsqueeze(1)
            mixed = new.lerp(old, self.momentum).where(self.seen.unsqueeze(1), new)
            setattr(self, f"prototypes{m}", mixed.where(present.unsqueeze(1), old))
            setattr(self, f"sums{m}", torch.zeros_like(old))
        self.seen = self.seen | present
        self.counts = torch.zeros_like(self.counts)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take the shape of what was saved before it is copied."""
        for name, buffer in list(self.named_buffers()):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.shape != buffer.shape:
                setattr(self, name, buffer.new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)
