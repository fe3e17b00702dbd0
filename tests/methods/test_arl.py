"""ARL: a worked example and the direction of its factors."""

import pytest
import torch

import counterpoise as cp
from support.methods import close


def test_worked_example_of_arl():
    """l = (2, -2), (0.5, -0.5), one sample: sizes 4 and 1, c = (0.8, 0.2), entropies 0.090095 and
    0.582203, shares 0.134010 (counts as 0.3) and 0.865990, so 1/h = (3.333333, 1.154748) and u =
    (0.742708, 0.257292). T c_others u = 8 (0.2 * 0.742708, 0.8 * 0.257292) = (1.188333, 1.646670),
    w = softmax = (0.387380, 0.612620).
    """
    method = cp.ARL(temperature=8.0)
    method.bind(("ear", "eye"))
    logits = torch.tensor([[[2.0, -2.0]], [[0.5, -0.5]]], dtype=torch.float64)
    signals = cp.Signals(None, torch.tensor([0]), unimodal_logits=logits)
    factors = method.encoder_factors(signals)
    assert factors.tolist() == pytest.approx([1.387380, 1.612620], rel=1e-5)


def test_arl_speeds_up_the_sure_and_little_heard_one():
    """Equally unsure: who counts less in the fusion. Equally large: who is surer."""
    weights = cp.ARL().weights_of
    flat = torch.tensor([[1.0, 1.0]])
    assert weights(torch.stack([flat, 3 * flat])).argmax() == 0
    sure, unsure = torch.tensor([[2.0, -2.0]]), torch.tensor([[2.0, 2.0]])
    assert weights(torch.stack([sure, unsure])).argmax() == 0
    three = weights(torch.stack([flat, flat, 3 * flat]))
    assert three[0] == three[1] > three[2]
    close(three.sum().double(), torch.tensor(1.0).double())


@pytest.mark.parametrize("extra", [(3,), (3, 5)])
def test_segments_count_as_samples_do(extra):
    torch.manual_seed(0)
    logits = torch.randn(2, 7, 4, *extra, dtype=torch.float64)
    rows = logits.flatten(3).movedim(2, 3).flatten(1, 2)
    method = cp.ARL()
    close(method.weights_of(logits), method.weights_of(rows))


def test_factors_carry_no_gradient():
    method = cp.ARL()
    method.bind(("ear", "eye"))
    logits = torch.randn(2, 7, 4, requires_grad=True)
    target = torch.zeros(7, dtype=torch.long)
    assert not method.encoder_factors(
        cp.Signals(None, target, unimodal_logits=logits)
    ).requires_grad
