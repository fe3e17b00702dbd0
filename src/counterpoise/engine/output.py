"""What a call of ``Balanced`` returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """What ``Balanced`` returns.

    Attributes:
        logits: Equal to the model's own bit for bit, shape (B, ...). Under modulation their
            gradient is spread over the coalitions.
        raw: What the model returned, before ``select``.
        loss: The scalar to minimise: ``criterion(logits, target)`` and what the method adds to
            it. None without a target.
        responses: Unimodal responses, shape (M, B, ...), float32 or wider. Under Shapley
            attribution they sum to the logits over M. None where they were not asked for.
        scores: Mean loss of each response over the batch, shape (M,), detached, in the units of
            the score (nats). None without responses or target.
        coefficients: Factor of the gradient of each modality, of its response or of its encoder,
            shape (M,), detached. Ones where the method scales neither. None outside training.
        sampling_error: Standard error of each response, root mean square over its entries,
            shape (M,). None where coalitions are exact.
        unimodal_logits: From ``respond``: logits of each modality on its own, shape (M, B, ...),
            those of the method's own heads, of additive heads, or the responses. Else None.
        diagnostics: What the method tells of the step, by name, detached; see its documentation.
        modalities: Names, in the order of every M axis.
    """

    logits: Tensor
    raw: Any
    loss: Tensor | None = None
    responses: Tensor | None = None
    scores: Tensor | None = None
    coefficients: Tensor | None = None
    sampling_error: Tensor | None = None
    unimodal_logits: Tensor | None = None
    diagnostics: Mapping[str, Tensor] = {}
    modalities: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show shapes, and the numbers that are one a modality by its name."""
        lines = []
        for name, value in zip(self._fields, self, strict=True):
            if name == "diagnostics":
                lines += [f"  {key}: {self._shown(v)}" for key, v in self.diagnostics.items()]
            elif isinstance(value, Tensor):
                lines.append(f"  {name}: {self._shown(value)}")
        return "\n".join(["Output(", *lines, ")"])

    def _shown(self, value: Tensor) -> str:
        if value.shape == (len(self.modalities),):
            numbers = zip(self.modalities, value.tolist(), strict=True)
            return ", ".join(f"{name} {float(number):.4g}" for name, number in numbers)
        if value.dim() == 0:
            return f"{value.item():.4g}"
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
