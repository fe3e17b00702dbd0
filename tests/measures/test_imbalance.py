"""Measures of imbalance: worked examples, symmetries, and what they refuse."""

import pytest
import torch

from counterpoise.measures import (
    accuracy_gap,
    conditional_utilisation,
    discrepancy_ratios,
    every_coalition,
)
from counterpoise.methods import OGM


def test_worked_example_of_three_modalities():
    """Without the first 0.4, without the second 0.6, without the third 0.8, of 0.8 in all."""
    values = {(): 0.1, (0,): 0.3, (1,): 0.2, (2,): 0.1, (0, 1): 0.8, (0, 2): 0.6, (1, 2): 0.4}
    performances = torch.tensor([values.get(s, 0.8) for s in every_coalition(3)])
    torch.testing.assert_close(
        conditional_utilisation(performances), torch.tensor([0.5, 0.25, 0.0])
    )


def test_each_column_is_measured_by_itself():
    one, other = torch.tensor([0.1, 0.6, 0.2, 0.8]), torch.tensor([0.3, 0.3, 0.5, 0.5])
    both = conditional_utilisation(torch.stack([one, other], dim=1))
    torch.testing.assert_close(both[:, 0], conditional_utilisation(one))
    torch.testing.assert_close(both[:, 1], conditional_utilisation(other))


def test_ratios_are_those_that_ogm_acts_on():
    torch.manual_seed(0)
    logits, target = torch.randn(3, 11, 5), torch.randint(5, (11,))
    rho = discrepancy_ratios(logits, target)
    s = torch.stack([z.softmax(1)[range(11), target].sum() for z in logits])
    k = OGM(alpha=0.4).coefficient(s)
    expected = torch.where(rho > 1, 1 - torch.tanh(0.4 * rho), 1.0)
    torch.testing.assert_close(k, expected)
    assert not discrepancy_ratios(logits.requires_grad_(), target).requires_grad
    torch.testing.assert_close(discrepancy_ratios(logits[[2, 0, 1]], target), rho[[2, 0, 1]])


def test_samples_without_a_label_do_not_count():
    logits, target = torch.randn(3, 5, 4), torch.tensor([2, -100, 0, 3, -100])
    rho = discrepancy_ratios(logits[:, [0, 2, 3]], target[[0, 2, 3]])
    torch.testing.assert_close(discrepancy_ratios(logits, target), rho)


def test_equal_modalities_have_no_gap_and_ratios_of_one():
    logits = torch.randn(1, 7, 3).expand(4, 7, 3)
    rho = discrepancy_ratios(logits, torch.randint(3, (7,)))
    torch.testing.assert_close(rho, torch.ones(4))
    assert accuracy_gap(torch.full((4,), 0.3)) == 0


def test_what_they_cannot_be_measured_on_is_an_error():
    message = r"`performances` should hold 2\^M values for M modalities, the empty .*\(5,\)"
    with pytest.raises(ValueError, match=message):
        conditional_utilisation(torch.ones(5))
    with pytest.raises(
        ValueError, match=r"subset of two modalities or more, 4, 8, \.\.\.; found 2\."
    ):
        conditional_utilisation(torch.ones(2))
    with pytest.raises(ValueError, match=r"`performances` should be above 0 .* found 0\. Pass"):
        conditional_utilisation(torch.tensor([0.1, 0.2, 0.3, 0.0]))
    with pytest.raises(ValueError, match=r"`performances` should be above 0 .* found -1\. Pass"):
        conditional_utilisation(torch.tensor([0.1, 0.2, 0.3, -1.0]))
    with pytest.raises(ValueError, match=r"`target` should be class labels \(B,\) for discrepancy"):
        discrepancy_ratios(torch.zeros(2, 3, 4), torch.zeros(3))
