"""What the modalities' logits tell: confidences under any score, and means of the others."""

from math import exp

import pytest
import torch

import counterpoise as cp
from counterpoise.methods.evidence import confidences, mean_of_others


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
