"""LFM: a worked example, the fitted weight and the learned one."""

from itertools import combinations

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.methods.lfm import fitted_weight
from counterpoise.methods.shared.losses import divergence
from support.harness import Run, network, wrap
from support.methods import NAMES, close


def test_worked_example_of_lfm():
    """a(10) = 0.2046 + 0.03355 + 0.0123 - 0.002929 + 0.0002238 - 0.000005397 = 0.24773940. Sure of
    opposite classes JS = log 2: 2 (0.24773940 * 1.5 + 0.75226060 * 0.69314718) = 1.786073.
    """
    method = cp.LFM()
    method.bind(("ear", "eye"), torch.float64)
    method.set_epoch(10)
    assert float(method.weight) == pytest.approx(0.24773940, rel=1e-7)
    sure = torch.tensor([[200.0, 0.0]], dtype=torch.float64)
    signals = cp.Signals(sure, torch.tensor([0]), unimodal_logits=torch.stack([sure, sure.flip(1)]))
    loss = method.loss(torch.tensor(1.5).double(), signals)
    assert float(loss) == pytest.approx(1.786073, rel=1e-6)


def test_the_fitted_weight_stays_a_weight():
    weights = [fitted_weight(epoch) for epoch in range(1000)]
    assert all(0 <= weight <= 1 for weight in weights)
    assert weights[200:] == weights[200:201] * 800


def test_the_weight_is_that_of_the_epoch_where_it_is_fitted_and_its_own_where_learned():
    cp.LFM().set_epoch(50)  # not bound yet
    fitted, learned = cp.LFM(), cp.LFM("learned", start=0.25)
    for method, before, after in ((fitted, 0.2046, 0.4367), (learned, 0.25, 0.25)):
        method.bind(("ear", "eye"), torch.float64)
        assert method.weight.item() == pytest.approx(before, abs=5e-5)
        method.set_epoch(50)
        assert method.weight.item() == pytest.approx(after, abs=5e-5)


def test_the_learned_weight_moves_by_the_cosine_and_within_bounds():
    """The gradients of L are (1, 0) and then (3/5, 4/5), that of JS is nothing."""
    parameter = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    for start, expected in ((0.5, 0.5 + 0.1 * 0.6), (1.0, 1.0)):
        method = cp.LFM("learned", start=start, rate=0.1)
        method.bind(("ear", "eye"), torch.float64)
        signals = cp.Signals(
            None, None, unimodal_logits=torch.zeros(2, 3, 2).double(),
            encoder_parameters=[[parameter], []],
        )  # fmt: skip
        for slope in ((1.0, 0.0), (0.6, 0.8)):
            joint = (parameter * torch.tensor(slope).double()).sum()
            logits = signals.unimodal_logits + 0 * parameter.sum()
            method.loss(joint, signals._replace(unimodal_logits=logits))
        assert method.weight.item() == pytest.approx(expected)


def test_a_parameter_that_a_loss_does_not_reach_has_no_gradient_of_it():
    one, other = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    method = cp.LFM("learned")
    method.bind(("ear", "eye"), torch.float64)
    signals = cp.Signals(None, None, encoder_parameters=[[one], [other]])
    method._learn(3 * one.sum(), 2 * other.sum(), signals)
    assert method.difference.tolist() == [3, 3, -2, -2]


def test_the_learned_weight_waits_for_two_steps_of_the_same_parameters():
    one, other = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    method = cp.LFM("learned")
    method.bind(("ear", "eye"), torch.float64)
    signals = cp.Signals(None, None, encoder_parameters=[[one], [other]])
    weights = []
    for trained in (True, True, None, False, False, True):
        one.requires_grad_(trained is not None)
        other.requires_grad_(bool(trained))
        method._learn(3 * one.sum(), 2 * one.sum(), signals)
        weights.append(round(method.weight.item(), 9))
    assert weights == [0.5, 0.51, 0.51, 0.51, 0.52, 0.52]


def test_a_loop_that_leaves_the_epoch_out_is_told_where_the_weight_depends_on_it():
    fitted, learned = cp.LFM(), cp.LFM("learned")
    for method in (fitted, learned):
        method.bind(("ear", "eye"), torch.float64)
    learned.advance()  # warnings are errors here
    with pytest.warns(UserWarning, match=r"LFM, whose weight depends on it; found that it was not"):
        fitted.advance()


def test_divergence_is_symmetric_and_mean_over_pairs():
    torch.manual_seed(0)
    one, other, third = torch.randn(3, 5, 4, dtype=torch.float64)
    close(divergence(one, other), divergence(other, one))
    p, q = one.softmax(1), other.softmax(1)
    m = (p + q) / 2
    by_hand = ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)).mean() / 2
    close(divergence(one, other), by_hand)
    method = cp.LFM("learned", start=0.0)
    method.bind(NAMES, torch.float64)
    logits = torch.stack([one, other, third])
    with torch.no_grad():
        loss = method.loss(one.sum(), cp.Signals(one, None, unimodal_logits=logits))
    pairs = divergence(one, other) + divergence(one, third) + divergence(other, third)
    close(loss, 2 * pairs / 3)


def test_the_learned_weight_follows_what_lowers_the_joint_loss_of_the_next_batch():
    """Losses L = x and JS = -x or x of one parameter: where they pull apart, L alone helps."""
    parameter = nn.Parameter(torch.tensor([0.3], dtype=torch.float64))
    for sign, moved in ((-1.0, 0.01), (2.0, -0.01)):
        method = cp.LFM("learned", start=0.5, rate=0.01)
        method.bind(("ear", "eye"), torch.float64)
        signals = cp.Signals(None, None, encoder_parameters=[[parameter], []])
        for _ in range(2):
            method._learn(parameter.sum(), sign * parameter.sum(), signals)
        assert float(method.weight) == pytest.approx(0.5 + moved)
        resumed = cp.LFM("learned", start=0.5, rate=0.01)
        resumed.bind(("ear", "eye"), torch.float64)
        resumed.load_state_dict(method.state_dict())
        assert torch.equal(resumed.difference, method.difference)


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_what_is_trained_beside_the_labels_draws_predictions_to_each_other(num_modalities):
    """At a = 0, on batches with random labels: the divergence of each pair falls."""
    method = cp.LFM("learned", start=0.0, rate=1e-9)
    run = Run(wrap(network("additive", num_modalities, norm=False), method), lr=1.0, momentum=0.0)
    inputs, _ = run.data(0)
    gaps = []
    for _ in range(2):
        logits = run.balanced.eval().respond(**inputs).unimodal_logits
        pairs = combinations(logits, 2)
        gaps.append(torch.stack([divergence(one, other) for one, other in pairs]))
        run.balanced.train()
        run.epochs(1, steps=30)
    assert gaps[1].lt(0.7 * gaps[0]).all(), gaps
