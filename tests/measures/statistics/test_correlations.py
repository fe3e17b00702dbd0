"""Correlations and their intervals."""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from counterpoise.measures.statistics import (
    correlation,
    correlation_interval,
    mean_correlation,
    rank_correlation,
    share_interval,
    slope,
)

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
@given(pairs=PAIRS, scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_scale_and_shift_make_no_difference_and_a_sign_turns_it(measure, pairs, scale, shift):
    first, second = map(list, zip(*pairs, strict=True))
    found = measure(first, second)
    assert -1 - 1e-12 <= found <= 1 + 1e-12
    assert measure(second, first) == pytest.approx(found, abs=1e-9)
    assert measure([scale * x + shift for x in first], second) == pytest.approx(found, abs=1e-9)
    assert measure([-x for x in first], second) == pytest.approx(-found, abs=1e-9)


@given(pairs=PAIRS)
def test_ranks_know_the_order_alone(pairs):
    first, second = map(list, zip(*pairs, strict=True))
    assert rank_correlation([x**3 for x in first], second) == rank_correlation(first, second)


@BOTH
@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 2, 3, 4])])
def test_it_takes_pairs_at_least_three(measure, first, second):
    rule = r"`first` and `second` should be as long as each other, at least 3 values; found "
    with pytest.raises(
        ValueError, match=rf"{rule}shapes \({len(first)},\) and \({len(second)},\)\. Pass"
    ):
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
    found = mean_correlation([0.25])
    assert found.mean == pytest.approx(0.25)
    assert found[1:4] == (None, None, 1)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=7))
def test_intervals_stay_within_one_and_follow_the_sign(values):
    assume(max(values) - min(values) > 1e-6)
    found = mean_correlation(values)
    assert -1 <= found.low <= found.mean <= found.high <= 1
    turned = mean_correlation([-value for value in values])
    assert turned[:3] == pytest.approx((-found.mean, -found.high, -found.low))


def test_the_interval_of_one_correlation_is_that_of_scipy():
    first = [0.1, 0.5, 0.2, 0.9, 0.7, 0.3, 0.8]
    second = [0.2, 0.4, 0.4, 0.7, 0.9, 0.1, 0.6]
    found = correlation_interval(first, second, 0.9)
    low, high = stats.pearsonr(first, second).confidence_interval(0.9)
    assert found[:4] == pytest.approx((stats.pearsonr(first, second).statistic, low, high, 7))
    ranks = correlation_interval(first, second, 0.9, ranks=True)
    assert ranks.mean == pytest.approx(stats.spearmanr(first, second).statistic)
    # The error is sqrt(1 + r^2 / 2) that of Pearson's.
    wide = math.atanh(ranks.high) - math.atanh(ranks.mean)
    narrow = math.atanh(found.high) - math.atanh(found.mean)
    assert wide / narrow == pytest.approx(math.sqrt(1 + ranks.mean**2 / 2))


def test_a_perfect_correlation_has_an_interval_that_ends_there():
    found = correlation_interval([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
    assert found.mean == pytest.approx(1)
    assert 0.99 < found.low <= found.high <= 1


def test_three_pairs_have_no_interval():
    rule = "`first` should have at least 4 values for an interval; found 3. Add pairs."
    with pytest.raises(ValueError, match=re.escape(rule)):
        correlation_interval([1, 2, 3], [1, 3, 2])


@pytest.mark.parametrize("ranks", [False, True])
def test_intervals_of_correlations_hold_the_true_one(ranks):
    rng, true, hits = np.random.default_rng(5), 0.6, 0
    target = 6 / math.pi * math.asin(true / 2) if ranks else true  # Spearman's of normal values
    for _ in range(600):
        x = rng.normal(size=11)
        y = true * x + math.sqrt(1 - true**2) * rng.normal(size=11)
        found = correlation_interval(x, y, ranks=ranks)
        hits += found.low <= target <= found.high
    assert 0.92 <= hits / 600 <= 0.985


def test_shares_by_hand():
    # Wilson's: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), n = 7, z = 1.95996.
    found = share_interval(3, 7)
    z, n, p = 1.959964, 7, 3 / 7
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert found[:4] == pytest.approx((p, middle - half, middle + half, 7), abs=1e-6)
    assert share_interval(3, 7, method="beta").low < found.low
    assert share_interval(0, 7).low == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (8, 7),
            "`num_successes` should be at most `num_cases`, 7; found 8. Count each case once.",
        ),
        ((-1, 7), "`num_successes` should be at least 0; found -1."),
        ((0, 0), "`num_cases` should be at least 1; found 0."),
        ((1, 7, 1.0), "`confidence` should be finite, above 0 and below 1; found 1.0."),
    ],
)
def test_shares_of_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        share_interval(*arguments)
    with pytest.raises(
        ValueError, match="`method` should be one of 'wilson', 'beta'; found 'wald'"
    ):
        share_interval(1, 7, method="wald")


@pytest.mark.parametrize(("error", "known"), [(1.5e-9, False), (3e-9, True)])
def test_an_error_of_rounding_is_none(error, known):
    # Relative to the largest y in units of the spread of x, 3 / sqrt(2): up to 2.1e-9.
    d = error / math.sqrt(3)
    assert math.isnan(slope([1, 2, 3], [1 + d, 2 - 2 * d, 3 + d]).error) != known


def test_slopes_are_those_of_a_regression():
    rng = np.random.default_rng(4)
    x = rng.normal(size=7).tolist()
    y = (0.3 * np.array(x) + 0.1 * rng.normal(size=7)).tolist()
    theirs = stats.linregress(x, y)
    found = slope(x, y)
    assert (found.mean, found.error) == pytest.approx((theirs.slope, theirs.stderr))
    assert found.p_value() == pytest.approx(theirs.pvalue)
    assert (found.degrees, found.num_values, found.unit) == (5, 7, "data sets")
    assert math.isnan(slope([1, 2, 3], [2, 4, 6]).error)  # all on a line: nothing says how surely
    line = [1e12 * (0.3 * x + 0.1) for x in (0.1, 0.2, 0.7)]
    assert math.isnan(slope([0.1, 0.2, 0.7], line).error)  # whatever the unit
    assert slope([1, 2, 3], [5, 5, 5]).mean == 0
    assert math.isnan(slope([1, 2, 3], [0, 0, 0]).error)
    with pytest.raises(ValueError, match=r"`first` and `second` should be as long as each other"):
        slope([1, 2, 3], [0.1, 0.2])
    with pytest.raises(ValueError, match="first"):
        slope([1, 1, 1], [5, 5, 5])
    with pytest.raises(ValueError, match="`first` should vary"):
        slope([1, 1, 1], [1, 2, 3])
