"""What batch-norm makes of joint training and of AGM, published and default, epoch by epoch.

    python benchmarks/batch_norm.py [--out FILE.csv] [--jobs 2] [--sets halves digits]  # resumes
    python benchmarks/batch_norm.py --summary FILE.csv

AV-MNIST is that of ``counterpoise data build av-mnist``, spectrograms averaged to 28 x 28. Of it
and of the digits at most 1,500 samples are taken for training, and as many for validation, with
images and spectrograms averaged to half their size, for the sake of two cores.

After every epoch accuracy on validation data is measured three times: with running statistics
(eval mode), with the statistics of the batch, and with running statistics estimated anew from the
training data. If the first is far below the others, running statistics no longer fit the weights.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import lru_cache
from itertools import product
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import torch
from small_sets import Part, accuracy, batches, halves, packed, rows
from torch import nn

import counterpoise as cp
from counterpoise.models import Additive, Concatenation, MaxOut, MultimodalNetwork, ResNet

STRENGTH, RATE, EPOCHS, BATCH, LIMIT = 2.5, 0.02, 8, 64, 1500
LARGEST = 16  # pixels a side; larger images are halved
SEEDS = range(5)
METHODS = ("joint", "published", "default")
FUSIONS = ("additive", "batch-norm head", "maxout")
NETWORKS = {
    "halves": ("small", "resnet-8"),
    "digits": ("lenet", "resnet-8"),
    "av-mnist": ("lenet", "resnet-8"),
}
FIELDS = ("data", "network", "fusion", "method", "seed", "epoch", "running", "batch", "renewed")

Cell = tuple[str, str, str, str, int]


class Convolutions(nn.Sequential):
    """Two convolutions with batch-norm; maps or a vector of 32 features.

    With a kernel of 5 and two poolings it is a LeNet with batch-norm.
    """

    num_features = 32

    def __init__(self, *, kernel: int, pools: int, maps: bool) -> None:
        layers: list[nn.Module] = []
        for stage, (before, after) in enumerate([(1, 16), (16, 32)]):
            layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if stage < pools else []
        pool = [nn.AdaptiveAvgPool2d((2, 2))] if maps else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, *pool)


def make(name: str, fusion: str, part: Part, num_classes: int) -> MultimodalNetwork:
    """Build a network whose encoders, and in two of three fusions the rest too, have batch-norm."""
    maps = fusion == "maxout"
    encoders: dict[str, nn.Module] = {}
    for modality in part.inputs:
        if name != "resnet-8":
            kernel, pools = (5, 2) if name == "lenet" else (3, 1)
            encoders[modality] = Convolutions(kernel=kernel, pools=pools, maps=maps)
        else:
            encoders[modality] = ResNet(
                1,
                widths=(16, 32, 64),
                blocks=(1, 1, 1),
                stem="small",
                output="map" if maps else "vector",
            )
    sizes = [int(encoder.num_features) for encoder in encoders.values()]  # type: ignore[arg-type]
    if fusion == "additive":
        return MultimodalNetwork(encoders, Additive(sizes, num_classes))
    if fusion == "maxout":
        return MultimodalNetwork(encoders, MaxOut(sizes, num_classes, 32, features="map", grid=2))
    width = sum(sizes)
    head = nn.Sequential(
        nn.Linear(width, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, num_classes)
    )
    joined = MultimodalNetwork(encoders, Concatenation(sizes, num_classes))
    joined.fusion.head = head
    return joined


@lru_cache
def data(name: str) -> tuple[Part, Part]:
    """Return training and validation data, of each at most ``LIMIT`` samples."""
    train, validation = halves() if name == "halves" else packed(name)
    parts = rows(train, slice(LIMIT)), rows(validation, slice(LIMIT))
    train, validation = (
        Part({name: _small(x) for name, x in part.inputs.items()}, part.target) for part in parts
    )
    return train, validation


def _small(images: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(images, 2) if images.shape[-1] > LARGEST else images


def run(cell: Cell) -> list[tuple[float, float, float]]:
    """Train one network; return the three accuracies after each epoch."""
    name, kind, fusion, how, seed = cell
    torch.set_num_threads(1)
    train, validation = data(name)
    torch.manual_seed(seed)
    model = make(kind, fusion, train, int(train.target.max()) + 1)
    method = {
        "joint": cp.Joint(),
        "published": cp.AGM(STRENGTH, clamp=10.0),
        "default": cp.AGM(STRENGTH),
    }[how]
    coalitions = "published" if how == "published" else None
    balanced = cp.Balanced(model, model.encoder_paths, method, coalitions=coalitions)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(EPOCHS):
        for batch in batches(train, BATCH, generator, flat=False):
            optimizer.zero_grad()
            balanced(**batch.inputs, target=batch.target).loss.backward()
            optimizer.step()
        found.append(judge(model, train, validation))
    return found


def judge(model: nn.Module, train: Part, validation: Part) -> tuple[float, float, float]:
    """Return accuracy by running statistics, by those of the batch, and by renewed ones."""
    running = accuracy(model.eval(), validation, flat=False)
    copy = deepcopy(model).train()
    of_batch = accuracy(copy, validation, flat=False)
    for module in copy.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        for batch in batches(train, 256, torch.Generator().manual_seed(0), flat=False):
            copy(**batch.inputs)
    renewed = accuracy(copy.eval(), validation, flat=False)
    model.train()
    return running, of_batch, renewed


def cells(sets: list[str], networks: list[str]) -> Iterator[Cell]:
    """Yield all runs with these networks, seed by seed."""
    for seed in SEEDS:
        for name in sets:
            for kind, fusion, how in product(NETWORKS[name], FUSIONS, METHODS):
                if kind in networks:
                    yield name, kind, fusion, how, seed


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file, none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measure(path: Path, sets: list[str], networks: list[str], jobs: int) -> None:
    """Make the runs that a file does not hold yet."""
    found = read(path)
    finished = {(r["data"], r["network"], r["fusion"], r["method"], int(r["seed"])) for r in found}
    todo = [cell for cell in cells(sets, networks) if cell not in finished]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    with path.open("a", newline="") as file, ProcessPoolExecutor(jobs) as pool:
        writer = csv.writer(file)
        if not found:
            writer.writerow([*FIELDS, "commit"])
        for cell, epochs in zip(todo, pool.map(run, todo), strict=True):
            for epoch, judged in enumerate(epochs, start=1):
                writer.writerow([*cell, epoch, *judged, commit.stdout.strip()])
            file.flush()


def summary(path: Path) -> str:
    """Return a table of the last epoch: mean and standard deviation over seeds, in percent."""
    found = read(path)
    last = [r for r in found if int(r["epoch"]) == EPOCHS]
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for r in last:
        groups.setdefault((r["data"], r["network"], r["fusion"], r["method"]), []).append(r)
    lines = [
        "| data | network | fusion | method | running | batch | renewed | gap, batch - running |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, group in sorted(groups.items()):
        shown = [_told([100 * float(r[how]) for r in group]) for how in FIELDS[-3:]]
        gaps = [100 * (float(r["batch"]) - float(r["running"])) for r in group]
        lines.append(f"| {' | '.join((*key, *shown))} | {_told(gaps)} |")
    return "\n".join(lines)


def _told(values: list[float]) -> str:
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    spread = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):.1f} ± {spread:.1f} (error {error:.1f}, {len(values)} seeds)"


def main() -> None:
    """Measure, or print the table of a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("batch_norm.csv"))
    parser.add_argument("--sets", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    every = sorted({kind for kinds in NETWORKS.values() for kind in kinds})
    parser.add_argument("--networks", nargs="+", choices=every, default=every)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--summary", type=Path, help="print the table of such a file and end")
    options = parser.parse_args()
    if options.summary is None:
        measure(options.out, options.sets, options.networks, options.jobs)
    print(summary(options.summary or options.out))


if __name__ == "__main__":
    main()
