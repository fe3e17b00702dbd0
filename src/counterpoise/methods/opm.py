"""On-the-fly prediction modulation.

Legend: s_m summed confidence of modality m, rho_m its discrepancy ratio, q_m the probability that
its feature is dropped, q_base and lambda as in the paper, B batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from counterpoise.core.errors import check_range
from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.methods.method import Method, Needs, Phase, Signals
from counterpoise.methods.shared.evidence import confidences, mean_of_others

SPARED = 1 / 8
"""Expected share of the samples that keep all features, for confidences to be learnt from."""


class OPM(Method):
    r"""Drops the feature of the surer modality from a random part of the samples.

    q_m = q_base (1 + lambda tanh(rho_m - 1)) if rho_m > 1, else 0, with rho_m = mean_{j != m}
    s_m / s_j of the last step. A dropped feature is zero in the full pass; the least sure
    modality is never dropped.

    Args:
        probability: q_base, in [0, 1]; 0 is joint training bit for bit. Published: 0.5.
        strength: lambda, at least 0: how much the lead adds to q, which is at most 7/8.
            Published: 0.5, with which q stays below 3/4.

    Attributes:
        probabilities: q of the coming step, shape (M,). Zero at the first.

    Needs encoders. Each floating-point tensor of their outputs is dropped along its axis of
    samples, the first or, as in the state of a recurrent layer, the second.

    Drops in the whole run; the official code starts at epoch 6: ``cp.Windowed(cp.OPM(...), 6)``.

    Differs from the paper, whose confidences are of the full features of all samples, before any
    is dropped, which would cost a further pass: here they are of the samples that lost nothing.
    For these not to run out, an eighth of the samples, drawn at random, keeps all features: q is
    at most 7/8, and samples that are not spared lose a feature with probability q / (7/8).

    Differs from the official code: any number of modalities; q is of the last iteration, as the
    paper says, where the code uses the batch's own; no rescaling of what is kept by one over the
    mean share kept, and no second coin by which 30% of the batches are spared, neither of which
    the method's formula has.

    Example:
        >>> method = OPM(probability=0.5, strength=0.5)
        >>> method.probability_of(torch.tensor([0.8, 0.4]))  # 0.5 (1 + 0.5 tanh 1), 0
        tensor([0.6904, 0.0000])

    Reference: Wei et al., "On-the-fly Modulation for Balanced Multimodal Learning", TPAMI 2024,
    equations 6 to 8.
    """

    probabilities: Tensor

    def __init__(self, probability: float = 0.5, strength: float = 0.5) -> None:
        super().__init__()
        check_range("probability", probability, low=0, high=1)
        check_range("strength", strength, low=0)
        self.probability, self.strength = probability, strength
        # Of the step under way: which samples each modality keeps, and which all of them do.
        self._kept: list[Tensor] = []
        self._spared_B: Tensor | None = None
        # Axis of samples by modality and tensor, once shapes have told it beyond doubt.
        self._axes: dict[tuple[int, int], int] = {}

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the probabilities."""
        self.register_buffer("probabilities", torch.zeros(num_modalities, dtype=dtype))

    def needs(self) -> Needs:
        """Return that features are acted on and unimodal logits looked at."""
        return Needs(unimodal_logits="values", features=True, owns="encoders")

    def phase(self) -> Phase:
        """Return "off" where nothing is ever dropped."""
        return "on" if self.probability > 0 else "off"

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Leave the data as they are; draw which samples are spared in this step."""
        first = tensors(inputs)[0]
        self._spared_B = torch.rand(len(first), device=first.device) < SPARED
        self._kept = []
        return inputs

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return the feature of modality number ``index`` without some of the samples.

        Raises:
            ValueError: If no tensor of it has an axis of samples, or it is a packed sequence.
        """
        spared_B = self._spared_B
        assert spared_B is not None
        drawn_B = torch.rand(len(spared_B), device=spared_B.device)
        kept_B = spared_B | (drawn_B >= self.probabilities[index] / (1 - SPARED))
        self._kept.append(kept_B)
        axes = iter(self._axes_of(index, feature))

        def drop(tensor: Tensor) -> Tensor:
            axis = next(axes)
            if axis is None or not tensor.is_floating_point():
                return tensor
            shape = [-1 if a == axis else 1 for a in range(tensor.dim())]
            return tensor.where(kept_B.view(shape), 0)

        return map_tensors(drop, feature)

    def _axes_of(self, index: int, feature: PyTree) -> list[int | None]:
        """Return the axis of samples of each tensor of a feature, None where there is none."""
        assert self._spared_B is not None
        num_rows, axes, parts = len(self._spared_B), [], tensors(feature)
        for part, tensor in enumerate(parts):
            fits = [axis for axis, size in enumerate(tensor.shape[:2]) if size == num_rows]
            if len(fits) == 1:
                self._axes[index, part] = fits[0]
            known = self._axes.get((index, part))
            axes.append(known if known in fits else fits[0] if fits else None)
        packed = isinstance(feature, PackedSequence) or any(
            isinstance(part, PackedSequence) for part in feature if isinstance(feature, tuple)
        )
        if packed or all(axis is None for axis in axes):
            shapes = "a packed sequence" if packed else [tuple(part.shape) for part in parts]
            raise ValueError(
                f"The encoder of {self.modalities[index]!r} should return tensors whose first or "
                f"second axis is that of the {num_rows} samples, for OPM to drop some; found "
                f"{shapes}. Name a module whose output is such, or use OGM."
            )
        return axes

    def coefficients(self, signals: Signals) -> None:
        """Leave the responses alone; learn the probabilities of the next step."""
        whole_B = torch.stack(self._kept).all(dim=0) if self._kept else None
        s = confidences(signals, whole_B)
        q = self.probability_of(s).to(self.probabilities.dtype)
        self.probabilities = q.where(s.isfinite().all(), self.probabilities)

    def probability_of(self, s: Tensor) -> Tensor:
        """Return q for given confidences, shape (M,); their scale does not matter."""
        s = s.clamp_min(torch.finfo(s.dtype).tiny)
        rho = mean_of_others(s.unsqueeze(1) / s.unsqueeze(0))
        q = self.probability * (1 + self.strength * torch.tanh(rho - 1))
        return q.clamp_max(1 - SPARED).where(rho > 1, torch.zeros_like(rho))
