"""The judge notices what is wrong, in each quantity that it looks at."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import counterpoise as cp
from zoo import judging
from zoo.judging import KINDS, PRECISIONS, distance, judge

wrap = judging.wrap


def wrongly(**changes):
    """Return how to wrap with another level, other statistics or another method."""

    def wrapped(model, kind, level, statistics):
        chosen = {"level": level, "statistics": statistics, **changes}
        return wrap(model, kind, **chosen)

    return wrapped


def judged(monkeypatch, name, level, precision, changes):
    monkeypatch.setattr(judging, "wrap", wrongly(**changes))
    return judge(KINDS[name], level, PRECISIONS[precision], num_steps=3)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("name", "level", "changes"),
    [
        ("batchnorm-1d", "inputs", {"statistics": "running"}),
        ("batchnorm-behind", "features", {"statistics": "running"}),
        ("dropout-in-encoders", "features", {"level": "shared"}),
        ("dropout-in-encoders", "shared", {"level": "inputs"}),
    ],
)
def test_other_statistics_and_levels_are_noticed(monkeypatch, name, level, changes, precision):
    with pytest.raises(AssertionError, match="responses off by"):
        judged(monkeypatch, name, level, precision, changes)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_another_strength_is_noticed(monkeypatch, precision):
    method = {"method": cp.AGM(alpha=0.9, clamp=judging.CLAMP)}
    with pytest.raises(AssertionError, match="coefficients off by"):
        judged(monkeypatch, "maxout", "inputs", precision, method)


def test_a_gradient_that_is_not_modulated_is_noticed(monkeypatch):
    backward = torch.Tensor.backward

    def doubled(loss):
        backward(2 * loss)

    monkeypatch.setattr(torch.Tensor, "backward", doubled)
    with pytest.raises(AssertionError, match="gradients off by"):
        judge(KINDS["maxout"], "inputs", PRECISIONS["float64"], num_steps=1)


def test_running_statistics_that_move_otherwise_are_noticed(monkeypatch):
    plain = judging.plain_step

    def twice(model, *args):
        plain(model, *args)
        return plain(model, *args)

    monkeypatch.setattr(judging, "plain_step", twice)
    with pytest.raises(AssertionError, match="buffer"):
        judge(KINDS["batchnorm-1d"], "inputs", PRECISIONS["float64"], num_steps=1)


class Failing(nn.Module):
    """Fails in a word that teaches nobody."""

    def forward(self, **inputs):
        raise RuntimeError("no")


def test_an_error_that_says_nothing_is_no_refusal():
    kind = replace(KINDS["maxout"], make=Failing, encoders={})
    with pytest.raises(RuntimeError, match=r"^no$"):
        judge(kind, "inputs", PRECISIONS["float64"], num_steps=1)


def test_masked_entries_do_not_hide_others():
    expected = torch.tensor([1.0, 2.0, -1e9])
    assert distance(expected + torch.tensor([0.5, 0.0, 0.0]), expected) > 0.2
    assert distance(expected * torch.tensor([1.0, 1.0, 1.5]), expected) == pytest.approx(0.5)
