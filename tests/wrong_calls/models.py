"""Wrong calls of encoders, fusions and networks."""

from __future__ import annotations

import torch
from torch import nn

from counterpoise import models
from wrong_calls.values import INF, NAN, NOT_COUNTS, NOT_FLAGS, NOT_RATES, Net, Row


class Joined(models.Fusion):
    """A fusion of one's own."""

    def fuse(self, features):
        return torch.cat(features, dim=1)


ENCODER = {"num_inputs": 7}
SIZES = {"sizes": (4, 6), "num_classes": 3}
OF_SIZES = {
    "sizes": ((), (0, 3), (4, "6"), 4, None, (4.5, 6), (True, 3)),
    "num_classes": (0, -1, 1.5, "3", None),
}
SHAPES = {"shapes": {"a": (3,), "b": (1, 28, 28)}, "num_classes": 3}
NOT_WIDTHS = ((0,), 7, ("x",), None, (-3, 4), (1.5,))
NOT_DROPOUTS = (-0.1, 1.5, NAN, "x", None, True)
NOT_SCALES = (0, -1.0, NAN, INF, "x", None)
OUTPUT = models.SegmentOutput(torch.zeros(2, 7, 3), torch.zeros(2, 7))

# fmt: off
MODELS: list[Row] = [
    (models.MLP, ENCODER, {
        "num_inputs": NOT_COUNTS, "widths": ((), *NOT_WIDTHS), "dropout": NOT_DROPOUTS,
    }),
    (models.LeNet, {}, {
        "in_channels": NOT_COUNTS, "num_features": NOT_COUNTS, "grid": NOT_COUNTS,
        "widths": ((), *NOT_WIDTHS), "output": ("vectr", None, 3),
    }),
    (models.resnet8, {}, {"in_channels": NOT_COUNTS, "output": ("vectr", None, 3)}),
    (models.resnet18, {}, {"in_channels": NOT_COUNTS, "output": ("vectr", None, 3)}),
    (models.ResNet, {}, {
        "stem": ("big", None), "widths": NOT_WIDTHS, "blocks": ((1, 2), *NOT_WIDTHS),
        "in_channels": NOT_COUNTS, "output": ("vectr", None),
    }),
    (models.Transformer, ENCODER, {
        "num_inputs": NOT_COUNTS, "num_layers": NOT_COUNTS, "width": NOT_COUNTS,
        "num_heads": (0, -1, "4", 7, None), "dropout": NOT_DROPOUTS, "output": ("vectr", None),
        "ids": NOT_FLAGS, "positions": NOT_FLAGS,
    }),
    (models.FirstStateTransformer, ENCODER, {
        "num_inputs": NOT_COUNTS, "width": NOT_COUNTS, "num_layers": NOT_COUNTS,
        "num_heads": (0, 7, "4"), "hidden": NOT_COUNTS, "dropout": NOT_DROPOUTS,
    }),
    (models.TokenEncoder, ENCODER, {
        "num_inputs": NOT_COUNTS, "width": NOT_COUNTS, "length": NOT_COUNTS,
        "recurrent": NOT_FLAGS,
    }),
    (models.MapEncoder, {}, {"num_inputs": NOT_COUNTS, "width": NOT_COUNTS}),
    (models.GuideEncoder, {}, dict.fromkeys(("num_inputs", "hidden", "width"), NOT_COUNTS)),
    (models.Additive, SIZES, OF_SIZES),
    (models.Concatenation, SIZES, OF_SIZES | {
        "widths": ((0,), 7, ("x",), None), "network": (3, "x", nn.Linear, abs),
    }),
    (models.Cosine, SIZES, OF_SIZES | {"scale": NOT_SCALES}),
    (models.CosineHead, {"size": 7, "num_classes": 3}, {
        "size": NOT_COUNTS, "num_classes": NOT_COUNTS, "scale": NOT_SCALES,
    }),
    (models.CrossAttention, SIZES, OF_SIZES | {
        "width": NOT_COUNTS, "query": (2, -1, "a"), "num_heads": (0, 7, "x"),
        "dropout": NOT_DROPOUTS,
    }),
    (models.FiLM, SIZES, OF_SIZES | {"conditioned": (2, -1, "a", None)}),
    (models.Gated, SIZES, OF_SIZES | {"width": NOT_COUNTS}),
    (models.MaxOut, SIZES, OF_SIZES | {
        "width": NOT_COUNTS, "features": ("vectr", None), "network": (3, "x", nn.Linear),
        "grid": (0, 1.5, "x"),
    }),
    (models.MaxOutLayers, {"num_inputs": 7, "widths": (5,)}, {
        "num_inputs": NOT_COUNTS, "widths": ((), *NOT_WIDTHS), "num_pieces": NOT_COUNTS,
        "dropout": NOT_DROPOUTS,
    }),
    (models.JointEncoding, {"num_classes": 3}, {
        **dict.fromkeys(("num_classes", "width", "num_blocks", "hidden", "length"), NOT_COUNTS),
        "num_heads": (0, 7, "4"), "dropout": NOT_DROPOUTS,
    }),
    (models.PositiveSamplePropagation, {}, {
        **dict.fromkeys(("num_classes", "channels", "key_size", "num_places"), NOT_COUNTS),
        **dict.fromkeys(("hidden", "width", "head_width"), NOT_COUNTS),
        "threshold": (NAN, -0.1, "x", None), "dropout": NOT_DROPOUTS,
    }),
    (Joined, {"sizes": (4, 6), "head": nn.Linear(10, 3)}, {
        "sizes": OF_SIZES["sizes"], "head": (None, "x", nn.Linear, abs),
    }),
    (models.MultimodalNetwork,
        {"encoders": {"a": nn.Linear(3, 4), "b": nn.Linear(5, 6)},
         "fusion": models.Additive((4, 6), 3)},
        {"encoders": ({}, None, [Net()], {"a": nn.Linear, "b": nn.Linear}, {"a": "a"},
                      {"": nn.Linear(3, 4), "b": nn.Linear(5, 6)}, {3: nn.Linear(3, 4)}),
         "fusion": (None, "additive", models.Additive, abs)}),
    (models.build, SHAPES, {
        "num_classes": NOT_COUNTS, "num_features": NOT_COUNTS, "fusion": ("maxot", None, 3),
        "encoder": ("lent", 3, {"a": "lent"}, None, {"c": "lenet"}),
        "shapes": ({}, {"a": ()}, {"a": (0,)}, {"": (3,)}, 3, {"a": ("x",)}, None, {"a": 3}, [(3,)],
                   {3: (3,), "b": (3,)}),
    }),
    (models.paper_network, {"name": "av-mnist"}, {
        "name": ("av-mnits", "", None, 3), "fusion": ("lat", 3), "num_classes": (0, 1.5, "x"),
    }),
    (models.absent_tokens, {"modalities": ("a",)}, {"modalities": (3, None, (3,))}),
    (models.mark_padding, {"tokens": torch.ones(2, 7, 3)}, {
        "tokens": (None, "x", torch.tensor(1.0), torch.ones(2)),
    }),
    (models.event_shares, {"target": torch.zeros(2, 7, dtype=torch.long), "background": 2}, {
        "target": (None, "x", torch.zeros(2, 7), torch.tensor(1)),
        "background": (-1, 1.5, "x", None),
    }),
    (models.similarity_loss,
        {"output": OUTPUT, "target": torch.zeros(2, 7, dtype=torch.long)},
        {"weight": NOT_RATES, "background": (-1, 1.5, "x", 3), "target": (None, "x"),
         "output": (None, torch.ones(2, 7, 3))}),
]
