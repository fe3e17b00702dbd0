"""Wrong calls of recipes and training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import counterpoise as cp
from counterpoise import training
from counterpoise.data import Synthetic
from wrong_calls.data import splits
from wrong_calls.engine import wrapped
from wrong_calls.values import NAN, NOT_COUNTS, NOT_FLAGS, NOT_RATES, NOT_SEEDS, Net, Row, dataset

OF_STEPS = {"learning_rate": NOT_RATES, "weight_decay": NOT_RATES}
NOT_BETAS = ((1.0, 0.9), (0.9,), (NAN, 0.9), 0.9, ("a", "b"), (-0.1, 0.9), None)
COUNTED = ("max_epochs", "log_every_n_steps", "accumulate_grad_batches", "devices", "num_nodes")
NOT_TEXTS = (3, None, True)
RECIPE = training.Recipe(Synthetic())

# fmt: off
TRAINING: list[Row] = [
    (training.SGD, {}, OF_STEPS | {
        "momentum": (1.0, -0.1, NAN, "x", None), "nesterov": NOT_FLAGS,
    }),
    (training.SGD, {"momentum": 0.0}, {"nesterov": (True,)}),
    (training.Adam, {}, OF_STEPS | {"betas": NOT_BETAS}),
    (training.AdamW, {}, OF_STEPS | {"betas": NOT_BETAS}),
    (training.StepLR, {}, {"every": NOT_COUNTS, "factor": (0, 1.5, NAN, "x", None)}),
    (training.TorchOptimizer, {"optimizer": "torch.optim.Adagrad"}, {
        "optimizer": ("Adagrad", "torch.optim.Adagad", "torch.nn.Linear", nn.Linear, 3, None, ""),
        "arguments": (3, None, "lr", [0.1]),
    }),
    (training.TorchSchedule, {"schedule": "torch.optim.lr_scheduler.ExponentialLR"}, {
        "schedule": ("ExponentialLR", "torch.optim.lr_scheduler.ExpLR", nn.Linear, 3, None),
        "arguments": (3, None, "gamma"), "interval": ("epochs", None, 3),
    }),
    (training.Module, {"module": "wrong_calls.values.Net"}, {
        "module": ("Net", "wrong_calls.values.Nt", "torch.optim.SGD", torch.optim.SGD, 3, None,
                   Net(), "wrong_calls.valuse.Net"),
        "arguments": (3, None, "x"), "encoders": (3, "a", ["a"], {"a": 3}, {"a": Net()}),
        "heads": (3, "a", ["a"], {"a": 3}),
    }),
    (training.PaperNetwork, {"name": "av-mnist"}, {
        "name": ("av-mnits", None, 3), "fusion": ("lat", 3), "similarity": NOT_RATES,
    }),
    (training.TrainerOptions, {}, dict.fromkeys(COUNTED, NOT_COUNTS)),
    (training.TrainerOptions, {}, {
        "gradient_clip_val": (0, -1, NAN, "x", True), "precision": ("32", 32, None),
        "deterministic": NOT_FLAGS, "accelerator": ("gpuu", 3, None), "strategy": (3, None, ""),
        "num_threads": (0, 1.5, "x", True), "checkpoint_every_n_steps": (0, 1.5, "x", True),
    }),
    (training.Network, {}, {
        "encoder": ("lent", 3, {"a": "lent"}, None, {"a": 3}), "fusion": ("maxot", 3, None),
        "num_features": NOT_COUNTS,
    }),
    (training.Recipe, {"data": Synthetic()}, {
        "data": ("synthetic", Synthetic, None, 3, dataset(), splits()),
        "method": ("AGM", cp.AGM, 3, Net()),
        "model": ("Network", training.Network, nn.Linear(3, 2), 3),
        "optimizer": ("SGD", training.SGD, 0.1, torch.optim.SGD([torch.zeros(1)], lr=0.1)),
        "schedule": ("StepLR", training.StepLR, 3),
        "trainer": ({"max_epochs": 3}, None, training.TrainerOptions, 3),
        "batch_size": NOT_COUNTS, "drop_last": NOT_FLAGS, "seed": NOT_SEEDS,
        "coalitions": ("feature", 3, cp.Coalitions), "attribution": ("shaply", 3, None),
        "num_passes": (0, 1.5, "x", True, -5), "absent": ("zeros", 0.0, cp.absence.Zeros),
        "monitor": NOT_FLAGS, "num_readers": (-1, 1.5, "x"), "statistics": ("batched", None),
        "metrics": (3, ["f1"], {"f1": 3}), "loggers": (3, "csv", [3]), "callbacks": (3, [3]),
        "name": (3, "", "a/b", "..", "a\\b", "x" * 300, "a\nb", "CON:", " "),
    }),
    (RECIPE.replace, {}, {"seed": NOT_SEEDS, "sed": (3,)}),
    (training.MultimodalDataModule, {"splits": splits()}, {
        "splits": (None, dataset(), "x"), "batch_size": NOT_COUNTS,
        "eval_batch_size": NOT_COUNTS[:4], "seed": NOT_SEEDS,
        "num_workers": (-1, 1.5, "x", None, True), "drop_last": NOT_FLAGS,
    }),
    (training.BalancedModule, {"balanced": wrapped(), "task": 2}, {
        "balanced": (Net(), None, cp.Balanced, wrapped(cp.MLA(2))),
        "task": ("classification", 1, None, 2.5), "optimizer": ("SGD", training.SGD, 0.1),
        "schedule": ("StepLR", training.StepLR, 3), "metrics": (3, "accuracy", {"f1": 3}),
        "extra_loss": (3, "x"),
    }),
    (training.Checkpoints, {"directory": Path("x")}, {
        "directory": (3, None), "monitor": (3, None, ""), "every_n_steps": (0, 1.5, "x"),
        "higher_is_better": NOT_FLAGS,
    }),
    (training.PreciseBatchNorm, {}, {"num_batches": NOT_COUNTS}),
    (training.train, {"recipe": RECIPE}, {
        "recipe": (None, "digits-agm", Synthetic(), training.Recipe), "output": (3, True, b"x"),
        "resume": NOT_FLAGS, "progress": NOT_FLAGS,
    }),
    (training.read_recipe, {"config": "digits-agm"}, {
        "config": ("digits-amg", 3, None, "missing.yaml", "."),
    }),
    (training.Recorder, {"modalities": ("a", "b")}, {
        "flush_every": NOT_COUNTS, "modalities": (3, "ab", None), "headline": (3, None, ""),
    }),
]
