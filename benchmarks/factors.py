"""Which method breaks training at which learning rate, and what factors it used.

    python benchmarks/factors.py                       # the table
    python benchmarks/factors.py --out factors.csv     # and every run

Every method that scales gradients, rates or losses, at the settings of its paper, trains small MLPs
on the upper and lower halves of scikit-learn's digits by plain SGD with momentum, without clipping:
what a bound or a clipped gradient would hide shows. Validation data alone are read. A method breaks
training at a rate where its mean over seeds is more than 5 points below joint training.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from math import isfinite
from pathlib import Path
from statistics import fmean

import torch
from small_sets import Part, batches, halves, network

import counterpoise as cp

RATES = (0.02, 0.05, 0.15, 0.5)
SEEDS = (0, 1, 2)
EPOCHS, BATCH, BREAKS = 6, 64, 0.05

METHODS: dict[str, Callable[[], cp.Method]] = {
    "Joint": cp.Joint,
    "AGM, default": cp.AGM,
    "AGM(2.5), default": lambda: cp.AGM(2.5),
    "AGM(1), published": lambda: cp.AGM(1.0, clamp=10.0),
    "AGM(2.5), published": lambda: cp.AGM(2.5, clamp=10.0),
    "OGM": cp.OGM,
    "OGM-GE": cp.OGMGE,
    "MLB": cp.MLB,
    "PMR": cp.PMR,
    "CGGM": cp.CGGM,
    "ARL": cp.ARL,
    "InfoReg": cp.InfoReg,
    "MCR": cp.MCR,
    "OPM": cp.OPM,
    "MMPareto": cp.MMPareto,
    "UnimodalLoss": cp.UnimodalLoss,
    "DGL": cp.DGL,
    "CML": cp.CML,
    "MSLR": cp.MSLR,
}

Cell = tuple[str, float, int]


def run(cell: Cell) -> tuple[float, float]:
    """Train one network; return its validation accuracy and the largest coefficient."""
    name, rate, seed = cell
    torch.set_num_threads(1)
    train, validation = halves()
    torch.manual_seed(seed)
    model = network(train)
    balanced = cp.Balanced(model, model.encoder_paths, METHODS[name]())
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=rate, momentum=0.9)
    rates, largest = cp.BranchRates(balanced), 1.0
    for epoch in range(EPOCHS):
        rates.start_epoch(epoch)
        for batch in batches(train, BATCH, generator, flat=True):
            for out in balanced.steps(**batch.inputs, target=batch.target):
                optimiser.zero_grad()
                assert out.loss is not None
                torch.autograd.backward(out.loss)
                rates.step(optimiser)
                if out.coefficients is not None:
                    largest = max(largest, float(out.coefficients.max()))
        balanced.on_epoch(_mappings(train), _mappings(validation))
        balanced.on_validation(balanced.evaluate(_mappings(validation), epoch=epoch))
    inputs = {key: x.flatten(1) for key, x in validation.inputs.items()}
    logits = balanced.eval()(**inputs).logits
    return float((logits.argmax(1) == validation.target).float().mean()), largest


def _mappings(part: Part) -> list[dict[str, torch.Tensor]]:
    return [{**{key: x.flatten(1) for key, x in part.inputs.items()}, "target": part.target}]


def table(found: dict[Cell, tuple[float, float]]) -> str:
    """Return accuracies by method and rate, those that broke marked, and the largest factors."""

    def accuracy(name: str, rate: float) -> float:
        return fmean(found[name, rate, seed][0] for seed in SEEDS)

    lines = [
        "| method | " + " | ".join(f"rate {rate:g}" for rate in RATES) + " | largest factor |",
        "|---|" + "---|" * (len(RATES) + 1),
    ]
    for name in METHODS:
        cells = []
        for rate in RATES:
            broke = accuracy(name, rate) < accuracy("Joint", rate) - BREAKS
            cells.append(f"{100 * accuracy(name, rate):.1f}{' (breaks)' if broke else ''}")
        factors = [found[name, rate, seed][1] for rate in RATES for seed in SEEDS]
        largest = f"{max(factors):.3g}" if all(map(isfinite, factors)) else "not finite"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {largest} |")
    return "\n".join(lines)


def write(path: Path, found: dict[Cell, tuple[float, float]]) -> None:
    """Write every run."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "rate", "seed", "accuracy", "largest"))
        writer.writerows((*cell, *outcome) for cell, outcome in found.items())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="write every run to this file")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    cells: list[Cell] = list(product(METHODS, RATES, SEEDS))
    with ProcessPoolExecutor(options.jobs) as pool:
        found = dict(zip(cells, pool.map(run, cells), strict=True))
    if options.out is not None:
        write(options.out, found)
    print(table(found))


if __name__ == "__main__":
    main()
