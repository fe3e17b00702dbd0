"""Wrong calls of the methods, when they are made and when they meet a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import counterpoise as cp
from counterpoise import methods
from wrong_calls.engine import wrapped
from wrong_calls.values import INF, NAN, NOT_COUNTS, NOT_FLAGS, NOT_RATES, NOT_SEEDS, Net, Row


class Late(nn.Module):
    """Adds the logits of two heads."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)
        self.head_a, self.head_b = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, a, b):
        return self.head_a(self.a(a)) + self.head_b(self.b(b))


def given_to(kind: Any, **settings: Any) -> cp.Balanced:
    """A method given to a model of two modalities, "a" and "b"."""
    return wrapped(kind(**settings))


def asking(**needs: Any) -> cp.Balanced:
    """A method of one's own that asks for this."""

    class Own(cp.Method):
        def needs(self):
            return cp.Needs(**needs)

    return wrapped(Own())


TEACHERS = {"a": nn.Linear(3, 2), "b": nn.Linear(5, 2)}
NOT_HEADS = ("liner", 3, True, "")
NOT_WEIGHTS = (-1.0, NAN, INF, "x", True, [1.0, NAN], [1.0, -1.0], {"a": NAN, "b": 1.0}, ["1", "2"])
UNFIT = ([1.0], [1.0, 2.0, 3.0], {"a": 1.0}, {"a": 1.0, "c": 1.0}, [])
NOT_FACTORS = (-0.1, 1.5, NAN, "x", None, True)

# fmt: off
METHODS: list[Row] = [
    (cp.AGM, {}, {
        "alpha": NOT_RATES, "reference": ("mean", cp.references.RunningMean, 3, len),
        "clamp": (0, -1.0, NAN, "x", True), "bound": (0.5, NAN, "x", True, -2),
    }),
    (cp.OGM, {}, {"alpha": NOT_RATES, "convolutions_only": NOT_FLAGS}),
    (cp.OGMGE, {}, {"alpha": NOT_RATES, "convolutions_only": NOT_FLAGS}),
    (cp.PMR, {}, {
        "alpha": NOT_RATES, "momentum": NOT_FACTORS, "vector": (3, "x"), "entropy": NOT_RATES,
        "entropy_epochs": (-1, 1.5, "x", None, True),
    }),
    (cp.MSES, {}, {
        "patience": NOT_COUNTS, "smoothing": NOT_FACTORS, "heads": NOT_HEADS,
        "weights": NOT_WEIGHTS,
    }),
    (cp.MSLR, {}, {
        "mode": ("dynamc", None, 3), "window": NOT_COUNTS, "factors": NOT_WEIGHTS,
        "clamp": (0, NAN, "x", True), "shift": (NAN, "x", None, True),
    }),
    (cp.UnimodalLoss, {}, {"heads": NOT_HEADS, "weights": NOT_WEIGHTS}),
    (cp.GBlend, {}, {
        "mode": ("onlin", None, 3), "super_epoch": NOT_COUNTS, "later": NOT_COUNTS,
        "weights": ("x", 3.0, [NAN, 1.0, 1.0], [-1.0, 1.0, 1.0], ["1", "2", "3"]),
        "least_overfitting": (0, -1.0, NAN, "x", None), "heads": NOT_HEADS,
    }),
    (cp.OPM, {}, {"probability": NOT_FACTORS, "strength": (-0.1, NAN, "x", None)}),
    (cp.MLB, {}, {
        "alpha": NOT_RATES, "weight": NOT_RATES, "beta_max": (0, 0.5, NAN, "x", None),
        "heads": NOT_HEADS,
    }),
    (cp.CGGM, {}, {
        "rho": NOT_RATES, "direction": (NAN, "x", -1, None), "every": NOT_COUNTS,
        "clamp": (0, -1, NAN, "x"), "heads": NOT_HEADS,
    }),
    (cp.MMPareto, {}, {
        "gamma": (NAN, INF, "x", None, True), "weight": NOT_RATES, "heads": NOT_HEADS,
    }),
    (cp.DGL, {}, {"alpha": (0, *NOT_RATES)}),
    (cp.ARL, {}, {"gamma": NOT_RATES, "temperature": NOT_RATES, "heads": NOT_HEADS}),
    (cp.UMT, {"teachers": TEACHERS}, {
        "weight": NOT_RATES,
        "teachers": ([Net()], {"a": "a"}, {"a": nn.Linear, "b": nn.Linear}, Net(), "a",
                     {3: Net()}),
    }),
    (cp.LFM, {}, {"mode": ("fited", None, 3), "start": NOT_FACTORS, "rate": (0, *NOT_RATES)}),
    (cp.Relearning, {}, {
        "every": NOT_COUNTS, "times": NOT_COUNTS, "strength": NOT_RATES, "seed": NOT_SEEDS,
    }),
    (cp.InfoReg, {}, {
        "strength": NOT_WEIGHTS, "threshold": NOT_RATES, "window": NOT_COUNTS,
        "weight": NOT_RATES, "heads": NOT_HEADS,
    }),
    (cp.CML, {}, {"weight": NOT_RATES}),
    (cp.MCR, {}, {
        "weight": NOT_RATES, "contrast": (-1.0, NAN, "x", True), "temperature": (0, *NOT_RATES),
        "heads": NOT_HEADS,
    }),
    (cp.MLA, {"num_batches": 2}, {"num_batches": NOT_COUNTS}),
    (cp.ReconBoost, {}, {"stage": NOT_COUNTS, "weight": (0.5, *NOT_RATES)}),
    (cp.Remix, {}, {
        "warm_up": (-1, 1.5, "x", None, True), "weight": NOT_RATES, "heads": NOT_HEADS,
    }),
    (cp.Windowed, {"method": cp.AGM()}, {
        "method": (None, "AGM", cp.AGM, Net(), 3),
        "start": (-1, NAN, "0", None, True, INF), "stop": (0, -1, NAN, "20", None, True),
        "unit": ("epoch", 3, None),
    }),
    (cp.Chain, {"methods": (cp.UnimodalLoss(), cp.AGM())}, {
        "methods": ((), None, 3, "AGM", (cp.AGM,), ("AGM", "OGM"), (cp.AGM(), cp.AGM()),
                    (cp.OGM(), cp.MLB()), (cp.AGM(), None)),
    }),
    (asking, {}, {
        "responses": ("value", 3, None), "unimodal_logits": ("gradient", 3), "owns": ("encoder", 3),
        "features": NOT_FLAGS, "values": NOT_FLAGS, "rest_frozen": NOT_FLAGS,
    }),
    (methods.check_task, {"method": cp.PMR(), "task": "classification"}, {
        "task": ("classify", 3, None), "method": (cp.PMR, "PMR", None),
    }),
    (methods.discrepancy_ratio, {"scores_M": torch.ones(3)}, {
        "scores_M": (None, "x", torch.ones(1), torch.ones(2, 1), [1.0, 2.0]),
    }),
    *((given_to, {"kind": kind}, {name: UNFIT}) for kind, name in (
        (cp.UnimodalLoss, "weights"), (cp.MSES, "weights"), (cp.MSLR, "factors"),
        (cp.InfoReg, "strength"),
    )),
    (given_to, {"kind": cp.GBlend}, {"weights": ([1.0], [1.0] * 5, [])}),
    (given_to, {"kind": cp.UMT, "teachers": TEACHERS}, {
        "teachers": ({}, {"a": Net()}, {"a": Net(), "c": Net()}),
    }),
]
