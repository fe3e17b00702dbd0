"""Recurrent encoders of every layout, and masks and lengths beside or within the modalities."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from zoo.fusions import MaxOut
from zoo.kinds import (
    CLASSES,
    ROWS,
    THREE,
    WIDTH,
    Batch,
    Kind,
    Wired,
    draw,
    head,
    mlp,
    paths,
    vectors,
    wired,
)

STEPS = 5


class Last(nn.Module):
    """The last hidden state of a recurrent layer, (B, T, F) to (B, WIDTH)."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        outputs, _ = self.layer(x)
        return outputs[:, -1]


def batch_first(layer):
    """Return a kind of two recurrent encoders with rows first."""
    return Kind(
        lambda: Wired(
            {
                "ear": Last(layer(5, WIDTH, batch_first=True)),
                "eye": Last(layer(11, WIDTH, batch_first=True)),
            },
            head(),
        ),
        lambda step: draw(step, ear=(STEPS, 5), eye=(3, 11)),
        paths(),
    )


class StepsFirst(nn.Module):
    """The encoder is the recurrent layer itself, with steps before rows."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = nn.LSTM(5, WIDTH), mlp(11), head()

    def forward(self, ear, eye):
        outputs, _ = self.ear(ear.transpose(0, 1))
        return self.rest(outputs[-1], self.eye(eye))


def steps_first(steps):
    return Kind(
        StepsFirst,
        lambda step: draw(step, ear=(steps, 5), eye=(11,)),
        {"ear": "ear", "eye": "eye"},
    )


def lengths(step):
    """Draw lengths of sequences; the first batch is unpadded."""
    if step == 0:
        return torch.full((ROWS,), STEPS)
    return torch.randint(1, STEPS + 1, (ROWS,), generator=torch.Generator().manual_seed(step))


class PackedWithin(nn.Module):
    """An encoder that packs what it is given by its lengths."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(5, WIDTH, batch_first=True)

    def forward(self, given):
        packed = pack_padded_sequence(
            given["x"], given["lengths"], batch_first=True, enforce_sorted=False
        )
        return self.layer(packed)[1][0][-1]


def packed_within(step):
    drawn = draw(step, x=(STEPS, 5), eye=(11,))
    ear = {"x": drawn.inputs["x"], "lengths": lengths(step)}
    return Batch({"ear": ear, "eye": drawn.inputs["eye"]}, drawn.target)


class PackedThrough(nn.Module):
    """The encoder is given a packed sequence and returns one."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = nn.GRU(5, WIDTH, batch_first=True), mlp(11), head()

    def forward(self, ear, eye, lengths):
        packed = pack_padded_sequence(ear, lengths, batch_first=True, enforce_sorted=False)
        _, last = self.ear(packed)
        return self.rest(last[-1], self.eye(eye))


def packed_through(step):
    drawn = draw(step, ear=(STEPS, 5), eye=(11,))
    return drawn._replace(others={"lengths": lengths(step)})


class Lengths(nn.Module):
    """Takes the mean of what the encoder made of each step, up to each row's length."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = nn.Linear(5, WIDTH), mlp(11), head()
        self.places = nn.Parameter(torch.randn(STEPS, 5))

    def forward(self, ear, eye, lengths):
        kept = (torch.arange(ear.shape[1]) < lengths.unsqueeze(1)).to(ear.dtype)
        heard = torch.tanh(self.ear(ear + self.places)) * kept.unsqueeze(2)
        return self.rest(heard.sum(dim=1) / lengths.unsqueeze(1), self.eye(eye))


class Reader(nn.Module):
    """Token ids under a mask, by self-attention, to the mean over the tokens that count."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(23, 8)
        self.places = nn.Parameter(torch.randn(STEPS, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, WIDTH)

    def forward(self, ids, mask):
        x = self.words(ids) + self.places
        seen, _ = self.attention(x, x, x, key_padding_mask=mask == 0, need_weights=False)
        kept = mask.to(x).unsqueeze(2)
        return self.out(((x + seen) * kept).sum(dim=1) / kept.sum(dim=1))


class MaskBeside(nn.Module):
    """The mask of the tokens is a keyword of its own, which the encoder is given too."""

    def __init__(self):
        super().__init__()
        self.text, self.eye, self.rest = Reader(), mlp(11), head()

    def forward(self, text, eye, attention_mask=None):
        return self.rest(self.text(text, attention_mask), self.eye(eye))


class MaskWithin(MaskBeside):
    """The mask belongs to the modality, {"ids": ..., "mask": ...}."""

    def forward(self, text, eye):
        return self.rest(self.text(**text), self.eye(eye))


class MaskBehind(MaskBeside):
    """The rest of the model looks at the mask, and the encoder does not."""

    def __init__(self):
        super().__init__()
        self.text = nn.Embedding(23, WIDTH)
        self.places = nn.Parameter(torch.randn(STEPS, WIDTH))

    def forward(self, text, eye, attention_mask=None):
        kept = attention_mask.to(self.text.weight).unsqueeze(2)
        read = ((self.text(text) + self.places) * kept).sum(dim=1) / kept.sum(dim=1)
        return self.rest(read, self.eye(eye))


def tokens(step, *, padded=None):
    """Draw ids and their mask; the first batch is unpadded unless told."""
    drawn = draw(step, eye=(11,))
    ids = torch.randint(1, 23, (ROWS, STEPS), generator=torch.Generator().manual_seed(step))
    count = lengths(step) if padded is None else torch.full((ROWS,), STEPS)
    mask = (torch.arange(STEPS) < count.unsqueeze(1)).long()
    return drawn.inputs["eye"], ids * mask, mask, drawn.target


def mask_beside(step):
    eye, ids, mask, target = tokens(step)
    return Batch({"text": ids, "eye": eye}, target, {"attention_mask": mask})


def mask_within(step):
    eye, ids, mask, target = tokens(step)
    return Batch({"text": {"ids": ids, "mask": mask}, "eye": eye}, target)


class Ruled(nn.Module):
    """Rules out one class of each row by a low logit, by a mask beside the modalities."""

    def __init__(self, low):
        super().__init__()
        self.low, self.rest = low, MaxOut(3)

    def forward(self, *features, banned):
        return self.rest(*features).masked_fill(banned, self.low)


def ruled(step):
    drawn = vectors(THREE)(step)
    banned = torch.zeros(ROWS, CLASSES, dtype=torch.bool)
    banned[torch.arange(ROWS), (drawn.target + 1) % CLASSES] = True
    return drawn._replace(others={"banned": banned})


class AlwaysRuled(nn.Module):
    """Rules out the last class of every row, by a mask of its own."""

    def __init__(self, low):
        super().__init__()
        self.low, self.rest = low, MaxOut(3)
        self.register_buffer("banned", torch.arange(CLASSES) == CLASSES - 1)

    def forward(self, *features):
        return self.rest(*features).masked_fill(self.banned, self.low)


def always_ruled(step):
    drawn = vectors(THREE)(step)
    return drawn._replace(target=drawn.target % (CLASSES - 1))


def low_logits(rest, low, batch):
    return wired(lambda: rest(low), THREE, batch=batch)


TEXT = {"text": "text", "eye": "eye"}
EAR = {"ear": "ear", "eye": "eye"}

KINDS = {
    "lstm-rows-first": batch_first(nn.LSTM),
    "gru-rows-first": batch_first(nn.GRU),
    "lstm-steps-first": steps_first(STEPS),
    "lstm-steps-first-as-many-as-rows": steps_first(ROWS),
    "lstm-packed-within": Kind(
        lambda: Wired({"ear": PackedWithin(), "eye": mlp(11)}, head()),
        packed_within,
        paths(),
        keep=frozenset({"ear.lengths"}),
    ),
    "gru-packed-through": Kind(PackedThrough, packed_through, EAR),
    "lengths-beside": Kind(Lengths, packed_through, EAR),
    "mask-beside": Kind(MaskBeside, mask_beside, TEXT),
    "mask-within": Kind(MaskWithin, mask_within, TEXT, keep=frozenset({"text.mask"})),
    "mask-behind": Kind(MaskBehind, mask_beside, TEXT),
    "class-mask-low": low_logits(Ruled, -1e9, ruled),
    "class-mask-infinite": low_logits(Ruled, -torch.inf, ruled),
    "class-always-masked-low": low_logits(AlwaysRuled, -1e9, always_ruled),
    "class-always-masked-infinite": low_logits(AlwaysRuled, -torch.inf, always_ruled),
}
