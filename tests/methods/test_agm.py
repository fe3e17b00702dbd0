"""AGM's arithmetic: worked examples, the direction of its effect, and its limits."""

from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.methods import discrepancy_ratio

NAMES = ("ear", "eye", "hand", "nose", "tongue", "skin")
nats = st.floats(0, 5, allow_subnormal=False)


@st.composite
def score_runs(draw, *, num_steps):
    """Scores of 2 to 6 modalities over some steps."""
    row = st.lists(nats, min_size=(size := draw(st.integers(2, 6))), max_size=size)
    return [draw(row) for _ in range(num_steps)]


def bound(num_modalities, dtype=torch.float64, **options):
    method = cp.AGM(**options)
    method.bind(NAMES[:num_modalities], dtype)
    return method


def published(num_modalities, dtype=torch.float64, *, clamp=10.0, **options):
    return bound(num_modalities, dtype, clamp=clamp, **options)


def step(method, *scores, dtype=torch.float64):
    signals = cp.Signals(None, None, scores=torch.tensor(scores, dtype=dtype))
    return method.coefficients(signals)


def assert_values(found, *expected, rel=1e-6):
    assert found.tolist() == pytest.approx(expected, rel=rel)


def test_worked_example_of_two_modalities_over_three_steps():
    """alpha = 2.

    1. s = (0.5, 1.0): r = (e^0.5, e^-0.5) = (1.648721, 0.606531), tau = (1, 1),
       kappa = (e^(-2*0.648721), e^(2*0.393469)) = (0.273230, 2.196661).
    2. s = (0.4, 1.0): tau from (0.5, 1.0) = (1.648721, 0.606531), r = (e^0.6, e^-0.6)
       = (1.822119, 0.548812), kappa = (e^(-2*0.173398), e^(2*0.057719)) = (0.706950, 1.122365).
    3. s = (0.7, 0.6): s^ = (0.45, 1.0), tau = (e^0.55, e^-0.55) = (1.733253, 0.576950),
       r = (e^-0.1, e^0.1) = (0.904837, 1.105171), kappa = (e^(2*0.828416), e^(-2*0.528221))
       = (5.242672, 0.347691).
    """
    method = published(2, alpha=2.0)
    assert_values(step(method, 0.5, 1.0), 0.273230, 2.196661, rel=2e-6)
    assert_values(method.running_scores, 0.5, 1.0)
    assert_values(step(method, 0.4, 1.0), 0.706950, 1.122365, rel=2e-6)
    assert_values(method.running_scores, 0.45, 1.0)
    assert_values(step(method, 0.7, 0.6), 5.242672, 0.347691, rel=2e-6)
    assert_values(method.running_scores, 1.6 / 3, 2.6 / 3)


def test_worked_example_of_three_modalities():
    """alpha = 1, s = (1, 2, 6), tau = 1: the mean lead over the two others is

    ((2-1) + (6-1)) / 2 = 3, ((1-2) + (6-2)) / 2 = 1.5, ((1-6) + (2-6)) / 2 = -4.5,
    so r = (e^3, e^1.5, e^-4.5); r_1 - 1 = 19.09 is clamped to 10.
    """
    ratio = discrepancy_ratio(torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64))
    assert_values(ratio, exp(3), exp(1.5), exp(-4.5), rel=1e-12)
    kappa = step(published(3, alpha=1.0), 1.0, 2.0, 6.0)
    assert_values(kappa, exp(-10), exp(-(exp(1.5) - 1)), exp(-(exp(-4.5) - 1)), rel=1e-12)


def test_the_modality_with_the_lower_score_has_the_ratio_above_one():
    ahead, behind = discrepancy_ratio(torch.tensor([0.2, 0.9]))
    assert ahead > 1 > behind


@given(score_runs(num_steps=1))
def test_at_the_first_step_the_ratio_is_compared_with_one(run):
    method = published(len(run[0]), alpha=0.7, clamp=1e9)
    ratio = discrepancy_ratio(torch.tensor(run[0], dtype=torch.float64))
    torch.testing.assert_close(step(method, *run[0]), torch.exp(-0.7 * (ratio - 1)))


@given(score_runs(num_steps=1), st.data(), st.floats(1e-3, 1), st.integers(1, 4))
def test_who_gains_on_its_history_is_braked_and_the_others_are_boosted(run, data, gain, past):
    history = [s + 1 for s in run[0]]
    leader = data.draw(st.integers(0, len(history) - 1))
    method = bound(len(history), alpha=1.0)
    for _ in range(past):
        step(method, *history)
    today = [s - gain * (m == leader) for m, s in enumerate(history)]
    for m, kappa in enumerate(step(method, *today).tolist()):
        assert kappa < 1 if m == leader else kappa > 1


@given(score_runs(num_steps=1), st.integers(1, 5))
def test_unequal_modalities_that_are_as_unequal_as_ever_are_left_alone(run, past):
    method = bound(len(run[0]), alpha=3.0)
    for _ in range(past):
        step(method, *run[0])
    kappa = step(method, *run[0])
    torch.testing.assert_close(kappa, torch.ones_like(kappa), rtol=1e-9, atol=0)


@given(score_runs(num_steps=3), st.data())
def test_relabelling_the_modalities_relabels_the_coefficients(run, data):
    order = data.draw(st.permutations(range(len(run[0]))))
    straight, relabelled = bound(len(order), alpha=0.3), bound(len(order), alpha=0.3)
    for scores in run:
        kappa = step(straight, *scores)
        found = step(relabelled, *[scores[m] for m in order])
        torch.testing.assert_close(found, kappa[order], rtol=1e-9, atol=0)


@pytest.mark.parametrize("clamp", [0.5, 2.0])
def test_the_difference_is_clamped_on_both_sides(clamp):
    method = bound(2, alpha=1.0, clamp=clamp)
    assert_values(step(method, 0.0, 40.0), exp(-clamp), exp(min(clamp, 1.0)), rel=1e-12)
    # The history now has e^40 to 1: to fall back to 1 to e^20 is far below it for the first.
    assert_values(step(method, 20.0, 0.0), exp(clamp), exp(-clamp), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("make", [bound, published])
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 1e2, 1e8, 1e15])
def test_coefficients_are_finite_for_scores_of_any_size(scale, make, alpha, dtype):
    method = make(3, dtype, alpha=alpha)
    for shares in ((0.3, 1.0, 0.2), (1.0, 0.0, 1.0), (0.0, 1.0, 0.0)):
        kappa = step(method, *[scale * share for share in shares], dtype=dtype)
        assert kappa.dtype == dtype
        assert kappa.isfinite().all()
        assert kappa.ge(0).all()
    method.check()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("score", [0.0, 0.1, 3.7, 1e8, 1e15])
def test_equal_scores_give_exactly_one_however_large(score, dtype):
    method = bound(5, dtype, alpha=6.0)
    for _ in range(3):
        assert torch.equal(step(method, *[score] * 5, dtype=dtype), torch.ones(5, dtype=dtype))


@given(score_runs(num_steps=3), st.floats(1, 5), st.floats(0, 7))
def test_coefficients_are_the_published_ones_kept_within_the_bound(run, b, alpha):
    bounded = bound(len(run[0]), alpha=alpha, bound=b)
    unbounded = published(len(run[0]), alpha=alpha)
    for scores in run:
        expected = step(unbounded, *scores)
        torch.testing.assert_close(step(bounded, *scores), expected.clamp(1 / b, b))
    assert torch.equal(bounded.running_scores, unbounded.running_scores)


@pytest.mark.parametrize(
    ("options", "largest"),
    [
        ({}, 1.5),
        ({"bound": 1.5}, 1.5),
        ({"bound": float("inf")}, exp(10)),
        ({"clamp": 3.0}, exp(3)),
        ({"clamp": 3.0, "bound": 1.5}, 1.5),
        ({"clamp": 0.25, "bound": 1.5}, exp(0.25)),
    ],
)
def test_what_bounds_a_coefficient(options, largest):
    """The first falls from e^20 ahead to e^20 behind: its difference of ratios is below -10."""
    method = bound(2, alpha=1.0, **options)
    step(method, 0.0, 20.0)
    assert_values(step(method, 30.0, 0.0), largest, 1 / largest, rel=1e-12)


def test_the_clamp_alone_is_the_published_rule_to_the_bit():
    """As it is written: ratios by differences, clamped, times alpha, exponential."""
    torch.manual_seed(0)
    method, history = bound(3, alpha=1.7, clamp=10.0), []
    for _ in range(7):
        scores = 3 * torch.rand(3, dtype=torch.float64)
        ratio = discrepancy_ratio(scores)
        mean = method.running_scores if history else torch.zeros(3, dtype=torch.float64)
        tau = discrepancy_ratio(mean)
        history.append(scores)
        expected = torch.exp(-1.7 * (ratio - tau).clamp(-10, 10))
        assert torch.equal(step(method, *scores.tolist()), expected)


def test_steps_at_the_bound_are_counted_and_the_last_is_told():
    """alpha = 1, b = 2, log b = 0.693. The first step has r - tau = (e^0.5 - 1, e^-0.5 - 1) =
    (0.649, -0.393), within; the second e^1.5 - e^0.5 = 2.833 and e^-1.5 - e^-0.5 = -0.383.
    """
    method = bound(2, alpha=1.0, bound=2.0)
    step(method, 0.5, 1.0)
    assert method.diagnostics()["bounded"].tolist() == [False, False]
    assert_values(method.diagnostics()["lead"], exp(0.5) - 1, exp(-0.5) - 1)
    step(method, 0.0, 1.5)
    assert method.diagnostics()["bounded"].tolist() == [True, False]
    assert_values(method.diagnostics()["lead"], exp(1.5) - exp(0.5), exp(-1.5) - exp(-0.5))
    assert method.bounded_share.tolist() == [0.5, 0.0]
    step(method, float("nan"), 1.0)
    assert method.diagnostics()["lead"].tolist() == [0, 0]
    assert method.bounded_steps.tolist() == [1, 0]
    assert list(method.state_dict()) == [
        *("num_steps", "nonfinite_steps", "bounded_steps"),
        *("reference.scores", "reference.num_steps"),
    ]


def test_the_first_step_whose_score_is_not_finite_is_told_also_if_it_is_the_very_first():
    method = bound(2)
    method.check()
    assert_values(step(method, 1.0, float("nan")), 1, 1)
    assert method.running_scores.tolist() == [0, 0]
    step(method, 1.0, 2.0)
    step(method, float("inf"), 2.0)
    with pytest.raises(
        FloatingPointError, match=r"modality 'ear' .*; found inf or NaN at step 0\."
    ):
        method.check()
    assert method.nonfinite_steps.tolist() == [0, 0]


@given(score_runs(num_steps=3))
def test_no_strength_gives_exactly_one(run):
    method = bound(len(run[0]), alpha=0.0)
    for scores in run:
        assert torch.equal(step(method, *scores), torch.ones(len(scores), dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -0.1}, r"`alpha` should be finite, at least 0; found -0\.1\. Choose"),
        ({"alpha": float("inf")}, r"`alpha` should be finite, at least 0; found inf"),
        ({"alpha": float("nan")}, r"`alpha` should be finite, at least 0; found nan"),
        ({"clamp": 0.0}, r"`clamp` should be finite, above 0; found 0\.0"),
        ({"clamp": -1.0}, r"`clamp` should be finite, above 0; found -1\.0"),
        ({"bound": 0.99}, r"`bound` should be finite, at least 1; found 0\.99\. Choose"),
        ({"bound": float("nan")}, r"`bound` should be finite, at least 1; found nan\. Choose"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(options, message):
    with pytest.raises(ValueError, match=message):
        cp.AGM(**options)


def test_what_a_single_step_and_a_single_sample_come_to():
    method = cp.AGM(bound=1.5)
    method.bind(("ear", "eye"), torch.float64)
    assert method.bounded_share.tolist() == [0, 0]  # of no step
    given = cp.Signals(None, None, scores=torch.tensor([0.5, 1.0]).double())
    method.coefficients(given)
    assert method.diagnostics()["bounded"].sum() == method.bounded_share.sum() > 0
    bad = given._replace(scores=torch.tensor([float("nan"), 1.0]).double())
    for num_samples, step in ((0, -1), (1, 2)):
        method.coefficients(bad._replace(num_samples=torch.tensor(num_samples)))
        assert method.nonfinite_steps.tolist() == [step, step]
