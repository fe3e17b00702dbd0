"""Networks whose encoders are of the kinds that people have, on the inputs of the others."""

import torch
from torch import nn

from support.networks import NAMES, SIZES, Fused, Late


class Recurrent(nn.Module):
    """Reads a vector as a sequence of numbers; returns outputs and state."""

    def __init__(self, size, width, **options):
        super().__init__()
        self.layer = nn.GRU(1, width, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.layer(x.unsqueeze(2))


class Transformer(nn.Module):
    """Reads a vector as a sequence of numbers; returns the mean of its tokens."""

    def __init__(self, size, width, **options):
        super().__init__()
        self.token = nn.Linear(1, width)
        self.place = nn.Parameter(0.1 * torch.randn(size, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 11, dropout=0.1, batch_first=True)

    def forward(self, x):
        return self.layer(self.token(x.unsqueeze(2)) + self.place).mean(dim=1)


class Words(nn.Module):
    """Reads the signs of a vector as words, of which each place has two of its own."""

    sparse = False

    def __init__(self, size, width, **options):
        super().__init__()
        self.words = nn.Embedding(2 * size, width, sparse=self.sparse)

    def forward(self, x):
        places = 2 * torch.arange(x.shape[1], device=x.device)
        return self.words(places + x.gt(0)).mean(dim=1)


class SparseWords(Words):
    """The same, with gradients that hold the rows of the words that were met."""

    sparse = True


class Various(Fused):
    """A linear head on a concatenation of what encoders of one kind return."""

    kind = Transformer

    def __init__(self, num_modalities):
        nn.Module.__init__(self)
        torch.manual_seed(5)
        self.names = NAMES[:num_modalities]
        for name, size in zip(self.names, SIZES, strict=False):
            setattr(self, name, self.kind(size, self.width))
        self.head = nn.Linear(num_modalities * self.width, self.num_classes)

    def forward(self, **inputs):
        return self.head(torch.cat(self.features(inputs), dim=1))


class OfStates(Various):
    """The same on the mean of the outputs and the last state."""

    kind = Recurrent

    def forward(self, **inputs):
        pairs = self.features(inputs)
        vectors = [outputs.mean(dim=1) + state[-1] for outputs, state in pairs]
        return self.head(torch.cat(vectors, dim=1))


def batch_norm(num_modalities):
    torch.manual_seed(5)
    return Late(num_modalities, norm=True)


class OfWords(Various):
    kind = Words


class OfSparseWords(Various):
    kind = SparseWords


KINDS = {"batch-norm": batch_norm, "recurrent": OfStates, "transformer": Various}
