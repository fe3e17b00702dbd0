"""Batch statistics in all coalitions: what is told, what moves, and what it is good for."""

import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import counterpoise as cp
from counterpoise.core.coalitions import Plan
from counterpoise.engine.statistics import BatchStatistics, _kept, _Moments, normalisations
from support.networks import Late, MaxOut, batch
from support.wrapping import gradients

LEVELS = ("inputs", "features", "shared")


def wrapped(model, level, statistics="batch", method=None):
    how = cp.Coalitions(level, statistics)
    return cp.Balanced(model, model.encoders, method or cp.AGM(1.7), coalitions=how)


def test_moments_are_those_that_the_layer_uses_with_their_gradient():
    x = torch.randn(5, 3, 2, dtype=torch.float64, requires_grad=True)
    layer = nn.BatchNorm1d(3, eps=1e-2).double()
    mean, inverse = _Moments.apply(x, layer.eps, None, None)
    found = (x - mean[:, None]) * (inverse * layer.weight)[:, None] + layer.bias[:, None]
    torch.testing.assert_close(found, layer(x), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: _Moments.apply(x, 1e-2, None, None), (x,))


@pytest.mark.parametrize("num_axes", [0, 1, 2, 3])
def test_moments_that_the_layer_kept_are_those_that_would_be_computed(num_axes):
    torch.manual_seed(3)
    layers = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    layer = layers[num_axes](3, eps=1e-2).double()
    x = torch.randn(5, 3, *[2] * num_axes, dtype=torch.float64, requires_grad=True)

    def moments(x):
        statistics = BatchStatistics()
        statistics.record(layer, layer.forward, x)
        ((call,),) = statistics.calls.values()
        assert call.kept is not None
        return call.moments

    expected = _Moments.apply(x, layer.eps, None, None)
    torch.testing.assert_close(moments(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(moments, (x,))


@pytest.mark.parametrize("kept", [False, True])
def test_moments_of_a_single_channel(kept):
    layer = nn.BatchNorm1d(1, eps=1e-2).double()

    def moments(x):
        return _Moments.apply(x, layer.eps, None, _kept(layer(x)) if kept else None)

    x = torch.randn(5, 1, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(moments(x)[0], x.mean().view(1))
    assert torch.autograd.gradcheck(moments, (x,))


def test_nothing_is_kept_by_a_layer_that_goes_by_other_statistics_or_returns_no_tensor():
    layer, x = nn.BatchNorm1d(3), torch.randn(5, 3, requires_grad=True)
    assert _kept(layer(x)) is not None
    assert _kept(layer.eval()(x)) is None
    assert _kept((layer.train()(x),)) is None
    assert _kept(layer(x.detach()).detach()) is None


def test_each_call_of_a_layer_is_replayed_with_its_own_statistics_and_one_more_as_it_is():
    torch.manual_seed(0)
    layer, statistics = nn.BatchNorm1d(3).double(), BatchStatistics()
    first, second, other = torch.randn(3, 7, 3, dtype=torch.float64) + 5 * torch.arange(3).view(
        3, 1, 1
    )
    for x in (first, second):
        statistics.record(layer, layer.forward, x)
    for _ in range(2):
        statistics.rewind()
        for x in (first, second):
            found = statistics.replay(layer, layer.forward, other)
            expected = (other - x.mean(dim=0)) / (x.var(dim=0, correction=0) + layer.eps).sqrt()
            torch.testing.assert_close(found, expected)
        assert statistics.replay(layer, lambda x: x, other) is other


def test_instance_norm_is_replayed_by_the_sample_itself():
    layer = nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
    x = torch.randn(5, 3, 7)
    before = layer.running_mean.clone()
    found = BatchStatistics().replay(layer, layer.forward, x)
    assert torch.equal(layer.running_mean, before)
    torch.testing.assert_close(found, layer(x))


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_holds_back_is_not_fetched(reentrant):
    layer, statistics, forwards = nn.BatchNorm1d(3), BatchStatistics(), []

    def forward(x):
        forwards.append(x)
        return nn.BatchNorm1d.forward(layer, x)

    x = torch.randn(7, 3, requires_grad=True)
    run = partial(statistics.record, layer, forward)
    checkpoint(run, x, use_reentrant=reentrant)
    ((call,),) = statistics.calls.values()
    assert call.kept is None
    torch.testing.assert_close(call.moments[0], x.mean(dim=0))
    assert len(forwards) == 1


def test_a_batch_replayed_through_a_layer_is_the_batch_normalised():
    layer, statistics = nn.BatchNorm1d(3).double(), BatchStatistics()
    x = torch.randn(7, 3, dtype=torch.float64)
    first = statistics.record(layer, layer.forward, x)
    layer.eval()
    torch.testing.assert_close(statistics.replay(layer, layer.forward, x), first)
    statistics.rewind()
    one = statistics.replay(layer, layer.forward, x[2:3])
    torch.testing.assert_close(one, first[2:3])


class Activated(nn.BatchNorm1d):
    """A layer that does more than normalise, as some libraries have."""

    def forward(self, x):
        return torch.relu(super().forward(x)) + 1


def test_a_layer_with_a_forward_of_its_own_keeps_it():
    layer, statistics = Activated(3).double(), BatchStatistics()
    x = torch.randn(7, 3, dtype=torch.float64)
    first = statistics.record(layer, layer.forward, x)
    kept = {name: b.clone() for name, b in layer.named_buffers()}
    layer.eval()
    torch.testing.assert_close(statistics.replay(layer, layer.forward, x[:2]), first[:2])
    assert all(torch.equal(kept[name], b) for name, b in layer.named_buffers())


def test_which_layers_use_their_batch():
    frozen, blind = nn.BatchNorm1d(3).eval(), nn.BatchNorm1d(3, track_running_stats=False).eval()
    told = nn.InstanceNorm1d(3, track_running_stats=True)
    modules = [nn.BatchNorm2d(3), frozen, blind, nn.LayerNorm(3), told, nn.InstanceNorm1d(3)]
    assert normalisations(modules) == [modules[0], blind, told]
    partly = nn.BatchNorm1d(3).eval()
    partly.running_mean = None
    assert normalisations([partly]) == []
    partly.running_var = None
    assert normalisations([partly]) == [partly]


@pytest.mark.parametrize("fusion", [Late, MaxOut])
@pytest.mark.parametrize("level", LEVELS)
def test_running_statistics_move_once_and_by_the_full_pass(level, fusion):
    torch.manual_seed(3)
    model, twin = fusion(3).double(), fusion(3).double()
    twin.load_state_dict(model.state_dict())
    balanced = wrapped(model, level)
    for seed in range(3):
        inputs, target = batch(3, 11, seed=seed)
        balanced(**inputs, target=target).loss.backward()
        twin(**inputs)
    for (name, found), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, msg=name)


class Deep(Late):
    """Encoders of two layers with batch-norm, of 8 and 6 channels."""

    def build(self, num_modalities, norm):
        super().build(num_modalities, norm)
        for name in self.names:
            getattr(self, name).layers.append(nn.BatchNorm1d(self.width))


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_of_statistics_come_when_those_of_their_layer_do(level, monkeypatch):
    """All before, those of every layer's input would wait for it: half a step's memory more."""
    torch.manual_seed(3)
    model, order = Deep(2).double(), []
    real = _Moments.backward

    def noted(ctx, *gradients):
        order.append(f"moments of {len(gradients[0])}")
        return real(ctx, *gradients)

    balanced = wrapped(model, level)
    inputs, target = batch(2, 11)
    for i in (0, 4):
        model.ear.layers[i].weight.register_hook(lambda g, i=i: order.append(f"layer {i}"))
    model.eye.requires_grad_(False)
    monkeypatch.setattr(_Moments, "backward", staticmethod(noted))
    loss = balanced(**inputs, target=target).loss
    order.clear()  # of what was looked at in the first step
    loss.backward()
    assert order == ["moments of 6", "layer 4", "moments of 8", "layer 0"]


def test_the_full_coalition_in_the_other_way_is_the_full_pass():
    """With batch statistics v(all) of the other coalitions is the train-mode output itself."""
    torch.manual_seed(3)
    model = MaxOut(3).double()
    balanced = wrapped(model, "shared")
    inputs, target = batch(3, 11)
    out = balanced(**inputs, target=target)
    torch.testing.assert_close(out.responses.sum(dim=0), out.logits.detach())
    everyone = Plan.make([(0, 1, 2)], torch.zeros(3, 2))
    values = balanced.train().coalition_values(everyone, **inputs)
    torch.testing.assert_close(values[0], values[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make", [cp.UnimodalLoss, cp.DGL])
@pytest.mark.parametrize("level", LEVELS)
def test_whoever_looks_on_without_gradient_takes_it_from_nobody(level, make):
    """Monitored responses come before passes with gradient, and ask for the same statistics."""
    inputs, target = batch(3, 11)
    record = []
    for monitor in (False, True):
        torch.manual_seed(3)
        model = MaxOut(3).double()
        balanced = cp.Balanced(model, model.encoders, make(), coalitions=level, monitor=monitor)
        balanced(**inputs, target=target).loss.backward()
        record.append(gradients(balanced))
    for name, expected in record[0].items():
        torch.testing.assert_close(record[1][name], expected, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("level", LEVELS)
def test_published_statistics_with_batch_norm_warn_once(level):
    torch.manual_seed(3)
    balanced = wrapped(Late(2).double(), level, "running")
    inputs, target = batch(2, 11)
    with pytest.warns(UserWarning, match=r"normalises with batch statistics, .* a BatchNorm1d"):
        balanced(**inputs, target=target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        balanced(**inputs, target=target)


@pytest.mark.parametrize(
    ("model", "statistics", "method"),
    [
        (Late(2), "batch", cp.AGM()),
        (Late(2, norm=False), "running", cp.AGM()),
        (Late(2), "running", cp.Joint()),
    ],
)
def test_nobody_else_is_warned(model, statistics, method):
    inputs, target = batch(2, 11, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped(model, "shared", statistics, method)(**inputs, target=target)


def test_a_compiled_step_uses_the_statistics_of_the_batch_too():
    torch.compiler.reset()
    torch.manual_seed(3)
    models = [MaxOut(2), MaxOut(2)]
    models[1].load_state_dict(models[0].state_dict())
    inputs, target = batch(2, 11, dtype=torch.float32)
    outs = []
    for model, compiled in zip(models, (False, True), strict=True):
        balanced = wrapped(model, "shared")
        balanced.validate(**inputs)
        step = (
            torch.compile(balanced, backend="aot_eager", fullgraph=True) if compiled else balanced
        )
        out = step(**inputs, target=target)
        out.loss.backward()
        outs.append(out)
    torch.testing.assert_close(outs[0].responses, outs[1].responses)
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    torch.compiler.reset()
