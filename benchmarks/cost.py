"""What a balanced step costs, as ratios to the plain joint step of the same model.

    python benchmarks/cost.py                 # small networks, on the CPU
    python benchmarks/cost.py --device cuda   # the paper's sizes too
    python benchmarks/cost.py --write         # also commit-ready: benchmarks/results/<date>-cost-<device>.md

All variants take a step in turn, many times over, so that whatever else the machine does falls on
all of them alike; a figure is the median over rounds of (variant / plain of the same round). Peak
memory is what a step allocates at most beyond what it starts with, as a ratio to plain.

"published" is the published way written for any M: 2^M - 1 whole-model passes, scores by a
Python loop over samples with a host read each.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import counterpoise as cp
import torch
from counterpoise.coalitions import coalitions, shapley_weights
from counterpoise.models import Concatenation, MaxOut, MLP, MultimodalNetwork, Transformer, build
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = ("inputs", "features", "shared")
Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """One row of the table: a network and a batch for it."""

    name: str
    make: Callable[[], MultimodalNetwork]
    sample_shapes: dict[str, tuple[int, ...]]
    batch_size: int
    num_classes: int
    large: bool = False
    targets: tuple[float, float] | None = None  # of "features" and "shared"


def _images(encoder: str, fusion: str) -> Callable[[], MultimodalNetwork]:
    shapes = {"first": (1, 28, 28), "second": (1, 28, 28)}
    return lambda: build(shapes, 10, encoder=encoder, fusion=fusion)


def _transformers(width: int, depth: int) -> Callable[[], MultimodalNetwork]:
    def make() -> MultimodalNetwork:
        encoders = {n: Transformer(16, width=width, num_layers=depth) for n in "abc"}
        return MultimodalNetwork(encoders, Concatenation([width] * 3, 2))

    return make


def _eight() -> MultimodalNetwork:
    encoders = {f"m{i}": MLP(64, widths=(128, 64)) for i in range(8)}
    return MultimodalNetwork(encoders, Concatenation([64] * 8, 10))


PAIR = {"first": (1, 28, 28), "second": (1, 28, 28)}
PAPER = {"first": (1, 112, 112), "second": (1, 112, 112)}
TRIPLE = dict.fromkeys("abc", (32, 16))
EIGHT = {f"m{i}": (64,) for i in range(8)}

CASES = (
    Case("two LeNets, concatenation, M=2", _images("lenet", "concatenation"), PAIR, 64, 10,
         targets=(2.1, 1.05)),
    Case("two LeNets, MaxOut early fusion, M=2", _images("lenet", "maxout"), PAIR, 64, 10,
         targets=(2.2, 1.15)),
    Case("two ResNet-8, concatenation, M=2", _images("resnet8", "concatenation"), PAIR, 64, 10,
         targets=(2.1, 1.05)),
    Case("two ResNet-8, MaxOut early fusion, M=2", _images("resnet8", "maxout"), PAIR, 64, 10,
         targets=(2.2, 1.15)),
    Case("three small transformers, M=3", _transformers(64, 2), TRIPLE, 32, 2,
         targets=(2.2, 1.10)),
    Case("eight small encoders, concatenation, M=8", _eight, EIGHT, 64, 10, targets=(3.0, 1.5)),
    Case("two ResNet-18, concatenation, M=2", _images("resnet18", "concatenation"), PAPER, 64, 10,
         large=True, targets=(2.1, 1.05)),
    Case("two ResNet-18, MaxOut early fusion, M=2", _images("resnet18", "maxout"), PAPER, 64, 10,
         large=True, targets=(2.2, 1.15)),
    Case("three transformers, M=3", _transformers(256, 6), dict.fromkeys("abc", (128, 16)), 64, 2,
         large=True, targets=(2.2, 1.10)),
)  # fmt: skip


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
    sum((k * p * gradient).sum() for k, p in zip(kappa, phi, strict=True)).backward()  # type: ignore[union-attr]


def make_steps(
    case: Case, device: torch.device, *, with_published: bool, autocast: bool, compiled: bool
) -> dict[str, Step]:
    """Return one training step a variant, each on a model of its own with equal weights."""
    torch.manual_seed(0)
    base = case.make().to(device)
    inputs = {
        n: torch.randn(case.batch_size, *s, device=device) for n, s in case.sample_shapes.items()
    }
    target = torch.randint(case.num_classes, (case.batch_size,), device=device)
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
        return step_of(model, lambda: F.cross_entropy(call(**inputs), target).backward())

    def level(model: MultimodalNetwork, name: str) -> Step:
        encoders = None if name == "inputs" else model.encoder_paths
        balanced = cp.Balanced(model, names, cp.AGM(), encoders=encoders, coalitions=name)
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


def seconds_of(step: Step, device: torch.device) -> float:
    """Time one step, device work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak_bytes(step: Step, device: torch.device) -> int:
    """Return what a step allocates at most beyond what stood before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(profile_memory=True) as profile:
        step()
    events = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    level = peak = 0
    for _, change in changes:
        level += change
        peak = max(peak, level)
    return peak


def measure(case: Case, device: torch.device, rounds: int, options: argparse.Namespace) -> str:
    """Return one row of the table."""
    few = 2 ** len(case.sample_shapes) <= 16
    steps = make_steps(
        case, device, with_published=few, autocast=options.bf16, compiled=options.compile
    )
    for step in steps.values():
        for _ in range(3):
            step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds_of(step, device))
    plain = times["plain"]
    memory = {name: peak_bytes(step, device) for name, step in steps.items()}

    def ratio(name: str) -> str:
        if name not in times:
            return "not run"
        own = statistics.median(a / b for a, b in zip(times[name], plain, strict=True))
        return f"{own:.2f} ({memory[name] / memory['plain']:.2f})"

    cells = [case.name, f"{statistics.median(plain) * 1e3:.1f}"]
    cells += [ratio(name) for name in ("published", *LEVELS)]
    cells += [f"<= {case.targets[0]:g}, <= {case.targets[1]:g}" if case.targets else ""]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    parser.add_argument("--bf16", action="store_true", help="under bf16 autocast")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    parser.add_argument("--write", action="store_true", help="write a dated file of results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    lines = [
        "# Cost of a balanced step, as ratios to the plain joint step",
        "",
        f"`python benchmarks/cost.py {_arguments(options)}`, {datetime.now(timezone.utc):%Y-%m-%d}, "
        f"torch {torch.__version__}, Python {platform.python_version()}, {model}, "
        f"{options.threads} thread(s), {options.rounds} interleaved rounds.",
        "",
        "Median ratio of step time, and in brackets the ratio of peak memory.",
        "",
        "| model | plain step, ms | published way | inputs | features | shared | targets: features, shared |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for case in CASES:
        if options.only in case.name and (device.type != "cpu" or not case.large):
            row = measure(case, device, options.rounds, options)
            print(row, flush=True)
            lines.append(row)
    if options.write:
        path = (
            Path(__file__).parent
            / "results"
            / f"{datetime.now(timezone.utc):%Y-%m-%d}-cost-{device.type}.md"
        )
        path.write_text("\n".join(lines) + "\n")


def _arguments(options: argparse.Namespace) -> str:
    flags = [
        f"--device {options.device}",
        f"--rounds {options.rounds}",
        f"--threads {options.threads}",
    ]
    flags += [f"--{name}" for name in ("bf16", "compile") if getattr(options, name)]
    return " ".join(flags)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
