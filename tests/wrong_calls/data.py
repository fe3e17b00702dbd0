"""Wrong calls of data sets, samples and tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterpoise import data
from counterpoise.data import MultimodalDataset, Shift, Splits, Synthetic
from wrong_calls.values import NAN, NOT_COUNTS, NOT_FLAGS, NOT_RATES, NOT_SEEDS, Row, dataset


def splits(**changes: Any) -> Splits:
    """Splits that are sound but for the changes."""
    sound = {
        "name": "toy", "train": dataset(), "validation": dataset(7), "test": dataset(5),
        "task": data.Classification(2), "note": "Nothing.", "source": "here", "licence": "none",
    }  # fmt: skip
    return Splits(**sound | changes)


class Pairs:
    """Five samples of a tuple."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return torch.full((3,), float(index)), torch.ones(2), index % 2


class Empty(Pairs):
    def __len__(self):
        return 0


def loaders(**changes: Any) -> Splits:
    batches = [{"a": torch.ones(3, 2), "target": torch.arange(3) % 2}]
    sound = {"train": batches, "validation": batches, "task": 2}
    return data.Loaders(**sound | changes).load()


def read_samples(**settings: Any) -> object:
    """A batch of samples that are read one by one."""
    return data.SampleDataset(Pairs(), **settings).__getitems__([0, 1])


INPUTS = {"a": torch.ones(3, 2), "b": torch.ones(3, 5)}
NOT_INPUTS = (
    {}, {"a": torch.ones(4)}, {"target": torch.ones(3)}, None, [torch.ones(3)], "a",
    {"": torch.ones(3, 2)}, {3: torch.ones(3, 2)}, {None: torch.ones(3)}, {"a": [1, 2, 3]},
    {"a": torch.ones(3, 2, dtype=torch.complex64)}, {"a": torch.tensor(1.0)}, {"a": {}},
    {"a": torch.ones(3, 2).to_sparse()},
)  # fmt: skip
NOT_TARGETS = (
    torch.tensor(1), [0, 1, 2], None, torch.arange(4), torch.ones(3, dtype=torch.complex64),
    "x",
)  # fmt: skip


def one_part(target: Tensor) -> MultimodalDataset:
    return MultimodalDataset(dataset(len(target)).inputs, target)


PARTS = (
    one_part(torch.full((13,), 3)), one_part(torch.full((13,), -1)),
    one_part(torch.full((13,), 0.5)), one_part(torch.ones(13, 2).long()),
    MultimodalDataset({"a": torch.ones(2, 3)}, torch.ones(2).long()), 3, "x",
    one_part(torch.zeros(0, dtype=torch.long)), MultimodalDataset,
)  # fmt: skip
OF_COUNTS = dict.fromkeys(("num_classes", "num_features", "num_train", "num_test"), NOT_COUNTS)
LOADED = ("train", "validation", "test", "num_train", "num_validation", "num_test")
STORED = {
    "read": len, "rows": torch.arange(3), "target": torch.arange(3), "sample_shapes": {"x": ()},
    "content": "squares",
}  # fmt: skip
NOT_PATHS = (3, b"x", ["x"], True)
NOT_NAMES = ((), ("a", "a"), "ab", 3, ("", "b"), (3, 4))

# fmt: off
DATA: list[Row] = [
    (MultimodalDataset, {"inputs": INPUTS, "target": torch.arange(3)}, {
        "inputs": NOT_INPUTS, "target": NOT_TARGETS,
        "transforms": ({"b": 3}, {"c": abs}, abs, [abs], {"a": "x"}),
    }),
    (dataset().subset, {"indices": [0, 1]}, {
        "indices": ([13], [-14], [0.5], "x", None, 3, torch.tensor([True])),
    }),
    (splits, {}, {
        "name": ("", 3, None), "train": (*PARTS[5:], None), "validation": (*PARTS, None),
        "test": PARTS, "task": ("classification", 1, 0, None, data.Classification, 2.5),
        "note": (3, None), "source": (3, None), "licence": (3, None),
        "train_at": (3, "x", dataset()),
    }),
    (data.Classification, {"num_classes": 2}, {
        "num_classes": (1, *NOT_COUNTS), "headline": ("acuracy", None, 3),
    }),
    (data.MultiLabel, {"num_labels": 2}, {"num_labels": NOT_COUNTS, "headline": ("mapp", None)}),
    (data.Regression, {}, {
        "num_targets": NOT_COUNTS, "loss": ("square", None, 3), "headline": ("maee", None),
    }),
    (data.Segments, {"num_classes": 3}, {
        "num_classes": (1, *NOT_COUNTS), "headline": ("acuracy", None),
        "ignore_index": (1.5, "x", None, True),
    }),
    (data.MetricForm, {"name": "mae"}, {
        "name": ("", 3, None), "decimals": (-1, 1.5, "x", None), "share": NOT_FLAGS,
        "higher_is_better": NOT_FLAGS, "additive": NOT_FLAGS,
    }),
    (Synthetic, {}, OF_COUNTS | {
        "seed": NOT_SEEDS, "redundancy": (-0.1, 1.5, NAN, "x", None),
        "synergy": (NAN, 2.0, "x"), "unique": ((), (2.0,), (NAN, 0.1), ("x",), 3, None, (0.6, 0.6)),
        "noise": (-1.0, NAN, "x", (0.1,), None), "feature_noise": NOT_RATES,
        "modalities": (("a",), ("a", "a"), ("", "b"), "ab", 3, ("target", "b")),
        "shifts": ((3,), 3, "x", (Shift(2, (0.3, 0.2)), Shift(2, (0.1, 0.2)))),
    }),
    (Shift, {"epoch": 2, "unique": (0.3, 0.2)}, {
        "epoch": (-1, 1.5, "x", None, True), "unique": ((NAN, 0.1), "x", 3, (2.0, 0.1)),
        "redundancy": (NAN, -0.1, "x"), "synergy": (NAN, 1.5, "x"),
    }),
    (data.Features, {"path": "x.npz"}, {
        "path": ("", 3, None, b"x"), "validation": (0, 1, NAN, "x", None), "seed": NOT_SEEDS,
        "modalities": NOT_NAMES, "standardise": NOT_FLAGS, "note": (3, None), "licence": (3, None),
    }),
    (data.AVMNIST, {}, {
        **dict.fromkeys(("num_train", "num_validation", "num_test"), NOT_COUNTS[:4]),
        "audio_size": NOT_COUNTS[:4], "standardise": NOT_FLAGS, "preset": ("clena", 3),
        "root": NOT_PATHS,
    }),
    (data.Digits, {}, {
        "seed": NOT_SEEDS, "image_noise": NOT_RATES, "utterances_per_image": NOT_COUNTS,
        "speech_to_noise": ((5.0, -5.0), (NAN, 1.0), 3.0, (1.0,), None, ("x", 1.0)),
        "root": NOT_PATHS,
    }),
    (data.AVE, {}, {"preset": ("segment", 3, None), "augment": NOT_FLAGS, "root": NOT_PATHS}),
    (data.BRCA, {}, {"seed": NOT_SEEDS, "root": NOT_PATHS}),
    (data.CREMAD, {}, {
        "split": ("fild", 3, None), "picture": ("frst", None), "augment": NOT_FLAGS,
        "seed": NOT_SEEDS, "root": NOT_PATHS,
    }),
    (data.URFunny, {}, {"context": NOT_FLAGS, "max_length": NOT_COUNTS, "root": NOT_PATHS}),
    *((kind, {}, {
        "task": ("binry", None, 3), "binarisation": ("non-negativ", None), "length": NOT_COUNTS,
        "masks": NOT_FLAGS, "modalities": NOT_NAMES, "root": NOT_PATHS,
        "vectors": NOT_PATHS,
    }) for kind in (data.CMUMOSEI, data.CMUMOSI)),
    (data.load, {"name": "synthetic"}, {"name": ("syntetic", "", None, 3)}),
    (data.register, {"source": Synthetic}, {"source": (3, int, Synthetic(), None)}),
    (data.SampleDataset, {"dataset": Pairs(), "fields": ("a", "b", "target")}, {
        "dataset": (None, 3, Empty(), [], Pairs), "target": ("", 3, None), "collate": (3, "x"),
        "targets": (torch.arange(4), [0, 1], "x", torch.tensor(1)), "others": (3, None, "ab"),
        "fields": ("ab", 3, ()), "modalities": ("ab", 3, ()), "content": (3,),
    }),
    (read_samples, {"fields": ("a", "b", "target")}, {
        "fields": (None, ("a", "b"), ("a", "b", "c", "target")), "target": ("label",),
        "modalities": (("a", "c"),), "others": (("c",),),
    }),
    (loaders, {}, {
        "train": (None, 3, [], "x", [3], [(1, 2)]), "validation": (None, 3, []),
        "test": (3, []), "task": ("classification", None, 1), "num_batches": NOT_COUNTS[:4],
        "target": ("label", 3), "modalities": ((), "ab", ("c",)), "others": (("c",),),
        "name": ("", 3, None), "content": (3,),
    }),
    (data.StoredDataset, STORED, {
        "rows": (torch.arange(4), [0, 1], None, torch.ones(3)), "read": (3, None, "x"),
        "target": (torch.arange(4), [0, 1], None), "content": (3, None, ""),
        "sample_shapes": (3, {}, None, {"x": 3}), "views": (3, "x"),
    }),
]
