"""What today's scores are compared with, each reference by hand."""

from math import exp

import pytest
import torch

import counterpoise as cp
from counterpoise.core.references import (
    ExponentialAverage,
    Fixed,
    NoReference,
    Reference,
    RunningMean,
)

SCORES = ([1.0, 2.0], [2.0, 5.0], [6.0, 2.0], [3.0, 7.0])


def remembered(reference, scores=SCORES, valid=True, dtype=torch.float64):
    """Feed scores step by step; return what is remembered after each."""
    reference.bind(2, dtype)
    states = []
    for row in scores:
        reference.observe(torch.tensor(row, dtype=dtype), torch.tensor(valid))
        states.append(reference.scores.tolist())
    return states


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (RunningMean, [[1, 2], [1.5, 3.5], [3, 3], [3, 4]]),
        # Rates 1, 1/2, 1/3 and then 1/4, where the average stops being plain.
        (lambda: ExponentialAverage(decay=0.75), [[1, 2], [1.5, 3.5], [3, 3], [3, 4]]),
        # Rates 1, 1/2, 1/2, 1/2.
        (lambda: ExponentialAverage(decay=0.5), [[1, 2], [1.5, 3.5], [3.75, 2.75], [3.375, 4.875]]),
        (lambda: ExponentialAverage(decay=0.0), [list(row) for row in SCORES]),
        (Fixed, [[1, 2]] * 4),
        (lambda: Fixed(num_steps=3), [[1, 2], [1.5, 3.5], [3, 3], [3, 3]]),
        (lambda: Fixed(scores=[0.5, 4.0]), [[0.5, 4]] * 4),
        (NoReference, [[0, 0]] * 4),
    ],
)
def test_what_is_remembered_after_each_step(make, expected):
    for found, right in zip(remembered(make()), expected, strict=True):
        assert found == pytest.approx(right, rel=1e-14)


@pytest.mark.parametrize("make", [RunningMean, ExponentialAverage, Fixed, NoReference])
def test_an_invalid_step_is_not_remembered_at_all(make):
    reference = make()
    assert remembered(reference, [[float("nan"), 1.0]], valid=False) == [[0, 0]]
    assert reference.num_steps == 0


@pytest.mark.parametrize(
    ("reference", "tau"),
    [
        # The second step's scores (1, 1) have r = (1, 1); tau_1 = e^(s^_2 - s^_1).
        (RunningMean(), (exp(2), exp(-2))),
        (ExponentialAverage(), (exp(2), exp(-2))),
        (Fixed(scores=[2.0, 1.0]), (exp(-1), exp(1))),
        (NoReference(), (1, 1)),
    ],
)
def test_coefficients_compare_with_the_reference(reference, tau):
    method = cp.AGM(alpha=0.5, clamp=10.0, reference=reference)
    method.bind(("ear", "eye"), torch.float64)
    for scores in ([1.0, 3.0], [1.0, 1.0]):
        signals = cp.Signals(None, None, scores=torch.tensor(scores, dtype=torch.float64))
        kappa = method.coefficients(signals)
    assert kappa.tolist() == pytest.approx([exp(-0.5 * (1 - t)) for t in tau], rel=1e-12)


def test_running_scores_are_those_of_the_reference():
    method = cp.AGM(clamp=10.0, reference=Fixed(scores=[2.0, 1.0]))
    method.bind(("ear", "eye"))
    assert torch.equal(method.running_scores, torch.tensor([2.0, 1.0]))


def test_the_state_of_a_reference_is_in_its_buffers():
    for reference in (RunningMean(), ExponentialAverage(), Fixed(), NoReference()):
        reference.bind(3, torch.float32)
        assert set(reference.state_dict()) == {"scores", "num_steps"}


def test_a_reference_without_a_rate_is_abstract():
    reference = Reference()
    reference.bind(2, torch.float32)
    with pytest.raises(NotImplementedError):
        reference.observe(torch.ones(2), torch.tensor(True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExponentialAverage(decay=-0.1), r"`decay` should be .*at least 0.*; found -0\.1"),
        (lambda: ExponentialAverage(decay=1.0), r"`decay` should be .*; found 1\.0"),
        (lambda: Fixed(num_steps=0), r"`num_steps` should be at least 1; found 0\. Pass 1 or more"),
        (
            lambda: Fixed(scores=[1.0, 2.0, 3.0]).bind(2, torch.float32),
            r"`scores` should be one a modality, 2 here; found 3\. Give them in the order",
        ),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_number_of_steps_that_is_no_integer_is_an_error():
    with pytest.raises(TypeError, match=r"`num_steps` should be an integer; found 1\.5"):
        Fixed(num_steps=1.5)


@pytest.mark.parametrize(
    ("reference", "settings"),
    [
        (cp.references.Fixed([1, 2.5]), {"scores": (1.0, 2.5)}),
        (cp.references.Fixed(num_steps=3), {"num_steps": 3}),
        (cp.references.Fixed(), {"num_steps": 1}),
    ],
)
def test_settings_make_the_same_again(reference, settings):
    assert reference.settings() == settings
    assert cp.references.Fixed(**settings).settings() == settings
