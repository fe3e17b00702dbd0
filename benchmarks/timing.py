"""What the benchmarks of cost share: networks, timing in turn, peak memory, the dated report."""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

import torch
from torch import Tensor

from counterpoise.models import MLP, Concatenation, LeNet, MultimodalNetwork, Transformer, build

__all__ = [
    "LATE_AND_EARLY",
    "Case",
    "Step",
    "add_options",
    "batch",
    "cases",
    "in_turn",
    "peak_bytes",
    "ratio",
    "report",
]

Step = Callable[[], None]

Maker = Callable[[], MultimodalNetwork]

# -- networks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A network and a batch for it."""

    name: str
    make: Maker
    sample_shapes: Mapping[str, tuple[int, ...]]
    batch_size: int
    num_classes: int
    large: bool = False
    targets: tuple[float, float] | None = None  # of the levels "features" and "shared"


def _images(encoder: str, fusion: str, names: Sequence[str] = ("first", "second")) -> Maker:
    shapes = dict.fromkeys(names, (1, 28, 28))
    return lambda: build(shapes, 10, encoder=encoder, fusion=fusion)


def _transformers(width: int, depth: int) -> Maker:
    def make() -> MultimodalNetwork:
        encoders = {n: Transformer(16, width=width, num_layers=depth) for n in "abc"}
        return MultimodalNetwork(encoders, Concatenation([width] * 3, 2))

    return make


def _eight() -> MultimodalNetwork:
    encoders = {f"m{i}": MLP(64, widths=(128, 64)) for i in range(8)}
    return MultimodalNetwork(encoders, Concatenation([64] * 8, 10))


def _eight_under_a_hidden_layer() -> MultimodalNetwork:
    encoders = {f"m{i}": LeNet() for i in range(8)}
    return MultimodalNetwork(encoders, Concatenation([64] * 8, 10, widths=(64,)))


PAIR = {"first": (1, 28, 28), "second": (1, 28, 28)}
PAPER = {"first": (1, 112, 112), "second": (1, 112, 112)}
TRIPLE = dict.fromkeys("abc", (32, 16))
EIGHT = {f"m{i}": (64,) for i in range(8)}
EIGHT_IMAGES = dict.fromkeys(EIGHT, (1, 28, 28))

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
    Case("three LeNets, concatenation, M=3", _images("lenet", "concatenation", tuple("abc")),
         dict.fromkeys("abc", (1, 28, 28)), 64, 10, targets=(2.2, 1.2)),
    Case("six LeNets, concatenation, M=6", _images("lenet", "concatenation", tuple("abcdef")),
         dict.fromkeys("abcdef", (1, 28, 28)), 64, 10, targets=(2.5, 1.2)),
    Case("eight small encoders, concatenation, M=8", _eight, EIGHT, 64, 10, targets=(3.0, 1.5)),
    Case("eight LeNets, concatenation, M=8", _images("lenet", "concatenation", tuple(EIGHT)),
         EIGHT_IMAGES, 64, 10, targets=(3.0, 1.5)),
    Case("eight LeNets, concatenation under a hidden layer, M=8", _eight_under_a_hidden_layer,
         EIGHT_IMAGES, 64, 10, targets=(3.0, 1.5)),
    Case("two ResNet-18, concatenation, M=2", _images("resnet18", "concatenation"), PAPER, 64, 10,
         large=True, targets=(2.1, 1.05)),
    Case("two ResNet-18, MaxOut early fusion, M=2", _images("resnet18", "maxout"), PAPER, 64, 10,
         large=True, targets=(2.2, 1.15)),
    Case("three transformers, M=3", _transformers(256, 6), dict.fromkeys("abc", (128, 16)), 64, 2,
         large=True, targets=(2.2, 1.10)),
)  # fmt: skip


def cases(device: torch.device, options: argparse.Namespace) -> list[Case]:
    """Return the cases that the options ask for; large ones on the CPU only if asked by name."""
    chosen = [case for case in CASES if options.only in case.name]
    every = device.type != "cpu" or options.only
    return [case for case in chosen if every or not case.large]


LATE_AND_EARLY = (
    Case("two LeNets, additive late fusion", _images("lenet", "additive"), PAIR, 64, 10),
    Case("two LeNets, MaxOut early fusion", _images("lenet", "maxout"), PAIR, 64, 10),
)


def batch(case: Case, device: torch.device) -> tuple[dict[str, Tensor], Tensor]:
    """Return random inputs and labels."""
    shapes = {n: (case.batch_size, *s) for n, s in case.sample_shapes.items()}
    inputs = {n: torch.randn(*shape, device=device) for n, shape in shapes.items()}
    return inputs, torch.randint(case.num_classes, (case.batch_size,), device=device)


# -- measuring -----------------------------------------------------------------------------------


def in_turn(
    steps: Mapping[str, Step], device: torch.device, rounds: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Let all take a step in turn, many times over; return seconds, and peaks of memory."""
    for step in steps.values():
        for _ in range(3):
            step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds_of(step, device))
    # Of several: now and then a step looks at the model, and the profiler may miss an event.
    peaks = {name: [peak_bytes(step, device) for _ in range(5)] for name, step in steps.items()}
    return times, {name: int(statistics.median(each)) for name, each in peaks.items()}


def ratio(name: str, base: str, times: dict[str, list[float]], memory: dict[str, int]) -> str:
    """Return the median ratio of times of the same round, and that of memory in brackets."""
    if name not in times:
        return "not run"
    own = statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))
    return f"{own:.2f} ({memory[name] / memory[base]:.2f})"


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
    events = profile.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    level = peak = 0
    for _, change in changes:
        level += change
        peak = max(peak, level)
    return peak


# -- reporting -----------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every benchmark of cost can be told."""
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    parser.add_argument("--bf16", action="store_true", help="under bf16 autocast")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    parser.add_argument("--write", action="store_true", help="write a dated file of results")


def report(
    script: str,
    title: str,
    remarks: Sequence[str],
    columns: Sequence[str],
    rows: Callable[[torch.device], Sequence[Callable[[], str]]],
    options: argparse.Namespace,
) -> None:
    """Print a table row by row as it is measured, and with ``--write`` keep it in a dated file."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    lines = [
        f"# {title}",
        "",
        f"`python benchmarks/{script}.py {_arguments(options)}`, {date}, torch "
        f"{torch.__version__}, Python {platform.python_version()}, {model}, "
        f"{options.threads} thread(s), {options.rounds} interleaved rounds.",
        "",
        *remarks,
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
    ]
    print("\n".join(lines), flush=True)
    for row in rows(device):
        lines.append(row())
        print(lines[-1], flush=True)
    if options.write:
        path = Path(__file__).parent / "results" / f"{date}-{script}-{device.type}.md"
        path.write_text("\n".join(lines) + "\n")


def _arguments(options: argparse.Namespace) -> str:
    flags = [
        f"--device {options.device}",
        f"--rounds {options.rounds}",
        f"--threads {options.threads}",
    ]
    flags += [f"--only {quote(options.only)}"] if options.only else []
    flags += [f"--{name}" for name in ("bf16", "compile") if getattr(options, name)]
    return " ".join(flags)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
