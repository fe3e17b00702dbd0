"""Seconds a step and an epoch on AV-MNIST, reading included: this package and the published way.

    python benchmarks/epoch.py                     # random files of the true shapes and types
    python benchmarks/epoch.py --root FOLDER       # what counterpoise data build av-mnist made
    python benchmarks/epoch.py --write             # benchmarks/results/<date>-epoch-cpu.md

All ways go through the next few batches in turn, round after round, so that whatever else the
machine does falls on all of them alike. A ratio is the median over rounds of (way / joint training
of the same round); an epoch is what 55,000 pairs take at the median of seconds a step.

Joint training and AGM read batches sliced from the memory map. "Published" is the published way:
2^M - 1 whole-model passes in its order (all modalities in train mode, then the others in eval
mode), scores by a Python loop over samples with a host read each, samples read one by one and
stacked. "Its arithmetic alone" does the same on sliced batches.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from cost import published_step
from reading import OneByOne, write_random
from timing import add_options, report, seconds_of
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import counterpoise as cp
from counterpoise.data import AVMNIST, MultimodalDataset
from counterpoise.models import MultimodalNetwork, build
from counterpoise.training.data import BatchLoader, EpochOrder

BATCH = 64
EPOCH = 55_000

NETWORKS = (
    ("two LeNets, spectrograms 28 x 28, additive", "lenet", "additive", 28, 8),
    ("two LeNets, spectrograms 28 x 28, MaxOut", "lenet", "maxout", 28, 8),
    ("two ResNet-18, spectrograms 112 x 112, concatenation", "resnet18", "concatenation", 112, 1),
)
"""Title, encoder, fusion, size of the spectrograms, and how many batches a round takes."""

Step = Callable[[dict[str, Tensor], Tensor], None]


def forever(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of one epoch after the other."""
    while True:
        yield from loader


def steps_of(base: MultimodalNetwork) -> dict[str, Step]:
    """Return one training step a way, each on a model of its own with equal weights."""

    def stepping(model: nn.Module, backward: Callable[..., None]) -> Step:
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

        def step(inputs: dict[str, Tensor], target: Tensor) -> None:
            optimiser.zero_grad()
            backward(inputs, target)
            optimiser.step()

        return step

    def joint(model: nn.Module) -> Step:
        return stepping(model, lambda x, y: torch.autograd.backward(F.cross_entropy(model(**x), y)))

    def level(model: MultimodalNetwork, name: str) -> Step:
        balanced = cp.Balanced(model, model.encoder_paths, cp.AGM(), coalitions=name)
        return stepping(model, lambda x, y: balanced(**x, target=y).loss.backward())

    def published(model: nn.Module) -> Step:
        return stepping(model, partial(published_step, model, base.modalities))

    return {
        "joint": joint(deepcopy(base)),
        "AGM, shared": level(deepcopy(base), "shared"),
        "AGM, features": level(deepcopy(base), "features"),
        "AGM, its arithmetic alone": published(deepcopy(base)),
        "AGM, published": published(deepcopy(base)),
    }


def ways(root: Path, data: MultimodalDataset, base: MultimodalNetwork, size: int, few: int) -> Any:
    """Return what takes a few steps on the next batches, by the name of the way."""
    found: dict[str, Callable[[], None]] = {}
    for name, step in steps_of(base).items():
        if name == "AGM, published":
            one_by_one = OneByOne(root, len(data), audio_size=size)
            loader: Iterable[Any] = DataLoader(one_by_one, BATCH, shuffle=True, drop_last=True)
        else:
            order = EpochOrder(len(data), BATCH, seed=0, drop_last=True)
            loader = BatchLoader(lambda _: data, order)
        found[name] = partial(_take, forever(loader), step, few)
    return found


def _take(batches: Iterator[Any], step: Step, few: int) -> None:
    for batch in islice(batches, few):
        inputs = {name: batch[name] for name in ("audio", "image")}
        step(inputs, batch["target"])


def measure(root: Path, options: argparse.Namespace, device: torch.device) -> Any:
    """Measure one network after the other; return the rows of the table."""
    rows: list[Callable[[], str]] = []
    for title, encoder, fusion, size, few in NETWORKS:
        if options.only in title:
            rows += _measure(root, options, title, encoder, fusion, size, few)
    return rows


def _measure(
    root: Path,
    options: argparse.Namespace,
    title: str,
    encoder: str,
    fusion: str,
    size: int,
    few: int,
) -> list[Callable[[], str]]:
    torch.manual_seed(0)
    source = AVMNIST(root=root, num_train=options.samples, audio_size=size, standardise=False)
    splits = source.load()
    base = build(splits.sample_shapes, splits.num_classes, encoder=encoder, fusion=fusion)
    assert isinstance(splits.train, MultimodalDataset)
    taking = ways(root, splits.train, base, size, few)
    times: dict[str, list[float]] = {name: [] for name in taking}
    for take in taking.values():
        take()
    rounds = max(3, options.rounds * few // 8)
    for _ in range(rounds):
        for name, take in taking.items():
            times[name].append(seconds_of(take, torch.device("cpu")) / few)

    def row(name: str) -> str:
        own = statistics.median(times[name])
        pairs = zip(times[name], times["joint"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        steps = math.ceil(EPOCH / BATCH)
        return f"| {title} | {name} | {own * 1e3:.1f} | {ratio:.2f} | {own * steps:,.0f} |"

    return [partial(row, name) for name in taking]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_options(parser)
    parser.set_defaults(rounds=24)
    parser.add_argument("--root", type=Path, help="a folder of AV-MNIST")
    parser.add_argument("--samples", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or Path(folder)
        if options.root is None:
            # A little more than is read, since validation is cut off.
            write_random(root, options.samples * 12 // 11 + 12)
        report(
            "epoch",
            "Seconds a step and an epoch on AV-MNIST",
            [
                f"Batches of {BATCH} of `uint8` files in the cache of pages, samples read one by "
                "one by a loader in the same process. Seconds an epoch: 55,000 pairs at the "
                "median of seconds a step, without validation.",
            ],
            ["network", "way", "a step, ms", "ratio to joint", "an epoch, s"],
            partial(measure, root, options),
            options,
        )


if __name__ == "__main__":
    main()
