"""What each method costs, as ratios to joint training of the same model.

    python benchmarks/methods.py                 # small networks, on the CPU
    python benchmarks/methods.py --device cuda
    python benchmarks/methods.py --write         # benchmarks/results/<date>-methods-<device>.md

All methods take a step in turn, many times over, so that whatever else the machine does falls on
all of them alike; a figure is the median over rounds of (method / joint of the same round). Peak
memory is what a step allocates at most beyond what it starts with, as a ratio to joint. Methods
that act between epochs (MSES, MSLR) cost a plain step; validation is not timed.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch
from timing import LATE_AND_EARLY, Case, Step, add_options, batch, in_turn, ratio, report

import counterpoise as cp

METHODS: dict[str, Callable[[], cp.Method]] = {
    "Joint": cp.Joint,
    "AGM": cp.AGM,
    "OGM": cp.OGM,
    "OGMGE": cp.OGMGE,
    "OPM": cp.OPM,
    "MLB": cp.MLB,
    "CGGM": cp.CGGM,
    "MMPareto": cp.MMPareto,
    "PMR": cp.PMR,
    "UnimodalLoss": cp.UnimodalLoss,
    "GBlend": cp.GBlend,
    "MSES": cp.MSES,
    "MSLR": cp.MSLR,
}


def make_steps(case: Case, device: torch.device, options: argparse.Namespace) -> dict[str, Step]:
    """Return one training step a method, each on a model of its own with equal weights."""
    torch.manual_seed(0)
    base = case.make().to(device)
    inputs, target = batch(case, device)

    def step_of(method: cp.Method) -> Step:
        model = deepcopy(base)
        heads = model.head_paths or {}
        modalities = {
            name: cp.Modality(path, head=heads.get(name))
            for name, path in model.encoder_paths.items()
        }
        balanced = cp.Balanced(model, modalities, method).to(device)
        balanced.validate(**inputs)
        call = torch.compile(balanced) if options.compile else balanced
        optimiser = torch.optim.SGD(balanced.parameters(), lr=1e-3, momentum=0.9)

        def step() -> None:
            optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
                loss = call(**inputs, target=target).loss
            loss.backward()
            optimiser.step()

        for epoch in range(2):  # some methods need an epoch behind them before they act
            method.set_epoch(epoch)
            step()
        return step

    return {name: step_of(make()) for name, make in METHODS.items()}


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
        "Median ratio of step time to joint training, and in brackets the ratio of peak memory; "
        "level shared. Modalities' own logits are those of the heads in the additive fusion, and "
        "the responses of the coalitions elsewhere.",
    ]
    columns = ["method", *(case.name for case in cases)]
    report("methods", "Cost of a step by method", remarks, columns, rows, options)


if __name__ == "__main__":
    main()
