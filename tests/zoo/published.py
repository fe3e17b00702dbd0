"""Published networks, small: what their code does that the other families do not.

Written from the papers: Tsai et al. 2019 (MulT), Yu et al. 2019 (MCAN), Li et al. 2021 (ALBEF),
Han et al. 2021 (trusted classification), van den Oord et al. 2017 (vector quantisation), Shazeer et
al. 2017 (experts), Xu et al. 2019 (graphs).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from zoo.kinds import CLASSES, SIZES, THREE, TWO, WIDTH, Batch, Kind, draw, head, mlp, wired

ROWS = (7, 5, 11)
"""Of one batch after the other."""


def rows_of(step):
    return ROWS[step % len(ROWS)]


def vectors(names=THREE):
    """Return batches of a vector a modality, of another number of rows each."""
    return lambda step: draw(step, rows_of(step), **{name: (SIZES[name],) for name in names})


def integers(step, *shape, high=23):
    generator = torch.Generator().manual_seed(step)
    return torch.randint(1, high, (rows_of(step), *shape), generator=generator)


class Places(nn.Module):
    """Sines by place, counted over steps that are not padding, in a table that is kept."""

    def __init__(self):
        super().__init__()
        self.tables = {}

    def forward(self, x):
        steps = x.shape[1]
        if len(self.tables.get(x.device, ())) <= steps:
            place = torch.arange(steps + 1).unsqueeze(1) * torch.logspace(0, -2, WIDTH)
            self.tables[x.device] = place.sin()
        filled = x[:, :, 0].ne(0)
        place = torch.arange(1, steps + 1).expand(len(x), steps) * filled
        return self.tables[x.device].to(x)[place]


class Crossmodal(nn.Module):
    """One sequence attends to another, scaled, with places added, norms first."""

    def __init__(self):
        super().__init__()
        self.places = Places()
        self.attention = nn.MultiheadAttention(WIDTH, 2, dropout=0.1, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.feed = nn.Sequential(nn.Linear(WIDTH, 9), nn.ReLU(), nn.Linear(9, WIDTH))

    def forward(self, x, other):
        x, other = (math.sqrt(WIDTH) * s + self.places(s) for s in (x, other))
        other = self.norms[0](other)
        x = x + self.attention(self.norms[0](x), other, other)[0]
        return x + self.feed(self.norms[1](x))


class MulT(nn.Module):
    """Sequences of unlike lengths, each seen by one other; projections have no bias."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(23, 8, padding_idx=0)
        self.ear, self.eye = (nn.Conv1d(size, WIDTH, 1, bias=False) for size in (5, 11))
        self.read = nn.Conv1d(8, WIDTH, 1, bias=False)
        self.cross = nn.ModuleList(Crossmodal() for _ in range(3))
        self.out = nn.Linear(3 * WIDTH, CLASSES)

    def forward(self, text, ear, eye):
        text = self.read(self.words(text).transpose(1, 2))
        found = [text, self.ear(ear.transpose(1, 2)), self.eye(eye.transpose(1, 2))]
        found = [x.transpose(1, 2) for x in found]
        last = [self.cross[i](found[i], found[i - 1])[:, -1] for i in range(3)]
        return self.out(torch.cat(last, dim=1))


def sequences(step):
    drawn = draw(step, rows_of(step), ear=(5, 5), eye=(3, 11))
    kept = torch.arange(4) < integers(step, 1, high=5)
    return drawn._replace(inputs={"text": integers(step, 4) * kept, **drawn.inputs})


class Norm(nn.Module):
    """Layer normalisation as it is often written, by the deviation and not its square."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x):
        deviation = x.std(dim=-1, keepdim=True) + 1e-6
        return self.scale * (x - x.mean(dim=-1, keepdim=True)) / deviation + self.shift


class Guided(nn.Module):
    """Attention among image regions, then to words; what is all zeros is masked."""

    def __init__(self):
        super().__init__()
        self.words, self.eye = nn.Embedding(23, WIDTH), nn.Linear(11, WIDTH)
        self.keys, self.norms = (nn.ModuleList(f() for _ in range(2)) for f in (self._map, Norm))
        self.weigh = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in range(2))
        self.out = nn.Linear(WIDTH, CLASSES)

    def forward(self, text, eye):
        masks = text.eq(0), eye.abs().sum(dim=2).eq(0)
        words, regions = self.words(text), self.eye(eye)
        for key, norm, (other, mask) in zip(
            self.keys, self.norms, ((regions, masks[1]), (words, masks[0])), strict=True
        ):
            scores = regions @ key(other).transpose(1, 2)
            seen = scores.masked_fill(mask.unsqueeze(1), -1e9).softmax(dim=2) @ other
            regions = norm(regions + seen)
        pairs = zip(self.weigh, (words, regions), masks, strict=True)
        return self.out(sum(self._pooled(*pair) for pair in pairs))

    def _map(self):
        return nn.Linear(WIDTH, WIDTH)

    def _pooled(self, weigh, x, mask):
        weights = weigh(x).masked_fill(mask.unsqueeze(2), -1e9).softmax(dim=1)
        return (weights * x).sum(dim=1)


def regions(step):
    drawn = draw(step, rows_of(step), eye=(5, 11))
    kept = torch.arange(5) < integers(step, 1, high=6)
    text = integers(step, 4) * (torch.arange(4) < integers(step, 1, high=5))
    eye = drawn.inputs["eye"] * kept.unsqueeze(2)
    return drawn._replace(inputs={"text": text, "eye": eye})


class Momentum(nn.Module):
    """Compares with a queue of features of encoders that follow; moves them in training alone."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.follows = mlp(5), mlp(11), mlp(11).requires_grad_(False)
        self.register_buffer("queue", torch.randn(WIDTH, 13))
        self.temperature, self.rest = nn.Parameter(torch.tensor(0.7)), head(2, CLASSES)
        self.match = nn.Linear(13, CLASSES)

    def forward(self, ear, eye):
        heard, seen = self.ear(ear), self.eye(eye)
        if self.training:
            self._follow(eye)
        similar = F.normalize(heard, dim=1) @ self.queue.clone().detach() / self.temperature
        return self.rest(self.match(similar), seen[:, :CLASSES])

    @torch.no_grad()
    def _follow(self, eye):
        self.temperature.clamp_(0.1, 1.0)
        pairs = zip(self.follows.parameters(), self.eye.parameters(), strict=True)
        for old, new in pairs:
            old.data = 0.9 * old.data + 0.1 * new.data
        newest = F.normalize(self.follows(eye), dim=1).T
        self.queue = torch.cat([newest, self.queue], dim=1)[:, :13]


class Trusted(nn.Module):
    """Dirichlet evidence of each modality, combined by the reduced rule of Dempster."""

    def forward(self, *evidence):
        combined, *others = [F.softplus(e[:, :CLASSES]) for e in evidence]
        for other in others:
            combined = self._combined(combined, other)
        return torch.log(combined + 1)

    def _combined(self, *pair):
        totals = [(e + 1).sum(dim=1, keepdim=True) for e in pair]
        beliefs = [e / total for e, total in zip(pair, totals, strict=True)]
        a, b, u, v = *beliefs, *(CLASSES / total for total in totals)
        agreed = (a * b + a * v + b * u) / (u * v)
        return agreed * CLASSES


class Quantised(nn.Module):
    """Codes from a book that follows what it is given in training; the gradient passes by."""

    def __init__(self):
        super().__init__()
        self.register_buffer("book", torch.randn(5, WIDTH))
        self.rest = head(3)

    def forward(self, *features):
        return self.rest(*[self._code(f) for f in features])

    def _code(self, x):
        nearest = torch.cdist(x, self.book.to(x)).argmin(dim=1)
        code = self.book.to(x)[nearest]
        if self.training:
            member = F.one_hot(nearest, 5).to(x)
            mean = member.T @ x.detach() / member.sum(dim=0).clamp_min(1).unsqueeze(1)
            used = member.any(dim=0).unsqueeze(1)
            self.book = torch.where(used, self.book.lerp(mean.to(self.book), 0.1), self.book)
        return x + (code - x).detach()


class Dispatched(nn.Module):
    """Noisy routing in training; each expert normalises the rows that it is sent."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(2 * WIDTH, 2)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * WIDTH, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
            for _ in range(2)
        )

    def forward(self, a, b):
        x = torch.cat([a, b], dim=1)
        scores = self.router(x)
        scores = scores + 0.1 * torch.randn_like(scores) if self.training else scores
        gates = scores.softmax(dim=1)
        self.balance = gates.detach().mean(dim=0).var()
        answers = x.new_zeros(len(x), CLASSES)
        for i, expert in enumerate(self.experts):
            rows = gates.argmax(dim=1).eq(i).nonzero().squeeze(1)
            if len(rows) > 1:
                answers = answers.index_add(0, rows, gates[rows, i : i + 1] * expert(x[rows]))
        return answers


class Graphs(nn.Module):
    """An encoder of all nodes of all graphs of a batch, which it pools by graph."""

    def __init__(self):
        super().__init__()
        self.into, self.norm, self.out = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, WIDTH)

    def forward(self, given):
        x, (tails, heads), owner = given["nodes"], given["edges"], given["owner"]
        x = x + torch.zeros_like(x).index_add(0, heads, x[tails])
        x = self.out(torch.relu(self.norm(self.into(x))))
        return x.new_zeros(given["size"].shape[0], WIDTH).index_add(0, owner, x)


def graphs(step):
    size = integers(step, high=4)
    owner = torch.repeat_interleave(torch.arange(len(size)), size)
    generator = torch.Generator().manual_seed(step)
    edges = torch.randint(len(owner), (2, 17), generator=generator)
    nodes = torch.randn(len(owner), 4, generator=generator)
    drawn = draw(step, rows_of(step), eye=(11,))
    graph = {"nodes": nodes, "edges": edges, "owner": owner, "size": size}
    return Batch({"graph": graph, "eye": drawn.inputs["eye"]}, drawn.target)


class OfGraphs(nn.Module):
    def __init__(self):
        super().__init__()
        self.graph, self.eye, self.rest = Graphs(), mlp(11), head()

    def forward(self, graph, eye):
        return self.rest(self.graph(graph), self.eye(eye))


EAR = {name: name for name in TWO}

KINDS = {
    "mult": Kind(MulT, sequences, {"text": "read", "ear": "ear", "eye": "eye"}),
    "mcan": Kind(Guided, regions, {"text": "words", "eye": "eye"}),
    "momentum-queue": Kind(Momentum, vectors(TWO), EAR),
    "trusted": wired(Trusted, THREE, batch=vectors()),
    "vector-quantised": wired(Quantised, THREE, batch=vectors()),
    "experts-with-batchnorm": wired(Dispatched, batch=vectors(TWO), normalised=True),
    "graphs-in-a-batch": Kind(
        OfGraphs,
        graphs,
        {"graph": "graph", "eye": "eye"},
        keep=frozenset({"graph.edges", "graph.owner", "graph.size"}),
        normalised=True,
    ),
}
