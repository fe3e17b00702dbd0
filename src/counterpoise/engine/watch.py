"""What is picked up for a method while the model runs: features, and logits of additive heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree
from counterpoise.engine.branches import Branches
from counterpoise.engine.replay import Interception, resolve
from counterpoise.methods.method import Method, Need, Signals

__all__ = ["Watch", "acts_on_encoders", "check_grip"]

NEEDS: tuple[Need, ...] = ("nothing", "values", "gradients")


class Watch:
    """Picks up, during the full pass of one step, what the method asks for.

    Args:
        acting: Whether the method may act, as in training; if not, what belongs to the
            modalities alone is picked up and nothing else happens.

    Attributes:
        observer: For the engine: sees the encoders' outputs. None where nobody asks.
        heads: Context in which the additive heads are listened to.
        scales_gradients: Whether the method scales gradients of encoders.
    """

    def __init__(
        self, method: Method, branches: Branches, model: nn.Module, *, acting: bool = True
    ) -> None:
        self.method, self.branches, self.model, self.acting = method, branches, model, acting
        self.features: dict[int, PyTree] = {}
        self.logits: dict[int, Tensor] = {}
        self.observer = self._feature if method.asks_features and branches.encoders else None
        listens = not acting or method.needs_unimodal() != "nothing"
        wanted = branches.heads if listens else {}
        self.heads = Interception(resolve(model, wanted, branches.modalities), self._head)
        self.scales_gradients = _answers(method, "encoder_factors")

    def need(self) -> Need:
        """Return what the coalitions have to give, to the method and for lack of heads."""
        own, unimodal = self.method.needs(), self.method.needs_unimodal()
        for place, answer in (("needs", own), ("needs_unimodal", unimodal)):
            if answer not in NEEDS:
                raise ValueError(
                    f"`{type(self.method).__name__}.{place}()` should return one of "
                    f"{', '.join(map(repr, NEEDS))}; found {answer!r}. Correct the method."
                )
        return max(own, "nothing" if self.branches.heads else unimodal, key=NEEDS.index)

    def uses_score(self) -> bool:
        """Return whether the method goes by responses or logits that the score judges."""
        method = self.method
        asked = method.needs() != "nothing" or method.needs_unimodal() != "nothing"
        return asked or self.scales_gradients

    def complete(self, signals: Signals) -> Signals:
        """Add what was picked up to the signals."""
        heads = [self.logits[i] for i in sorted(self.logits)]
        features = tuple(self.features[i] for i in sorted(self.features))
        own = self.method.unimodal_logits(features, signals.logits) if features else None
        given = torch.stack(heads) if heads else signals.responses
        return signals._replace(
            unimodal_logits=given if own is None else own,
            features=features,
            encoder_parameters=self.branches.encoder_parameters(self.model)
            if acts_on_encoders(self.method)
            else (),
        )

    def _feature(self, index: int, feature: PyTree) -> PyTree:
        self.features[index] = feature
        return self.method.feature(index, feature) if self.acting else feature

    def _head(self, index: int, forward: Any, args: Any, kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        if index not in self.logits:  # the full pass comes first
            self.logits[index] = output.clone()  # the model may add the others to it in place
        return output


def acts_on_encoders(method: Method) -> bool:
    """Return whether a method needs encoders and their parameters, as it says or as it does."""
    return method.acts_on == "encoders" or _answers(method, "encoder_factors")


def check_grip(method: Method, branches: Branches, model: nn.Module) -> None:
    """Raise unless the method finds what it acts on, and is asked where it answers.

    Raises:
        ValueError: If not: a method that acts nowhere would pass for one that does not help.
    """
    name = type(method).__name__
    if method.asks_features:
        branches.require("encoders", name)
    elif _answers(method, "feature"):
        raise ValueError(
            f"`{name}.asks_features` should be True where `feature` is overridden; found False, so "
            "that it would never be called. Set it in the class."
        )
    if acts_on_encoders(method):
        branches.require("encoders", name)
        branches.check_owners(model)
        branches.check_owners(model, "encoders")
    if method.acts_on == "branches" or _answers(method, "learning_rates"):
        branches.require("branches", name)
        branches.check_owners(model)
    if _answers(method, "encoder_factors"):
        branches.require_trainable(model, name)
    if _answers(method, "coefficients") and not (
        _answers(method, "needs") or _answers(method, "needs_unimodal")
    ):
        raise ValueError(
            f'`{name}.needs()` should return "gradients" where `coefficients` is overridden; found '
            'the default, "nothing", so that it would never be called. Override `needs` too.'
        )


def _answers(method: Method, place: str) -> bool:
    return getattr(type(method), place) is not getattr(Method, place)
