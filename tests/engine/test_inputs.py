"""What may go in and come out: pytrees, other keywords, odd outputs, shared parts."""

from copy import deepcopy
from typing import ClassVar

import pytest
import torch
from torch import nn

import counterpoise as cp
from support.networks import Encoder, Late, batch
from support.oracle import Oracle
from support.wrapping import LEVELS, gradients, wrap

ROWS, WORDS = 7, 5
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


class Reader(nn.Module):
    """Averages the embeddings of the words that the mask keeps."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 6)

    def forward(self, ids, mask):
        kept = mask.to(self.table.weight).unsqueeze(-1)
        return {"mean": (self.table(ids) * kept).sum(dim=1) / kept.sum(dim=1).clamp_min(1)}


class Caption(nn.Module):
    """Reads a pytree, looks at a tensor, takes other keywords, returns a dictionary."""

    names = ("text", "image")
    encoders: ClassVar = {"text": "reader", "image": "parts.1"}

    def __init__(self):
        super().__init__()
        self.reader = Reader()
        self.parts = nn.ModuleList([nn.Identity(), nn.Linear(3, 6)])
        self.head = nn.Linear(6, 4)

    def forward(self, text, image, *, scale=None, power=1, labels=None):
        read = self.reader(text["ids"], mask=text["mask"])["mean"]
        fused = torch.tanh(read * self.parts[1](image) + read)
        logits = self.head(fused) ** power
        if scale is not None:
            logits = logits * scale["row"]
        return {"logits": logits, "fused": fused, "labels": labels}


def logits_of(output):
    return output["logits"]


def caption_batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, WORDS + 1, (ROWS, 1), generator=generator)
    text = {
        "ids": torch.randint(11, (ROWS, WORDS), generator=generator),
        "mask": torch.arange(WORDS) < lengths,
    }
    image = torch.randn(ROWS, 3, generator=generator, dtype=torch.float64)
    return {"text": text, "image": image}, torch.randint(4, (ROWS,), generator=generator)


def caption(level, **options):
    torch.manual_seed(2)
    return wrap(Caption().double(), level, select=logits_of, **options)


def by_hand(model, inputs, absent_text, **others):
    """Responses of two modalities from three whole-model passes."""
    none = torch.zeros_like(inputs["image"])
    full = model(**inputs, **others)["logits"]
    text = model(text=inputs["text"], image=none, **others)["logits"]
    image = model(text=absent_text, image=inputs["image"], **others)["logits"]
    return torch.stack([full + text - image, full + image - text]) / 2


@pytest.mark.parametrize("level", LEVELS)
def test_a_modality_may_be_a_nest_of_tensors(level):
    balanced = caption(level)
    inputs, target = caption_batch()
    nothing = {name: torch.zeros_like(x) for name, x in inputs["text"].items()}
    expected = by_hand(balanced.model, inputs, nothing)
    out = balanced(**inputs, target=target)
    torch.testing.assert_close(out.responses, expected, **CLOSE)
    out.loss.backward()
    assert balanced.model.reader.table.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("level", LEVELS)
def test_a_nest_may_have_an_absent_value_for_each_tensor(level):
    absent = {"text": {"ids": cp.absence.Constant(10), "mask": cp.absence.Keep()}}
    balanced = caption(level, absent=absent)
    inputs, target = caption_batch()
    padded = {**inputs["text"], "ids": torch.full((ROWS, WORDS), 10)}
    expected = by_hand(balanced.model, inputs, padded)
    out = balanced(**inputs, target=target)
    torch.testing.assert_close(out.responses, expected, **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
def test_other_keywords_reach_every_pass_with_their_rows_in_step(level):
    others = {"scale": {"row": torch.rand(ROWS, 1, dtype=torch.float64)}, "power": 3}
    balanced = caption(level)
    inputs, target = caption_batch()
    nothing = {name: torch.zeros_like(x) for name, x in inputs["text"].items()}
    expected = by_hand(balanced.model, inputs, nothing, **others)
    for _ in range(2):  # the second time without the inspection of the first batch
        out = balanced(**inputs, **others, target=target)
        torch.testing.assert_close(out.responses, expected, **CLOSE)
    assert torch.equal(out.logits, balanced.model(**inputs, **others)["logits"])


def test_the_rest_with_keywords_is_really_run_as_one_batch():
    balanced = caption("shared")
    inputs, _ = caption_batch()
    balanced.validate(**inputs, scale={"row": torch.rand(ROWS, 1, dtype=torch.float64)})
    assert balanced.runner.facts.batched


@pytest.mark.parametrize("level", LEVELS)
def test_raw_is_what_the_model_returned(level):
    balanced = caption(level)
    inputs, target = caption_batch()
    for training in (True, False):
        out = balanced.train(training)(**inputs, target=target, labels="kept")
        assert out.raw.keys() == {"logits", "fused", "labels"}
        assert out.raw["labels"] == "kept"
        assert torch.equal(out.raw["logits"], out.logits)


def test_an_output_that_is_no_tensor_is_an_error_without_select():
    torch.manual_seed(2)
    balanced = cp.Balanced(Caption().double(), Caption.names)
    inputs, target = caption_batch()
    message = (
        r"The model should return a tensor of logits; found dict\. Pass `select=`, a function "
        r"from what it returns to the logits"
    )
    for training in (True, False):
        with pytest.raises(TypeError, match=message):
            balanced.train(training)(**inputs, target=target)


# -- shared parts ----------------------------------------------------------------------------------


class Tied(Late):
    """One encoder for two modalities."""

    def build(self, num_modalities, norm):
        super().build(num_modalities, norm)
        self.ear = self.eye = Encoder(5, self.width, norm=norm)


class PartlyShared(Late):
    """Different encoders for two modalities that end in the same layer."""

    def build(self, num_modalities, norm):
        super().build(num_modalities, norm)
        self.ear.layers[4] = self.eye.layers[4]


def assert_step_equals_the_oracles(balanced, inputs, target):
    oracle = Oracle(deepcopy(balanced.model), balanced.modalities, alpha=1.7)
    out = balanced(**inputs, target=target)
    out.loss.backward()
    logits, phi, _, kappa = oracle.step(inputs, target)
    assert torch.equal(out.logits, logits)
    torch.testing.assert_close(out.responses, phi, **CLOSE)
    torch.testing.assert_close(out.coefficients, torch.tensor(kappa, dtype=phi.dtype), **CLOSE)
    for name, expected in gradients(oracle.model).items():
        torch.testing.assert_close(gradients(balanced.model)[name], expected, **CLOSE)


def test_modalities_may_share_an_encoder_at_the_level_of_inputs():
    torch.manual_seed(2)
    model = Tied(2).double()
    inputs, target = batch(2, ROWS)
    inputs["ear"] = inputs["eye"].flip(0)
    assert_step_equals_the_oracles(wrap(model), inputs, target)


def test_encoders_may_share_parameters():
    torch.manual_seed(2)
    model = PartlyShared(3, norm=False).double()
    inputs, target = batch(3, ROWS)
    assert_step_equals_the_oracles(wrap(model), inputs, target)


class Stacked(nn.Module):
    """Encoders whose output has time first, as recurrent networks return it, with their state."""

    names = ("ear", "eye")
    encoders: ClassVar = {"ear": "ear", "eye": "eye"}

    def __init__(self):
        super().__init__()
        self.ear, self.eye = nn.LSTM(3, 4), nn.GRU(5, 4)
        self.head = nn.Linear(8, 4)

    def forward(self, ear, eye):
        heard, (_, cell) = self.ear(ear.transpose(0, 1))
        seen, _ = self.eye(eye.transpose(0, 1))
        fused = torch.cat([heard[-1] + cell[0], seen.amax(dim=0)], dim=1)
        return self.head(torch.tanh(fused))


@pytest.mark.parametrize("level", LEVELS)
def test_features_may_have_the_batch_elsewhere_than_first(level):
    torch.manual_seed(2)
    balanced = wrap(Stacked().double(), level)
    inputs = {
        "ear": torch.randn(ROWS, 2, 3, dtype=torch.float64),
        "eye": torch.randn(ROWS, 11, 5, dtype=torch.float64),
    }
    assert_step_equals_the_oracles(balanced, inputs, torch.randint(4, (ROWS,)))
