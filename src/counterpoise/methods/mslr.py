"""Modality-specific learning rates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_count, check_range
from counterpoise.methods.method import Evaluation, Needs
from counterpoise.methods.shared.reminders import Reminding, Validated
from counterpoise.methods.shared.settings import PerModality, check_per_modality, per_modality


class MSLR(Validated, Reminding):
    r"""Gives each modality's branch a learning rate of its own.

    A branch learns at the optimiser's rate times a factor. With f_m from ``factors``:
    "keep": f_m itself; "smooth": f_m moved towards the mean of all f; "dynamic": f_m a_m(t) /
    mean of a_m over the ``window`` epochs before t, where a_m(t) is the accuracy of m's own
    logits at the last validation. A modality whose accuracy rises speeds up, one that falls
    behind its own past slows down.

    Args:
        mode: "keep", "smooth" or "dynamic".
        factors: f_m, at least 0: each modality's best rate on its own over the optimiser's, one
            for all, one each, or one each by name. None: 1 each. The authors of AGM state
            (audio, visual) 0.9, 1.1 for CREMA-D, 1.3, 0.7 for AV-MNIST, and audio 0.9, visual
            1.4, text 0.7 for UR-Funny.
        window: Epochs whose mean accuracy today's is compared with, at least 1; 5 to 10 are
            published. Until so many have passed the ratio is 1.
        shift: "smooth" only: how much of the way to the mean, in [0, 1]: 0 is "keep", 1 one
            rate for all.
        clamp: "dynamic" only: the ratio stays between 1 / clamp and clamp; at least 1.

    Attributes:
        ratio: Accuracy over mean of the window, shape (M,); ones outside "dynamic".

    Raises:
        ValueError: If an argument is out of range; when a model is wrapped, if factors do not
            match the modalities or a modality has no branch.

    Example:
        >>> method = MSLR(factors=[0.9, 1.1], window=1)
        >>> method.bind(["audio", "image"])
        >>> for epoch, accuracies in enumerate([(0.5, 0.5), (0.6, 0.4)]):
        ...     evaluation = Evaluation(epoch, 1.0, 0.5, None, torch.tensor(accuracies))
        ...     method.on_validation(evaluation, [])
        >>> method.learning_rates()
        tensor([1.0800, 0.8800])

    Reference: Yao and Mihalcea, "Modality-specific Learning Rates for Effective Multimodal
    Additive Late-fusion", Findings of ACL 2022.

    Differs from it: any fusion will do, where the accuracy is that of the unimodal response
    if there are no additive heads. How far "smooth" goes is an argument, and ratios are clamped
    (an accuracy near zero would give any rate). In the code of Li et al., ICCV 2023, gradients
    are scaled instead of rates, which does nothing under Adam, and accuracies are of test data.
    """

    awaits = "learning_rates"
    because = "which acts by them"
    until = "this is joint training"
    factors_M: Tensor
    history: Tensor
    num_epochs: Tensor
    ratio: Tensor
    _told = False

    def __init__(
        self,
        mode: str = "dynamic",
        factors: PerModality | None = None,
        window: int = 5,
        *,
        shift: float = 0.5,
        clamp: float = 10.0,
    ) -> None:
        super().__init__()
        check_choice("mode", mode, ("keep", "smooth", "dynamic"))
        check_per_modality("factors", factors)
        check_count("window", window, at_least=1)
        check_range("shift", shift, low=0, high=1)
        check_range("clamp", clamp, low=1)
        self.mode, self.factors, self.window = mode, factors, window
        self.shift, self.clamp = shift, clamp

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Learn the factors, and make room for the accuracies of a window."""
        factors = per_modality("factors", self.factors, self.modalities, default=1.0)
        factors_M = torch.tensor(factors, dtype=dtype)
        if self.mode == "smooth":
            factors_M = factors_M.lerp(factors_M.mean().expand_as(factors_M), self.shift)
        self.register_buffer("factors_M", factors_M, persistent=False)
        self.register_buffer("ratio", torch.ones(num_modalities, dtype=dtype))
        self.register_buffer("history", torch.zeros(self.window, num_modalities, dtype=dtype))
        self.register_buffer("num_epochs", torch.tensor(0))

    def needs(self) -> Needs:
        """Return that branches are acted on."""
        return Needs(owns="branches")

    @property
    def goes_by_validation(self) -> bool:
        """Whether rates are dynamic."""
        return self.mode == "dynamic"

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """Compare each modality's accuracy with its window, and let it enter the window."""
        super().on_validation(evaluation, branches)
        if self.mode != "dynamic":
            return
        accuracies = evaluation.required("unimodal_accuracy", "MSLR").to(self.history)
        self._warn_of(accuracies)
        past = self.history.mean(dim=0)
        ratio = (accuracies / past).clamp(1 / self.clamp, self.clamp)
        known = ratio.isfinite() & self.num_epochs.ge(self.window)
        known = known & accuracies.ge(0) & past.ge(0)  # ratios of negative ones have no sense
        self.ratio = ratio.where(known, torch.ones_like(ratio))
        self.num_epochs = self.num_epochs + 1
        self.history = torch.cat([self.history[1:], accuracies.unsqueeze(0)])

    def _warn_of(self, accuracies: Tensor) -> None:
        """Warn, once, of accuracies that are none: the rates would stay without a word."""
        if self._told or not (accuracies.isnan().all() or accuracies.lt(0).any()):
            return
        self._told = True
        warnings.warn(
            "`evaluation.unimodal_accuracy` should be numbers of at least 0 for MSLR, which goes "
            f"by their ratios; found {accuracies.tolist()}, which leave the rates alone. Pass "
            "`metric=` to `balanced.evaluate`, a function of logits and target that is higher "
            "when better and never negative.",
            UserWarning,
            stacklevel=3,
        )

    def learning_rates(self) -> Tensor:
        """Return the factor of each branch's learning rate."""
        self._due = False
        return self.factors_M * self.ratio
