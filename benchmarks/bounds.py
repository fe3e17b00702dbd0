"""How tightly should AGM bound its coefficients? Bound x strength x learning rate x clipping.

    python benchmarks/bounds.py --features FOLDER --jobs 2 [--out FILE.csv]   # goes on where it was
    python benchmarks/bounds.py --summary FILE.csv [--write]                  # the table

Trains small MLPs on the training parts of four data sets and reads validation data alone. The
criterion, set before: the bound that is never more than a point below joint training of the same
learning rate and clipping, whatever the strength; among those, the one that moves the response of
the starved modality most.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from itertools import product
from math import inf
from pathlib import Path
from statistics import mean

import torch
from small_sets import Part, batches, load, network

import counterpoise as cp

SETS = ("halves", "mfeat", "wikipedia", "digits")
BOUNDS = (1.25, 1.5, 2.0, 4.0, inf)
STRENGTHS = (1.0, 2.5, 6.0)
RATES = (0.02, 0.15, 0.5)
CLIPS = (inf, 1.0)
SEEDS = range(5)
EPOCHS, BATCH, LIMIT = 6, 64, 1500


@dataclass(frozen=True)
class Cell:
    """One run; ``bound`` 0 is joint training."""

    data: str
    rate: float
    clip: float
    strength: float
    bound: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a run came to, on validation data."""

    accuracy: float
    starved: float
    largest: float
    share: float


def cells() -> Iterator[Cell]:
    """Yield all runs."""
    for data, rate, clip, seed in product(SETS, RATES, CLIPS, SEEDS):
        yield Cell(data, rate, clip, 0.0, 0.0, seed)
        for strength, bound in product(STRENGTHS, BOUNDS):
            yield Cell(data, rate, clip, strength, bound, seed)


@lru_cache
def cached(name: str, features: Path | None) -> tuple[Part, Part]:
    """Return a data set, read once a process, with at most ``LIMIT`` training samples."""
    train, validation = load(name, features)
    few = {modality: x[:LIMIT] for modality, x in train.inputs.items()}
    return Part(few, train.target[:LIMIT]), validation


def run(cell: Cell, features: Path | None) -> Outcome:
    """Train one network; return accuracy, the worse response's, and what coefficients did."""
    torch.set_num_threads(1)
    train, validation = cached(cell.data, features)
    torch.manual_seed(cell.seed)
    model = network(train)
    method: cp.Method = cp.Joint()
    if cell.bound:
        method = cp.AGM(cell.strength, clamp=10.0, bound=cell.bound)
    balanced = cp.Balanced(model, model.encoder_paths, method)
    optimizer = torch.optim.SGD(model.parameters(), lr=cell.rate, momentum=0.9)
    generator = torch.Generator().manual_seed(cell.seed)
    largest = 1.0
    for _ in range(EPOCHS):
        for batch in batches(train, BATCH, generator, flat=True):
            optimizer.zero_grad()
            out = balanced(**batch.inputs, target=batch.target)
            out.loss.backward()
            if cell.clip < inf:
                torch.nn.utils.clip_grad_norm_(model.parameters(), cell.clip)
            optimizer.step()
            assert out.coefficients is not None
            largest = max(largest, float(out.coefficients.max()))
    return _judged(balanced, validation, largest)


def _judged(balanced: cp.Balanced, validation: Part, largest: float) -> Outcome:
    inputs = {name: x.flatten(1) for name, x in validation.inputs.items()}
    target = validation.target
    out = balanced.eval().respond(**inputs, target=target)
    right = float((out.logits.argmax(1) == target).float().mean())
    assert out.responses is not None
    each = (out.responses.argmax(2) == target).float().mean(dim=1)
    share = 0.0
    if isinstance(balanced.method, cp.AGM):
        share = float(balanced.method.bounded_share.mean())
    return Outcome(right, float(each.min()), largest, share)


def done(path: Path) -> set[Cell]:
    """Return the runs that a file holds."""
    kinds = {field.name: field.type for field in fields(Cell)}
    return {
        Cell(**{n: {"str": str, "int": int}.get(str(k), float)(row[n]) for n, k in kinds.items()})
        for row in rows(path)
    }


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file, none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measure(path: Path, features: Path | None, jobs: int) -> None:
    """Make the runs that a file does not hold yet."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    finished = done(path)
    todo = [cell for cell in cells() if cell not in finished]
    names = [*(f.name for f in fields(Cell)), *(f.name for f in fields(Outcome)), "commit"]
    with path.open("a", newline="") as file, ProcessPoolExecutor(jobs) as pool:
        writer = csv.DictWriter(file, names)
        if not finished:
            writer.writeheader()
        outcomes = pool.map(run, todo, [features] * len(todo))
        for cell, outcome in zip(todo, outcomes, strict=True):
            writer.writerow(asdict(cell) | asdict(outcome) | {"commit": commit.stdout.strip()})
            file.flush()


def summary(path: Path) -> str:
    """Return, by bound and strength, the least and the mean difference to joint training."""
    table: dict[tuple[float, ...], dict[tuple[str, float, float], list[float]]] = {}
    starved: dict[tuple[float, ...], list[float]] = {}
    found = rows(path)
    joint: dict[tuple[str, str, str, str], tuple[float, float]] = {
        (r["data"], r["rate"], r["clip"], r["seed"]): (float(r["accuracy"]), float(r["starved"]))
        for r in found
        if float(r["bound"]) == 0
    }
    for r in found:
        if float(r["bound"]) == 0:
            continue
        base = joint[r["data"], r["rate"], r["clip"], r["seed"]]
        key = (float(r["bound"]), float(r["strength"]))
        setting = (r["data"], float(r["rate"]), float(r["clip"]))
        gain = 100 * (float(r["accuracy"]) - base[0])
        table.setdefault(key, {}).setdefault(setting, []).append(gain)
        starved.setdefault(key, []).append(100 * (float(r["starved"]) - base[1]))
    lines = [
        "| bound | strength | mean difference | worst setting | starved response | settings |",
        "|---|---|---|---|---|---|",
    ]
    for (bound, strength), settings in sorted(table.items()):
        means = {setting: mean(gains) for setting, gains in settings.items()}
        worst = min(means, key=lambda setting: means[setting])
        lines.append(
            f"| {bound:g} | {strength:g} | {mean(means.values()):+.2f} | {means[worst]:+.2f} "
            f"({worst[0]}, rate {worst[1]:g}, clip {worst[2]:g}) | "
            f"{mean(starved[bound, strength]):+.2f} | {len(means)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--features", type=Path, help="folder with mfeat.npz and wikipedia.npz")
    parser.add_argument("--out", type=Path, default=Path("bounds.csv"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--summary", type=Path, help="print the table of such a file and end")
    options = parser.parse_args()
    if options.summary is None:
        measure(options.out, options.features, options.jobs)
    print(summary(options.summary or options.out))


if __name__ == "__main__":
    main()
