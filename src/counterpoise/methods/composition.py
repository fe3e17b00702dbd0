"""Several methods at once, which act at different places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_list
from counterpoise.methods.method import LEVELS, Method, Needs, Phase, Signals, answers
from counterpoise.methods.shared.composite import NOBODY, Composite

EXCLUSIVE = (
    *("substeps", "inputs", "feature", "unimodal_logits", "coefficients", "loss"),
    *("encoder_factors", "rest_gradient", "learning_rates"),
)
"""Places where two methods would undo each other."""

AT_ANY_TIME = ("unimodal_logits", "encoder_gradient", "learning_rates")
"""Places that are asked outside of steps too, or when one is over."""

OWNERSHIP = ("", "branches", "encoders")  # each includes the ones before it


class Chain(Composite):
    """Several methods as one: each acts at its own places. See :func:`chain`.

    Args:
        methods: Two or more, in the order in which they are asked.

    Raises:
        TypeError: If one is not a method.
        ValueError: If there are fewer than two, two act at the same place, or go by different
            coalitions.
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        super().__init__()
        check_list("methods", methods, Method, "a list of methods such as cp.AGM()")
        if len(methods) < 2:
            raise ValueError(
                f"`methods` should be two or more; found {len(methods)}. Pass one as it is."
            )
        self.methods = nn.ModuleList(methods)
        self.tasks = frozenset.intersection(*(method.tasks for method in methods))
        self._find_actors()

    def members(self) -> list[Method]:
        """Return the methods, in order."""
        return [method for method in self.methods if isinstance(method, Method)]

    def told(self) -> list[Method]:
        """Return all methods: those in a window know by themselves when it is open."""
        return self.members()

    def asked(self, place: str) -> Method:
        """Return the method that acts at a place, nobody while its time has not come."""
        method = self._actors[place]
        if method is None or (place not in AT_ANY_TIME and method.phase() != "on"):
            return NOBODY
        return method

    def _find_actors(self) -> None:
        # In a dictionary: an attribute of its own would be a submodule, and saved twice.
        self._actors = {place: self._actor(place) for place in EXCLUSIVE}
        self._actors["encoder_gradient"] = self._actors["encoder_factors"]
        combiners = [method for method in self.members() if "combine" in method.places()]
        self._actors["combine"] = combiners[0] if combiners else None
        self._check_values()

    def _check_values(self) -> None:
        """Raise if one method sees coalitions of features alone, and another those of inputs."""
        needs = {method: method.needs() for method in self.members()}
        for method, its in needs.items():
            for other, others in needs.items():
                if its.values and its.responses == "nothing" != others.responses:
                    raise ValueError(
                        "`methods` should go by the same coalitions; found "
                        f"{method.title()}, which goes by those of features alone, and "
                        f"{other.title()}, which goes by those of inputs. Leave one out."
                    )

    def _actor(self, place: str) -> Method | None:
        """Return the one method that acts at a place; None if nobody does."""
        acting = [method for method in self.members() if answers(method, place)]
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
        """Bind all methods, some of which know only then where they act."""
        super().allocate(num_modalities, dtype)
        self._find_actors()

    def settings(self) -> dict[str, Any]:
        """Return the methods, for a run's record."""
        return {"methods": self.members()}

    def needs(self) -> Needs:
        """Return what the methods need together; heads of one serve the others."""
        all_needs = [method.needs() for method in self.members()]
        logits = max((needs.unimodal_logits for needs in all_needs), key=LEVELS.index)
        return Needs(
            responses=max((needs.responses for needs in all_needs), key=LEVELS.index),
            unimodal_logits="nothing" if self._actors["unimodal_logits"] else logits,
            features=any(needs.features for needs in all_needs),
            owns=max((needs.owns for needs in all_needs), key=OWNERSHIP.index),
            values=any(needs.values for needs in all_needs),
            rest_frozen=any(needs.rest_frozen for needs in all_needs),
        )

    def phase(self) -> Phase:
        """Return "on" while any method is, else "watch" while any is."""
        phases = {method.phase() for method in self.members()}
        return "on" if "on" in phases else "watch" if "watch" in phases else "off"

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Return the coefficients of the method that acts on responses; it may only watch."""
        for observer in self.members():
            if _observes(observer) and observer.phase() == "on":
                observer.coefficients(signals)
        method = self._actors["coefficients"]
        phase = "off" if method is None else method.phase()
        if method is None or phase == "off":
            return None
        coefficients = method.coefficients(signals)
        return coefficients if phase == "on" else None

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the loss of the method that acts on it, combined by another if one does."""
        method = self.asked("loss")
        if self._actors["combine"] in (None, method):
            return method.loss(joint, signals)
        return Method.loss(self, joint, signals)


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
        ValueError: If there are fewer than two, two act at the same place, or go by different
            coalitions.

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
