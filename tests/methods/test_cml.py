"""CML: nested subsets and their confidences."""

from math import log

import torch
from torch.nn import functional as F

import counterpoise as cp
from support.methods import close, logits_of


def test_worked_example_of_cml():
    """Three nested subsets with confidences 0.9, 0.6, 0.7: max(0, 0.3) + max(0, -0.1) = 0.3."""
    values = logits_of(0.9, 0.6, 0.7)
    close(cp.CML().excess(values), torch.tensor(0.3, dtype=torch.float64))


def test_cml_is_the_mean_loss_of_nested_subsets_and_what_is_surer_without_a_modality():
    values = logits_of(0.9, 0.6, 0.7)
    subsets, target = ((0,), (1,), (0, 1)), torch.tensor([1])
    signals = cp.Signals(values[-1], target, values=values, coalitions=subsets)
    signals = signals._replace(criterion=F.cross_entropy)
    method = cp.CML(weight=0.5)
    method.bind(("ear", "eye"))
    joint = F.cross_entropy(values[-1], target)
    expected = {
        round(float(-(log(p) + log(0.7)) / 2 + 0.5 * max(0, p - 0.7)), 9) for p in (0.9, 0.6)
    }
    torch.manual_seed(0)
    found = {round(float(method.loss(joint, signals)), 9) for _ in range(20)}
    assert found == expected
