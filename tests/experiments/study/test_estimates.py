"""Estimates from the logits of coalitions, against values worked out by hand.

Two modalities, two classes; rows of logits are log odds whose probabilities are simple fractions.
The first says (log 3, 0), the second (0, log 2), both together the sum of it; with neither the
model says (0, log 4). The responses are then (log 3, 0) and (0, log 2), of probabilities (3/4, 1/4)
and (1/3, 2/3); those of both together are (3/5, 2/5), those of neither (1/5, 4/5).
"""

from math import log

import pytest
import torch

from counterpoise.experiments.study.estimates import (
    MEASURES,
    RESPONSE_SCORES,
    contributions_of,
    response_scores,
    seconds_of,
)

LOGITS = torch.tensor(
    [[[0, log(4)]], [[log(3), 0]], [[0, log(2)]], [[log(3), log(2)]]], dtype=torch.float64
)
FIRST, SECOND = torch.tensor([0]), torch.tensor([1])
SCORES = {
    0: {
        "cross_entropy": (log(3 / 2), log(2 / 3)),
        "probability": (3 / 4, 1 / 3),
        "accuracy": (1, 0),
        "brier": (-1 / 8, -8 / 9),
        "margin": (log(3), -log(2)),
        "confidence": (3 / 4, 2 / 3),
    },
    1: {
        "cross_entropy": (log(1 / 2), log(4 / 3)),
        "probability": (1 / 4, 2 / 3),
        "accuracy": (0, 1),
        "brier": (-9 / 8, -2 / 9),
        "margin": (-log(3), log(2)),
        "confidence": (3 / 4, 2 / 3),
    },
}


def random_logits(num_modalities, num_samples=13, num_classes=5):
    generator = torch.Generator().manual_seed(num_modalities)
    shape = (2**num_modalities, num_samples, num_classes)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, torch.arange(num_samples) % num_classes


@pytest.mark.parametrize("label", SCORES)
def test_scores_of_responses_by_hand(label):
    found = response_scores(LOGITS, torch.tensor([label]))
    assert found.keys() == RESPONSE_SCORES.keys()
    for name, expected in SCORES[label].items():
        assert found[name].tolist() == pytest.approx(expected), name


def test_scores_are_means_over_samples():
    found = response_scores(LOGITS.expand(-1, 3, -1), torch.tensor([0, 1, 1]))
    for name, values in found.items():
        pairs = zip(SCORES[0][name], SCORES[1][name], strict=True)
        assert values.tolist() == pytest.approx([(a + 2 * b) / 3 for a, b in pairs]), name


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_responses_need_no_empty_coalition_and_no_level_of_logits(num_modalities):
    logits, target = random_logits(num_modalities)
    other = logits + torch.arange(13.0)[:, None]
    other[0] = 7
    found, again = response_scores(logits, target), response_scores(other, target)
    for name, values in found.items():
        assert values.shape == (num_modalities,)
        torch.testing.assert_close(again[name], values)


def test_a_response_that_knows_nothing_scores_nothing():
    found = response_scores(torch.zeros(4, 6, 3, dtype=torch.float64), torch.arange(6) % 3)
    for name, level in {"cross_entropy": 0, "probability": 1 / 3, "margin": 0}.items():
        assert found[name].tolist() == pytest.approx([level, level], abs=1e-12)


def test_contributions_by_hand():
    found = contributions_of(LOGITS, FIRST)
    # Half of log(3/4 : 1/5) and log(3/5 : 1/3), and half of log(1/3 : 1/5) and log(3/5 : 3/4).
    assert found["shape_nats"].tolist() == pytest.approx([log(6.75) / 2, log(4 / 3) / 2])
    assert found["shape_accuracy"].tolist() == pytest.approx([1, 0])


def test_what_was_right_without_any_is_lost_to_the_one_that_misleads():
    assert contributions_of(LOGITS, SECOND)["shape_accuracy"].tolist() == pytest.approx([-1, 0])


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_contributions_sum_to_what_all_have_over_none(num_modalities):
    logits, target = random_logits(num_modalities)
    found = contributions_of(logits, target)
    log_p = logits.log_softmax(dim=2)[:, torch.arange(13), target].mean(dim=1)
    right = (logits.argmax(dim=2) == target).double().mean(dim=1)
    for values, of in ((found["shape_nats"], log_p), (found["shape_accuracy"], right)):
        assert values.shape == (num_modalities,)
        torch.testing.assert_close(values.sum(), of[-1] - of[0])


def test_every_measure_has_a_title_of_its_own():
    for titles in (MEASURES, RESPONSE_SCORES):
        assert len(set(titles.values())) == len(titles)


def test_time_is_taken_beside_what_is_returned():
    found, seconds = seconds_of(lambda: "done")
    assert found == "done"
    assert seconds >= 0
