"""ReconBoost: worked examples and turns."""

from math import log

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from support.harness import network
from support.methods import NAMES, logits_of
from support.networks import batch


def test_worked_example_of_reconboost():
    """The first's turn: z_1 gives the label 0.8, z_2 0.6, weight 5: (5 - 0.6) (-log 0.8)."""
    method = cp.ReconBoost(stage=4)
    method.bind(("ear", "eye"), torch.float64)
    signals = cp.Signals(
        None, torch.tensor([1]), unimodal_logits=logits_of(0.8, 0.6), criterion=F.cross_entropy
    )
    joint = torch.tensor(0.0)
    assert float(method.loss(joint, signals).detach()) == pytest.approx(-4.4 * log(0.8))
    unlabelled = signals._replace(
        target=torch.tensor([1, -100]),
        unimodal_logits=signals.unimodal_logits.expand(-1, 2, -1),
    )
    assert float(method.loss(joint, unlabelled).detach()) == pytest.approx(-4.4 * log(0.8))
    assert method.boost.dtype == torch.float64
    given = signals.unimodal_logits.clone().requires_grad_()
    method.loss(joint, signals._replace(unimodal_logits=given)).backward()
    assert given.grad[0].any()
    assert not given.grad[1].any()  # the others are taken as they are
    method.set_epoch(4)  # all together: the sum of log odds, log 4 + log 1.5 = log 6
    loss = method.loss(joint, signals)
    assert float(loss.detach()) == pytest.approx(-log(6 / 7))
    loss.backward()
    assert method.boost.grad is not None


def test_reconboost_takes_turns_over_any_number_of_modalities():
    method = cp.ReconBoost(stage=1)
    method.bind(NAMES)
    turns = []
    for epoch in range(8):
        method.set_epoch(epoch)
        turns.append(method.turn)
    assert turns == [0, None, 1, None, 2, None, 0, None]


def test_reconboost_moves_the_branch_of_its_turn_alone():
    model = network("additive", 3, norm=False)
    modalities = {n: cp.Modality(n, head=model.head_paths[n]) for n in model.names}
    balanced = cp.Balanced(model, modalities, cp.ReconBoost(stage=1))
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
    rates = cp.BranchRates(balanced)
    for epoch, moving in enumerate([{"ear"}, set(NAMES), {"eye"}]):
        rates.start_epoch(epoch)
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        inputs, target = batch(3, 7, seed=epoch)
        optimiser.zero_grad()
        balanced(**inputs, target=target).loss.backward()
        rates.step(optimiser)
        moved = {
            name
            for name in NAMES
            if any(
                not torch.equal(p, before[n])
                for n, p in model.named_parameters()
                if n.startswith((f"{name}.", model.head_paths[name]))
            )
        }
        assert moved == moving
