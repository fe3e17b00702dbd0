"""Families of tests, and what is said of each difference."""

import math
import re
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from counterpoise.measures.statistics import (
    Estimate,
    Judgement,
    corrected_p_values,
    equivalence_p_value,
    judge,
    paired_difference,
    power,
)
from counterpoise.measures.statistics.families import _decided_at

ESTIMATES = st.lists(
    st.builds(
        Estimate,
        mean=st.floats(-0.1, 0.1),
        error=st.floats(0.001, 0.1),
        degrees=st.just(4.0),
        num_values=st.just(5),
    ),
    min_size=1,
    max_size=11,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=11))
def test_corrections_are_those_of_statsmodels(p_values):
    for correction in ("holm", "bonferroni"):
        # It collects garbage each time, which takes long where all tests are in memory.
        with patch("gc.collect"):
            theirs = multipletests(p_values, method=correction)[1]
        assert corrected_p_values(p_values, correction=correction) == pytest.approx(theirs)


def test_what_was_not_tested_does_not_count():
    found = corrected_p_values([0.02, math.nan, 0.01])
    assert found[[0, 2]].tolist() == [0.02, 0.02]
    assert math.isnan(found[1])
    assert np.isnan(corrected_p_values([math.nan])).all()
    assert len(corrected_p_values([])) == 0


@pytest.mark.parametrize("p_values", [[0.1, 1.2], [-0.1]])
def test_what_is_no_p_value_is_refused(p_values):
    message = f"`p_values` should be in [0, 1]; found {p_values[-1]:g}. Pass what a test returns."
    with pytest.raises(ValueError, match=re.escape(message)):
        corrected_p_values(p_values)


def test_an_unknown_correction_is_refused():
    with pytest.raises(ValueError, match="`correction` should be one of 'holm', 'bonferroni';"):
        corrected_p_values([0.1], correction="hochberg")


@given(ESTIMATES, st.sampled_from(["holm", "bonferroni"]), st.floats(0.01, 0.2))
def test_a_verdict_never_contradicts_its_interval_or_its_p_value(estimates, correction, level):
    for each in judge(estimates, level=level, margin=0.02, correction=correction):
        assume(abs(each.corrected - level) > 1e-9)
        assert (each.verdict in ("higher", "lower")) == (each.corrected < level)
        assert (each.verdict == "higher") == (each.low > 0)
        assert (each.verdict == "lower") == (each.high < 0)
        if each.verdict == "equivalent":
            assert -0.02 < each.low <= 0 <= each.high < 0.02
            assert each.equivalence < level
        alone = each.estimate.interval(1 - level)
        assert each.low <= alone[0] + 1e-12
        assert each.high >= alone[1] - 1e-12


@given(ESTIMATES)
def test_more_hypotheses_never_make_a_difference_surer(estimates):
    few, many = judge(estimates[:1])[0], judge([*estimates, *estimates[::-1]])[0]
    assert few.mean == many.mean == estimates[0].mean
    assert few.corrected <= many.corrected
    assert few.high <= many.high
    assert few.detectable <= many.detectable


def test_levels_of_holm_by_hand():
    """p-values 0.001, 0.04, 0.02 of three: 0.001 < 0.05 / 3; 0.02 < 0.05 / 2; 0.04 < 0.05."""
    found = judge([_with_p(p) for p in (0.001, 0.04, 0.02)])
    assert [each.decided_at for each in found] == pytest.approx([0.05 / 3, 0.05, 0.05 / 2])
    assert [each.verdict for each in found] == ["higher"] * 3
    # 0.03 is not below 0.05 / 2, so that neither is 0.04 decided at 0.05.
    found = judge([_with_p(p) for p in (0.001, 0.04, 0.03)])
    assert [each.decided_at for each in found] == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])
    assert [each.verdict for each in found] == ["higher", "undecided", "undecided"]
    found = judge([_with_p(p) for p in (0.001, 0.04, 0.03)], correction="bonferroni")
    assert [each.decided_at for each in found] == pytest.approx([0.05 / 3] * 3)


def test_a_corrected_p_value_at_the_level_is_not_below_it():
    p_values, corrected = np.array([0.025, 0.9]), np.array([0.05, 0.9])
    assert _decided_at(p_values, corrected, 0.05, "holm").tolist() == [0.025, 0.025]


def _with_p(p_value):
    """An estimate of 5 seeds with this p-value."""
    from scipy import stats

    return Estimate(0.01 * float(stats.t.isf(p_value / 2, 4)), 0.01, 4, 5)


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 4])
def test_fewer_than_5_seeds_are_not_tested_and_do_not_count(num_seeds):
    few = paired_difference([0.9] * num_seeds, [0.5] * num_seeds, step=0.01)
    enough = Estimate(0.02, 0.002, 4, 5)
    first, second = judge([few, enough])
    assert first.verdict == "too few seeds"
    assert all(map(math.isnan, (first.corrected, first.equivalence, first.detectable)))
    assert math.isnan(first.low) == (num_seeds == 1)  # an interval there is
    assert second == judge([enough])[0]


def test_few_data_sets_are_called_so():
    assert judge([Estimate(0.1, 0.01, 2, 3, "data sets")])[0].verdict == "too few data sets"


def test_values_without_spread_decide_nothing():
    (found,) = judge([paired_difference([0.9] * 5, [0.8] * 5)])
    assert found.verdict == "undecided"
    assert math.isnan(found.detectable)


def test_a_difference_may_be_sure_and_still_within_the_margin():
    (found,) = judge([Estimate(0.004, 0.0005, 9, 10)])
    assert (found.verdict, found.within_margin) == ("higher", True)
    (found,) = judge([Estimate(0.004, 0.0005, 9, 10)], margin=None)
    assert (found.verdict, found.within_margin) == ("higher", False)
    assert judge([Estimate(0.0, 0.0005, 9, 10)], margin=None)[0].verdict == "undecided"


def test_both_ends_and_the_corrected_test_say_what_is_equivalent():
    # Alone, t = 0.006 / 0.00257 has a p-value of 0.04; the interval of 95% ends at 0.0111.
    (found,) = judge([Estimate(0.004, 0.00257, 4, 5)])
    assert found.equivalence < 0.05
    assert -0.01 < found.low < 0.01 < found.high
    assert not found.within_margin
    (turned,) = judge([Estimate(-0.004, 0.00257, 4, 5)])
    assert not turned.within_margin
    # t = 3 has 0.02, and so 0.06 as the surest of three, though its interval is that of 95%.
    surer = [Estimate(0.5, 0.01, 4, 5)] * 2
    found = judge([*surer, Estimate(0.0, 0.01 / 3, 4, 5)])[-1]
    assert found.equivalence == pytest.approx(3 * 0.02, rel=0.01)
    assert found.decided_at == 0.05
    assert found.high < 0.01
    assert found.verdict == "undecided"


def test_the_margin_is_a_point_unless_another_is_stated():
    seen, close = judge([Estimate(0.0, 0.003, 9, 10)]), judge([Estimate(0.0, 0.006, 9, 10)])
    assert [seen[0].verdict, close[0].verdict] == ["equivalent", "undecided"]
    assert seen[0].margin == 0.01


@pytest.mark.parametrize(
    ("equivalence", "bounds", "within"),
    [
        (0.04, (-0.005, 0.005), True),
        (0.05, (-0.005, 0.005), False),
        (0.04, (-0.01, 0.005), False),
        (0.04, (-0.005, 0.01), False),
    ],
)
def test_ends_on_the_margin_are_not_within(equivalence, bounds, within):
    wide = Estimate(0.0, 1.0, 4, 5)
    found = Judgement(wide, 0.9, 0.9, equivalence, 0.05, 0.05, 0.01, bounds)
    assert found.within_margin == within


@pytest.mark.parametrize("bounds", [(0, 1), (-1, 0)])
def test_an_interval_that_ends_at_zero_excludes_nothing(bounds):
    assert judge([Estimate(0.0, 0.1, 4, 5)], bounds=bounds)[0].verdict == "undecided"


def test_what_could_not_be_seen_is_not_called_equivalent():
    (found,) = judge([Estimate(0.0, 0.02, 4, 5)])
    assert found.verdict == "undecided"
    assert found.detectable > 0.05


@given(ESTIMATES)
def test_the_detectable_difference_is_found_in_80_of_100_cases(estimates):
    for each in judge(estimates):
        found = power(each.detectable, each.estimate.error, 4.0, level=each.decided_at)
        assert found == pytest.approx(0.8, abs=1e-6)


def test_equivalence_is_that_of_statsmodels():
    rng = np.random.default_rng(3)
    ours, joint = rng.normal(0.8, 0.01, size=(2, 7))
    theirs = ttost_paired(ours, joint, -0.02, 0.02)[0]
    assert equivalence_p_value(paired_difference(ours, joint), 0.02) == pytest.approx(theirs)


def test_intervals_end_at_the_bounds():
    (found,) = judge([Estimate(0.9, 0.3, 4, 5)], bounds=(-1, 1))
    assert (found.high, found.verdict) == (1, "higher")
    assert math.isnan(judge([Estimate(0.9, math.nan, 4, 5)], bounds=(-1, 1))[0].low)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0.0}, "`level` should be finite, above 0 and below 1; found 0.0."),
        ({"margin": 0.0}, "`margin` should be finite, above 0; found 0.0."),
        ({"bounds": (1, 1)}, "`bounds` should be two numbers, the lower first; found (1, 1). Swap"),
        ({"bounds": (0, 1, 2)}, "`bounds` should be two numbers, the lower first; found (0, 1, 2)"),
        ({"correction": "none"}, "`correction` should be one of 'holm', 'bonferroni'; found"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        judge([Estimate(0.1, 0.1, 4, 5)], **options)


def test_an_empty_family_has_no_judgements():
    assert judge([]) == []


def test_differences_of_other_quantities_have_margins_and_bounds_of_their_own():
    same = Estimate(0.001, 0.0002, 4, 5)
    first, second, third = judge([same] * 3, margin=[0.01, 0.0005, None], bounds=[(-1, 1)] * 3)
    assert [each.verdict for each in (first, second, third)] == ["higher"] * 3
    assert [each.within_margin for each in (first, second, third)] == [True, False, False]
    assert (first.margin, third.margin, math.isnan(third.equivalence)) == (0.01, None, True)
    wide = Estimate(0.0, 1.0, 4, 5)
    free, bound = judge([wide] * 2, bounds=[(-math.inf, math.inf), (-1, 0.5)])
    assert (bound.low, bound.high) == (-1, 0.5)
    assert free.low < -1
    message = "`margin` should be one for all 2 estimates or a list of as many; found a list of 1"
    with pytest.raises(ValueError, match=re.escape(message)):
        judge([wide] * 2, margin=[0.01])
