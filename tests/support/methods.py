"""What tests of single methods share: wrapping, gradients, and worked probabilities."""

import torch
from torch import nn

import counterpoise as cp
from support.harness import network

NAMES = ("ear", "eye", "hand")


def wrapped(model, method, **options):
    """Wrap a network that names its encoders, with everything else by default."""
    return cp.Balanced(model, model.encoders, method, **options)


def grads(module):
    """Return a copy of each parameter's gradient, None where there is none."""
    return {n: None if p.grad is None else p.grad.clone() for n, p in module.named_parameters()}


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def logits_of(*probabilities):
    """Two classes; each modality's probability of the second, one sample."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([torch.zeros_like(p), p.logit()], dim=1).unsqueeze(1)


def concatenation(num_modalities=3):
    return network("late", num_modalities, norm=False)


class SharedHead(nn.Module):
    """The mean of features under one head."""

    def __init__(self, num_modalities=2):
        super().__init__()
        torch.manual_seed(5)
        self.names = NAMES[:num_modalities]
        for name, size in zip(self.names, (3, 5, 7), strict=False):
            setattr(self, name, nn.Linear(size, 4))
        self.head = nn.Linear(4, 4)
        self.double()

    @property
    def encoders(self):
        return {name: name for name in self.names}

    def forward(self, **inputs):
        return self.head(sum(getattr(self, name)(inputs[name]) for name in self.names))
