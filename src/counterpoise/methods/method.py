"""The method contract: the places where a method of balancing may act.

``Balanced`` walks through one training step and asks its method at each place; a method answers
only where it has something to say. State lives in buffers, so that a method moves between
devices, checkpoints and averages over processes by itself. A method never trains, reads data or
knows the names of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree

__all__ = ["Evaluation", "Method", "Need", "Signals"]

Need = Literal["nothing", "values", "gradients"]


class Signals(NamedTuple):
    """What a method sees of a training step, after the forward passes and before the backward.

    Attributes:
        logits: Of the model, shape (B, ...), with graph.
        target: As given.
        responses: Mono-modal responses, shape (M, B, ...), with graph if the method needs
            "gradients"; None if nobody needs them.
        scores: Mean loss of each response over the batch of all processes, shape (M,),
            detached; None without responses. NaN where a batch is empty.
        num_samples: How many samples the scores are the mean of, a scalar tensor.
        finite: Boolean, shape (M,): whether some coalition with the modality is finite.
        unimodal_logits: Logits of each modality on its own, shape (M, B, ...): those of the
            method's own heads where it has any; else those of additive heads, with graph, where
            the user named ``heads``; else the responses.
        features: Output of each modality's encoder in the full pass, with graph, in order of
            modality; empty unless the method asks for features.
        encoder_parameters: Parameters of each modality's encoder, in order of modality.
        criterion: The joint loss as a function of logits and target.
        score: The loss of each sample as a function of logits and target; None: cross-entropy.
        process_group: Processes that statistics are averaged over; None: all there are.
    """

    logits: Tensor
    target: PyTree
    responses: Tensor | None = None
    scores: Tensor | None = None
    num_samples: Tensor | None = None
    finite: Tensor | None = None
    unimodal_logits: Tensor | None = None
    features: tuple[PyTree, ...] = ()
    encoder_parameters: Sequence[Sequence[nn.Parameter]] = ()
    criterion: Callable[[Tensor, PyTree], Tensor] | None = None
    score: Callable[[Tensor, PyTree], Tensor] | None = None
    process_group: Any = None


class Evaluation(NamedTuple):
    """What a method sees of a validation epoch. Never of the test data.

    Attributes:
        epoch: The training epoch after which validation took place, from 0.
        loss: Joint loss.
        accuracy: Joint accuracy in [0, 1].
        unimodal_loss: Loss of each modality's own logits, shape (M,).
        unimodal_accuracy: Accuracy of each modality's own logits, shape (M,).
    """

    epoch: int
    loss: float
    accuracy: float
    unimodal_loss: Tensor
    unimodal_accuracy: Tensor


class Method(nn.Module):
    """A way of balancing modalities: subclass it and answer at the places that matter.

    Every answer is optional. In the order in which a training step asks: :meth:`inputs` (the
    data), :meth:`feature` (a modality's feature), :meth:`coefficients` (the responses),
    :meth:`loss` (the loss), :meth:`encoder_factors` and :meth:`encoder_gradient` (the gradient
    of an encoder's parameters), :meth:`learning_rates` (a branch's learning rate); and between
    epochs :meth:`set_epoch`, :meth:`on_validation` and :meth:`finished`.

    Attributes:
        asks_features: Set it to True to be given ``signals.features`` and asked for
            :meth:`feature`.
        acts_on: "encoders" or "branches" if the method can do nothing without them, which is
            then an error when the model is wrapped.

    Example: a method that halves the gradient of whichever modality is ahead.

        >>> class Halve(Method):
        ...     def needs(self):
        ...         return "gradients"
        ...     def coefficients(self, signals):
        ...         ahead = signals.scores == signals.scores.min()
        ...         return torch.where(ahead, 0.5, 1.0)
        >>> method = Halve()
        >>> method.bind(["audio", "image"])
        >>> method.coefficients(Signals(None, None, scores=torch.tensor([0.3, 1.2])))
        tensor([0.5000, 1.0000])
    """

    asks_features: bool = False
    acts_on: Literal["", "encoders", "branches"] = ""
    modalities: tuple[str, ...] = ()
    epoch: int = 0

    def bind(self, modalities: Sequence[str], dtype: torch.dtype = torch.float32) -> None:
        """Learn the modalities' names and make room for state, once, when a model is wrapped.

        Override :meth:`allocate`, not this.

        Raises:
            ValueError: If the method already serves another model: state is not shared.
        """
        if self.modalities:
            raise ValueError(
                f"`method` should serve one model; found a {type(self).__name__} that is already "
                f"bound to {', '.join(self.modalities)}. Make a new one for each Balanced."
            )
        self.modalities = tuple(modalities)  # for `allocate`, which may need the names
        try:
            self.allocate(len(self.modalities), dtype)
        except Exception:
            self.modalities = ()  # what was wrong can be put right and bound again
            raise

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Register the buffers that depend on the number of modalities. Default: none."""

    def needs(self) -> Need:
        """Return what the method needs of the coalitions at present.

        "nothing" (the default) costs a plain step; "values" gives responses and scores without
        gradient; "gradients" gives responses that can be modulated or trained.
        """
        return "nothing"

    def needs_unimodal(self) -> Need:
        """Return what the method needs of the modalities' own logits at present.

        They cost coalition passes only where there are no additive heads to take them from.
        """
        return "nothing"

    def unimodal_logits(self, features: Sequence[PyTree], logits: Tensor) -> Tensor | None:
        """Return logits of heads of the method's own, shape (M, B, ...), None if it has none.

        Asked in training and in evaluation if the method asks for features.

        Args:
            features: Output of each modality's encoder, in order of modality.
            logits: Of the model, shape (B, ...), for heads that have yet to learn their size.
        """
        return None

    # -- places in a training step -----------------------------------------------------------

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Place: the data. Return the modalities' batches to train on."""
        return inputs

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Place: a modality's feature. Return what the rest of the model gets in the full pass."""
        return feature

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Place: the responses. Return the factor of each response's gradient, shape (M,).

        Called once a training step whenever responses or unimodal logits were asked for, so that
        state may be updated here. None (the default) leaves the gradient as it is.
        """
        return None

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Place: the loss. Return the scalar to minimise; by default the joint loss itself."""
        return joint

    def encoder_factors(self, signals: Signals) -> Tensor | None:
        """Place: the gradient of encoders. Return the factor of each encoder's, shape (M,).

        Called once a training step, after :meth:`loss`. None: leave all gradients alone. Each
        step is scaled by its own factors, whatever the order of the backward passes; one pass
        through two steps is an error, since gradients of both would arrive as one sum. Under
        ``torch.compile`` factors hold until the next step: go backward before it.
        """
        return None

    def encoder_gradient(self, gradient: Tensor, factor: Tensor) -> Tensor:
        """Place: the gradient of one parameter of an encoder. Return what it becomes.

        Called in the backward pass with the modality's factor, a scalar, if
        :meth:`encoder_factors` gave any. Default: their product.
        """
        return factor * gradient

    # -- places between steps ----------------------------------------------------------------

    def learning_rates(self) -> Tensor | None:
        """Place: learning rates. Return the factor of each branch's rate, shape (M,), or None.

        Zero freezes a branch: no update, and batch-norm statistics stand still.
        """
        return None

    def set_epoch(self, epoch: int) -> None:
        """Place: the epoch. Called by the training loop when epoch 0, 1, ... starts."""
        self.epoch = epoch

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """Place: the end of a validation epoch, with the modules of each branch at hand."""

    def finished(self) -> bool:
        """Return whether training should end here."""
        return False

    def check(self) -> None:
        """Raise if state tells that something went wrong; waits for the device, so call rarely."""
