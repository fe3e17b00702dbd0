"""Means, paired differences and their intervals, by Student's t."""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from counterpoise.data.files import extras
from counterpoise.measures.statistics import (
    DIVERGED,
    Estimate,
    Interval,
    mean_estimate,
    mean_interval,
    paired_difference,
    share_interval,
)
from counterpoise.measures.statistics.runs import scipy

AGM = [0.81, 0.79, 0.84, 0.80, 0.83, 0.86, 0.78]
JOINT = [0.80, 0.80, 0.81, 0.79, 0.80, 0.81, 0.79]


def test_a_paired_difference_is_that_of_scipy():
    found, theirs = paired_difference(AGM, JOINT), stats.ttest_rel(AGM, JOINT)
    assert found.mean == pytest.approx(np.mean(AGM) - np.mean(JOINT))
    assert found.p_value() == pytest.approx(theirs.pvalue)
    assert found.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    assert (found.num_values, found.degrees, found.unit) == (7, 6, "seeds")


@given(
    st.lists(st.floats(-1, 1), min_size=5, max_size=11),
    st.floats(0, 0.3),
    st.floats(0.001, 0.5),
    st.floats(-1, 1),
)
def test_interval_and_test_agree(values, step, level, null):
    found = mean_estimate(values, step=step)
    assume(not math.isnan(found.error))
    low, high = found.interval(1 - level)
    p_value = found.p_value(null)
    assume(abs(p_value - level) > 1e-9)
    assert (p_value < level) == (null < low or null > high)


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=7), st.floats(-3, 3), st.floats(0.1, 7))
def test_estimates_move_and_grow_with_the_values(values, shift, factor):
    assume(np.ptp(values) > 1e-6)
    found = mean_estimate(values, step=0.1)
    moved = mean_estimate([factor * v + shift for v in values], step=0.1 * factor)
    assert moved.mean == pytest.approx(factor * found.mean + shift, abs=1e-9)
    assert moved.error == pytest.approx(factor * found.error)


def test_pairing_removes_what_seeds_have_in_common():
    seeds = np.random.default_rng(0).normal(0, 0.1, 5)
    ahead = [seed + d for seed, d in zip(seeds, [0.02, 0.021, 0.019, 0.02, 0.022], strict=True)]
    assert paired_difference(ahead, seeds).interval()[0] > 0.015
    assert stats.ttest_ind(ahead, seeds).pvalue > 0.4


def test_a_step_adds_its_variance_to_a_value_and_twice_to_a_difference():
    values = [0.50, 0.52, 0.51, 0.55, 0.52]
    plain, stepped = mean_estimate(values), mean_estimate(values, step=0.06)
    assert stepped.std**2 == pytest.approx(plain.std**2 + 0.06**2 / 12)
    assert stepped.error == pytest.approx(stepped.std / math.sqrt(5))
    both = paired_difference(values, [0.5] * 5, step=0.06)
    assert both.std**2 == pytest.approx(plain.std**2 + 2 * 0.06**2 / 12)


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 11])
def test_equal_differences_never_give_a_p_value_of_zero(num_seeds):
    """A step of 1 / 400 on every seed; without the step's variance the p-value was 0."""
    found = paired_difference([0.5025] * num_seeds, [0.5] * num_seeds, step=1 / 400)
    assert 0 < found.p_value() < 1
    # t = (1/400) / sqrt((1/400)^2 / 6 / N) = sqrt(6 N)
    expected = 2 * stats.t.sf(math.sqrt(6 * num_seeds), num_seeds - 1)
    assert found.p_value() == pytest.approx(expected)
    assert paired_difference(JOINT, JOINT, step=1 / 400).p_value() == 1


def test_equal_values_without_a_step_have_no_error_and_are_not_tested():
    found = paired_difference([0.3, 0.2, 0.7, 0.4, 0.6], [0.2, 0.1, 0.6, 0.3, 0.5])
    assert found.mean == pytest.approx(0.1)
    assert all(map(math.isnan, (found.error, found.p_value(), *found.interval(), found.effect)))
    assert not found.testable
    assert paired_difference([0.3, 0.1], [0.1 + 0.2, 0.1]).mean == 0  # but for rounding


def test_rounding_is_relative_to_the_largest_value():
    assert math.isnan(mean_estimate([1e3, 1e3 + 5e-10, 1e3]).error)
    assert mean_estimate([1e3, 1e3 + 2e-9, 1e3]).error > 0
    assert mean_estimate([3, -1, -2 + 6e-12]).mean == 0  # 2e-12, within 3e-12
    assert mean_estimate([3, -1, -2 + 12e-12]).mean > 0
    assert paired_difference([3, 0.5], [1, 2.5 + 4e-12]).mean == 0
    assert paired_difference([3, 0.5], [1, 2.5 + 8e-12]).mean < 0


def test_an_interval_of_fewer_than_five_values_is_not_tested():
    interval = mean_interval([0.2, 0.3, 0.4, 0.35])
    assert interval.low > 0
    assert not interval.testable
    assert not interval.excludes_zero
    assert not Interval(0.3, None, None, 7).testable
    assert mean_interval([0.2, 0.3, 0.4, 0.35, 0.3]).testable


@pytest.mark.parametrize(
    ("low", "high", "excluded"),
    [(0.1, 0.4, True), (-0.4, -0.1, True), (0.0, 0.4, False), (-0.4, 0.0, False), (-1, 1, False)],
)
def test_zero_is_excluded_where_it_is_outside(low, high, excluded):
    assert Interval((low + high) / 2, low, high, 5).excludes_zero == excluded
    assert not Interval((low + high) / 2, low, high, 4).excludes_zero
    assert not Interval(0.3, math.nan, math.nan, 5).excludes_zero
    assert not Interval(0.3, None, None, 5).excludes_zero


def test_a_single_value_has_no_error():
    found = mean_estimate([0.9], step=0.1)
    assert (found.mean, found.num_values) == (0.9, 1)
    assert all(map(math.isnan, (found.error, found.degrees, *found.interval())))


def test_the_effect_has_the_exact_correction_of_hedges():
    differences = np.subtract(AGM, JOINT)
    plain = differences.mean() / differences.std(ddof=1)
    # For f = 6: J = Gamma(3) / (sqrt(3) Gamma(5/2)) = 2 / (sqrt(3) 3/4 sqrt(pi)) = 0.8686...
    expected = plain * 2 / (math.sqrt(3 * math.pi) * 0.75)
    assert paired_difference(AGM, JOINT).effect == pytest.approx(expected)
    assert math.isnan(mean_estimate([0.1, 0.3]).effect)
    # For f = 2: J = Gamma(1) / Gamma(1/2) = 1 / sqrt(pi); the deviation of these is 1.
    assert mean_estimate([1, 2, 3]).effect == pytest.approx(2 / math.sqrt(math.pi))


def test_the_effect_is_right_on_average():
    # The mean of g over samples is the true effect, 0.8; without the correction it is 1.0.
    rng = np.random.default_rng(2)
    found = [mean_estimate(rng.normal(0.8, 1, 5).tolist()).effect for _ in range(6000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_diverged_runs_count_with_what_is_said():
    found = paired_difference([0.8, DIVERGED, 0.7], [0.7, 0.6, DIVERGED], diverged=0.1)
    assert found.mean == pytest.approx((0.1 - 0.5 + 0.6) / 3)
    both = paired_difference([0.8, DIVERGED, 0.7], [0.7, DIVERGED, 0.6], diverged=0.1)
    assert both.mean == pytest.approx(0.2 / 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_difference(AGM, [0.1]), "`baseline` should have a value for each of 7 in"),
        (lambda: paired_difference([0.1], [math.inf]), "`baseline` should be a sequence of finite"),
        (
            lambda: mean_estimate([0.8, DIVERGED, DIVERGED]),
            "`diverged` should be what a diverged run counts with, as `values` holds 2 of them; "
            "found None. Pass the accuracy of guessing.",
        ),
        (
            lambda: mean_estimate([]),
            "`values` should be a sequence of finite numbers, at least one; found []. Leave out "
            "what was not measured, and pass 'diverged' for a run that diverged where that is",
        ),
        (lambda: mean_estimate([0.1, math.nan]), "at least one; found [0.1 nan]"),
        (lambda: mean_estimate([0.1, 0.2], step=-1.0), "`step` should be finite, at least 0;"),
        (
            lambda: Estimate(0.1, 0.1, 4, 5).interval(1.0),
            "`confidence` should be finite, above 0 and below 1; found 1.0.",
        ),
    ],
)
def test_what_cannot_be_estimated_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 11])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_hold_the_mean_of_normal_values(num_seeds, confidence):
    rng, hits = np.random.default_rng([2, num_seeds]), 0
    for values in rng.normal(0.7, 0.1, size=(600, num_seeds)).tolist():
        low, high = mean_estimate(values, step=1 / 400).interval(confidence)
        hits += low <= 0.7 <= high
    assert hits / 600 == pytest.approx(
        confidence, abs=4 * math.sqrt(confidence * (1 - confidence) / 600)
    )


def test_an_interval_tells_mean_ends_deviation_and_runs_that_diverged():
    found = mean_interval([*AGM, DIVERGED])
    theirs = stats.ttest_1samp(AGM, 0).confidence_interval()
    assert found[:3] == pytest.approx((np.mean(AGM), *theirs))
    assert found.std == pytest.approx(np.std(AGM, ddof=1))
    assert (found.num_values, found.num_diverged) == (7, 1)
    lost = mean_interval([DIVERGED, DIVERGED])
    assert (math.isnan(lost.mean), *lost[1:]) == (True, None, None, 0, None, 2)


def test_no_interval_is_made_of_values_that_are_all_alike_or_alone():
    assert mean_interval([0.5] * 5) == Interval(0.5, None, None, 5, 0.0)
    assert mean_interval([0.5]) == Interval(0.5, None, None, 1)
    # t(4) 0.12 / sqrt(12) / sqrt(5) = 2.7764 * 0.0154919
    assert mean_interval([0.5] * 5, step=0.12).high == pytest.approx(0.543012, abs=1e-5)


def test_an_interval_ends_where_means_can_lie():
    free = mean_interval([0.97, 1.0])
    assert free.within(0, 1) == free._replace(high=1.0)
    assert Interval(0.5, None, None, 1).within(0, 1) == Interval(0.5, None, None, 1)


def test_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"`values` should hold at least one value; found none\."):
        mean_interval([])
    with pytest.raises(ValueError, match="`confidence` should be finite, above 0 and below 1;"):
        mean_interval([0.5], 1.0)


@pytest.mark.parametrize(
    ("call", "package"),
    [
        (lambda: scipy("stats"), "scipy"),
        (lambda: share_interval(3, 7), "statsmodels"),
    ],
)
def test_without_a_package_statistics_say_how_to_install_it(monkeypatch, call, package):
    real = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else real(name))
    with pytest.raises(ImportError, match=rf'needs {package}.*pip install "counterpoise\[train\]"'):
        call()
