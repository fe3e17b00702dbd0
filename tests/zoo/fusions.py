"""Ways of fusing: sums, products, gates, attention, experts, and rows that see each other."""

import torch
from torch import nn
from torch.nn import functional as F

from zoo.kinds import (
    CLASSES,
    FIVE,
    ROWS,
    THREE,
    WIDTH,
    Batch,
    Concat,
    draw,
    head,
    vectors,
    wired,
)


class Heads(nn.Module):
    """A head a modality, summed."""

    def __init__(self, count=2):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(WIDTH, CLASSES) for _ in range(count))

    def forward(self, *features):
        return sum(h(f) for h, f in zip(self.heads, features, strict=True))


class MaxOut(nn.Module):
    """The largest of the modalities' maps, entry by entry."""

    def __init__(self, count=2):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(WIDTH, 8) for _ in range(count))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, *features):
        mapped = [m(f) for m, f in zip(self.maps, features, strict=True)]
        return self.head(torch.stack(mapped).amax(dim=0))


class Gated(nn.Module):
    """One modality gates the other."""

    def __init__(self):
        super().__init__()
        self.gate, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, a, b):
        return self.head(torch.sigmoid(self.gate(a)) * torch.tanh(b))


class Bilinear(nn.Module):
    """A bilinear form for each class; ``nn.Bilinear`` does not run under autocast."""

    def __init__(self):
        super().__init__()
        self.product = nn.Parameter(0.3 * torch.randn(WIDTH, CLASSES, WIDTH))

    def forward(self, a, b):
        return torch.einsum("bi,ick,bk->bc", a, self.product, b)


class TensorFusion(nn.Module):
    """The outer product of all features, a one appended to each."""

    def __init__(self, count=2):
        super().__init__()
        self.head = nn.Linear((WIDTH + 1) ** count, CLASSES)

    def forward(self, *features):
        product = torch.ones_like(features[0][:, :1])
        for feature in features:
            longer = F.pad(feature, (0, 1), value=1.0)
            product = (product.unsqueeze(2) * longer.unsqueeze(1)).flatten(1)
        return self.head(product)


class FiLM(nn.Module):
    """One modality scales and shifts the other."""

    def __init__(self):
        super().__init__()
        self.film, self.head = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, a, b):
        scale, shift = self.film(a).chunk(2, dim=1)
        return self.head(torch.tanh(b * (1 + scale) + shift))


class CrossAttention(nn.Module):
    """Each feature, cut into two tokens, attends to the other."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)
        self.norm, self.head = nn.LayerNorm(3), nn.Linear(3, CLASSES)

    def forward(self, a, b):
        a, b = a.view(-1, 2, 3), b.view(-1, 2, 3)
        seen, _ = self.attention(a, b, b, need_weights=False)
        return self.head(self.norm(a + seen).mean(dim=1))


class Tokens(nn.Module):
    """A transformer over one token a modality, with dropout."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 13, dropout=0.2, batch_first=True)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, *features):
        return self.head(self.layer(torch.stack(features, dim=1)).mean(dim=1))


class Cosine(nn.Module):
    """Cosines between unit features and unit class vectors, a sum and a product of them."""

    def __init__(self):
        super().__init__()
        self.classes = nn.Parameter(torch.randn(2, CLASSES, WIDTH))

    def forward(self, a, b):
        cosines = [
            F.normalize(f, dim=1) @ F.normalize(w, dim=1).T
            for f, w in zip((a, b), self.classes, strict=True)
        ]
        return 3 * (cosines[0] + cosines[1] + cosines[0] * cosines[1])


class Mixture(nn.Module):
    """A mixture of experts, the best k of four a row.

    Args:
        k: Experts that a row goes to.
        room: Rows that an expert takes, first come first served; None for all.
    """

    def __init__(self, k, room=None):
        super().__init__()
        self.k, self.room = k, room
        self.router = nn.Linear(2 * WIDTH, 4)
        self.experts = nn.ModuleList(nn.Linear(2 * WIDTH, CLASSES) for _ in range(4))

    def forward(self, a, b):
        x = torch.cat([a, b], dim=1)
        chances, chosen = self.router(x).float().softmax(dim=1).topk(self.k)
        gates = torch.zeros(len(x), 4).to(chances).scatter(1, chosen, chances)
        if self.room is not None:
            gates = gates * ((gates > 0).cumsum(dim=0) <= self.room)
        answers = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (gates.to(answers).unsqueeze(2) * answers.tanh()).sum(dim=1)


class Contrast(nn.Module):
    """Logits of each row's one modality against each row's other, as CLIP has them."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, a, b):
        return self.scale.exp() * F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


class Centred(nn.Module):
    """Subtracts the mean over the rows of the batch."""

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, *features):
        return self.rest(*[f - f.mean(dim=0) for f in features])


class RowAttention(nn.Module):
    """Rows of the batch attend to each other."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(2 * WIDTH, 2)
        self.head = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, a, b):
        x = torch.cat([a, b], dim=1)
        return self.head(x + self.attention(x, x, x, need_weights=False)[0])


def contrastive(step):
    inputs = vectors()(step).inputs
    return Batch(inputs, torch.arange(ROWS))


class Segments(nn.Module):
    """Logits (B, T, C), a label for each of T segments."""

    def __init__(self):
        super().__init__()
        self.mix, self.head = nn.Linear(2 * WIDTH, 8), nn.Linear(8, CLASSES)

    def forward(self, a, b):
        return self.head(torch.tanh(self.mix(torch.cat([a, b], dim=2))))


def segments(step):
    drawn = draw(step, ear=(13, 5), eye=(13, 11))
    labels = torch.randint(CLASSES, (ROWS, 13), generator=torch.Generator().manual_seed(step))
    return Batch(drawn.inputs, labels)


KINDS = {
    "additive-concat": wired(lambda: Concat(nn.Linear(2 * WIDTH, CLASSES))),
    "additive-heads": wired(Heads),
    "additive-heads-of-three": wired(lambda: Heads(3), THREE),
    "additive-heads-of-five": wired(lambda: Heads(5), FIVE),
    "concat-mlp": wired(head),
    "concat-mlp-of-three": wired(lambda: head(3), THREE),
    "concat-mlp-of-five": wired(lambda: head(5), FIVE),
    "maxout": wired(MaxOut),
    "maxout-of-three": wired(lambda: MaxOut(3), THREE),
    "gated": wired(Gated),
    "bilinear": wired(Bilinear),
    "tensor-fusion": wired(TensorFusion),
    "tensor-fusion-of-three": wired(lambda: TensorFusion(3), THREE),
    "film": wired(FiLM),
    "cross-attention": wired(CrossAttention),
    "transformer-over-modalities": wired(Tokens),
    "transformer-over-three-modalities": wired(Tokens, THREE),
    "cosine-heads": wired(Cosine),
    "experts-top-1": wired(lambda: Mixture(1)),
    "experts-top-2": wired(lambda: Mixture(2)),
    "experts-of-limited-room": wired(lambda: Mixture(1, room=2)),
    "contrastive": wired(Contrast, batch=contrastive),
    "centred-over-the-batch": wired(Centred),
    "attention-over-rows": wired(RowAttention),
    "segments": wired(Segments, batch=segments, select=lambda out: out.transpose(1, 2)),
}
