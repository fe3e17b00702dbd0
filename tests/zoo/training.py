"""What training adds: adapters, tied weights, checkpointing, odd parameters, odd outputs."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from zoo.kinds import (
    CLASSES,
    SIZES,
    TWO,
    WIDTH,
    Concat,
    Kind,
    Wired,
    head,
    mlp,
    paths,
    towers,
    vectors,
    wired,
)


class Adapted(nn.Module):
    """A frozen layer with a trained update of low rank that starts at zero."""

    def __init__(self, layer, rank=2):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.layer(x) + self.up(self.down(x))


def adapted(size):
    return nn.Sequential(Adapted(nn.Linear(size, 8)), nn.Tanh(), Adapted(nn.Linear(8, WIDTH)))


class Tied(nn.Module):
    """Encoders share their last layer's weight, and the head is the transpose of another."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye = mlp(5), mlp(11)
        self.eye[2].weight = self.ear[2].weight
        self.words = nn.Parameter(torch.randn(CLASSES, 2 * WIDTH))
        self.mix = nn.Linear(2 * WIDTH, 2 * WIDTH)
        self.mix_back = self.mix

    def forward(self, ear, eye):
        x = torch.cat([self.ear(ear), self.eye(eye)], dim=1)
        x = torch.tanh(self.mix_back(torch.tanh(self.mix(x))))
        return x @ self.words.T


class SameEncoder(nn.Module):
    """One module encodes both modalities."""

    def __init__(self):
        super().__init__()
        self.stems = nn.ModuleDict({n: nn.Linear(SIZES[n], 8) for n in TWO})
        self.encoder, self.rest = nn.Linear(8, WIDTH), head()

    def forward(self, ear, eye):
        features = [self.encoder(self.stems[n](x)) for n, x in (("ear", ear), ("eye", eye))]
        return self.rest(*features)


class Checkpointed(nn.Module):
    """Recomputes an encoder, or the rest, on the way back; or both.

    Args:
        parts: Which of "encoder" and "rest".
        reentrant: The kind of checkpointing.
        norm: Whether the encoders have batch-norm.
        dropout: Of the encoders and the rest.
    """

    def __init__(self, *parts, reentrant, norm=False, dropout=0.0):
        super().__init__()
        self.parts, self.reentrant = parts, reentrant
        self.stems = nn.ModuleDict({n: nn.Linear(SIZES[n], 8) for n in TWO})
        self.ear, self.eye = mlp(8), mlp(8)
        if norm:
            self.ear.insert(1, nn.BatchNorm1d(8))
            self.eye.insert(1, nn.BatchNorm1d(8))
        self.rest = head()
        if dropout:
            self.ear.append(nn.Dropout(dropout))
            self.rest.layers.insert(1, nn.Dropout(dropout))

    def forward(self, ear, eye):
        heard, seen = self.stems["ear"](ear), self.stems["eye"](eye)
        features = [self._run("encoder", m, x) for m, x in ((self.ear, heard), (self.eye, seen))]
        return self._run("rest", self.rest, *features)

    def _run(self, part, module, *args):
        if part not in self.parts:
            return module(*args)
        return checkpoint(module, *args, use_reentrant=self.reentrant)


def uncheckpointed(model):
    model.parts = ()


def checkpointed(*parts, refusable=frozenset(), **options):
    return Kind(
        lambda: Checkpointed(*parts, **options),
        vectors(),
        {"ear": "ear", "eye": "eye"},
        twin=uncheckpointed,
        normalised=options.get("norm", False),
        refusable=refusable,
    )


class Odd(nn.Module):
    """Parameters that are integers, without a row, or of eight bits, beside ordinary ones."""

    def __init__(self):
        super().__init__()
        self.rest = head()
        self.steps = nn.Parameter(torch.tensor([3]), requires_grad=False)
        self.nothing = nn.Parameter(torch.zeros(0, WIDTH))
        small = torch.linspace(-1, 1, WIDTH).to(torch.float8_e4m3fn)
        self.small = nn.Parameter(small, requires_grad=False)

    def forward(self, a, b):
        scale = self.small.to(a.dtype) / self.steps.to(a.dtype)
        return self.rest(torch.cat([a, self.nothing.to(a)]) + scale, b)


class Quantised(nn.Module):
    """A frozen weight kept as integers with a scale."""

    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(
            torch.randint(-127, 128, (8, size), dtype=torch.int8), requires_grad=False
        )
        self.scale, self.out = nn.Parameter(torch.full((8, 1), 0.005)), nn.Linear(8, WIDTH)

    def forward(self, x):
        return self.out(torch.tanh(F.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype))))


class InPlace(nn.Module):
    """Changes the features that it is given in place."""

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, a, b):
        return self.rest(torch.relu_(a), b.mul_(1.5).add_(0.1))


class InPlaceResult(nn.Module):
    """Changes its logits in place before it returns them."""

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, a, b):
        return self.rest(a, b).mul_(2.0).add_(0.5)


@dataclass
class Result:
    """What a model returns that is no container that PyTorch knows."""

    logits: torch.Tensor
    features: torch.Tensor


class Answers(nn.Module):
    """Returns its logits in a container of some sort."""

    def __init__(self, pack):
        super().__init__()
        self.rest, self.pack = head(), pack

    def forward(self, a, b):
        return self.pack(self.rest(a, b), a, self.training)


def answers(pack, select):
    return wired(lambda: Answers(pack), select=select)


class NestedFeatures(nn.Module):
    """An encoder that returns a dictionary with a tuple in it."""

    def __init__(self, size):
        super().__init__()
        self.layers = mlp(size)

    def forward(self, x):
        hidden = self.layers(x)
        return {"pooled": hidden.tanh(), "steps": (hidden, hidden.square())}


class OfNested(nn.Module):
    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, *features):
        return self.rest(*[f["pooled"] + f["steps"][1] - f["steps"][0] for f in features])


class PartlyFrozen(nn.Module):
    """One encoder is trained no more, and runs without gradient."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = mlp(5), mlp(11).requires_grad_(False), head()

    def forward(self, ear, eye):
        with torch.no_grad():
            seen = self.eye(eye)
        return self.rest(self.ear(ear), seen)


EAR = {"ear": "ear", "eye": "eye"}
ALL = frozenset({"inputs", "features", "shared"})

KINDS = {
    "adapters": wired(head, make=adapted),
    "tied-weights": Kind(Tied, vectors(), EAR),
    "same-encoder": Kind(SameEncoder, vectors(), {}),
    "frozen-encoder": Kind(PartlyFrozen, vectors(), EAR),
    "checkpointed-encoder": checkpointed("encoder", reentrant=False),
    "checkpointed-rest": checkpointed("rest", reentrant=False),
    "checkpointed-all-with-batchnorm": checkpointed("encoder", "rest", reentrant=False, norm=True),
    "checkpointed-all-with-dropout": checkpointed("encoder", "rest", reentrant=False, dropout=0.3),
    # Called again on the way back, when nobody answers for an encoder or holds a mode any more.
    "reentrant-encoder": checkpointed("encoder", reentrant=True, refusable=ALL),
    "reentrant-rest": checkpointed("rest", reentrant=True, refusable=ALL),
    "reentrant-all-with-batchnorm": checkpointed(
        "encoder", "rest", reentrant=True, norm=True, refusable=ALL
    ),
    "reentrant-all-with-dropout": checkpointed(
        "encoder", "rest", reentrant=True, dropout=0.3, refusable=ALL
    ),
    "odd-parameters": wired(Odd),
    "quantised-encoders": wired(head, make=Quantised),
    "in-place-features": wired(InPlace),
    "in-place-logits": wired(InPlaceResult),
    "nested-features": wired(OfNested, make=NestedFeatures),
    "returns-dict": answers(lambda y, f, t: {"logits": y, "f": f}, lambda out: out["logits"]),
    "returns-dataclass": answers(lambda y, f, t: Result(y, f), lambda out: out.logits),
    "returns-tuple-in-training": answers(
        lambda y, f, t: (y, f) if t else y, lambda out: out[0] if isinstance(out, tuple) else out
    ),
    "deep-additive": Kind(
        lambda: Wired(towers(), Concat(nn.Linear(2 * WIDTH, 9), nn.Linear(9, CLASSES))),
        vectors(),
        paths(),
    ),
}
