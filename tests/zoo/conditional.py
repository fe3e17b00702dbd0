"""Models that look simpler on the first batch than they are: silent paths, caps, switches."""

from dataclasses import replace

import torch
from torch import nn

from zoo.kinds import CLASSES, THREE, WIDTH, Concat, draw, head, mlp, vectors, wired


def added():
    """Return a rest that is a sum over three modalities."""
    return Concat(nn.Linear(3 * WIDTH, CLASSES))


class Silent(nn.Module):
    """A sum, and beside it a product of the modalities through a layer that starts at zero."""

    def __init__(self):
        super().__init__()
        self.sum = added()
        self.skip = nn.Linear(WIDTH, CLASSES)
        nn.init.zeros_(self.skip.weight)
        nn.init.zeros_(self.skip.bias)

    def forward(self, *features):
        return self.sum(*features) + self.skip(torch.stack(features).prod(dim=0))


class SilentGate(nn.Module):
    """A sum, and a coupled part behind a single gate that starts at zero."""

    def __init__(self):
        super().__init__()
        self.sum, self.coupled = added(), head(3)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, *features):
        return self.sum(*features) + self.gate.tanh() * self.coupled(*features)


class SilentFiLM(nn.Module):
    """FiLM that starts as the identity; the modality that scales has a path of its own."""

    def __init__(self):
        super().__init__()
        self.film = nn.Linear(WIDTH, 2 * WIDTH)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        self.sum = added()

    def forward(self, a, b, c):
        scale, shift = self.film(a).chunk(2, dim=1)
        return self.sum(a, b * (1 + scale) + shift, c)


class OwnWeights(nn.Module):
    """Couples the modalities only where a gain is above 2, as its own is and random ones are not.

    Args:
        alone: Whether nothing but the coupled part makes the logits, which are then constant
            under random weights.
    """

    def __init__(self, *, alone):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([2.7]))
        self.coupled = head(3)
        self.sum = None if alone else added()

    def forward(self, *features):
        coupled = (self.gain - 2).clamp(0, 1) * self.coupled(*features)
        return coupled if self.sum is None else coupled + self.sum(*features)


class RowsOfOwnWeights(nn.Module):
    """Rows see each other only where a gain is above 2, as its own is and random ones are not."""

    def __init__(self):
        super().__init__()
        self.gain, self.rest = nn.Parameter(torch.tensor([2.7])), head(3)

    def forward(self, *features):
        mixed = (self.gain - 2).clamp(0, 1)
        return self.rest(*[f - mixed * f.mean(dim=0) for f in features])


class Capped(nn.Module):
    """A sum that is cut off at 10, which the first batch does not reach."""

    def __init__(self):
        super().__init__()
        self.sum = added()

    def forward(self, *features):
        return self.sum(*features).clamp(-10, 10)


def growing(step):
    """Draw batches that are many times as large after the first."""
    drawn = vectors(THREE)(step)
    scale = 1.0 if step == 0 else 50.0
    return drawn._replace(inputs={n: scale * x for n, x in drawn.inputs.items()})


class Thresholded(nn.Module):
    """Couples the modalities where a product of features is large; none is in the first batch."""

    def __init__(self):
        super().__init__()
        self.sum = added()

    def forward(self, a, b, c):
        extra = torch.relu((a * b * c).sum(dim=1, keepdim=True) - 100)
        return self.sum(a, b, c) + 1e-4 * extra


class Switched(nn.Module):
    """Another function of the features for each task."""

    def __init__(self):
        super().__init__()
        self.sum, self.coupled = added(), head(3)

    def forward(self, *features, task):
        rest = self.coupled if task in (1, "hard") else self.sum
        return rest(*features)


class Labelled(nn.Module):
    """Takes a clip's name, which changes each batch, and makes nothing of it."""

    def __init__(self):
        super().__init__()
        self.rest = head(3)

    def forward(self, *features, clip):
        assert clip.startswith("clip-")
        return self.rest(*features)


def beside(**others):
    """Return batches of vectors with other keywords, each a function of the step."""

    def batch(step):
        given = {name: make(step) for name, make in others.items()}
        return vectors(THREE)(step)._replace(others=given)

    return batch


class Annealed(nn.Module):
    """A temperature given as a number, which changes each batch."""

    def __init__(self):
        super().__init__()
        self.rest = head(3)

    def forward(self, *features, temperature):
        return self.rest(*features) / temperature


class Skipping(nn.Module):
    """Leaves out an encoder at random in training: modality dropout that saves its cost."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = mlp(5), mlp(11), head()

    def forward(self, ear, eye):
        skips = self.training and torch.rand(()) < 0.4
        heard = ear.new_zeros(len(ear), WIDTH).to(self.eye[0].weight) if skips else self.ear(ear)
        return self.rest(heard, self.eye(eye))


class ModalityDropout(nn.Module):
    """Zeroes the features of a modality for random rows in training."""

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, a, b):
        if self.training:
            a = a * (torch.rand(len(a), 1) < 0.7).to(a)
        return self.rest(a, b)


class TwiceInEval(nn.Module):
    """Calls an encoder twice in eval mode, once for each of two views."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = mlp(5), mlp(11), head()

    def forward(self, ear, eye):
        heard = self.ear(ear)
        if not self.training:
            heard = (heard + self.ear(ear.flip(1))) / 2
        return self.rest(heard, self.eye(eye))


def first_is_nan(step):
    drawn = vectors()(step)
    if step == 0:
        drawn.inputs["ear"][3] = torch.nan
    return drawn


def first_is_absent(step):
    """Draw a first batch in which two of three modalities are zeros."""
    drawn = vectors(THREE)(step)
    if step == 0:
        drawn.inputs["eye"].zero_()
        drawn.inputs["hand"].zero_()
    return drawn


def first_is_one_row(step):
    return draw(step, 1 if step == 0 else 7, ear=(5,), eye=(11,))


EAR = {"ear": "ear", "eye": "eye"}
SKIPPING = wired(lambda: None, encoders=EAR)


def linear(size):
    """Return an encoder that grows with its input."""
    return nn.Linear(size, WIDTH)


def three(rest, **traits):
    """Return a kind of three modalities: with two there is nothing to save by a wrong guess."""
    return wired(rest, THREE, **traits)


KINDS = {
    "silent-skip": three(Silent),
    "silent-gate": three(SilentGate),
    "silent-film": three(SilentFiLM),
    "active-with-own-weights": three(lambda: OwnWeights(alone=False)),
    "constant-under-random-weights": three(lambda: OwnWeights(alone=True)),
    "rows-mixed-with-own-weights": three(RowsOfOwnWeights),
    "cap-reached-later": three(Capped, batch=growing, make=linear),
    "threshold-reached-later": three(Thresholded, batch=growing, make=linear),
    "switched-by-number": three(Switched, batch=beside(task=lambda step: step % 2)),
    "switched-by-word": three(Switched, batch=beside(task=lambda step: ("easy", "hard")[step % 2])),
    "clip-names": three(Labelled, batch=beside(clip=lambda step: f"clip-{step}")),
    "temperature": three(Annealed, batch=beside(temperature=lambda step: 1.0 + 0.1 * step)),
    # A present modality without features in the full pass has no shared ones.
    "encoder-skipped-in-training": replace(
        SKIPPING, make=Skipping, refusable=frozenset({"features", "shared"})
    ),
    "modality-dropout": wired(ModalityDropout),
    # Which of two calls is the encoder's output, nobody can tell.
    "encoder-twice-in-eval": replace(
        SKIPPING, make=TwiceInEval, refusable=frozenset({"features", "shared"})
    ),
    "nan-in-the-first-batch": wired(head, batch=first_is_nan),
    "absent-in-the-first-batch": three(lambda: head(3), batch=first_is_absent),
    "one-row-in-the-first-batch": wired(head, batch=first_is_one_row),
}
