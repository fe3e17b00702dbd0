"""What a balanced step costs, as ratios to the plain joint step of the same model.

    python benchmarks/cost.py                 # small networks, on the CPU
    python benchmarks/cost.py --device cuda   # the paper's sizes too
    python benchmarks/cost.py --write         # benchmarks/results/<date>-cost-<device>.md

All variants take a step in turn, many times over, so that whatever else the machine does falls on
all of them alike; a figure is the median over rounds of (variant / plain of the same round). Peak
memory is what a step allocates at most beyond what it starts with, as a ratio to plain.

"published" is the published way written for any M: 2^M - 1 whole-model passes, scores by a
Python loop over samples with a host read each.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import torch
from timing import Case, Step, add_options, batch, cases, in_turn, ratio, report
from torch import Tensor, nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.core.coalitions import coalitions, shapley_weights
from counterpoise.models import MultimodalNetwork

LEVELS = ("inputs", "features", "shared")
COLUMNS = (
    "model",
    "plain step, ms",
    "published way",
    *LEVELS,
    "targets: features, shared",
)


def published_step(
    model: nn.Module, names: Sequence[str], inputs: dict[str, Tensor], target: Tensor
) -> None:
    """Leave the modulated gradient in the parameters, the published way."""
    everyone = tuple(range(len(names)))
    subsets = coalitions(len(names))
    values = {everyone: model(**inputs)}
    model.eval()
    for s in subsets[:-1]:
        values[s] = model(
            **{n: inputs[n] if i in s else torch.zeros_like(inputs[n]) for i, n in enumerate(names)}
        )
    model.train()
    weights = shapley_weights(len(names)).tolist()
    phi = [sum(w * values[s] for w, s in zip(row, subsets, strict=True)) for row in weights]
    scores = []
    for response in phi:
        probabilities = response.softmax(dim=1)
        total = 0.0
        for row, label in enumerate(target.tolist()):
            total -= math.log(max(probabilities[row][label].item(), 1e-8))
        scores.append(total / len(target))
    ahead = [sum(other - own for other in scores) / (len(scores) - 1) for own in scores]
    kappa = [math.exp(-max(-10.0, min(10.0, math.exp(a) - 1))) for a in ahead]
    logits = values[everyone]
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, target), logits, retain_graph=True)
    parts = [(k * p * gradient).sum() for k, p in zip(kappa, phi, strict=True)]
    torch.autograd.backward(torch.stack(parts).sum())


def make_steps(
    case: Case, device: torch.device, *, with_published: bool, autocast: bool, compiled: bool
) -> dict[str, Step]:
    """Return one training step a variant, each on a model of its own with equal weights."""
    torch.manual_seed(0)
    base = case.make().to(device)
    inputs, target = batch(case, device)
    names = base.modalities

    def step_of(model: nn.Module, backward: Callable[[], None]) -> Step:
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

        def step() -> None:
            optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                backward()
            optimiser.step()

        return step

    def plain(model: nn.Module) -> Step:
        call = torch.compile(model) if compiled else model
        return step_of(
            model, lambda: torch.autograd.backward(F.cross_entropy(call(**inputs), target))
        )

    def level(model: MultimodalNetwork, name: str) -> Step:
        balanced = cp.Balanced(model, model.encoder_paths, cp.AGM(), coalitions=name)
        balanced.validate(**inputs)
        call = torch.compile(balanced) if compiled else balanced
        return step_of(model, lambda: call(**inputs, target=target).loss.backward())

    steps = {"plain": plain(deepcopy(base))}
    if with_published:
        model = deepcopy(base)
        steps["published"] = step_of(model, lambda: published_step(model, names, inputs, target))
    for name in LEVELS:
        if name != "inputs" or with_published:
            steps[name] = level(deepcopy(base), name)
    return steps


def measure(case: Case, device: torch.device, options: argparse.Namespace) -> str:
    """Return one row of the table."""
    few = 2 ** len(case.sample_shapes) <= 16
    steps = make_steps(
        case, device, with_published=few, autocast=options.bf16, compiled=options.compile
    )
    times, memory = in_turn(steps, device, options.rounds)
    cells = [case.name, f"{statistics.median(times['plain']) * 1e3:.1f}"]
    cells += [ratio(name, "plain", times, memory) for name in ("published", *LEVELS)]
    cells += [f"<= {case.targets[0]:g}, <= {case.targets[1]:g}" if case.targets else ""]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_options(parser)
    options = parser.parse_args()

    def rows(device: torch.device) -> list[Callable[[], str]]:
        return [partial(measure, case, device, options) for case in cases(device, options)]

    remarks = ["Median ratio of step time, and in brackets the ratio of peak memory."]
    title = "Cost of a balanced step, as ratios to the plain joint step"
    report("cost", title, remarks, COLUMNS, rows, options)


if __name__ == "__main__":
    main()
