"""What a kind of model in the zoo is made of, and small parts that many kinds share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

ROWS, CLASSES, WIDTH = 7, 3, 6
SIZES = {"ear": 5, "eye": 11, "hand": 13, "nose": 2, "tongue": 17}
TWO, THREE, FIVE = tuple(SIZES)[:2], tuple(SIZES)[:3], tuple(SIZES)


class Batch(NamedTuple):
    """What one step is given."""

    inputs: dict[str, Any]
    target: torch.Tensor
    others: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Kind:
    """A kind of model with its data.

    Attributes:
        make: Returns the model, weights drawn from the global random state.
        batch: From the number of a step to its batch.
        encoders: Modality to path of its encoder; empty where a kind has none.
        keep: Leaves of modalities that absence leaves alone, such as "text.mask".
        select: From the model's output to its logits.
        twin: Takes from a copy of the model what changes the cost and not the numbers.
        normalised: Whether it has normalisation layers that tell batch from running statistics.
        refusable: Levels at which an error is as good as the right numbers, for the reason that
            stands beside it; everywhere else the numbers have to be right.
    """

    make: Callable[[], nn.Module]
    batch: Callable[[int], Batch]
    encoders: Mapping[str, str]
    keep: frozenset[str] = frozenset()
    select: Callable[[Any], torch.Tensor] | None = None
    twin: Callable[[nn.Module], None] | None = None
    normalised: bool = False
    refusable: frozenset[str] = frozenset()


class Wired(nn.Module):
    """An encoder a modality, and a rest that maps their features to logits.

    Args:
        encoders: By modality, in order.
        rest: Called with the features in order, and with the other keywords.
    """

    def __init__(self, encoders, rest):
        super().__init__()
        self.encoders, self.rest = nn.ModuleDict(encoders), rest

    def forward(self, **inputs):
        features = [encoder(inputs.pop(name)) for name, encoder in self.encoders.items()]
        return self.rest(*features, **inputs)


class Concat(nn.Module):
    """Layers on the concatenated features."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, *features, **others):
        return self.layers(torch.cat(features, dim=1))


def mlp(size, width=WIDTH):
    """Return a small encoder without a state."""
    return nn.Sequential(nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, width))


def towers(names=TWO, make=mlp):
    """Return an encoder for each modality."""
    return {name: make(SIZES[name]) for name in names}


def head(num_modalities=2, width=WIDTH):
    """Return a rest that couples the modalities."""
    hidden = nn.Linear(num_modalities * width, 9)
    return Concat(hidden, nn.Tanh(), nn.Linear(9, CLASSES))


def paths(names=TWO):
    """Return where ``Wired`` keeps its encoders."""
    return {name: f"encoders.{name}" for name in names}


def draw(step, rows=ROWS, classes=CLASSES, **shapes):
    """Draw a batch of normal tensors of given sample shapes; the same for the same step."""
    generator = torch.Generator().manual_seed(1000 + step)
    inputs = {
        name: torch.randn(rows, *shape, generator=generator) for name, shape in shapes.items()
    }
    return Batch(inputs, torch.randint(classes, (rows,), generator=generator))


def vectors(names=TWO, rows=ROWS):
    """Return batches of a vector a modality."""
    return lambda step: draw(step, rows, **{name: (SIZES[name],) for name in names})


def wired(rest, names=TWO, make=mlp, **traits):
    """Return a kind of vector encoders under a rest, both made anew for each model."""
    traits = {"batch": vectors(names), "encoders": paths(names), **traits}
    return Kind(lambda: Wired(towers(names, make), rest()), **traits)
