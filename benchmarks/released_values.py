"""Hold what methods compute against their formulae, written out anew in plain Python.

    python benchmarks/released_values.py

Each line is a quantity that a paper or its released code defines, computed twice from the same
random numbers: by the method here, and by the formula in loops over modalities, samples and
classes, in float64 and without PyTorch. Printed is the largest difference over 50 draws, relative
to the larger of 1 and the value. Nothing of anybody's code is run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from formulae import Pair, bound, entropy, exact, logits, numbers, others, sized, softmax
from released_later import LATER

import counterpoise as cp
from counterpoise.methods import blend_weights, pareto_weights
from counterpoise.methods.lfm import fitted_weight
from counterpoise.methods.mcr import contrast
from counterpoise.methods.shared.losses import divergence

__all__ = ["DRAWS", "QUANTITIES", "difference"]

DRAWS = 50
# -- one function a quantity -------------------------------------------------------------------


def agm() -> Pair:
    """Clamped differences of ratios against the plain mean of all steps before."""
    M, alpha = sized(), random.uniform(0, 3)
    method = bound(cp.AGM(alpha, clamp=10.0), M)
    past: list[list[float]] = []
    found: list[float] = []
    expected: list[float] = []

    def ratio(s: Sequence[float], m: int) -> float:
        return math.exp(sum(s[j] - s[m] for j in range(M) if j != m) / (M - 1))

    for _ in range(4):
        s = numbers(M, 0, 3)
        mean = [sum(each[m] for each in past) / len(past) if past else 0.0 for m in range(M)]
        signals = cp.Signals(None, None, scores=exact(s))  # type: ignore[arg-type]
        kappa = method.coefficients(signals)
        assert kappa is not None
        found += kappa.tolist()
        gaps = [max(-10.0, min(10.0, ratio(s, m) - ratio(mean, m))) for m in range(M)]
        expected += [math.exp(-alpha * gap) for gap in gaps]
        past.append(s)
    return found, expected


def ogm() -> Pair:
    """1 - tanh(alpha rho) for who is surer than the mean of the others."""
    s, alpha = numbers(sized()), random.uniform(0, 1)
    rho = [s[m] / others(s, m) for m in range(len(s))]
    expected = [1 - math.tanh(alpha * r) if r > 1 else 1.0 for r in rho]
    return cp.OGM(alpha).coefficient(exact(s)).tolist(), expected


def opm() -> Pair:
    """Q (1 + lambda tanh(rho - 1)), at most 7/8, with rho the mean of ratios."""
    s, q, strength = numbers(sized()), random.uniform(0, 1), random.uniform(0, 2)
    rho = [others([s[m] / each for each in s], m) for m in range(len(s))]
    drop = [min(7 / 8, q * (1 + strength * math.tanh(r - 1))) if r > 1 else 0.0 for r in rho]
    return cp.OPM(q, strength).probability_of(exact(s)).tolist(), drop


def mlb() -> Pair:
    """1 + (beta - 1) tanh(alpha (r - 1)), beta_max for who is behind and 2 for who is ahead."""
    s, alpha, top = numbers(sized()), random.uniform(0, 3), random.uniform(1, 10)
    r = [others(s, m) / s[m] for m in range(len(s))]
    k = [1 + ((top if x > 1 else 2) - 1) * math.tanh(alpha * (x - 1)) for x in r]
    return cp.MLB(alpha, top).coefficient(exact(s)).tolist(), k


def cggm() -> Pair:
    """(sum d - d_m) / sum d."""
    d = numbers(sized())
    found = cp.CGGM(clamp=1e9).balance_of(exact(d)).tolist()
    return found, [(sum(d) - each) / sum(d) for each in d]


def pmr() -> Pair:
    """clip(1 / rho - 1) for who is behind, clip(rho - 1) for who is ahead."""
    s = numbers(2)
    rho = s[0] / s[1]
    behind, ahead = cp.PMR().lags(exact(s))
    clipped = [min(max(x, 0.0), 1.0) for x in (1 / rho - 1, rho - 1, rho - 1, 1 / rho - 1)]
    return [*behind.tolist(), *ahead.tolist()], clipped


def gblend() -> Pair:
    """G / O^2, normalised."""
    K = sized() + 1
    before = [[2 + x for x in numbers(K)], [2 + x for x in numbers(K)]]
    after = [[b - x for b, x in zip(row, numbers(K), strict=True)] for row in before]
    G = [before[1][k] - after[1][k] for k in range(K)]
    O = [(after[1][k] - after[0][k]) - (before[1][k] - before[0][k]) for k in range(K)]  # noqa: E741
    w = [g / max(abs(o), 0.01) ** 2 for g, o in zip(G, O, strict=True)]
    found = blend_weights(exact(before), exact(after))
    assert found is not None
    return found.tolist(), [each / sum(w) for each in w]


def mmpareto() -> Pair:
    """The shortest vector between two that conflict, as long as their sum; else their sum."""
    g, h = logits(5), logits(5)
    a, b = pareto_weights(g @ g, g @ h, h @ h)
    found = (a * g + b * h).tolist()
    x, y = g.tolist(), h.tolist()
    dot = sum(p * q for p, q in zip(x, y, strict=True))
    if dot >= 0:
        return found, [p + q for p, q in zip(x, y, strict=True)]
    xx, yy = sum(p * p for p in x), sum(q * q for q in y)
    share = min(max((yy - dot) / (xx + yy - 2 * dot), 0.0), 1.0)
    v = [share * p + (1 - share) * q for p, q in zip(x, y, strict=True)]
    length, wanted = math.hypot(*v), math.hypot(*(p + q for p, q in zip(x, y, strict=True)))
    return found, [each * wanted / length for each in v]


def arl() -> Pair:
    """softmax(T c_others u), shares of size and of inverse entropy."""
    M = sized()
    z = logits(M, 3, 4)
    rows = z.tolist()
    size = [sum(sum(abs(x) for x in row) for row in each) for each in rows]
    H = [sum(entropy(row) for row in each) / 3 for each in rows]
    c = [each / sum(size) for each in size]
    h = [max(each / sum(H), 0.3) for each in H]
    u = [(1 / each) / sum(1 / x for x in h) for each in h]
    found = cp.ARL(temperature=8.0).weights_of(z).tolist()
    return found, softmax([8 * others(c, m) * u[m] for m in range(M)])


def lfm() -> Pair:
    """The fitted polynomial, a weight at most, and the Jensen-Shannon divergence."""
    e, z = random.randrange(200), logits(2, 3, 4)
    fit = 0.2046 + 3.355e-3 * e + 1.230e-4 * e**2 - 2.929e-6 * e**3 + 2.238e-8 * e**4
    fit -= 5.397e-11 * e**5
    total = 0.0
    for one, other in zip(*z.tolist(), strict=True):
        for p, q in zip(softmax(one), softmax(other), strict=True):
            m = (p + q) / 2
            total += (p * math.log(p / m) + q * math.log(q / m)) / 2
    return [fitted_weight(e), float(divergence(z[0], z[1]))], [min(fit, 1.0), total / 3]


def cml() -> Pair:
    """What smaller subsets are surer by."""
    z = logits(sized(), 3, 4)
    tops = [[max(softmax(row)) for row in each] for each in z.tolist()]
    excess = [a - b for small, large in pairwise(tops) for a, b in zip(small, large, strict=True)]
    return [float(cp.CML().excess(z))], [sum(max(0.0, each) for each in excess) / 3]


def inforeg() -> Pair:
    """C exp(tanh(s_m - s_other)) of who is ahead."""
    s = numbers(sized(), 0, 5)
    method = bound(cp.InfoReg(0.95), len(s))
    assert isinstance(method, cp.InfoReg)
    beta = [0.95 * math.exp(math.tanh(s[m] - others(s, m))) for m in range(len(s))]
    beta = [each if s[m] == max(s) else 0.0 for m, each in enumerate(beta)]
    return method.strengths_of(exact(s)).tolist(), beta


def mcr() -> Pair:
    """The normalised-temperature cross-entropy over pairs of a class."""
    vectors, labels = logits(7, 3), [random.randrange(3) for _ in range(7)]
    rows = vectors.tolist()

    def near(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(rows[i], rows[j], strict=True))
        return math.exp(dot / math.hypot(*rows[i]) / math.hypot(*rows[j]) / 0.5)

    terms = []
    for i in range(7):
        far = sum(near(i, k) for k in range(7) if labels[k] != labels[i])
        pairs = [j for j in range(7) if j != i and labels[j] == labels[i]]
        terms += [-math.log(near(i, j) / (near(i, j) + far)) for j in pairs]
    expected = sum(terms) / max(len(terms), 1)
    return [float(contrast(vectors, torch.tensor(labels), 0.5))], [expected]


def mla() -> Pair:
    """Logits weighed by exp(max H - H_m)."""
    z = logits(sized(), 1, 4)
    rows = [each[0] for each in z.tolist()]
    H = [entropy(row) for row in rows]
    w = [math.exp(max(H) - each) for each in H]
    fused = [sum(a * row[c] for a, row in zip(w, rows, strict=True)) / sum(w) for c in range(4)]
    return cp.MLA(1).fuse(z)[0].tolist(), fused


QUANTITIES: dict[str, Callable[[], Pair]] = {
    "AGM: coefficients of four steps": agm,
    "OGM, OGM-GE: coefficients": ogm,
    "OPM: probabilities": opm,
    "MLB: coefficients": mlb,
    "CGGM: balancing terms": cggm,
    "PMR: weights of two modalities": pmr,
    "GBlend: weights": gblend,
    "MMPareto: gradient": mmpareto,
    "ARL: factors": arl,
    "LFM: fitted weight, divergence": lfm,
    "CML: excess of confidence": cml,
    "InfoReg: strengths": inforeg,
    "MCR: contrast": mcr,
    "MLA: fused logits": mla,
    **LATER,
}


def difference(quantity: Callable[[], Pair]) -> float:
    """Return the largest relative difference between method and formula over all draws."""
    random.seed(0)

    def gaps() -> Iterator[float]:
        for _ in range(DRAWS):
            found, expected = quantity()
            for f, e in zip(found, expected, strict=True):
                yield abs(f - e) / max(1.0, abs(e))

    return max(gaps())


if __name__ == "__main__":
    for name, quantity in QUANTITIES.items():
        print(f"{name:34} {difference(quantity):.1e}")
