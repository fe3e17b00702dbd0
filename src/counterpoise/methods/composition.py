"""Several methods at once, which act at different places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree
from counterpoise.methods.method import (
    LEVELS,
    Evaluation,
    Features,
    Method,
    Needs,
    Phase,
    Signals,
    answers,
)

__all__ = ["Chain", "chain"]

EXCLUSIVE = (
    *("substeps", "inputs", "feature", "unimodal_logits", "coefficients", "loss"),
    *("encoder_factors", "rest_gradient", "learning_rates"),
)
"""Places where two methods would undo each other."""

OWNERSHIP = ("", "branches", "encoders")  # each includes the ones before it


class Chain(Method):
    """Several methods as one: each acts at its own places. See :func:`chain`.

    Args:
        methods: Two or more, in the order in which they are asked.

    Raises:
        TypeError: If one is not a method.
        ValueError: If there are fewer than two, or two act at the same place.
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        super().__init__()
        for method in methods:
            if not isinstance(method, Method):
                raise TypeError(
                    f"`methods` should be methods such as cp.AGM(); found {method!r}. Pass objects."
                )
        if len(methods) < 2:
            raise ValueError(
                f"`methods` should be two or more; found {len(methods)}. Pass one as it is."
            )
        self.methods = nn.ModuleList(methods)
        self.tasks = frozenset.intersection(*(method.tasks for method in methods))
        self._find_actors()

    def _find_actors(self) -> None:
        # In a dictionary: an attribute of its own would be a submodule, and saved twice.
        self._actors = {place: self._actor(place) for place in EXCLUSIVE}
        combiners = [method for method in self._each() if "combine" in method.places()]
        self._actors["combine"] = combiners[0] if combiners else None

    def _each(self) -> list[Method]:
        return [method for method in self.methods if isinstance(method, Method)]

    def _actor(self, place: str) -> Method | None:
        """Return the one method that acts at a place; None if nobody does."""
        acting = [method for method in self._each() if answers(method, place)]
        if place == "coefficients":
            acting = [method for method in acting if not _observes(method)]
        if place == "loss" and len(acting) > 1:
            # Who combines losses leaves it to another to make them, one for each modality.
            combiners = [method for method in acting if "combine" in method.places()]
            makers = [m for m in acting if m.places().isdisjoint(("loss", "combine"))]
            acting = makers if len(combiners) == 1 and len(acting) == len(makers) + 1 else acting
        if len(acting) > 1:
            first, second, *_ = acting
            raise ValueError(
                f"`methods` should act at different places; found {first.title()} and "
                f"{second.title()}, which both act at `{place}`. Leave one out."
            )
        return acting[0] if acting else None

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Bind all methods."""
        for method in self._each():
            method.bind(self.modalities, dtype)
        self._find_actors()

    def settings(self) -> dict[str, Any]:
        """Return the methods, for a run's record."""
        return {"methods": self._each()}

    def needs(self) -> Needs:
        """Return what the methods need together; heads of one serve the others."""
        all_needs = [method.needs() for method in self._each()]
        logits = max((needs.unimodal_logits for needs in all_needs), key=LEVELS.index)
        return Needs(
            responses=max((needs.responses for needs in all_needs), key=LEVELS.index),
            unimodal_logits="nothing" if self._actors["unimodal_logits"] else logits,
            features=any(needs.features for needs in all_needs),
            owns=max((needs.owns for needs in all_needs), key=OWNERSHIP.index),
            values=any(needs.values for needs in all_needs),
            rest_frozen=any(needs.rest_frozen for needs in all_needs),
        )

    def places(self) -> frozenset[str]:
        """Return the places of all methods."""
        return frozenset().union(*(method.places() for method in self._each()))

    def title(self) -> str:
        """Return the names of the methods, such as "UnimodalLoss + AGM"."""
        return " + ".join(method.title() for method in self._each())

    def phase(self) -> Phase:
        """Return "on" while any method is, else "watch" while any is."""
        phases = {method.phase() for method in self._each()}
        return "on" if "on" in phases else "watch" if "watch" in phases else "off"

    def _acting(self, place: str) -> Method | None:
        method = self._actors[place]
        return method if method is not None and method.phase() == "on" else None

    # -- places in a training step -----------------------------------------------------------

    def substeps(self, target: PyTree, unimodal: Callable[[], Tensor]) -> Iterator[Tensor | None]:
        """Yield the steps of the method that has several a batch."""
        method = self._acting("substeps")
        yield from (
            super().substeps(target, unimodal)
            if method is None
            else method.substeps(target, unimodal)
        )

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Return what the method that acts on the data makes of them."""
        method = self._acting("inputs")
        return inputs if method is None else method.inputs(inputs, target)

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return what the method that acts on features makes of one."""
        method = self._acting("feature")
        return feature if method is None else method.feature(index, feature)

    def unimodal_logits(self, features: Sequence[PyTree], logits: Tensor) -> Tensor | None:
        """Return logits of the heads that one of the methods has."""
        method = self._actors["unimodal_logits"]
        return None if method is None else method.unimodal_logits(features, logits)

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Return the coefficients of the method that acts on responses; it may only watch."""
        for observer in self._each():
            if _observes(observer) and observer.phase() == "on":
                observer.coefficients(signals)
        method = self._actors["coefficients"]
        phase = "off" if method is None else method.phase()
        if method is None or phase == "off":
            return None
        coefficients = method.coefficients(signals)
        return coefficients if phase == "on" else None

    def modality_losses(self, signals: Signals) -> Tensor | None:
        """Return the losses of the modalities, of the method that makes them."""
        method = self._acting("loss")
        return None if method is None else method.modality_losses(signals)

    def combine(self, joint: Tensor, own_M: Tensor, signals: Signals) -> Tensor:
        """Return what the method that combines losses makes of them."""
        combiner = self._actors["combine"]
        if combiner is None or combiner.phase() != "on":
            return joint + own_M.sum()
        return combiner.combine(joint, own_M, signals)

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the loss of the method that acts on it."""
        method = self._acting("loss")
        if method is None:
            return joint
        if self._actors["combine"] in (None, method):
            return method.loss(joint, signals)
        return super().loss(joint, signals)

    def encoder_factors(self, signals: Signals) -> Tensor | None:
        """Return the factors of the method that scales gradients of encoders."""
        method = self._acting("encoder_factors")
        return None if method is None else method.encoder_factors(signals)

    def encoder_gradient(self, gradient: Tensor, factor: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return what the same method makes of a gradient."""
        method = self._actors["encoder_factors"]
        assert method is not None
        return method.encoder_gradient(gradient, factor, parameter)

    def rest_gradient(self, gradient: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return what the method that acts on fusion and head makes of a gradient."""
        method = self._acting("rest_gradient")
        return gradient if method is None else method.rest_gradient(gradient, parameter)

    def advance(self) -> None:
        """Tell all methods that a step is over."""
        for method in self._each():
            method.advance()

    def diagnostics(self) -> dict[str, Tensor]:
        """Return those of all methods."""
        found: dict[str, Tensor] = {}
        for method in self._each():
            found |= method.diagnostics()
        return found

    # -- places between steps ----------------------------------------------------------------

    def learning_rates(self) -> Tensor | None:
        """Return the factors of the method that sets learning rates."""
        method = self._actors["learning_rates"]
        return None if method is None else method.learning_rates()

    def on_epoch(self, encoders: Sequence[nn.Module], features: Callable[[], Features]) -> None:
        """Hand encoders and features on to all methods."""
        for method in self._each():
            method.on_epoch(encoders, features)

    def set_epoch(self, epoch: int) -> None:
        """Tell all methods the epoch."""
        super().set_epoch(epoch)
        for method in self._each():
            method.set_epoch(epoch)

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """Hand validation on to all methods."""
        for method in self._each():
            method.on_validation(evaluation, branches)

    def finished(self) -> bool:
        """Return whether any method ends training."""
        return any(method.finished() for method in self._each())

    def check(self) -> None:
        """Let all methods check themselves."""
        for method in self._each():
            method.check()


def _observes(method: Method) -> bool:
    """Return whether a method has nothing to scale at the responses, and only learns there."""
    return answers(method, "coefficients") and method.needs().responses != "gradients"


def chain(*methods: Method) -> Chain:
    """Return several methods as one; they have to act at different places.

    The places at which only one may act: the steps of a batch, the data, a modality's feature,
    heads for unimodal logits, the responses, the loss, encoders' gradients, those of fusion and
    head, learning rates. Heads of one method serve all. A method in a window of its own acts
    inside it, while steps cost what all methods need together as long as any is on.

    ``chain(UnimodalLoss(...), MMPareto(...))``: MMPareto combines the gradients of two losses, and
    these are then the joint loss and the modalities' losses as UnimodalLoss makes and weighs
    them; those of MMPareto itself do not count.

    Args:
        *methods: Two or more.

    Raises:
        TypeError: If one is not a method.
        ValueError: If there are fewer than two, or two act at the same place.

    Example:
        >>> import counterpoise as cp
        >>> cp.chain(cp.UnimodalLoss(heads="linear"), cp.OGM(0.5)).title()
        'UnimodalLoss + OGM'
        >>> cp.chain(cp.OGM(0.5), cp.MLB())
        Traceback (most recent call last):
        ...
        ValueError: `methods` should act at different places; found OGM and MLB, which both act \
at `encoder_factors`. Leave one out.
    """
    return Chain(methods)
