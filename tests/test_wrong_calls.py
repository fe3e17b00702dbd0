"""Wrong calls of the public API: each is refused at once, in the form of the house.

A row is a call that works, an argument of it, and values that the argument must not have.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise import data, measures, models, training
from counterpoise.data import MultimodalDataset, Shift, Splits, Synthetic

NAN, INF = float("nan"), float("inf")
NOT_NUMBERS = ("1", None, True, [1.0], 1j)
NOT_COUNTS = (0, -3, 1.5, "7", None, True)
NOT_RATES = (-0.1, NAN, INF, "0.1", None, True)
NOT_FLAGS = ("no", 1, None)


def dataset(num_samples: int = 13) -> MultimodalDataset:
    inputs = {"a": torch.zeros(num_samples, 3), "b": torch.ones(num_samples, 5)}
    return MultimodalDataset(inputs, torch.arange(num_samples) % 2)


SOUND: dict[str, Any] = {
    "name": "toy",
    "train": dataset(),
    "validation": dataset(7),
    "test": dataset(5),
    "task": data.Classification(2),
    "note": "Nothing.",
    "source": "here",
    "licence": "none",
}


def features(rows: int = 17, columns: int = 3, **changes: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows * columns)
    made = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    for place, value in changes.items():
        made[int(place[1:]), 0] = value
    return made


STRENGTH = {
    "fused_fit": features(),
    "concept_fit": features(17, 2),
    "fused_test": features(11),
    "concept_test": features(11, 2),
}
WRONG_FEATURES = (features(r3=NAN), features(r3=INF), "x", None, torch.zeros(0, 3), 3.0)
WRONG_FEATURES += (features().to(torch.complex64), torch.zeros(17, 3, 2))

Row = tuple[Callable[..., Any], dict[str, Any], dict[str, tuple[Any, ...]]]

# fmt: off
CORE: list[Row] = [
    (cp.shapley_weights, {"num_modalities": 3}, {"num_modalities": (*NOT_COUNTS, 40)}),
    (cp.scores.CrossEntropy, {}, {"floor": (0, 2, NAN, *NOT_NUMBERS)}),
    (cp.scores.CrossEntropy, {}, {"ignore_index": (1.5, "x", None, True)}),
    (cp.scores.BinaryCrossEntropy, {}, {"floor": (0, 2, NAN, *NOT_NUMBERS)}),
    (cp.absence.Constant, {"value": 1.0}, {"value": (NAN, INF, None, "x", torch.tensor(NAN))}),
    (cp.absence.Noise, {}, {"std": (-1.0, *NOT_NUMBERS), "mean": (NAN, INF, *NOT_NUMBERS)}),
    (
        cp.absence.data_mean,
        {"batches": [torch.ones(2)]},
        {"batches": ([], 3, [1], [torch.ones(2, dtype=torch.long)])},
    ),
    (cp.references.ExponentialAverage, {}, {"decay": (1.0, -0.1, NAN, *NOT_NUMBERS)}),
    (
        cp.references.Fixed,
        {},
        {"scores": ([NAN], [INF], [], "12", 3.0, ["x"]), "num_steps": NOT_COUNTS},
    ),
    (cp.Sampling, {"num_passes": 5}, {"num_passes": NOT_COUNTS}),
    (cp.competition_strength, STRENGTH, {"ridge": (-1.0, NAN, INF, *NOT_NUMBERS)}),
    *((cp.competition_strength, STRENGTH, {name: WRONG_FEATURES}) for name in STRENGTH),
]

ENCODER = {"num_inputs": 7}
SIZES = {"sizes": (4, 6), "num_classes": 3}
OF_SIZES = {"sizes": ((), (0, 3), (4, "6"), 4, None), "num_classes": (0, -1, 1.5, "3", None)}
SHAPES = {"shapes": {"a": (3,), "b": (1, 28, 28)}, "num_classes": 3}

MODELS: list[Row] = [
    (models.MLP, ENCODER, {"num_inputs": NOT_COUNTS, "widths": ((0,), (), 7, ("x",), None)}),
    (models.MLP, ENCODER, {"dropout": (-0.1, 1.5, NAN, "x", None)}),
    (models.LeNet, {}, {"in_channels": NOT_COUNTS, "num_features": NOT_COUNTS, "grid": NOT_COUNTS}),
    (models.LeNet, {}, {"widths": ((0, 3), 7, None), "output": ("vectr", None, 3)}),
    (models.resnet8, {}, {"in_channels": NOT_COUNTS, "output": ("vectr", None, 3)}),
    (models.ResNet, {}, {"stem": ("big", None), "widths": ((0,), 7), "blocks": ((0,), 7, (1, 2))}),
    (models.Transformer, ENCODER, {"num_inputs": NOT_COUNTS, "num_layers": NOT_COUNTS}),
    (models.Transformer, ENCODER, {"num_heads": (0, -1, "4"), "dropout": (1.5, NAN)}),
    (models.Transformer, ENCODER, {"output": ("vectr", None), "ids": NOT_FLAGS}),
    (models.Additive, SIZES, OF_SIZES),
    (models.Concatenation, SIZES, OF_SIZES | {"widths": ((0,), 7, ("x",))}),
    (models.CrossAttention, SIZES, OF_SIZES | {"width": NOT_COUNTS, "query": (2, -1, "a")}),
    (models.FiLM, SIZES, {"conditioned": (2, -1, "a", None)}),
    (models.Gated, SIZES, {"width": NOT_COUNTS}),
    (models.MaxOut, SIZES, {"width": NOT_COUNTS, "features": ("vectr", None)}),
    (models.build, SHAPES, {"num_classes": NOT_COUNTS, "num_features": NOT_COUNTS}),
    (models.build, SHAPES, {"fusion": ("maxot", None, 3), "encoder": ("lent", 3, {"a": "lent"})}),
    (models.build, SHAPES, {"shapes": ({}, {"a": ()}, {"a": (0,)}, {"": (3,)}, 3, {"a": ("x",)})}),
]

OF_COUNTS = dict.fromkeys(("num_classes", "num_features", "num_train", "num_test"), NOT_COUNTS)

DATA: list[Row] = [
    (
        MultimodalDataset,
        {"inputs": {"a": torch.ones(3, 2)}, "target": torch.arange(3)},
        {
            "inputs": ({}, {"a": torch.ones(4)}, {"target": torch.ones(3)}),
            "target": (torch.tensor(1), [0, 1, 2], None, torch.arange(4)),
            "transforms": ({"b": abs},),
        },
    ),
    (data.Classification, {"num_classes": 2}, {"num_classes": (1, *NOT_COUNTS)}),
    (
        Splits,
        SOUND,
        {
            "test": (
                MultimodalDataset(dataset().inputs, torch.full((13,), 3)),
                MultimodalDataset(dataset().inputs, torch.full((13,), -1)),
                MultimodalDataset(dataset().inputs, torch.full((13,), 0.5)),
                MultimodalDataset({"a": torch.ones(2, 3)}, torch.ones(2).long()),
            ),
        },
    ),
    (
        Synthetic,
        {},
        OF_COUNTS
        | {
            "seed": (-1, 1.5, "x", 2**70),
            "redundancy": (-0.1, 1.5, NAN),
            "synergy": (NAN, 2.0),
            "unique": ((), (2.0,), (NAN, 0.1), ("x",)),
            "noise": (-1.0, NAN),
            "feature_noise": NOT_RATES,
            "modalities": (("a",), ("a", "a"), ("", "b")),
        },
    ),
    (Shift, {"epoch": 2, "unique": (0.3, 0.2)}, {"epoch": (-1, 1.5, "x")}),
    (
        data.Features,
        {"path": "x.npz"},
        {
            "path": ("", 3, None),
            "validation": (0, 1, NAN, "x", None),
            "seed": (-1, 2**70, 1.5),
            "modalities": ((), ("a", "a"), "ab"),
            "standardise": NOT_FLAGS,
        },
    ),
    (
        data.AVMNIST,
        {},
        {
            "num_train": NOT_COUNTS[:4],
            "num_validation": NOT_COUNTS[:4],
            "num_test": NOT_COUNTS[:4],
            "audio_size": NOT_COUNTS[:4],
            "standardise": NOT_FLAGS,
            "preset": ("clena", 3),
        },
    ),
    (
        data.Digits,
        {},
        {
            "seed": (-1, 2**70, 1.5),
            "image_noise": NOT_RATES,
            "utterances_per_image": NOT_COUNTS,
            "speech_to_noise": ((5.0, -5.0), (NAN, 1.0), 3.0, (1.0,)),
        },
    ),
    (data.load, {"name": "synthetic"}, {"name": ("syntetic", "", None, 3)}),
    (data.register, {"source": Synthetic}, {"source": (3, int, Synthetic())}),
]

OF_STEPS = {"learning_rate": NOT_RATES, "weight_decay": NOT_RATES}
NOT_BETAS = ((1.0, 0.9), (0.9,), (NAN, 0.9), 0.9, ("a", "b"), (-0.1, 0.9))

COUNTED = ("max_epochs", "log_every_n_steps", "accumulate_grad_batches", "devices", "num_nodes")

TRAINING: list[Row] = [
    (training.SGD, {}, OF_STEPS | {"momentum": (1.0, -0.1, NAN, "x"), "nesterov": NOT_FLAGS}),
    (training.Adam, {}, OF_STEPS | {"betas": NOT_BETAS}),
    (training.AdamW, {}, OF_STEPS | {"betas": NOT_BETAS}),
    (training.StepLR, {}, {"every": NOT_COUNTS, "factor": (0, 1.5, NAN, "x")}),
    (
        training.TrainerOptions,
        {},
        dict.fromkeys(
            ("max_epochs", "log_every_n_steps", "accumulate_grad_batches", "devices", "num_nodes"),
            NOT_COUNTS,
        ),
    ),
    (
        training.TrainerOptions,
        {},
        {
            "gradient_clip_val": (0, -1, NAN, "x"),
            "precision": ("32", 32),
            "deterministic": NOT_FLAGS,
            "accelerator": ("gpuu", 3, None),
            "strategy": (3, None),
            "num_threads": (0, 1.5, "x"),
            "checkpoint_every_n_steps": (0, 1.5, "x"),
        },
    ),
    (
        training.Network,
        {},
        {"encoder": ("lent", 3, {"a": "lent"}), "fusion": ("maxot", 3), "num_features": NOT_COUNTS},
    ),
    (
        training.Recipe,
        {"data": Synthetic()},
        {
            "data": ("synthetic", Synthetic, None, 3),
            "method": ("AGM", cp.AGM, 3),
            "model": ("Network", training.Network, nn.Linear(3, 2)),
            "optimizer": ("SGD", training.SGD, 0.1),
            "schedule": ("StepLR", training.StepLR),
            "trainer": ({"max_epochs": 3}, None, training.TrainerOptions),
            "batch_size": NOT_COUNTS,
            "drop_last": NOT_FLAGS,
            "seed": (-1, 1.5, 2**70, "x", None),
            "coalitions": ("feature", 3),
            "attribution": ("shaply", 3),
            "num_passes": (0, 1.5, "x"),
            "absent": ("zeros", 0.0),
            "monitor": NOT_FLAGS,
            "name": (3, "", "a/b", "..", "a\\b", "x" * 300),
        },
    ),
    (
        training.MultimodalDataModule,
        {"splits": Splits(**SOUND)},
        {
            "splits": (None, dataset()),
            "batch_size": NOT_COUNTS,
            "eval_batch_size": NOT_COUNTS[:4],
            "seed": (-1, 1.5, 2**70),
            "num_workers": (-1, 1.5, "x"),
            "drop_last": NOT_FLAGS,
        },
    ),
    (
        training.train,
        {"recipe": training.Recipe(Synthetic())},
        {"recipe": (None, "digits-agm", Synthetic())},
    ),
    (training.read_recipe, {"config": "digits-agm"}, {"config": ("digits-amg", 3, None)}),
    (training.Recorder, {"modalities": ("a", "b")}, {"flush_every": NOT_COUNTS}),
]

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(5, 2)

    def forward(self, a, b):
        return self.a(a) + self.b(b)


BALANCED = {"model": Net(), "modalities": {"a": "a", "b": "b"}, "method": None}
OF_HEADS = {"heads": ("liner",)}

ENGINE: list[Row] = [
    (cp.Balanced, BALANCED, {
        "model": (None, Net, abs, "net"),
        "modalities": ((), ("a",), ("a", "a"), "ab", None, {"a": "a", "b": 3}, ("a", ""),
                       {"a": Net(), "b": "b"}, (3, 4)),
        "method": ("AGM", cp.AGM, 3), "coalitions": ("feature", 3, cp.Coalitions),
        "score": (3, "x"), "criterion": (3, "x"), "select": (3, "x"), "monitor": NOT_FLAGS,
    }),
    (cp.Coalitions, {}, {
        "level": ("feature", 3), "statistics": ("batched", None), "attribution": ("shaply", None),
        "sampling": (3, -5, "x", cp.Sampling),
    }),
    (cp.Modality, {}, {"encoder": (3, Net(), ""), "head": (3, Net())}),
    (cp.AGM, {}, {"alpha": NOT_RATES, "reference": ("mean", cp.references.RunningMean, 3)}),
    (cp.OGM, {}, {"alpha": NOT_RATES, "convolutions_only": NOT_FLAGS}),
    (cp.OGMGE, {}, {"alpha": NOT_RATES, "convolutions_only": NOT_FLAGS}),
    (cp.PMR, {}, {"alpha": NOT_RATES, "momentum": (-0.1, 1.5, NAN), "vector": (3, "x")}),
    (cp.PMR, {}, {"entropy": NOT_RATES, "entropy_epochs": (-1, 1.5, "x")}),
    (cp.MSES, {}, {"patience": NOT_COUNTS, "smoothing": (-0.1, 1.5, NAN, "x")} | OF_HEADS),
    (cp.MSLR, {}, {"mode": ("dynamc", None), "window": NOT_COUNTS, "clamp": (0, NAN, "x")}),
    (cp.UnimodalLoss, {}, OF_HEADS),
    (cp.GBlend, {}, {"mode": ("onlin", None), "super_epoch": NOT_COUNTS, "later": NOT_COUNTS}),
    (cp.OPM, {}, {"probability": (-0.1, 1.5, NAN, "x"), "strength": (-0.1, NAN, "x")}),
    (cp.MLB, {}, {"alpha": NOT_RATES, "weight": NOT_RATES} | OF_HEADS),
    (cp.CGGM, {}, {"rho": NOT_RATES, "direction": (NAN, "x"), "every": NOT_COUNTS}),
    (cp.MMPareto, {}, {"gamma": (NAN, INF, "x", None), "weight": NOT_RATES} | OF_HEADS),
]

PERFORMANCES = torch.tensor([0.1, 0.5, 0.4, 0.9])
NOT_PERFORMANCES = (torch.ones(5), torch.ones(1), torch.tensor([0.1, NAN, 0.4, 0.9]), "x", None)
PROBED = {name: (features(19, 3), torch.arange(19) % 2) for name in ("train", "validation", "test")}

MEASURES: list[Row] = [
    (measures.every_coalition, {"num_modalities": 2}, {"num_modalities": (*NOT_COUNTS, 40)}),
    (measures.contributions, {"performances": PERFORMANCES}, {"performances": NOT_PERFORMANCES}),
    (measures.cooperation, {"performances": PERFORMANCES}, {"performances": NOT_PERFORMANCES}),
    (measures.alone, {"performances": PERFORMANCES}, {"performances": NOT_PERFORMANCES}),
    (
        measures.robustness,
        {"performances": PERFORMANCES, "probabilities": torch.tensor([0.5])},
        {
            "performances": NOT_PERFORMANCES,
            "probabilities": (torch.tensor([1.5]), torch.tensor([NAN]), "x"),
        },
    ),
    (measures.Contribution, {"num_modalities": 2}, {"num_modalities": NOT_COUNTS}),
    (measures.Robustness, {"num_modalities": 2}, {"probabilities": ((1.5,), (NAN,), (), "x")}),
    (measures.Batches, {"dataset": dataset()}, {"dataset": (None, [1]), "batch_size": NOT_COUNTS}),
    (
        measures.linear_probe,
        PROBED,
        {
            "kind": ("logistc", None),
            "penalties": ((), (0,), (NAN,), ("x",), 3),
            "train": (
                (features(19), torch.zeros(19).long()),
                (features(18), torch.arange(19) % 2),
                (features(19, r3=NAN), torch.arange(19) % 2),
                features(19),
            ),
        },
    ),
    (measures.varying_directions, {"concept": features()}, {"concept": WRONG_FEATURES[:4]}),
]

# fmt: on

ROWS = [*CORE, *ENGINE, *MODELS, *DATA, *TRAINING, *MEASURES]


def shown(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype)[6:]}{tuple(value.shape)}"
    return re.sub(r"\s+|0x\w+", "", repr(value))[:25]


CALLS = {
    f"{call.__name__}-{argument}-{shown(value)}-{number}": (call, right, argument, value)
    for number, (call, right, wrong) in enumerate(ROWS)
    for argument, values in wrong.items()
    for value in values
}


def test_there_are_enough():
    assert len(CALLS) >= 250


@pytest.mark.parametrize(("call", "right", "argument", "value"), CALLS.values(), ids=CALLS)
def test_wrong_value_is_refused_by_name(call, right, argument, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        call(**{**right, argument: value})
    message = str(caught.value)
    assert re.search(rf"[`'\"]{argument}\b.* should .*[;:,]? found ", message, re.DOTALL), message
    assert message.endswith((".", "?")), message


RIGHT = {
    f"{call.__name__}-{number}": functools.partial(call, **right)
    for number, (call, right, _) in enumerate(ROWS)
    if call not in (training.train, data.load)  # which take their time
}


@pytest.mark.parametrize("call", RIGHT.values(), ids=RIGHT)
def test_the_call_is_wrong_in_that_value_alone(call):
    call()
