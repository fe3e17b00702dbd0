"""What a model does in training alone, and its coalitions do not, is told at the first step."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import counterpoise as cp
from counterpoise.engine import two_modes
from support.networks import Late, batch
from support.wrapping import wrap

TOLD = "should compute the same in train and in eval mode"


class ByHand(nn.Module):
    """A batch normalisation that calls nothing of PyTorch's."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, x):
        mean, deviation = self.mean, self.deviation
        if self.training:
            mean, deviation = x.mean(dim=0), x.std(dim=0)
            self.mean.lerp_(mean.detach(), 0.1)
            self.deviation.lerp_(deviation.detach(), 0.1)
        return (x - mean) / deviation


class Attention(nn.Module):
    """Dropout in the ways that leave no layer of their own."""

    def forward(self, x):
        share = 0.5 if self.training else 0.0
        x = F.dropout(x, 0.5, self.training).unsqueeze(1)
        x = F.scaled_dot_product_attention(x, x, x, dropout_p=share)
        return F.scaled_dot_product_attention(x, x, x, None, share, False).squeeze(1)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x) if self.training else x


class Twice(nn.Module):
    """Differs in its shape."""

    def forward(self, x):
        return torch.cat([x, x], dim=1) if self.training else x


class Doubled(Late):
    """Differs by mode itself, and none of its layers does."""

    def forward(self, **inputs):
        return super().forward(**inputs) * (2.0 if self.training else 1.0)


class Between(Late):
    """Centres features by its own code, between layers of PyTorch's."""

    def forward(self, **inputs):
        features = [getattr(self, name)(x) for name, x in inputs.items()]
        features = [f - f.mean(dim=0) if self.training else f for f in features]
        return self.head(torch.cat(features, dim=1))


class Bank(nn.Module):
    """Keeps a tensor that is no buffer, and moves it in training."""

    def __init__(self):
        super().__init__()
        self.bank = torch.zeros(8)

    def forward(self, x):
        if self.training:
            self.bank += x.detach().mean(dim=0)
        return x


def make(part=None, *, behind=None, kind=Late):
    """Return a model with a part in an encoder, and one behind the fusion."""
    torch.manual_seed(5)
    model = kind(2, norm=False).double()
    if part is not None:
        model.ear.layers[1] = part.double()
    if behind is not None:
        model.head = nn.Sequential(behind.double(), model.head)
    return model


def train(model, level="shared", method=None, statistics="batch"):
    """Take two steps; return what was said."""
    balanced = wrap(model, level, method, statistics=statistics)
    inputs, target = batch(2, 7)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            balanced(**inputs, target=target).loss.backward()
    return [str(warning.message) for warning in told]


@pytest.mark.parametrize("level", ["inputs", "features", "shared"])
@pytest.mark.parametrize(
    ("model", "name"),
    [
        (lambda: make(ByHand(8)), "'ear.layers.1', a ByHand,"),
        (lambda: make(behind=ByHand(12)), "'head.0', a ByHand,"),
        (lambda: make(nn.Sequential(nn.Dropout(0.5), ByHand(8))), "'ear.layers.1.1', a ByHand,"),
        (lambda: make(nn.Sequential(Attention(), ByHand(8))), "'ear.layers.1.1', a ByHand,"),
        (lambda: make(ByHand(8), behind=Noise()), "'ear.layers.1', a ByHand,"),
        (
            lambda: make(nn.Sequential(Twice(), nn.AdaptiveAvgPool1d(8))),
            "'ear.layers.1.0', a Twice,",
        ),
        (lambda: make(kind=Doubled), "the Doubled itself"),
        (lambda: make(kind=Between), "the Between itself"),
        (lambda: make(behind=nn.BatchNorm1d(12), kind=Between), "the Between itself"),
    ],
)
def test_what_differs_from_training_is_named_once(level, model, name):
    (told,) = train(model(), level)
    assert TOLD in told
    assert f"found that {name} does not" in told


@pytest.mark.parametrize(
    "model",
    [
        lambda: make(nn.BatchNorm1d(8), behind=nn.BatchNorm1d(12)),
        lambda: make(Attention(), behind=nn.AlphaDropout(0.5)),
        lambda: make(nn.TransformerEncoderLayer(8, 2, 5, dropout=0.5)),
        lambda: make(nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))),
        lambda: make(nn.Sequential(Noise(), ByHand(8))),  # who could tell, behind noise
    ],
)
def test_dropout_and_the_layers_of_pytorch_are_meant_to_differ(model):
    assert train(model()) == []


class Checkpointed(nn.Linear):
    """Saves memory in training alone, as most models do that can."""

    def forward(self, x):
        own = super().forward
        return checkpoint(own, x, use_reentrant=True) if self.training else own(x)


def test_checkpoints_do_not_warn_of_a_gradient_that_nobody_asks_for():
    assert train(make(Checkpointed(8, 8))) == []


def test_a_part_that_is_frozen_in_eval_mode_is_what_it_is():
    model = make(ByHand(8))
    model.ear.layers[1].eval()
    assert train(model) == []


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"method": cp.Joint()}, 0),
        ({"method": cp.OGM()}, 0),  # which goes backward through no coalition
        ({"method": cp.UnimodalLoss()}, 1),
        ({"statistics": "running"}, 0),  # which is told of PyTorch's layers instead
    ],
)
def test_who_goes_backward_through_coalitions_is_told(options, count):
    assert len(train(make(ByHand(8)), **options)) == count


def test_the_model_is_left_as_it_was():
    model = make(nn.Sequential(ByHand(8), nn.Dropout(0.5)), behind=Noise())
    balanced = wrap(model, "shared", statistics="batch")
    inputs, _ = batch(2, 7)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    with pytest.warns(UserWarning, match=TOLD):
        balanced.validate(**inputs)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_tensor_that_is_no_buffer_is_left_as_it_was():
    model = make(Bank(), behind=ByHand(12))
    inputs, _ = batch(2, 7)
    with pytest.warns(UserWarning, match=TOLD):
        wrap(model, "shared", statistics="batch").validate(**inputs)
    assert torch.equal(model.ear.layers[1].bank, torch.zeros(8))


def test_evaluation_before_training_keeps_nothing_from_being_told():
    balanced = wrap(make(ByHand(8)), "shared", statistics="batch")
    inputs, target = batch(2, 7)
    balanced.eval().respond(**inputs)
    with pytest.warns(UserWarning, match=TOLD):
        balanced.train()(**inputs, target=target)


def test_processes_make_the_same_passes_and_name_the_model_alone(monkeypatch):
    monkeypatch.setattr(two_modes, "is_distributed", lambda: True)
    (told,) = train(make(ByHand(8)))
    assert "found that a part of the Late does not" in told
    assert train(make(ByHand(8), behind=Noise())) == []  # nor do they judge what is random


def test_a_model_that_fails_in_training_says_so_in_the_step():
    class Fails(nn.Module):
        def forward(self, x):
            if self.training:
                raise RuntimeError("not today")
            return x

    balanced = wrap(make(Fails()), "shared", statistics="batch")
    inputs, target = batch(2, 7)
    with pytest.raises(RuntimeError, match="not today"):
        balanced(**inputs, target=target)


class Shares(Late):
    """Returns logits in training and probabilities in eval mode."""

    def forward(self, **inputs):
        logits = super().forward(**inputs)
        return logits if self.training else logits.softmax(dim=1)


@pytest.mark.parametrize("method", [cp.AGM, cp.OGM, cp.UnimodalLoss])
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_whoever_evaluates_coalitions_refuses_probabilities_in_place_of_logits(method, statistics):
    with pytest.raises(ValueError, match="probabilities in eval mode and logits in train mode"):
        train(make(kind=Shares), method=method(), statistics=statistics)
