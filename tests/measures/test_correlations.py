"""Correlations and their intervals."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise.experiments.study import correlation, mean_correlation, rank_correlation

WHOLE = st.integers(-50, 50)
PAIRS = st.lists(st.tuples(WHOLE, WHOLE), min_size=3, max_size=11).filter(
    lambda pairs: all(len(set(side)) > 1 for side in zip(*pairs, strict=True))
)
BOTH = pytest.mark.parametrize("measure", [correlation, rank_correlation])


def test_pearson_by_hand():
    assert correlation([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)
    assert correlation([1, 2, 2, 3], [4, 6, 8, 10]) == pytest.approx(math.sqrt(0.9))


def test_spearman_shares_ranks_among_equals():
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    assert rank_correlation([0, 7, 7, 9], [1, 2, 30, 31]) == pytest.approx(math.sqrt(0.9))


@BOTH
@settings(max_examples=40, deadline=None)
@given(pairs=PAIRS, scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_scale_and_shift_make_no_difference_and_a_sign_turns_it(measure, pairs, scale, shift):
    first, second = map(list, zip(*pairs, strict=True))
    found = measure(first, second)
    assert -1 - 1e-12 <= found <= 1 + 1e-12
    assert measure(second, first) == pytest.approx(found, abs=1e-9)
    assert measure([scale * x + shift for x in first], second) == pytest.approx(found, abs=1e-9)
    assert measure([-x for x in first], second) == pytest.approx(-found, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(pairs=PAIRS)
def test_ranks_know_the_order_alone(pairs):
    first, second = map(list, zip(*pairs, strict=True))
    assert rank_correlation([x**3 for x in first], second) == rank_correlation(first, second)


@BOTH
@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 2, 3, 4])])
def test_it_takes_pairs_at_least_three(measure, first, second):
    rule = r"`first` and `second` should be as long as each other, at least 3 values; found "
    with pytest.raises(ValueError, match=rf"{rule}{len(first)} and {len(second)}\. Pass pairs"):
        measure(first, second)


def test_both_sides_must_vary():
    with pytest.raises(ValueError, match=r"`first` should vary; found 4 throughout\. Measure"):
        correlation([4, 4, 4], [1, 2, 3])
    with pytest.raises(ValueError, match=r"`second` should vary; found 2\.5 throughout"):
        correlation([1, 2, 3], [2.5, 2.5, 2.5])


def test_mean_correlation_by_hand():
    low, high = math.tanh(0.5), math.tanh(1.5)
    found = mean_correlation([low, high])
    assert found.mean == pytest.approx(math.tanh(1.0))
    half = 12.7062 * 0.5  # Student's t of one degree of freedom, times the error of the mean
    assert found.low == pytest.approx(math.tanh(1 - half), abs=1e-4)
    assert found.high == pytest.approx(math.tanh(1 + half), abs=1e-4)
    assert found.num_values == 2


def test_a_single_correlation_has_no_interval():
    mean, *ends = mean_correlation([0.25])
    assert mean == pytest.approx(0.25)
    assert ends == [None, None, 1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=7))
def test_intervals_stay_within_one_and_follow_the_sign(values):
    found = mean_correlation(values)
    assert -1 <= found.low <= found.mean <= found.high <= 1
    turned = mean_correlation([-value for value in values])
    assert turned[:3] == pytest.approx((-found.mean, -found.high, -found.low))
