"""Regulating the acquisition of information.

Legend: L the joint loss, L_m a modality's own, theta_m weights of its encoder, s_m its summed
confidence, T_m its trace of the Fisher information over an epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range
from counterpoise.core.scores import CrossEntropy, sum_over_processes
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.evidence import confidences, mean_of_others
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.multitask import Multitask
from counterpoise.methods.shared.reminders import Reminding
from counterpoise.methods.shared.settings import PerModality, check_per_modality, per_modality
from counterpoise.methods.shared.snapshots import Snapshots


class InfoReg(Reminding, Multitask):
    r"""Holds back the surer modality while it gains information fast.

    Loss L + sum_m L_m. In the prime window of the modality with the largest s, the gradient of
    its encoder gets beta (theta - theta at the start of the epoch) added, with beta = c exp(tanh(
    s_m - mean_{j != m} s_j)) and s_m the probability that modality m's own logits give to the
    labels, summed over the batch. A modality is in its prime window while (S - S') / S > threshold,
    with S the mean of T over the last ``window`` epochs and S' the same one epoch earlier; T is
    the sum over steps of the mean squared gradients of weights of two dimensions and more.

    Args:
        strength: c, at least 0: one for all modalities, one each, or one each by name. Released
            settings: 0.95 for audio and 0.1 for video.
        threshold: At least 0. Released setting: 0.05.
        window: Epochs, at least 1. Released setting: 10. Until there are that many and one more,
            every modality is in its prime window.
        weight: Of each L_m, at least 0. Published: 1.
        heads: As in :class:`~counterpoise.UnimodalLoss`.

    Attributes:
        prime: Boolean, shape (M,): who is in its prime window.

    Needs encoders, and a training loop that calls ``method.set_epoch(epoch)``. The factors that
    ``out.coefficients`` tells are 1 + beta. Under accumulation the trace is that of each backward
    pass; under DDP of each process's gradient.

    Differs from the official code: any number of modalities and kind of weights; each modality goes
    by its own prime window, where the code goes by that of audio for both; T is of the gradient
    before beta's part is added; the code takes T for 0 in the epochs before the first.

    Example:
        >>> method = InfoReg(strength=[1.0, 0.5])
        >>> method.bind(["audio", "image"])
        >>> method.strengths_of(torch.tensor([3.0, 2.0]))  # exp(tanh 1), 0
        tensor([2.1417, 0.0000])

    Reference: Huang et al., "Adaptive Unimodal Regulation for Balanced Multimodal Information
    Acquisition", CVPR 2025.
    """

    because = "which goes by what an epoch has gained"
    asks = Needs(unimodal_logits="values", owns="encoders")
    strengths_M: Tensor
    trace: Tensor
    history: Tensor
    num_epochs: Tensor
    prime: Tensor
    start_epoch: Tensor

    def __init__(
        self,
        strength: PerModality = 0.95,
        threshold: float = 0.05,
        *,
        window: int = 10,
        weight: float = 1.0,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(heads, weight)
        check_per_modality("strength", strength)
        check_range("threshold", threshold, low=0)
        check_count("window", window, at_least=1)
        check_range("weight", weight, low=0)
        self.strength, self.threshold, self.window = strength, threshold, window
        self.weight = weight
        self.starts = Snapshots()
        self._group: object = None
        self._kept_epoch = -1  # as `start_epoch`, for the asking without waiting for the device
        # By parameter, whose it is and under which name its weights at the epoch's start are kept.
        self._owners: dict[nn.Parameter, tuple[int, str]] = {}
        self._scale: float | Tensor = 1.0  # of the loss whose backward pass it is

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for traces, and for what they come to."""
        super().allocate(num_modalities, dtype)
        strengths = per_modality("strength", self.strength, self.modalities, default=0.95)
        self.register_buffer("strengths_M", torch.tensor(strengths, dtype=dtype), persistent=False)
        self.register_buffer("trace", torch.zeros(num_modalities, dtype=dtype))
        shape = (self.window + 1, num_modalities)
        self.register_buffer("history", torch.zeros(shape, dtype=dtype))
        self.register_buffer("num_epochs", torch.tensor(0))
        self.register_buffer("prime", torch.ones(num_modalities, dtype=torch.bool))
        self.register_buffer("start_epoch", torch.tensor(-1))

    def set_epoch(self, epoch: int) -> None:
        """Work out who is in its prime window, when an epoch is over."""
        super().set_epoch(epoch)
        if not self.modalities or epoch == int(self.start_epoch):
            return
        if int(self.start_epoch) >= 0:
            total = sum_over_processes(self.trace.clone(), self._group)
            if total.any():  # or it was told of this epoch before
                self._enter(total)
        self.trace = torch.zeros_like(self.trace)
        self._owners = {}  # the next step keeps its weights

    def _enter(self, total: Tensor) -> None:
        """Put the traces of an epoch into the history, and judge who is in its prime window."""
        self.history = torch.cat([self.history[1:], total.unsqueeze(0)])
        self.num_epochs = self.num_epochs + 1
        now, before = self.history[1:].mean(dim=0), self.history[:-1].mean(dim=0)
        gained = (now - before) > self.threshold * now
        self.prime = gained | self.num_epochs.le(self.window)

    def modality_losses(self, signals: Signals) -> Tensor:
        """Return L_m, shape (M,); learn from their gradient how the loss was scaled."""
        losses = super().modality_losses(signals)
        if losses is None:
            losses = signals.logits.new_zeros(len(self.modalities), requires_grad=True)
        self._scale = 1.0
        if losses.requires_grad and not torch.compiler.is_compiling():
            losses.register_hook(self._note_scale)  # type: ignore[no-untyped-call]
        return losses

    def _note_scale(self, gradient: Tensor) -> None:
        self._scale = gradient.detach().mean()

    def encoder_factors(self, signals: Signals) -> Tensor:
        """Return 1 + beta of the modality that is ahead and in its prime window, else 1."""
        self._group = signals.process_group
        if not all(p in self._owners for ps in signals.encoder_parameters for p in ps):
            self._keep_starts(signals.encoder_parameters)
        s = confidences(signals)
        labelled = getattr(signals.score or CrossEntropy(), "counted", None)
        count = len(signals.logits) if labelled is None else labelled(signals.target).sum()
        s = s * sum_over_processes(torch.as_tensor(count, device=s.device).to(s), self._group)
        beta = self.strengths_of(s)
        return 1 + beta.where(s.isfinite().all() & self.prime, torch.zeros_like(beta))

    def strengths_of(self, s: Tensor) -> Tensor:
        """Return beta for given confidences, shape (M,): zero but for the largest."""
        beta = self.strengths_M.to(s) * torch.exp(torch.tanh(s - mean_of_others(s)))
        return beta.where(s.eq(s.max()) & s.gt(mean_of_others(s)), torch.zeros_like(beta))

    def encoder_gradient(self, gradient: Tensor, factor: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return the gradient with beta (theta - theta at the start); note its square."""
        index, key = self._owners[parameter]
        gradient = gradient.to_dense()  # of a sparse embedding: all its entries are pulled
        if gradient.dim() > 1:
            square = (gradient.detach().to(self.trace.dtype) / self._scale).square().mean()
            one = torch.arange(len(self.trace), device=self.trace.device).eq(index)
            self.trace = self.trace + square.nan_to_num(0, 0) * one
        start = self.starts.get_buffer(key)
        # As if it were of the loss: scaled with it for half precision, or a part of a batch's.
        return gradient + self._scale * (factor - 1) * (parameter.detach() - start)

    def _keep_starts(self, encoders: Sequence[Sequence[nn.Parameter]]) -> None:
        """Keep the weights of encoders that have other parameters than in the step before."""
        # Where all are others in mid-epoch it is a run that is resumed, or a copy: they are there.
        known = any(p in self._owners for parameters in encoders for p in parameters)
        resumed = self.epoch == self._kept_epoch and not known
        for index, parameters in enumerate(encoders):
            if all(p in self._owners for p in parameters):
                continue
            if not resumed:
                self.starts.keep(f"encoder{index}", [nn.ParameterList(parameters)])
            unique = dict.fromkeys(parameters)
            self._owners |= {p: (index, f"encoder{index}_{i}") for i, p in enumerate(unique)}
        self.start_epoch = torch.full_like(self.start_epoch, self.epoch)
        self._kept_epoch = self.epoch

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        if self.modalities:
            self._kept_epoch = int(self.start_epoch)
