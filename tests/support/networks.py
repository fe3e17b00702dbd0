"""Small networks to wrap, one a way of fusing, for any number of modalities."""

import torch
from torch import nn

SIZES = (3, 5, 7, 11, 13)
NAMES = ("ear", "eye", "hand", "nose", "tongue")


class Encoder(nn.Module):
    """Linear, optionally batch-norm and dropout, ReLU, linear."""

    def __init__(self, size, width, *, norm=True, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(size, 8),
            nn.BatchNorm1d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(8, width),
        )

    def forward(self, x):
        return self.layers(x)


class Fused(nn.Module):
    """Encoders under a fusion; forward takes the first M of NAMES."""

    width = 6
    num_classes = 4

    def __init__(self, num_modalities, *, norm=True, dropout=0.0):
        super().__init__()
        self.names = NAMES[:num_modalities]
        for name, size in zip(self.names, SIZES, strict=False):
            setattr(self, name, Encoder(size, self.width, norm=norm, dropout=dropout))
        self.build(num_modalities, norm)

    @property
    def encoders(self):
        return {name: name for name in self.names}

    def features(self, inputs):
        return [getattr(self, name)(inputs[name]) for name in self.names]


class Late(Fused):
    def build(self, num_modalities, norm):
        self.head = nn.Linear(num_modalities * self.width, self.num_classes)

    def forward(self, **inputs):
        return self.head(torch.cat(self.features(inputs), dim=1))


class MaxOut(Fused):
    def build(self, num_modalities, norm):
        self.maps = nn.ModuleList(nn.Linear(self.width, 10) for _ in range(num_modalities))
        self.shared = nn.Sequential(
            nn.Linear(10, 9), nn.BatchNorm1d(9) if norm else nn.Identity(), nn.ReLU()
        )
        self.head = nn.Linear(9, self.num_classes)

    def forward(self, **inputs):
        mapped = [m(f) for m, f in zip(self.maps, self.features(inputs), strict=True)]
        return self.head(self.shared(torch.stack(mapped).amax(dim=0)))


class FiLM(Fused):
    """The last modality is scaled and shifted by each of the others."""

    def build(self, num_modalities, norm):
        self.films = nn.ModuleList(
            nn.Linear(self.width, 2 * self.width) for _ in range(num_modalities - 1)
        )
        self.head = nn.Linear(self.width, self.num_classes)

    def forward(self, **inputs):
        *others, modulated = self.features(inputs)
        for film, feature in zip(self.films, others, strict=True):
            scale, shift = film(feature).chunk(2, dim=1)
            modulated = torch.tanh(modulated * (1 + scale) + shift)
        return self.head(modulated)


class CrossAttention(Fused):
    """Features are tokens that attend to each other."""

    def build(self, num_modalities, norm):
        self.attention = nn.MultiheadAttention(self.width, 2, batch_first=True)
        self.head = nn.Linear(self.width, self.num_classes)

    def forward(self, **inputs):
        tokens = torch.stack(self.features(inputs), dim=1)
        attended, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.head((tokens + attended).mean(dim=1))


FUSIONS = (Late, MaxOut, FiLM, CrossAttention)


def batch(num_modalities, rows, *, dtype=torch.float64, seed=0, num_classes=Fused.num_classes):
    generator = torch.Generator().manual_seed(seed)
    inputs = {
        name: torch.randn(rows, size, generator=generator, dtype=dtype)
        for name, size in zip(NAMES[:num_modalities], SIZES, strict=False)
    }
    return inputs, torch.randint(num_classes, (rows,), generator=generator)
