"""The method contract: the places where a method of balancing may act.

``Balanced`` walks through one training step and asks its method at each place; a method answers
only where it has something to say. State lives in buffers, so that a method moves between
devices, checkpoints and averages over processes by itself. A method never trains, reads data or
knows the names of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree
from counterpoise.methods.signals import Evaluation, Features, Signals

__all__ = [
    "LEVELS",
    "PLACES",
    "TASKS",
    "Evaluation",
    "Features",
    "Level",
    "Method",
    "Needs",
    "Phase",
    "Signals",
    "answers",
]

Level = Literal["nothing", "values", "gradients"]
LEVELS: tuple[Level, ...] = ("nothing", "values", "gradients")

Phase = Literal["on", "watch", "off"]

TASKS = ("classification", "multilabel", "regression", "segments")
"""Names of all tasks."""

PLACES = (
    *("substeps", "inputs", "feature", "coefficients", "modality_losses", "combine", "loss"),
    *("encoder_factors", "encoder_gradient", "rest_gradient", "advance"),
    *(
        "learning_rates",
        "on_epoch",
        "set_epoch",
        "on_validation",
        "finished",
        "check",
        "diagnostics",
    ),
    "unimodal_logits",
)
"""Names of all places, in the order in which training comes to them."""


class Needs(NamedTuple):
    """What a method needs of a training step beside the full pass.

    "nothing" costs nothing, "values" forward passes, "gradients" backward passes too.

    Attributes:
        responses: Of the coalitions: whether responses and scores are made, and whether they
            can be trained or modulated.
        unimodal_logits: Of the modalities alone. They cost coalition passes only where neither
            the method nor the model has heads to take them from.
        features: Whether ``signals.features`` is given and :meth:`Method.feature` is asked.
        owns: "encoders" or "branches" if the method can do nothing without knowing them, which
            is then an error when the model is wrapped.
        values: Whether ``signals.values`` is given, with graph as ``responses`` says; without
            ``responses``, as ``unimodal_logits`` says, an absent modality's features being zero.
        rest_frozen: Whether gradients of the coalitions reach the encoders alone, and neither
            fusion nor head.

    Example:
        >>> Needs(unimodal_logits="values").responses
        'nothing'
    """

    responses: Level = "nothing"
    unimodal_logits: Level = "nothing"
    features: bool = False
    owns: Literal["", "encoders", "branches"] = ""
    values: bool = False
    rest_frozen: bool = False


class Method(nn.Module):
    """A way of balancing modalities: subclass it and answer at the places that matter.

    Every answer is optional. In the order in which a training step asks: :meth:`substeps` (how
    many steps a batch is), :meth:`inputs` (the data), :meth:`feature` (a modality's feature),
    :meth:`coefficients` (the responses), :meth:`loss` (the loss), :meth:`encoder_factors` and
    :meth:`encoder_gradient` (the gradient of an encoder's parameters), :meth:`rest_gradient` (that
    of all others), :meth:`advance`; and between steps :meth:`learning_rates` (a branch's learning
    rate), :meth:`on_epoch`, :meth:`set_epoch`, :meth:`on_validation` and :meth:`finished`.

    A step that raises gives all attributes and buffers back. So put new tensors in the place of
    buffers, as in ``self.seen = self.seen + 1``, and change none in place.

    Attributes:
        tasks: What the method is defined for, of :data:`TASKS`. Default: all.

    Example: a method that halves the gradient of whichever modality is ahead.

        >>> class Halve(Method):
        ...     def needs(self):
        ...         return Needs(responses="gradients")
        ...     def coefficients(self, signals):
        ...         ahead = signals.scores == signals.scores.min()
        ...         return torch.where(ahead, 0.5, 1.0)
        >>> method = Halve()
        >>> method.bind(["audio", "image"])
        >>> method.coefficients(Signals(None, None, scores=torch.tensor([0.3, 1.2])))
        tensor([0.5000, 1.0000])
        >>> sorted(method.places())
        ['coefficients']
    """

    tasks: frozenset[str] = frozenset(TASKS)
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
        # A model may be made without memory for its weights; the state of a method has values.
        meta = torch.empty(0).device.type == "meta"
        try:
            with torch.device("cpu") if meta else nullcontext():
                self.allocate(len(self.modalities), dtype)
        except Exception:
            self.modalities = ()  # what was wrong can be put right and bound again
            raise

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Register the buffers that depend on the number of modalities. Default: none."""

    # -- what the method is, asked once when it is bound -------------------------------------

    def needs(self) -> Needs:
        """Return what the method needs of each step; by default no more than a plain one."""
        return Needs()

    def places(self) -> frozenset[str]:
        """Return the names of the places at which the method answers: those it overrides."""
        kind = type(self)
        return frozenset(p for p in PLACES if getattr(kind, p) is not getattr(Method, p))

    def title(self) -> str:
        """Return what the method is called in messages."""
        return type(self).__name__

    # -- places in a training step -----------------------------------------------------------

    def phase(self) -> Phase:
        """Return whether the method acts in the coming step, asked before each.

        "on" (the default): at all places. "watch": responses and unimodal logits are computed
        without gradient and :meth:`coefficients` is called, so that state learns; its answer is
        ignored. "off": a plain step, at its price.
        """
        return "on"

    def substeps(self, target: PyTree, unimodal: Callable[[], Tensor]) -> Iterator[Tensor | None]:
        """Place: the steps of a batch. Yield for each the numbers of the rows to train on.

        Asked by ``balanced.steps(...)``, which makes a forward pass for each, for the training
        loop to go backward and step. The method knows by itself what each of its steps is: its
        code up to the next ``yield`` runs before that step.

        Args:
            target: Of the batch.
            unimodal: Call it for the present unimodal logits, shape (M, B, ...), without
                gradient, if the method goes by them.

        Yields:
            None, the default, for all rows; or a tensor of row numbers.
        """
        yield None

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Place: the data. Return the modalities' batches to train on."""
        return inputs

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Place: a modality's feature. Return what the rest of the model gets in the full pass."""
        return feature

    def unimodal_logits(self, features: Sequence[PyTree], logits: Tensor) -> Tensor | None:
        """Return logits of heads of the method's own, shape (M, B, ...), None if it has none.

        Asked in training and in evaluation if the method needs features.

        Args:
            features: Output of each modality's encoder, in order of modality.
            logits: Of the model, shape (B, ...), for heads that have yet to learn their size.
        """
        return None

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Place: the responses. Return the factor of each response's gradient, shape (M,).

        Called once a training step, so that state may be updated here. None (the default)
        leaves the gradient as it is.
        """
        return None

    def modality_losses(self, signals: Signals) -> Tensor | None:
        """Place: the loss. Return a loss of each modality's own, shape (M,), None for none."""
        return None

    def combine(self, joint: Tensor, own_M: Tensor, signals: Signals) -> Tensor:
        """Place: the loss. Return the joint loss and the modalities' own losses combined.

        Default: their sum. In a :func:`~counterpoise.chain` a method that answers here combines
        the losses of the one that makes them.
        """
        return joint + own_M.sum()

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Place: the loss. Return the scalar to minimise.

        Default: the joint loss, with :meth:`modality_losses` combined as :meth:`combine` says.
        """
        own_M = self.modality_losses(signals)
        return joint if own_M is None else self.combine(joint, own_M, signals)

    def encoder_factors(self, signals: Signals) -> Tensor | None:
        """Place: the gradient of encoders. Return the factor of each encoder's, shape (M,).

        Called once a training step, after :meth:`loss`. None: leave all gradients alone. Each
        step is scaled by its own factors, whatever the order of the backward passes; one pass
        through two steps is an error, since gradients of both would arrive as one sum. Under
        ``torch.compile`` factors hold until the next step: go backward before it.
        """
        return None

    def encoder_gradient(self, gradient: Tensor, factor: Tensor, parameter: nn.Parameter) -> Tensor:
        """Place: the gradient of one parameter of an encoder. Return what it becomes.

        Called in the backward pass with the modality's factor, a scalar, if
        :meth:`encoder_factors` gave any. Default: their product.
        """
        return factor * gradient

    def rest_gradient(self, gradient: Tensor, parameter: nn.Parameter) -> Tensor:
        """Place: the gradient of a parameter that belongs to no modality, of fusion or head."""
        return gradient

    def advance(self) -> None:
        """Place: the end of a training step. Called once in each, in all phases."""

    def diagnostics(self) -> dict[str, Tensor]:
        """Return numbers that explain the last step, detached, for ``out.diagnostics``."""
        return {}

    # -- places between steps ----------------------------------------------------------------

    def learning_rates(self) -> Tensor | None:
        """Place: learning rates. Return the factor of each branch's rate, shape (M,), or None.

        Zero freezes a branch: no update, and batch-norm statistics stand still.
        """
        return None

    def on_epoch(self, encoders: Sequence[nn.Module], features: Callable[[], Features]) -> None:
        """Place: the end of an epoch, with the encoders, and features if it asks.

        Args:
            encoders: In order of modality.
            features: Call it for the encoders' outputs on training and validation data, which
                takes a pass through both.
        """

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
        """Raise if the state shows that a step went wrong; waits for the device, so call rarely."""


def answers(method: Method, place: str) -> bool:
    """Return whether a method answers at a place.

    Every way of making a loss answers at "loss".

    Example:
        >>> answers(Method(), "loss")
        False
    """
    assert place in PLACES, place
    places = method.places()
    if place == "loss":
        return not places.isdisjoint(("loss", "modality_losses", "combine"))
    return place in places
