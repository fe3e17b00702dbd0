"""What a method sees of a training step and of a validation epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from typing import Any, NamedTuple

from torch import Tensor, nn

from counterpoise.core.coalitions import Coalition
from counterpoise.core.pytree import PyTree


class Signals(NamedTuple):
    """What a method sees of a training step, after the forward passes and before the backward.

    Attributes:
        logits: Of the model, shape (B, ...), with graph.
        target: As given.
        responses: Unimodal responses, shape (M, B, ...), with graph if the method needs
            "gradients" and has a say in the loss or in parameters' gradients; None if nobody
            needs them.
        scores: Mean loss of each response over the batch of all processes, shape (M,),
            detached; None without responses. NaN where a batch is empty.
        num_samples: How many samples the scores are the mean of, a scalar tensor.
        finite: Boolean, shape (M,): whether some coalition with the modality is finite.
        unimodal_logits: Logits of each modality on its own, shape (M, B, ...): those of the
            method's own heads where it has any; else those of additive heads, with graph, where
            the user named heads; else the model's answer where the others are absent.
        features: Output of each modality's encoder in the full pass, with graph, in order of
            modality; empty unless the method asks for features.
        encoder_parameters: Parameters of each modality's encoder, in order of modality.
        criterion: The joint loss as a function of logits and target.
        score: The loss of each sample as a function of logits and target; None: cross-entropy.
        process_group: Processes that statistics are averaged over; None: all there are.
        values: The values of the coalitions themselves, shape (S, B, ...), with graph if the
            method needs "gradients" of responses; None unless it needs ``values``.
        coalitions: Members of each of these coalitions, by number; the full one is the last.
        rest: From features, one a modality, to logits: the rest of the model, with graph, run as
            a coalition is. None unless the method needs ``features``.
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
    values: Tensor | None = None
    coalitions: tuple[Coalition, ...] = ()
    rest: Callable[[Sequence[PyTree]], Tensor] | None = None


class Features(NamedTuple):
    """Outputs of encoders on whole sets of data, in eval mode and without gradient.

    Attributes:
        train: Of each modality, rows of the training data, shape (N, D_m).
        train_target: Their targets.
        validation: The same of the validation data.
        validation_target: Their targets.
    """

    train: list[Tensor]
    train_target: Tensor
    validation: list[Tensor]
    validation_target: Tensor


class Evaluation(NamedTuple):
    """What a method sees of a validation epoch. Never of the test data.

    A training loop gives what it has measured; a method that goes by something that is missing
    says so.

    Attributes:
        epoch: The training epoch after which validation took place, from 0.
        loss: Joint loss.
        accuracy: Joint accuracy in [0, 1]; for another task its headline metric, turned so that
            higher is better.
        unimodal_loss: Loss of each modality's own logits, shape (M,).
        unimodal_accuracy: Accuracy, or metric, of each modality's own logits, shape (M,).

    Example:
        >>> import torch
        >>> Evaluation(epoch=3, unimodal_loss=torch.tensor([0.9, 0.7])).loss
        nan
    """

    epoch: int
    loss: float = nan
    accuracy: float = nan
    unimodal_loss: Tensor | None = None
    unimodal_accuracy: Tensor | None = None

    def required(self, name: str, method: str) -> Tensor:
        """Return "unimodal_loss" or "unimodal_accuracy", which a method cannot do without.

        Raises:
            ValueError: If it was not measured.
        """
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ValueError(
                f"`evaluation.{name}` should be given for {method}, which goes by it; found None. "
                "Measure it, or let `balanced.evaluate(loader)` do so."
            )
        return value
