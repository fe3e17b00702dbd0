"""What a step asks of its passes: found out once, when a model is wrapped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from counterpoise.engine.ownership import Ownership
from counterpoise.methods.method import LEVELS, Level, Method, Needs, Phase, answers


@dataclass(frozen=True)
class Demand:
    """What the passes of a step have to compute.

    Attributes:
        responses: "nothing", "values" or "gradients".
        unimodal: The same of unimodal logits that take passes of their own.
        features: Whether the method sees features.
        heads: Whether it sees the logits of additive heads.
        values: Which coalitions' values it sees: those of "responses", or of "unimodal" logits.
        rest_frozen: Whether gradients of coalitions reach the encoders alone.
        graph: Whether responses and unimodal logits carry the graph that made them.
        passes: Whether coalitions are evaluated.
        is_plain: Whether one ordinary pass of the model is enough.
    """

    responses: Level = "nothing"
    unimodal: Level = "nothing"
    features: bool = False
    heads: bool = False
    values: Literal["", "responses", "unimodal"] = ""
    rest_frozen: bool = False
    graph: bool = False
    passes: bool = field(init=False)
    is_plain: bool = field(init=False)

    def __post_init__(self) -> None:
        passes = self.responses != "nothing" or self.unimodal != "nothing"
        asks_more = self.features or self.heads or self.values or self.rest_frozen or self.graph
        object.__setattr__(self, "passes", passes)
        object.__setattr__(self, "is_plain", not (passes or asks_more))


_GOES_BACKWARD = frozenset(
    [
        *("modality_losses", "combine", "loss"),
        *("encoder_factors", "encoder_gradient", "rest_gradient"),
    ]
)
"""Places at which a method may go backward through responses itself."""


class Demands:
    """What each kind of step asks of its passes.

    Args:
        method: What balances, bound already.
        ownership: Knows of encoders and heads.

    Attributes:
        evaluation: What an evaluation asks that is to show responses and unimodal logits.
    """

    def __init__(self, method: Method, ownership: Ownership) -> None:
        needs = method.needs()
        asked: dict[Phase, Needs] = {
            "on": needs,
            "watch": _watched(needs, method.places()),
            "off": Needs(),
        }
        own_heads = answers(method, "unimodal_logits")
        graph = not method.places().isdisjoint(_GOES_BACKWARD)
        self._training = {
            (phase, monitor): _demand(
                asks, ownership, own_heads=own_heads, monitor=monitor, graph=graph
            )
            for phase, asks in asked.items()
            for monitor in (False, True)
        }
        # In evaluation heads are listened to whether or not the method goes by them.
        shown = Needs("values", _seen(needs.unimodal_logits), features=needs.features)
        asked_of_all = _demand(shown, ownership, own_heads=own_heads, monitor=False, graph=False)
        self.evaluation = replace(asked_of_all, heads=bool(ownership.heads))

    def training(self, phase: Phase, *, monitor: bool) -> Demand:
        """Return what a training step asks.

        Args:
            phase: Of the method.
            monitor: Whether the user wants responses in any case.
        """
        return self._training[phase, monitor]


def _demand(
    needs: Needs, ownership: Ownership, *, own_heads: bool, monitor: bool, graph: bool
) -> Demand:
    """Return what a method that acts asks; ``own_heads``: it makes unimodal logits itself."""
    responses, unimodal = needs.responses, needs.unimodal_logits
    given = bool(ownership.heads) or own_heads
    heads = bool(ownership.heads) and unimodal != "nothing"
    if given and not needs.values:
        unimodal = "nothing"
    elif not ownership.encoders:  # responses serve then
        responses, unimodal = max(responses, unimodal, key=LEVELS.index), "nothing"
    values: Literal["", "responses", "unimodal"] = ""
    if needs.values:  # asked of the method alone: monitoring shows responses to the user
        values = "unimodal" if responses == "nothing" else "responses"
    if monitor and responses == "nothing":
        responses = "values"
    graph = (graph or needs.values) and "gradients" in (responses, unimodal)
    return Demand(responses, unimodal, needs.features, heads, values, needs.rest_frozen, graph)


def _watched(needs: Needs, places: frozenset[str]) -> Needs:
    """Return what a method needs that learns and does not act."""
    if "coefficients" not in places:
        return Needs()
    return Needs(responses=_seen(needs.responses), unimodal_logits=_seen(needs.unimodal_logits))


def _seen(depth: Level) -> Level:
    return "values" if depth == "gradients" else depth
