"""Wrong calls of the wrapper: how a model is wrapped, called, evaluated and stepped."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import counterpoise as cp
from wrong_calls.values import ENCODERS, NAN, NOT_FLAGS, Net, Row, batch, features, function


def wrapped(method: Any = None, **settings: Any) -> cp.Balanced:
    return cp.Balanced(Net(), settings.pop("modalities", ENCODERS), method, **settings)


def first_batch(method: Any = cp.AGM, **inputs: Any) -> object:
    """A training step."""
    return wrapped(method())(**inputs)


def second_batch(method: Any = cp.AGM, **inputs: Any) -> object:
    """A training step after a good one."""
    balanced = wrapped(method())
    balanced(**batch())
    return balanced(**inputs)


def evaluation(**inputs: Any) -> object:
    return wrapped().eval()(**inputs)


def responding(**inputs: Any) -> object:
    return wrapped().eval().respond(**inputs)


def validating(**inputs: Any) -> object:
    return wrapped().validate(**inputs)


def by_position(*, positional: tuple[Any, ...], **inputs: Any) -> object:
    """A call as of a plain module."""
    return wrapped()(*positional, **inputs)


def several_labels(**inputs: Any) -> object:
    """A second batch of a task of several labels a sample."""
    balanced = wrapped(score=cp.scores.BinaryCrossEntropy())
    balanced(**batch() | {"target": torch.ones(7, 2)})
    return balanced(**inputs)


def numbers(**inputs: Any) -> object:
    """A second batch of a regression."""
    balanced = wrapped(score=cp.scores.SquaredError())
    balanced(**batch() | {"target": torch.ones(7, 2)})
    return balanced(**inputs)


def steps(**inputs: Any) -> object:
    """The steps of a method that makes several of a batch."""
    return list(wrapped(cp.MLA(2)).steps(**inputs))


def absent(a: Any) -> object:
    """A wrapped model whose first modality is replaced so."""
    given = {"a": cp.Modality("a", absent=a), "b": "b"}
    return cp.Balanced(Net(), given)(**batch())


BALANCED = {"model": Net(), "modalities": ENCODERS, "method": None}
TEXT = {"a": "a", "b": "bb"}
NOT_TARGETS = (
    torch.full((7,), 2), torch.full((7,), -1), torch.rand(7, generator=torch.Generator()),
    torch.zeros(5, dtype=torch.long), torch.zeros(7, 2, dtype=torch.long),
    torch.zeros(7, dtype=torch.complex64), torch.zeros(7, dtype=torch.bool),
    torch.full((7, 2), NAN), [0] * 7, "x",
)  # fmt: skip
NOT_INPUTS = (None, "x", 3.0, [], features(7).float().to_sparse(), (1, 2))

# fmt: off
ENGINE: list[Row] = [
    (cp.Balanced, BALANCED, {
        "model": (None, Net, function, "net", 3, lambda a, b: a),
        "modalities": ((), ("a",), ("a", "a"), "ab", None, {"a": "a", "b": 3}, ("a", ""), (3, 4),
                       {"a": Net(), "b": "b"}, {"a": nn.Linear(3, 2), "b": nn.Linear(5, 2)},
                       {"a": "a", "": "b"}, {"a": "a", "b": ""}, {"a": "a", "b": None}, {"a"},
                       {"a": cp.Modality, "b": cp.Modality}, {"a": "a"}, ("a", "target"),
                       {"a": "a", "b": "a"}, {"a": "a", "b": "c"}, ("a", "c"), 3),
        "method": ("AGM", cp.AGM, 3, Net(), [cp.AGM()], function),
        "coalitions": ("feature", 3, cp.Coalitions, ("shared",), cp.Sampling(5)),
        "score": (3, "x", nn.CrossEntropyLoss), "criterion": (3, "x", nn.CrossEntropyLoss),
        "select": (3, "x", "logits"), "monitor": NOT_FLAGS, "process_group": ("world", 3),
    }),
    (cp.Coalitions, {}, {
        "level": ("feature", 3, ""), "statistics": ("batched", None, 3),
        "attribution": ("shaply", None, 3), "sampling": (3, -5, "x", cp.Sampling, True),
    }),
    (cp.Sampling, {"num_passes": 5}, {"num_passes": (0, -5, 1.5, "7", None, True)}),
    (cp.Modality, {}, {
        "encoder": (3, Net(), "", Net, ("a",)), "head": (3, Net(), ""),
        "branch": (3, Net(), (3,), "", ("",), (), ["a", Net()]),
        "absent": (0.0, 1, NAN, "zeros", function, cp.absence.Zeros, {"tokens": 0.0}),
    }),
    (absent, {"a": cp.absence.Zeros()}, {
        "a": (cp.absence.Constant(torch.zeros(4)), {"x": cp.absence.Zeros()}),
    }),
    (first_batch, batch(), {
        "target": (*NOT_TARGETS, None), "a": NOT_INPUTS, "b": NOT_INPUTS,
        "c": (torch.ones(7), "x", None),
    }),
    (second_batch, batch(), {"target": (*NOT_TARGETS, None), "a": NOT_INPUTS}),
    *((second_batch, {"method": method, **batch()}, {"target": NOT_TARGETS[:3]})
      for method in (cp.Joint, cp.OGM, cp.UnimodalLoss, cp.MLB)),
    (evaluation, batch(), {"target": NOT_TARGETS, "a": NOT_INPUTS, "c": (torch.ones(7),)}),
    (responding, batch(), {"target": NOT_TARGETS, "a": NOT_INPUTS, "c": (torch.ones(7),)}),
    (validating, batch(), {"a": NOT_INPUTS, "c": (torch.ones(7),)}),
    (several_labels, batch() | {"target": torch.ones(7, 2)}, {
        "target": (torch.full((7, 2), 2.0), torch.full((7, 2), NAN), torch.ones(7, 3),
                   torch.zeros(7, dtype=torch.long), torch.full((7, 2), -1.0)),
    }),
    (numbers, batch() | {"target": torch.ones(7, 2)}, {
        "target": (torch.full((7, 2), NAN), torch.ones(7, 3), torch.ones(7), "x"),
    }),
    (by_position, {"positional": (), **batch()}, {
        "positional": ((torch.ones(7, 3),), (torch.ones(7, 3), torch.ones(7, 5))),
    }),
    (steps, batch(), {"target": (None, *NOT_TARGETS[:2]), "a": (None,)}),
    (cp.BranchRates, {"balanced": wrapped()}, {"balanced": (Net(), None, cp.Balanced)}),
]
