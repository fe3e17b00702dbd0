"""What the modalities' logits tell: confidences under any score, and means of the others."""

from math import exp, tanh

import pytest
import torch

import counterpoise as cp
from counterpoise.methods.shared.evidence import (
    _least_over_processes,
    confidences,
    mean_of_others,
    scaled_confidences,
)
from support.parallel import regress, regression
from support.two_processes import run_in_two


def test_confidence_is_the_mean_probability_of_the_labels():
    torch.manual_seed(0)
    logits, target = torch.randn(3, 7, 5), torch.randint(5, (7,))
    found = confidences(cp.Signals(None, target, unimodal_logits=logits))
    expected = [
        sum(row.softmax(0)[label].item() for row, label in zip(each, target, strict=True)) / 7
        for each in logits
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_under_another_score_it_is_the_likelihood():
    logits = torch.tensor([[[1.0]], [[3.0]]])
    given = cp.Signals(
        None, torch.zeros(1, 1), unimodal_logits=logits, score=cp.scores.SquaredError()
    )
    assert confidences(given).tolist() == pytest.approx([exp(-1), exp(-9)])


def of_losses(losses, dtype=torch.float32):
    """Signals of a regression, in which each modality makes such squared errors (M, B)."""
    guesses = torch.tensor(losses, dtype=dtype).sqrt().unsqueeze(2)
    target = torch.zeros_like(guesses[0])
    return cp.Signals(None, target, unimodal_logits=guesses, score=cp.scores.SquaredError())


def test_large_errors_are_told_apart():
    """exp(-2500) is no number of float32; the ratio, exp(1), is."""
    given = of_losses([[2500.0], [2501.0]])
    s = confidences(given)
    assert float(s[0] / s[1]) == pytest.approx(exp(1), rel=1e-3)
    k = cp.OGM(alpha=0.5).encoder_factors(given).tolist()
    assert k == pytest.approx([1 - tanh(0.5 * exp(1)), 1], rel=1e-3)
    ahead, behind = cp.MLB(alpha=0.5, beta_max=4.0).encoder_factors(given).tolist()
    assert ahead == pytest.approx(1 + tanh(0.5 * (exp(-1) - 1)), rel=1e-3)
    assert behind == pytest.approx(1 + 3 * tanh(0.5 * (exp(1) - 1)), rel=1e-3)


@pytest.mark.parametrize("size", [1e3, 1e8, 1e15, 1e30])
def test_errors_of_any_size_have_a_surest_modality(size):
    s = confidences(of_losses([[2 * size, 3 * size], [4 * size, 5 * size]]))
    assert s.isfinite().all()
    assert s[0] > s[1]
    assert s[1] == 0


def test_samples_that_do_not_count_do_not_enlarge():
    given = of_losses([[0.0, 900.0], [0.0, 901.0]])
    s, shift = scaled_confidences(given, torch.tensor([False, True]))
    assert float(shift) == pytest.approx(880)
    assert float(s[0] / s[1]) == pytest.approx(exp(1), rel=1e-3)


def test_infinite_errors_enlarge_nothing_and_nan_stays():
    assert confidences(of_losses([[float("inf")], [float("inf")]])).tolist() == [0, 0]
    s = confidences(of_losses([[float("inf"), 400.0], [float("nan"), 500.0]]))
    assert s[0] > 0
    assert s[1].isnan()


def test_probabilities_are_not_enlarged():
    torch.manual_seed(0)
    logits, target = 1e9 * torch.randn(2, 7, 5), torch.randint(5, (7,))
    given = cp.Signals(None, target, unimodal_logits=logits)
    s, shift = scaled_confidences(given)
    assert shift == 0
    losses = cp.scores.CrossEntropy()(logits.flatten(0, 1), target.repeat(2)).view(2, 7)
    assert torch.equal(s, losses.neg().exp().sum(dim=1) / 7)


def test_gains_of_likelihoods_are_those_of_two_scales():
    """Losses of two modalities, (31, 30) and then (24, 25): in float64 nothing needs a scale."""
    method = cp.CGGM(direction=0.0)
    method.bind(("ear", "eye"))
    for losses in ((31.0, 30.0), (24.0, 25.0)):
        method.loss(torch.tensor(0.0), of_losses([[each] for each in losses]))
    gains = [exp(-24) - exp(-31), exp(-25) - exp(-30)]
    expected = [gains[1] / sum(gains), gains[0] / sum(gains)]
    assert method.balance.tolist() == pytest.approx(expected, rel=1e-4)
    assert float(method.shift) == pytest.approx(4, rel=1e-5)


def test_large_errors_are_told_apart_from_the_first_step_on():
    method = cp.CGGM(direction=0.0)
    method.bind(("ear", "eye"))
    method.loss(torch.tensor(0.0), of_losses([[2500.0], [2501.0]]))
    expected = [1 / (1 + exp(1)), exp(1) / (1 + exp(1))]
    assert method.balance.tolist() == pytest.approx(expected, rel=1e-3)


def test_processes_enlarge_alike(tmp_path):
    """The second has errors ten times as large; together they are as sure as one process."""
    run_in_two(regress, str(tmp_path))
    expected = scaled_confidences(regression())
    for rank in range(2):
        s, shift = torch.load(tmp_path / str(rank))
        torch.testing.assert_close(s, expected[0])
        assert shift == expected[1]
        assert 0 < s[1] < s[0]


def test_only_the_samples_that_count_count():
    logits = torch.tensor([[[0.0, 9e9], [0.0, 0.0]]] * 2)
    given = cp.Signals(None, torch.tensor([0, 0]), unimodal_logits=logits)
    counted = torch.tensor([False, True])
    assert confidences(given, counted).tolist() == pytest.approx([0.5, 0.5])
    assert confidences(given, torch.tensor([False, False])).isnan().all()


def test_an_empty_batch_tells_nothing():
    given = cp.Signals(None, torch.zeros(0).long(), unimodal_logits=torch.zeros(2, 0, 3))
    assert confidences(given).isnan().all()
    assert cp.OGM().encoder_factors(given).tolist() == [1, 1]
    assert cp.MLB().encoder_factors(given).tolist() == [1, 1]


def test_half_precision_is_widened_first():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 11, 5).bfloat16(), torch.randint(5, (11,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = confidences(cp.Signals(None, target, unimodal_logits=logits))
    wide = confidences(cp.Signals(None, target, unimodal_logits=logits.float()))
    assert found.dtype == torch.float32
    assert torch.equal(found, wide)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, 1e-8, 1e15])
@pytest.mark.parametrize("num_modalities", [2, 3])
def test_the_mean_of_equal_others_is_exact(num_modalities, value):
    values = torch.full((num_modalities,), value)
    assert torch.equal(mean_of_others(values), values)


def test_samples_without_a_label_do_not_count():
    logits = torch.tensor([[[0.0, 9e9], [0.0, 0.0]]] * 2)
    given = cp.Signals(None, torch.tensor([-100, 0]), unimodal_logits=logits)
    assert confidences(given).tolist() == pytest.approx([0.5, 0.5])
    assert confidences(given, torch.tensor([True, False])).isnan().all()


def test_a_score_of_ones_own_is_asked_outside_autocast_and_without_gradient():
    torch.manual_seed(0)
    logits, weight = torch.randn(2, 11, 5, requires_grad=True), torch.randn(5, 5)

    def score(z, y):
        return (z @ weight).square().mean(dim=1)

    given = cp.Signals(None, torch.zeros(11), unimodal_logits=logits, score=score)
    plain = confidences(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(confidences(given), plain)
    assert not plain.requires_grad


def test_the_least_loss_is_that_of_all_processes(monkeypatch):
    asked = []

    def of_another(tensor, op, group):
        asked.append((op, group))
        tensor.clamp_(max=0.25)

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", of_another)
    least = _least_over_processes(torch.tensor([[0.5, float("inf")]]), "ours", None)
    assert least.item() == 0.25
    assert asked == [(torch.distributed.ReduceOp.MIN, "ours")]
