"""Classifier-guided gradient modulation.

Legend: d_m growth of the accuracy of modality m's classifier since the step before, B_m its
balancing term, rho scale of the encoders' gradients, lambda weight of the direction term.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoise.core.errors import check_count, check_range
from counterpoise.core.scores import CrossEntropy, mean_over_processes
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.evidence import scaled_confidences
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.multitask import Multitask


class CGGM(Multitask):
    r"""Slows encoders whose classifiers gain fast, and turns the joint gradient to the others.

    The gradient of encoder m is scaled by rho B_m with B_m = sum_{j != m} d_j / sum_j d_j, and
    the loss gets lambda mean_m B_m (1 - cos(g, g_m)), where g is the gradient of the joint
    loss in the joint logits and g_m that of modality m's loss in its own.

    Args:
        rho: Scale, at least 0. Published: 1.3. The B_m sum to M - 1, so that at par each
            encoder's gradient is scaled by rho (M - 1) / M.
        direction: lambda, at least 0. Published: 0.2. With 0 the loss stays the joint one.
        clamp: B_m is kept between 0 and this; above 0.
        every: Steps over which accuracies are averaged before they are compared with the average
            before, at least 1; B stays in between. Published: 1. See below for why more.
        heads: Modality to a module that maps its encoder's output to logits: the paper's
            classifiers, or "linear" ones. They are trained along, on detached features. None: the
            additive heads that the model was wrapped with, or else what the model answers to each
            modality's features with the others' at zero.

    Attributes:
        accuracies: Of the last step, shape (M,); zero before the first, as in the official code.
        shift: They are to be multiplied by exp(-shift): 0 with class labels.
        balance: B of the last step, shape (M,).

    Needs encoders. Accuracy is that of class labels; for other targets it is the mean of
    exp(-score). The classifiers are in ``heads``: the released code gives them a learning rate of
    their own, which is a parameter group of ``balanced.method.heads.parameters()``.

    Where accuracies no longer grow, what differs between two batches is noise. The modality whose
    accuracy varies more has, on average, the larger share of it and is braked: the *weaker* one
    where both are right more often than not, as in the released code. With ``every`` as many
    steps as an epoch has, epochs are compared instead.

    Differs from the paper: gradients are compared in the logits, where they have one shape in
    any model, instead of in last layers built alike; B is clamped, since where accuracies move
    apart the formula has no bound and negative terms, which climb the loss; where no accuracy
    moves in sum, B_m is (M - 1) / M, its value at par. Differs from the official code: that
    takes the cosine of the last layers' weights and not of their gradients, and adds it a step
    later. Under DDP the cosines are those of each process's batch.

    Example:
        >>> method = CGGM(rho=1.3)
        >>> method.balance_of(torch.tensor([0.03, 0.01]))  # the first gains three times as much
        tensor([0.2500, 0.7500])

    Reference: Guo et al., "Classifier-guided Gradient Modulation for Enhanced Multimodal
    Learning", NeurIPS 2024, section 3.
    """

    asks = Needs(unimodal_logits="values", owns="encoders")
    _uncompiled: ClassVar[Any]  # computes cosines
    accuracies: Tensor
    shift: Tensor
    balance: Tensor
    sums: Tensor
    sums_shift: Tensor
    num_summed: Tensor

    def __init__(
        self,
        rho: float = 1.3,
        direction: float = 0.2,
        *,
        clamp: float = 2.0,
        every: int = 1,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(heads, 0.0)  # classifiers learn from detached features
        check_range("rho", rho, low=0)
        check_range("direction", direction, low=0)
        check_range("clamp", clamp, low=0, open_low=True)
        check_count("every", every, at_least=1)
        self.rho, self.direction, self.clamp, self.every = rho, direction, clamp, every

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for accuracies and balancing terms."""
        super().allocate(num_modalities, dtype)
        _leave_uncompiled()
        self.register_buffer("accuracies", torch.zeros(num_modalities, dtype=dtype))
        self.register_buffer("shift", torch.zeros((), dtype=dtype))
        self.register_buffer("sums", torch.zeros(num_modalities, dtype=dtype))
        self.register_buffer("sums_shift", torch.zeros((), dtype=dtype))
        self.register_buffer("num_summed", torch.zeros((), dtype=dtype))
        par = (num_modalities - 1) / num_modalities
        self.register_buffer("balance", torch.full((num_modalities,), par, dtype=dtype))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on as before in a process in which no method was bound, as after ``torch.load``."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        _leave_uncompiled()

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the joint loss with the direction term, and the own classifiers' losses."""
        self._observe(signals)
        own_M = self.modality_losses(signals)
        total = joint if own_M is None else joint + own_M.sum()
        if not self.direction or not torch.is_grad_enabled():
            return total
        balance = self.balance.to(joint)
        cosines: Tensor = self._uncompiled(signals)
        return total + self.direction * (balance * (1 - cosines)).mean()

    def encoder_factors(self, signals: Signals) -> Tensor:
        """Return rho B, shape (M,)."""
        return self.rho * self.balance

    def balance_of(self, gains: Tensor, rounding: float | Tensor = 0.0) -> Tensor:
        """Return B for given growths of accuracy d, shape (M,), whose sum may be off by so much."""
        total = gains.sum()
        moved = total.abs() > rounding
        shares = (total - gains) / total.where(moved, torch.ones_like(total))
        par = torch.full_like(gains, (len(gains) - 1) / len(gains))
        return shares.where(moved, par).clamp(0, self.clamp) + 0  # -0 becomes 0

    def _observe(self, signals: Signals) -> None:
        accuracies, shift = (value.to(self.accuracies) for value in _accuracies(signals))
        known = accuracies.isfinite().all()
        if self.every > 1:
            accuracies, shift, known = self._averaged(accuracies, shift, known)
        # What is zero, as before the first step, has no scale of its own.
        before = self.shift.where(self.accuracies.any(), shift)
        common = torch.minimum(shift, before)
        now, past = accuracies * (common - shift).exp(), self.accuracies * (common - before).exp()
        # What was right of thirty samples is rounded: gains that cancel out leave next to nothing.
        rounding = 8 * torch.finfo(torch.float32).eps * torch.maximum(now, past).amax()
        self.balance = self.balance_of(now - past, rounding).where(known, self.balance)
        self.accuracies = accuracies.where(known, self.accuracies)
        self.shift = shift.where(known, self.shift)

    def _averaged(
        self, accuracies: Tensor, shift: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Add a step to the sums; return their mean, its shift, and whether they are complete."""
        before = self.sums_shift.where(self.num_summed > 0, shift)
        common = torch.minimum(shift, before)
        sums = self.sums * (common - before).exp() + accuracies * (common - shift).exp()
        sums = sums.where(known, self.sums)
        common = common.where(known, self.sums_shift)
        count = self.num_summed + known
        complete = count >= self.every
        self.sums = sums.where(~complete, torch.zeros_like(sums))
        self.num_summed = count.where(~complete, torch.zeros_like(count))
        self.sums_shift = common
        return sums / count.clamp_min(1), common, complete


def _leave_uncompiled() -> None:
    """Keep the cosines out of compiled steps: a compiled loss cannot be differentiated twice.

    Not by a decorator, for which importing this package would import a compiler, which takes
    longer than all the rest.
    """
    disable: Any = torch.compiler.disable
    CGGM._uncompiled = staticmethod(disable(_cosines))


def _cosines(signals: Signals) -> Tensor:
    """Return cos(g, g_m), shape (M,), with the graph of g."""
    criterion, logits_M = signals.criterion, signals.unimodal_logits
    assert criterion is not None
    assert logits_M is not None
    joint = criterion(signals.logits, signals.target)
    (g,) = torch.autograd.grad(joint, signals.logits, create_graph=True)
    own_M = logits_M.detach().requires_grad_()
    losses = torch.stack([criterion(own, signals.target) for own in own_M])
    (g_M,) = torch.autograd.grad(losses.sum(), own_M)
    wide = torch.promote_types(g_M.dtype, torch.float32)
    return F.cosine_similarity(g.flatten().to(wide), g_M.flatten(1).to(wide), dim=1)


def _accuracies(signals: Signals) -> tuple[Tensor, Tensor]:
    """Return the share of samples that each modality gets right, over all processes; and shift."""
    logits_MB, target = signals.unimodal_logits, signals.target
    assert logits_MB is not None
    labels = isinstance(target, Tensor) and not target.is_floating_point()
    if not labels or target.dim() != logits_MB.dim() - 2 or logits_MB.shape[2] < 2:
        return scaled_confidences(signals)  # one output a sample tells of no classes
    score = signals.score or CrossEntropy()
    counted = getattr(score, "counted", None)  # scores may know samples without a label
    counted_B = None if counted is None else counted(target)
    wide = torch.promote_types(logits_MB.dtype, torch.float32)
    right_MB = logits_MB.detach().argmax(dim=2).eq(target).to(wide)
    right_MB = _mean_of_labelled(right_MB, target.ne(getattr(score, "ignore_index", -100)))
    finite_M1 = logits_MB.detach().isfinite().flatten(1).all(dim=1, keepdim=True)
    right_MB = right_MB.where(finite_M1, float("nan"))  # which reaches all processes in the mean
    accuracies_M, _ = mean_over_processes(right_MB, signals.process_group, counted_B)
    return accuracies_M, torch.zeros_like(accuracies_M[0])


def _mean_of_labelled(right_MB: Tensor, labelled_B: Tensor) -> Tensor:
    """Return the share that is right of each sample's entries with a label, shape (M, B)."""
    right_MBE, labelled_BE = (x.unsqueeze(-1).flatten(2) for x in (right_MB, labelled_B[None]))
    return (right_MBE * labelled_BE).sum(dim=2) / labelled_BE.sum(dim=2).clamp_min(1)
