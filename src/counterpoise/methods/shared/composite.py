"""Methods made of other methods: at each place the one that acts there is called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree
from counterpoise.methods.method import Evaluation, Features, Method, Signals

NOBODY = Method()
"""Stands for whoever acts at a place where nobody does: leaves everything as it is."""


class Composite(Method, ABC):
    """Asks one method at each place within a step, and tells several what happens between them."""

    @abstractmethod
    def asked(self, place: str) -> Method:
        """Return who acts at a place within a step, or at "learning_rates", at this time."""

    @abstractmethod
    def told(self) -> Sequence[Method]:
        """Return who is told of epochs and validation at this time."""

    @abstractmethod
    def members(self) -> Sequence[Method]:
        """Return all methods that it is made of."""

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Bind all methods."""
        for method in self.members():
            method.bind(self.modalities, dtype)

    def places(self) -> frozenset[str]:
        """Return the places of all methods."""
        return frozenset().union(*(method.places() for method in self.members()))

    def title(self) -> str:
        """Return the names of the methods, such as "UnimodalLoss + AGM"."""
        return " + ".join(method.title() for method in self.members())

    # -- places in a training step: one method is asked --------------------------------------

    def substeps(self, target: PyTree, unimodal: Callable[[], Tensor]) -> Iterator[Tensor | None]:
        """Yield the steps of a batch."""
        yield from self.asked("substeps").substeps(target, unimodal)

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Return what becomes of the data."""
        return self.asked("inputs").inputs(inputs, target)

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return what becomes of a feature."""
        return self.asked("feature").feature(index, feature)

    def unimodal_logits(self, features: Sequence[PyTree], logits: Tensor) -> Tensor | None:
        """Return logits of a method's own heads."""
        return self.asked("unimodal_logits").unimodal_logits(features, logits)

    def modality_losses(self, signals: Signals) -> Tensor | None:
        """Return the losses of the modalities."""
        return self.asked("loss").modality_losses(signals)

    def combine(self, joint: Tensor, own_M: Tensor, signals: Signals) -> Tensor:
        """Return what becomes of them and the joint loss."""
        return self.asked("combine").combine(joint, own_M, signals)

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the loss."""
        return self.asked("loss").loss(joint, signals)

    def encoder_factors(self, signals: Signals) -> Tensor | None:
        """Return the factors of the encoders' gradients."""
        return self.asked("encoder_factors").encoder_factors(signals)

    def encoder_gradient(self, gradient: Tensor, factor: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return what becomes of an encoder's gradient."""
        return self.asked("encoder_gradient").encoder_gradient(gradient, factor, parameter)

    def rest_gradient(self, gradient: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return what becomes of a gradient of fusion and head."""
        return self.asked("rest_gradient").rest_gradient(gradient, parameter)

    def learning_rates(self) -> Tensor | None:
        """Return the factors of the branches' learning rates."""
        return self.asked("learning_rates").learning_rates()

    # -- what all methods are told of --------------------------------------------------------

    def advance(self) -> None:
        """Tell all methods that a step is over."""
        for method in self.members():
            method.advance()

    def set_epoch(self, epoch: int) -> None:
        """Tell all methods the epoch."""
        super().set_epoch(epoch)
        for method in self.members():
            method.set_epoch(epoch)

    def diagnostics(self) -> dict[str, Tensor]:
        """Return those of all methods."""
        return {k: v for method in self.members() for k, v in method.diagnostics().items()}

    def on_epoch(self, encoders: Sequence[nn.Module], features: Callable[[], Features]) -> None:
        """Hand encoders and features on."""
        for method in self.told():
            method.on_epoch(encoders, features)

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """Hand validation on."""
        for method in self.told():
            method.on_validation(evaluation, branches)

    def finished(self) -> bool:
        """Return whether any method ends training."""
        return any(method.finished() for method in self.told())

    def check(self) -> None:
        """Let all methods check themselves."""
        for method in self.members():
            method.check()
