"""What it costs that the engine looks at a model, in training steps.

    python benchmarks/audits.py            # on the CPU
    python benchmarks/audits.py --write    # benchmarks/results/<date>-audits-<device>.md

An inspection comes before the first step, and an audit at steps 2, 4, 8, ... and every 1,024 steps
at the latest. Inspections, audits and steps of AGM at level "shared" take turns; a figure is the
median over rounds, in steps of the same round. The share is that of audits in a training of so many
steps.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from timing import Case, add_options, batch, cases, in_turn, report

import counterpoise as cp
from counterpoise.engine.batch import Batch
from counterpoise.engine.inspection import conclude, holds

COLUMNS = (
    "model",
    "step, ms",
    "inspection, steps",
    "audit, steps",
    "audits in 1,000 steps",
    "in 10,000",
    "in 100,000",
)


def num_audits(num_steps: int) -> int:
    """Return how many of the steps come with an audit; the first comes with an inspection."""
    return sum(n.bit_count() == 1 or n % 1024 == 0 for n in range(2, num_steps + 1))


def measure(case: Case, device: torch.device, options: argparse.Namespace) -> str:
    """Return one row of the table."""
    torch.manual_seed(0)
    model = case.make().to(device)
    inputs, target = batch(case, device)
    balanced = cp.Balanced(model, model.encoder_paths, cp.AGM())
    balanced.validate(**inputs)
    runner, given = balanced.runner, Batch.split(balanced.modalities, inputs, balanced.absent)

    def step() -> None:
        model.zero_grad()
        balanced(**inputs, target=target).loss.backward()

    def inspection() -> None:
        conclude(runner.setup, model, given.anew())

    def audit() -> None:
        holds(runner.setup, runner.facts, model, given.anew())

    turns = {"step": step, "inspection": inspection, "audit": audit}
    times, _ = in_turn(turns, device, options.rounds)

    def steps(name: str) -> float:
        pairs = zip(times[name], times["step"], strict=True)
        return statistics.median(a / b for a, b in pairs)

    cells = [case.name, f"{statistics.median(times['step']) * 1e3:.1f}"]
    cells += [f"{steps(name):.1f}" for name in ("inspection", "audit")]
    cells += [
        f"{steps('audit') * num_audits(count) / count:.2%}" for count in (1000, 10_000, 100_000)
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_options(parser)
    options = parser.parse_args()

    def rows(device: torch.device) -> list[Callable[[], str]]:
        return [partial(measure, case, device, options) for case in cases(device, options)]

    remarks = ["The aim is that audits take less than 1% of a training."]
    report("audits", "Cost of looking at a model", remarks, COLUMNS, rows, options)


if __name__ == "__main__":
    main()
