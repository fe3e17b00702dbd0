"""A slow judge of a training step: whole passes of a copy of the model, and loops.

It shares no code with the library. A step is judged on a copy, which holds the weights and buffers
that the step begins with. The full pass runs in the mode that the model is in; every other
coalition is a whole pass with absent inputs and dropout off. What normalisation layers do there,
and whether present features are those of the full pass, is set by ``statistics`` and ``level``.

Legend: M modalities, S a coalition (indices of the modalities present), v(S) its logits, phi_m the
response of modality m, s_m its score, kappa_m its coefficient, g the gradient of the loss at the
logits of the full pass.
"""

import math
from contextlib import nullcontext
from copy import copy
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.full_pass import Features, NormStatistics, copied

FLOOR = 1e-8
"""The least probability that a score counts."""


class Verdict(NamedTuple):
    """What one step should come to.

    Attributes:
        logits: v(all), (B, ...).
        responses: phi, (M, B, ...).
        scores: s, M numbers.
        coefficients: kappa, M numbers.
        gradients: By parameter, zeros where nothing depends on it.
    """

    logits: Tensor
    responses: Tensor
    scores: list[float]
    coefficients: list[float]
    gradients: dict[str, Tensor]


class Oracle:
    """Judges the steps of one training run.

    Args:
        names: The modalities in order.
        alpha: Strength of modulation.
        clamp: The largest difference of ratios that counts.
        bound: The largest factor of a coefficient; None for any.
        statistics: "batch" or "running", for normalisation layers in coalitions but the full one.
        encoders: Modality to path, where present features are those of the full pass (level
            "shared"); none where every pass is a whole one.
        keep: Leaves of modalities that absence leaves alone, such as "text.mask".
        select: From the model's output to its logits.
        twin: Takes from the copy what changes the cost and not the numbers, such as
            checkpointing.
        autocast: Half precision of the passes; None for none.
    """

    def __init__(
        self,
        names,
        *,
        alpha,
        clamp=10.0,
        bound=None,
        statistics="batch",
        encoders=None,
        keep=(),
        select=None,
        twin=None,
        autocast=None,
    ):
        self.names, self.alpha, self.clamp, self.bound = tuple(names), alpha, clamp, bound
        self.statistics, self.encoders = statistics, dict(encoders or {})
        self.keep, self.select = frozenset(keep), select or (lambda output: output)
        self.twin, self.autocast = twin, autocast
        self.history: list[list[float]] = []

    def step(self, model, inputs, target, others) -> Verdict:
        """Judge a step of a copy of the model, which is used up; draws at random as a pass does."""
        if self.twin is not None:
            self.twin(model)
        parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        with self._precision():
            values = self._values(model, inputs, others)
            logits = values[tuple(range(len(self.names)))]
            loss = F.cross_entropy(logits, target)
            (g,) = torch.autograd.grad(loss, logits, retain_graph=True)
        responses = self._responses(values)
        scores = [score(phi.detach(), target) for phi in responses]
        coefficients = self._coefficients(scores)
        seeds = [k * g.to(phi.dtype) for k, phi in zip(coefficients, responses, strict=True)]
        found = torch.autograd.grad(
            responses, list(parameters.values()), seeds, allow_unused=True, materialize_grads=True
        )
        return Verdict(
            logits.detach(),
            torch.stack([phi.detach() for phi in responses]),
            scores,
            coefficients,
            dict(zip(parameters, found, strict=True)),
        )

    def remember(self, scores):
        """Let the scores of a step count from the next one on, if they are finite."""
        if all(math.isfinite(s) for s in scores):
            self.history.append(scores)

    def in_full_precision(self):
        """Return one that has seen the same and judges without half precision."""
        finer = copy(self)
        finer.autocast = None
        return finer

    # -- values of coalitions ----------------------------------------------------------------

    def _values(self, model, inputs, others) -> dict[tuple[int, ...], Tensor]:
        norms, features = NormStatistics(model), Features(model, self.encoders)
        everyone = tuple(range(len(self.names)))
        with norms.recorded(), features.recorded():
            values = {everyone: self.select(model(**copied(inputs), **others))}
        model.eval()
        for size in range(1, len(self.names)):
            for s in combinations(everyone, size):
                given = {
                    name: copied(inputs[name]) if i in s else self._absent(name, inputs[name])
                    for i, name in enumerate(self.names)
                }
                present = {self.names[i] for i in s}
                replayed = norms.replayed() if self.statistics == "batch" else nullcontext()
                with replayed, features.replayed(present):
                    values[s] = self.select(model(**given, **others))
        return values

    def _absent(self, path, value):
        if path in self.keep:
            return value
        if isinstance(value, Tensor):
            return torch.zeros_like(value)
        assert isinstance(value, dict), f"the zoo knows absent tensors and dicts, not {value!r}"
        return {key: self._absent(f"{path}.{key}", leaf) for key, leaf in value.items()}

    def _precision(self):
        return torch.autocast("cpu", self.autocast) if self.autocast else nullcontext()

    # -- responses, scores, coefficients -----------------------------------------------------

    def _responses(self, values) -> list[Tensor]:
        count = len(self.names)
        wide = {s: v.to(torch.promote_types(v.dtype, torch.float32)) for s, v in values.items()}
        banned = torch.stack([v.detach() == -math.inf for v in wide.values()]).all(dim=0)
        responses = []
        for m in range(count):
            phi = 0
            for s, weight in shapley(count, m).items():
                phi = phi + weight * wide[s]
            # A class that every coalition rules out is ruled out for each modality: the limit of
            # ever lower logits, where the differences above are inf - inf.
            responses.append(phi.masked_fill(banned, -math.inf) if banned.any() else phi)
        return responses

    def _coefficients(self, scores) -> list[float]:
        count = len(scores)
        if not all(math.isfinite(s) for s in scores):
            return [1.0] * count
        past = [sum(column) / len(self.history) for column in zip(*self.history, strict=True)]
        kappa = []
        for m in range(count):
            tau = ratio(past, m) if self.history else 1.0
            difference = max(-self.clamp, min(self.clamp, ratio(scores, m) - tau))
            factor = math.exp(-self.alpha * difference)
            if self.bound is not None:
                factor = max(1 / self.bound, min(self.bound, factor))
            kappa.append(factor)
        return kappa


def shapley(count, m) -> dict[tuple[int, ...], float]:
    """Return the weight of each coalition in phi_m; that of the empty one cancels and is left out.

    phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! [v(S + m) - v(S)] + v(none) / M.
    """
    weights: dict[tuple[int, ...], float] = {(): 1 / count}
    for size in range(count):
        for s in combinations([j for j in range(count) if j != m], size):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            joined = tuple(sorted((*s, m)))
            weights[joined] = weights.get(joined, 0) + weight
            weights[s] = weights.get(s, 0) - weight
    assert abs(weights.pop(())) < 1e-12
    return weights


def score(phi, target) -> float:
    """Return the mean over samples of the cross-entropy, each the mean over its entries."""
    total = 0.0
    for logits, labels in zip(phi.double(), target, strict=True):
        columns = logits.flatten(1).T if logits.dim() > 1 else [logits]
        losses = []
        for column, label in zip(columns, labels.flatten(), strict=True):
            chance = torch.softmax(column, dim=0)[label].item()
            losses.append(-math.log(max(chance, FLOOR)) if chance == chance else math.nan)
        total += sum(losses) / len(losses)
    return total / len(target)


def ratio(scores, m) -> float:
    """Return r_m = exp(mean over j other than m of s_j - s_m)."""
    others = [s for j, s in enumerate(scores) if j != m]
    return math.exp(sum(s - scores[m] for s in others) / len(others))
