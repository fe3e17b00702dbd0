"""A slow, obviously right AGM: whole-model passes and loops over samples, subsets, modalities."""

import math
from itertools import combinations

import torch
from torch.nn import functional as F


def response_weights(num_modalities):
    """phi_m as {coalition: weight}, straight from the formula, the empty coalition included."""
    everyone = range(num_modalities)
    weights = [{} for _ in everyone]
    for m in everyone:
        others = [j for j in everyone if j != m]
        for size in range(num_modalities):
            for s in combinations(others, size):
                w = (
                    math.factorial(size)
                    * math.factorial(num_modalities - size - 1)
                    / math.factorial(num_modalities)
                )
                joined = tuple(sorted((*s, m)))
                weights[m][joined] = weights[m].get(joined, 0) + w
                weights[m][s] = weights[m].get(s, 0) - w
        weights[m][()] = weights[m].get((), 0) + 1 / num_modalities
    return weights


class Oracle:
    """One model's modulated steps, with zeros for absent modalities."""

    def __init__(self, model, names, alpha, clamp=10.0):
        self.model, self.names, self.alpha, self.clamp = model, names, alpha, clamp
        self.history = []

    def step(self, inputs, target):
        """Leave the modulated gradient in the parameters; return logits, phi, s, kappa."""
        m_all = range(len(self.names))
        everyone = tuple(m_all)
        values = {everyone: self.model(**inputs)}
        flags = {module: module.training for module in self.model.modules()}
        self.model.eval()
        for size in range(len(self.names)):
            for s in combinations(everyone, size):
                given = {
                    n: inputs[n] if i in s else torch.zeros_like(inputs[n])
                    for i, n in enumerate(self.names)
                }
                values[s] = self.model(**given)
        for module, flag in flags.items():
            module.training = flag
        weights = response_weights(len(self.names))
        phi = [sum(w * values[s] for s, w in weights[m].items()) for m in m_all]
        scores = []
        for m in m_all:
            losses = []
            for row, label in zip(phi[m], target, strict=True):
                p = torch.softmax(row, dim=0)[label].item()
                losses.append(-math.log(max(p, 1e-8)))
            scores.append(sum(losses) / len(losses))
        kappa = self.coefficients(scores)
        logits = values[everyone]
        loss = F.cross_entropy(logits, target)
        (g,) = torch.autograd.grad(loss, logits, retain_graph=True)
        surrogate = sum((k * p * g.detach()).sum() for k, p in zip(kappa, phi, strict=True))
        surrogate.backward()
        return logits.detach(), torch.stack(phi).detach(), scores, kappa

    def coefficients(self, scores):
        n = len(scores)

        def ratio(s, m):
            return math.exp(sum(s[j] - s[m] for j in range(n) if j != m) / (n - 1))

        kappa = []
        for m in range(n):
            tau = 1.0
            if self.history:
                past = [sum(h[j] for h in self.history) / len(self.history) for j in range(n)]
                tau = ratio(past, m)
            difference = max(-self.clamp, min(self.clamp, ratio(scores, m) - tau))
            kappa.append(math.exp(-self.alpha * difference))
        self.history.append(scores)
        return kappa
