"""Quantities of methods that act on teachers, turns, samples and weights, and of MMCosine.

Part of released_values.py, which tells what is held against what.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import torch
from formulae import Pair, bound, cross_entropy, entropy, exact, logits, numbers, sized, softmax
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.methods.relearning import purity
from counterpoise.models import Cosine

__all__ = ["LATER"]


def labels(count: int, classes: int = 4) -> list[int]:
    """Draw class labels."""
    return [random.randrange(classes) for _ in range(count)]


def dgl() -> Pair:
    """CE + a sum of CE of what each modality alone comes to."""
    M, y, alpha = sized(), labels(3), random.uniform(0.1, 5)
    alone, joint = logits(M, 3, 4), logits(3, 4)
    values = torch.cat([alone, joint.unsqueeze(0)])
    coalitions = (*((m,) for m in range(M)), tuple(range(M)))
    signals = cp.Signals(
        joint,
        torch.tensor(y),
        values=values,
        coalitions=coalitions,
        criterion=F.cross_entropy,
    )
    found = bound(cp.DGL(alpha), M).loss(F.cross_entropy(joint, torch.tensor(y)), signals)
    own = sum(cross_entropy(rows, y) for rows in alone.tolist())
    return [float(found)], [cross_entropy(joint.tolist(), y) + alpha * own]


def umt() -> Pair:
    """The mean squared distance of features to teachers, weighted."""
    M, weight = sized(), random.uniform(0, 10)
    features, targets = logits(M, 3, 5), logits(M, 3, 5)
    teachers = {f"m{m}": nn.Identity() for m in range(M)}
    method = bound(cp.UMT(teachers, weight=weight), M)
    method.inputs({f"m{m}": targets[m] for m in range(M)}, None)
    signals = cp.Signals(None, None, features=tuple(features))  # type: ignore[arg-type]
    found = method.modality_losses(signals)
    assert found is not None
    pairs = zip(features.flatten(1).tolist(), targets.flatten(1).tolist(), strict=True)
    expected = [sum((a - b) ** 2 for a, b in zip(*each, strict=True)) / 15 for each in pairs]
    return found.tolist(), [weight * each for each in expected]


def reconboost() -> Pair:
    """-5 mean(y log p_m) + mean(y softmax(sum of the others) log p_m)."""
    M, y = sized(), labels(3)
    z = logits(M, 3, 4)
    method = bound(cp.ReconBoost(stage=1, weight=5.0), M)
    method.set_epoch(2 * (turn := random.randrange(M)))
    signals = cp.Signals(
        z.sum(dim=0),
        torch.tensor(y),
        unimodal_logits=z,
        criterion=F.cross_entropy,
    )
    found = method.loss(torch.tensor(0.0), signals)
    rows, expected = z.tolist(), 0.0
    for i, label in enumerate(y):
        rest = [sum(rows[m][i][c] for m in range(M) if m != turn) for c in range(4)]
        log_p = math.log(softmax(rows[turn][i])[label])
        expected += (-5 * log_p + softmax(rest)[label] * log_p) / 3
    return [float(found)], [expected]


def remix() -> Pair:
    """Who has the smallest KL(p || uniform), of each sample."""
    z = logits(sized(), 3, 4)
    rows = z.tolist()
    surety = [[math.log(4) - entropy(row) for row in each] for each in rows]
    least = [min(zip(of, range(len(of)), strict=True))[1] for of in zip(*surety, strict=True)]
    return cp.Remix().assigned(z).tolist(), least


def relearning() -> Pair:
    """The share of samples in the largest class of their cluster, of clusters far apart."""
    cluster = [0, 1, 2, *labels(6, 3)]
    y = [0, 1, 2, *labels(6, 3)]
    points = exact([[100.0 * c + x] for c, x in zip(cluster, numbers(9), strict=True)])
    counts = [[sum(k == c and v == j for k, v in zip(cluster, y, strict=True)) for j in range(3)]
              for c in range(3)]  # fmt: skip
    return [purity(points, torch.tensor(y), seed=0)], [sum(max(row) for row in counts) / 9]


def mmcosine() -> Pair:
    """The sum over modalities of s cos(f, W_c)."""
    M = sized()
    model = Cosine([5] * M, 4).double()
    f = logits(M, 2, 5)
    found = model(list(f))
    weights = [p.tolist() for name, p in model.named_parameters() if name.startswith("head.")]
    expected = []
    for i in range(2):
        for c in range(4):
            total = 0.0
            for m in range(M):
                x, w = f[m][i].tolist(), weights[m][c]
                dot = sum(a * b for a, b in zip(x, w, strict=True))
                total += 10 * dot / math.hypot(*x) / math.hypot(*w)
            expected.append(total)
    return found.flatten().tolist(), expected


def mslr() -> Pair:
    """Today's accuracy over the mean of the window before."""
    M, window = sized(), 3
    method = bound(cp.MSLR(window=window), M)
    past = [numbers(M, 0.3, 1.0) for _ in range(window + 1)]
    for epoch, accuracies in enumerate(past):
        method.on_validation(cp.Evaluation(epoch, 1.0, 0.5, None, exact(accuracies)), [])
    rates = method.learning_rates()
    assert rates is not None
    means = [sum(each[m] for each in past[:window]) / window for m in range(M)]
    return rates.tolist(), [past[-1][m] / means[m] for m in range(M)]


LATER: dict[str, Callable[[], Pair]] = {
    "DGL: loss": dgl,
    "UMT: losses": umt,
    "ReconBoost: loss of a turn": reconboost,
    "Remix: assigned modality": remix,
    "Relearning: purity": relearning,
    "MMCosine: logits": mmcosine,
    "MSLR: factors": mslr,
}
