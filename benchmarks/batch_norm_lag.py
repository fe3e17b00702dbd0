"""By how much running statistics lag behind the weights, layer by layer, and what moves them.

    python benchmarks/batch_norm_lag.py [--methods joint agm] [--rate 0.02] [--cosine] [--seeds 0 1]

Networks and data are those of batch_norm.py: digits, LeNets with batch-norm, and a batch-norm layer
behind the fusion. Running statistics swing from step to step, so everything is a mean over every
sixth step of epochs 5 to 8, and not a value of the last step. Each run is printed as one line of
JSON. "random" and "common" are AGM with other coefficients: drawn by lot within its bound, and
the same for both modalities, namely the mean of AGM's.
"""

from __future__ import annotations

import argparse
import json
from copy import deepcopy
from itertools import product
from math import log
from statistics import mean
from typing import Any

import torch
from batch_norm import BATCH, EPOCHS, RATE, STRENGTH, data, make
from small_sets import Part, accuracy, batches
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import counterpoise as cp
from counterpoise.methods.agm import DEFAULT_BOUND

EVERY, FUSION = 6, "batch-norm head"


class Random(cp.AGM):
    """Coefficients b^u and b^-u, with u drawn evenly from [-1, 1] in each step."""

    draws: torch.Generator

    def coefficients(self, signals: cp.Signals) -> Tensor:
        """Return what was drawn, shape (2,)."""
        super().coefficients(signals)
        limit = log(DEFAULT_BOUND)
        exponent = torch.empty(1).uniform_(-limit, limit, generator=self.draws)
        return torch.cat([exponent, -exponent]).exp()


class Common(cp.AGM):
    """One coefficient for all modalities, the mean of AGM's: coalitions drop out of it."""

    def coefficients(self, signals: cp.Signals) -> Tensor:
        """Return the mean twice, shape (2,)."""
        coefficients = super().coefficients(signals)
        return coefficients.mean().expand_as(coefficients).clone()


def method(name: str, seed: int) -> cp.Method:
    """Return what balances in a run."""
    if name == "joint":
        return cp.Joint()
    made = {"agm": cp.AGM, "random": Random, "common": Common}[name](STRENGTH)
    if isinstance(made, Random):
        made.draws = torch.Generator().manual_seed(seed + 100)
    return made


def layers(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch-norm layers by path."""
    return {name: part for name, part in model.named_modules() if isinstance(part, _BatchNorm)}


def renewed(model: nn.Module, train: Part) -> nn.Module:
    """Return a copy with running statistics of the training data, by the present weights."""
    copy = deepcopy(model).train()
    for layer in layers(copy).values():
        layer.reset_running_stats()
        layer.momentum = None
    with torch.no_grad():
        for batch in batches(train, 512, torch.Generator().manual_seed(0), flat=False):
            copy(**batch.inputs)
    return copy.eval()


def judge(model: nn.Module, train: Part, validation: Part) -> dict[str, float]:
    """Return both accuracies in percent, and how far each layer's running mean is off.

    The latter is the root mean square over channels, in standard deviations of the channel.
    """
    precise = renewed(model, train)
    found = {
        "running": 100 * accuracy(model.eval(), validation, flat=False),
        "renewed": 100 * accuracy(precise, validation, flat=False),
    }
    found["gap"] = found["renewed"] - found["running"]
    for (path, old), new in zip(layers(model).items(), layers(precise).values(), strict=True):
        off: Any = (old.running_mean - new.running_mean) / new.running_var.sqrt()  # type: ignore[operator, union-attr]
        found[path] = float(off.square().mean().sqrt())
    model.train()
    return found


def run(name: str, seed: int, *, rate: float, cosine: bool) -> dict[str, float]:
    """Train one network; return the means of what was judged in the second half."""
    train, validation = data("digits")
    torch.manual_seed(seed)
    model = make("lenet", FUSION, train, int(train.target.max()) + 1)
    balanced = cp.Balanced(model, model.encoder_paths, method(name, seed))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    num_steps = EPOCHS * -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    generator = torch.Generator().manual_seed(seed)
    judged, step = [], 0
    for _ in range(EPOCHS):
        for batch in batches(train, BATCH, generator, flat=False):
            optimizer.zero_grad()
            balanced(**batch.inputs, target=batch.target).loss.backward()
            optimizer.step()
            step += 1
            if cosine:
                schedule.step()
            if 2 * step > num_steps and step % EVERY == 0:
                judged.append(judge(model, train, validation))
    found = {key: mean(each[key] for each in judged) for key in judged[0]}
    return found | {"last gap": judged[-1]["gap"]}


def main() -> None:
    """Print one line a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = ["joint", "agm", "random", "common"]
    parser.add_argument("--methods", nargs="+", choices=every, default=every)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--cosine", action="store_true", help="let the rate fall to 0")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed, name in product(options.seeds, options.methods):
        found = run(name, seed, rate=options.rate, cosine=options.cosine)
        told = {"method": name, "seed": seed, "rate": options.rate, "cosine": options.cosine}
        print(json.dumps(told | {key: round(value, 3) for key, value in found.items()}), flush=True)


if __name__ == "__main__":
    main()
