import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from counterpoise.measures.bootstrap import Interval, bootstrap_interval, summarize
from support.properties import repeatable

VALUES = [0.71, 0.74, 0.70, 0.75, 0.73]


def coverage(draw, mean, num_repeats, num_cases=600):
    hits = 0
    for case in range(num_cases):
        values = draw(np.random.default_rng([num_repeats, case]), num_repeats)
        low, high = bootstrap_interval(values, num_resamples=599, seed=case)
        hits += low <= mean <= high
    return hits / num_cases


@pytest.mark.parametrize("num_repeats", [2, 3, 5, 11])
def test_95_of_100_intervals_hold_the_mean_of_normal_values(num_repeats):
    # Three standard errors of 600 cases are 0.027; the percentile bootstrap has 0.83 for 5.
    found = coverage(lambda rng, n: rng.normal(0.7, 0.1, n), 0.7, num_repeats)
    assert 0.923 <= found <= 0.985


@pytest.mark.parametrize("num_repeats", [5, 11])
def test_coverage_hardly_falls_where_values_are_skewed(num_repeats):
    found = coverage(lambda rng, n: rng.exponential(size=n), 1.0, num_repeats)
    assert found >= 0.88


def test_another_confidence_is_kept_as_well():
    hits = 0
    for case in range(400):
        values = np.random.default_rng(case).normal(size=7)
        low, high = bootstrap_interval(values, confidence=0.8, num_resamples=599)
        hits += low <= 0 <= high
    assert 0.74 <= hits / 400 <= 0.87


def test_many_repeats_give_the_interval_of_student():
    values = np.random.default_rng(3).normal(5, 2, 401)
    low, high = bootstrap_interval(values)
    half = stats.t.ppf(0.975, 400) * values.std(ddof=1) / math.sqrt(401)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


@repeatable
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=11), st.floats(-3, 3), st.floats(0.1, 7))
def test_the_interval_moves_and_grows_with_the_values(values, shift, factor):
    values = np.asarray(values)
    low, high = bootstrap_interval(values, num_resamples=199)
    moved = bootstrap_interval(values * factor + shift, num_resamples=199)
    assert moved == pytest.approx((low * factor + shift, high * factor + shift), abs=1e-6)
    assert low <= high


def test_the_same_seed_gives_the_same_interval_and_another_nearly():
    first, again, other = (bootstrap_interval(VALUES, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert other == pytest.approx(first, abs=0.003)


def test_values_that_are_all_alike_have_an_interval_of_no_width():
    assert bootstrap_interval([0.3] * 7) == (0.3, 0.3)
    assert summarize([0.1] * 3) == (
        pytest.approx(0.1),
        0.0,
        pytest.approx(0.1),
        pytest.approx(0.1),
        3,
    )


def test_a_single_value_has_no_interval():
    assert all(map(math.isnan, bootstrap_interval([0.3])))
    mean, deviation, low, high, num_repeats = summarize([0.3])
    assert (mean, num_repeats) == (0.3, 1)
    assert all(map(math.isnan, (deviation, low, high)))


def test_summaries_hold_what_numpy_says():
    found = summarize(VALUES, seed=3)
    assert found.mean == pytest.approx(np.mean(VALUES))
    assert found.deviation == pytest.approx(np.std(VALUES, ddof=1))
    assert found[2:4] == bootstrap_interval(VALUES, seed=3)
    assert isinstance(bootstrap_interval(VALUES), Interval)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "`values` should be a sequence of finite numbers, at least one; found []"),
        ([1.0, math.nan], {}, "at least one; found [ 1. nan]. Leave out what was not measured."),
        ([[1.0, 2.0]], {}, "`values` should be a sequence of finite numbers"),
        ([1.0, 2.0], {"confidence": 1.0}, "`confidence` should be finite, above 0"),
        ([1.0, 2.0], {"num_resamples": 99}, "`num_resamples` should be at least 100; found 99"),
    ],
)
def test_what_cannot_be_resampled_is_refused(values, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        bootstrap_interval(values, **options)
