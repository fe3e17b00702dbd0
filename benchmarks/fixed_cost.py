"""What a balanced step costs beside the passes themselves, and its memory by M.

    python benchmarks/fixed_cost.py            # on the CPU
    python benchmarks/fixed_cost.py --write    # benchmarks/results/<date>-fixed_cost-<device>.md

Encoders are MLPs so small that the passes cost next to nothing. "by hand" runs the passes of AGM
at level "shared" in plain PyTorch, forward and backward (the full batch, one absent sample, the
head on each modality alone, which is enough for a linear one), and nothing else: no scores, no
coefficients, no checks. What AGM takes beyond it, and Joint beyond the plain step, is the fixed
cost. All take a step in turn; a figure is the median of differences within a round. "calls" counts
calls of Python functions of this library before the gradient is modulated; comprehensions, which
are calls in Python 3.11 and none from 3.12 on, are left out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import FrameType
from typing import Any

import torch
from timing import Step, add_options, in_turn, report
from torch import Tensor, nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.core.modulation import modulate

BATCH, WIDTH, CLASSES = 32, 16, 5
COLUMNS = (
    "modalities",
    "plain step, ms",
    "passes by hand, ms",
    "Joint beyond plain, ms",
    "AGM beyond the passes, ms",
    "AGM / plain",
    "memory beyond plain, KiB",
    "calls (files)",
)


class Tiny(nn.Module):
    """An MLP of one layer a modality, and a linear head on their features."""

    def __init__(self, num_modalities: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {f"m{i}": nn.Sequential(nn.Linear(8, WIDTH), nn.ReLU()) for i in range(num_modalities)}
        )
        self.head = nn.Linear(WIDTH * num_modalities, CLASSES)

    def forward(self, **inputs: Tensor) -> Tensor:
        """Map modalities of shape (B, 8) to logits."""
        features = [encoder(inputs[name]) for name, encoder in self.encoders.items()]
        return self.head(torch.cat(features, dim=1))  # type: ignore[no-any-return]


def by_hand(model: Tiny, inputs: Mapping[str, Tensor], target: Tensor) -> None:
    """Run the passes of AGM at level "shared", forward and backward."""
    names = list(inputs)
    features = {name: model.encoders[name](inputs[name]) for name in names}
    absent = {name: model.encoders[name](torch.zeros(1, 8, device=target.device)) for name in names}
    logits = model.head(torch.cat(list(features.values()), dim=1))
    stacked = [
        torch.cat(
            [features[n] if n == alone else absent[n].expand_as(features[n]) for alone in names]
        )
        for n in names
    ]
    others = model.head(torch.cat(stacked, dim=1))
    loss = F.cross_entropy(logits, target)
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    torch.autograd.backward([logits, others], [gradient, gradient.repeat(len(names), 1)])


def count_calls(call: Callable[[], Any]) -> tuple[int, int]:
    """Count calls into this library, and files, before the first modulation of a gradient."""
    files: list[str] = []
    done = False

    def trace(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal done
        code = frame.f_code
        done = done or code is modulate.__code__
        comprehension = code.co_name in ("<listcomp>", "<dictcomp>", "<setcomp>")
        if event == "call" and not (done or comprehension) and "counterpoise" in code.co_filename:
            files.append(code.co_filename)

    sys.setprofile(trace)
    try:
        call()
    finally:
        sys.setprofile(None)
    return len(files), len(set(files))


def steps_of(
    num_modalities: int, device: torch.device
) -> tuple[dict[str, Step], Callable[[], Any]]:
    """Return a training step a variant, and a forward pass with AGM."""
    torch.manual_seed(0)
    inputs = {f"m{i}": torch.randn(BATCH, 8, device=device) for i in range(num_modalities)}
    target = torch.randint(CLASSES, (BATCH,), device=device)

    def balanced(method: cp.Method) -> cp.Balanced:
        model = Tiny(num_modalities).to(device)
        return cp.Balanced(model, {name: f"encoders.{name}" for name in inputs}, method)

    def clean(model: nn.Module, backward: Callable[[], None]) -> Step:
        def step() -> None:
            backward()
            model.zero_grad()

        return step

    plain, hand = Tiny(num_modalities).to(device), Tiny(num_modalities).to(device)
    joint, agm = balanced(cp.Joint()), balanced(cp.AGM())
    for _ in range(40):  # past the steps in which the engine looks at the model
        agm(**inputs, target=target)
    steps = {
        "plain": clean(
            plain, lambda: torch.autograd.backward(F.cross_entropy(plain(**inputs), target))
        ),
        "hand": clean(hand, partial(by_hand, hand, inputs, target)),
        "joint": clean(joint, lambda: joint(**inputs, target=target).loss.backward()),
        "agm": clean(agm, lambda: agm(**inputs, target=target).loss.backward()),
    }
    return steps, partial(agm, **inputs, target=target)


def measure(num_modalities: int, device: torch.device, options: argparse.Namespace) -> str:
    """Return one row of the table."""
    steps, forward = steps_of(num_modalities, device)
    calls, files = count_calls(forward)
    times, memory = in_turn(steps, device, options.rounds)

    def beyond(name: str, base: str) -> str:
        pairs = zip(times[name], times[base], strict=True)
        return f"{statistics.median(a - b for a, b in pairs) * 1e3:.2f}"

    ratio = statistics.median(a / b for a, b in zip(times["agm"], times["plain"], strict=True))
    cells = [
        str(num_modalities),
        *(f"{statistics.median(times[name]) * 1e3:.2f}" for name in ("plain", "hand")),
        beyond("joint", "plain"),
        beyond("agm", "hand"),
        f"{ratio:.2f}",
        f"{(memory['agm'] - memory['plain']) / 1024:.0f}",
        f"{calls} ({files})",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_options(parser)
    parser.set_defaults(rounds=400)
    options = parser.parse_args()

    def rows(device: torch.device) -> list[Callable[[], str]]:
        return [partial(measure, m, device, options) for m in (2, 3, 4, 6, 8)]

    remarks = ["Tiny MLPs, batches of 32. Targets: AGM at most 0.4 ms, Joint at most 0.05 ms."]
    report("fixed_cost", "Fixed cost of a balanced step", remarks, COLUMNS, rows, options)


if __name__ == "__main__":
    main()
