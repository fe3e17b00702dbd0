"""What each method costs, as ratios to joint training of the same model.

    python benchmarks/methods.py                 # small networks, on the CPU
    python benchmarks/methods.py --device cuda
    python benchmarks/methods.py --write         # benchmarks/results/<date>-methods-<device>.md

All methods that the package exports take a step in turn, many times over, so that whatever else
the machine does falls on all of them alike; a figure is the median over rounds of (method / joint
of the same round). Peak memory is what a step allocates at most beyond what it starts with, as a
ratio to joint. Of methods that make several steps of a batch (MLA, Remix) all are timed together.
What is done between epochs (validation, k-means of Relearning) is not timed, nor is the training of
UMT's teachers.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from timing import LATE_AND_EARLY, Case, Step, add_options, batch, in_turn, ratio, report

import counterpoise as cp
from counterpoise.cli.list import KINDS
from counterpoise.models import MultimodalNetwork

__all__ = ["METHODS"]

Maker = Callable[[MultimodalNetwork], cp.Method]


def _by_name(name: str, _: MultimodalNetwork) -> cp.Method:
    method: cp.Method = getattr(cp, name)()
    return method


def _umt(model: MultimodalNetwork) -> cp.UMT:
    return cp.UMT({name: deepcopy(encoder) for name, encoder in model.encoders.items()})


NAMES = ["Joint", *sorted(set(KINDS["methods"]()) - {"Joint"}, key=str.lower)]
SPECIAL: dict[str, Maker] = {
    "MLA": lambda _: cp.MLA(num_batches=100),
    "Remix": lambda _: cp.Remix(warm_up=1),
    "UMT": _umt,
}
METHODS: dict[str, Maker] = {name: SPECIAL.get(name, partial(_by_name, name)) for name in NAMES}
METHODS["LFM, learned"] = lambda _: cp.LFM("learned")


def make_steps(case: Case, device: torch.device, options: argparse.Namespace) -> dict[str, Step]:
    """Return the steps of a batch by each method, on a model of its own with equal weights."""
    torch.manual_seed(0)
    base = case.make().to(device)
    inputs, target = batch(case, device)

    def step_of(make: Maker) -> Step:
        model = deepcopy(base)
        method = make(model)
        heads = model.head_paths or {}
        modalities = {
            name: cp.Modality(path, head=heads.get(name))
            for name, path in model.encoder_paths.items()
        }
        balanced = cp.Balanced(model, modalities, method).to(device)
        balanced.validate(**inputs)
        call = torch.compile(balanced) if options.compile else balanced
        optimiser = torch.optim.SGD(balanced.parameters(), lr=1e-3, momentum=0.9)
        several = "substeps" in method.places()

        def step() -> None:
            outs: Iterable[Any] = balanced.steps(**inputs, target=target) if several else [None]
            for out in outs:
                optimiser.zero_grad()
                with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
                    loss = (out or call(**inputs, target=target)).loss
                loss.backward()
                optimiser.step()

        for epoch in range(2):  # some methods need an epoch behind them before they act
            method.set_epoch(epoch)
            method.learning_rates()
            step()
        return step

    # MLA is for features that are vectors, and those of the early fusion are maps.
    fitting = {name: make for name, make in METHODS.items() if name != "MLA" or "late" in case.name}
    return {name: step_of(make) for name, make in fitting.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_options(parser)
    options = parser.parse_args()
    cases = [case for case in LATE_AND_EARLY if options.only in case.name]

    def rows(device: torch.device) -> list[Callable[[], str]]:
        measured = [in_turn(make_steps(c, device, options), device, options.rounds) for c in cases]
        plain = [f"{statistics.median(times['Joint']) * 1e3:.1f} ms" for times, _ in measured]

        def row(name: str) -> str:
            cells = [ratio(name, "Joint", times, memory) for times, memory in measured]
            return "| " + " | ".join([name, *(plain if name == "Joint" else cells)]) + " |"

        return [partial(row, name) for name in METHODS]

    remarks = [
        "Median ratio of the time for a batch to joint training, and in brackets the ratio of peak "
        "memory; level shared. Modalities' own logits are those of the heads in the additive "
        "fusion, and what the rest makes of each feature alone elsewhere. MLA and Remix make two "
        "steps of a batch, counted together; ReconBoost trains one of two modalities; MLA "
        "is for features that are vectors.",
    ]
    columns = ["method", *(case.name for case in cases)]
    report("methods", "Cost of a step by method", remarks, columns, rows, options)


if __name__ == "__main__":
    main()
