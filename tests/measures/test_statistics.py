import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from counterpoise.measures.bootstrap import bootstrap_interval
from counterpoise.measures.statistics import (
    PairedDifference,
    effect_size,
    holm,
    mean_ranks,
    paired_difference,
    paired_p_value,
    verdict,
)
from support.properties import repeatable

AGM = [0.81, 0.79, 0.84, 0.80, 0.83, 0.86, 0.78]
JOINT = [0.80, 0.80, 0.81, 0.79, 0.80, 0.81, 0.79]


def test_a_paired_difference_is_that_of_scipy():
    found = paired_difference(AGM, JOINT, seed=2)
    assert found.mean == pytest.approx(np.mean(AGM) - np.mean(JOINT))
    assert found.p_value == pytest.approx(stats.ttest_rel(AGM, JOINT).pvalue)
    differences = np.round(np.subtract(AGM, JOINT), 12)
    assert (found.low, found.high) == bootstrap_interval(differences, seed=2)
    assert found.num_pairs == 7


def test_pairing_removes_what_seeds_have_in_common():
    seeds = np.random.default_rng(0).normal(0, 0.1, 5)
    steady = paired_difference(np.add(seeds, [0.02, 0.021, 0.019, 0.02, 0.022]), seeds)
    assert steady.low > 0.015
    assert stats.ttest_ind(seeds + 0.02, seeds).pvalue > 0.4


def test_differences_that_are_the_same_but_for_rounding_are_the_same():
    found = paired_difference([0.3, 0.2, 0.7], [0.2, 0.1, 0.6])
    assert found == (pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1), 0.0, math.inf, 3)
    assert paired_difference([0.1, 0.2], [0.2, 0.3]).p_value == 0.0


def test_no_difference_is_told_as_none():
    assert paired_difference(JOINT, JOINT) == (0.0, 0.0, 0.0, 1.0, 0.0, 7)


def test_one_pair_is_not_tested():
    found = paired_difference([0.9], [0.8])
    assert found.mean == pytest.approx(0.1)
    assert all(map(math.isnan, found[1:5]))
    assert verdict(found, math.nan) == "not tested"


def test_false_alarms_are_as_rare_as_the_p_value_says():
    rng = np.random.default_rng(1)
    p_values = np.array([paired_p_value(rng.normal(size=5)) for _ in range(2000)])
    for level in (0.01, 0.05, 0.3):
        assert (p_values < level).mean() == pytest.approx(level, abs=4 * math.sqrt(level / 2000))


def test_the_effect_has_the_exact_correction_of_hedges():
    differences = np.subtract(AGM, JOINT)
    plain = differences.mean() / differences.std(ddof=1)
    # For f = 6: J = Gamma(3) / (sqrt(3) Gamma(5/2)) = 2 / (sqrt(3) 3/4 sqrt(pi)) = 0.8686...
    assert effect_size(differences) == pytest.approx(plain * 2 / (math.sqrt(3 * math.pi) * 0.75))


def test_the_effect_is_right_on_average():
    # The mean of g over samples is the true effect, 0.8; without the correction it is 1.0.
    rng = np.random.default_rng(2)
    found = [effect_size(rng.normal(0.8, 1, 5)) for _ in range(6000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_effects_of_few_or_equal_differences():
    assert math.isnan(effect_size([0.1, 0.3]))
    assert effect_size([0.0, 0.0, 0.0]) == 0.0
    assert effect_size([-0.1, -0.1, -0.1]) == -math.inf


def slow_holm(p_values):
    """Straight from the definition, with every hypothesis compared with those before it."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    for place, index in enumerate(order):
        steps = [(len(order) - k) * p_values[order[k]] for k in range(place + 1)]
        corrected[index] = min(1.0, max(steps))
    return corrected


@repeatable
@given(st.lists(st.floats(0, 1), max_size=11))
def test_holm_is_as_defined(p_values):
    found = holm(p_values)
    assert found.tolist() == pytest.approx(slow_holm(p_values))
    assert (found >= np.asarray(p_values)).all()


def test_holm_leaves_out_what_was_not_tested():
    found = holm([0.02, math.nan, 0.01])
    assert found[[0, 2]].tolist() == [0.02, 0.02]
    assert math.isnan(found[1])
    assert np.isnan(holm([math.nan])).all()


def test_false_alarms_of_many_tests_together_stay_below_the_level():
    rng = np.random.default_rng(4)
    p_values = rng.random((3000, 12))
    alarms = np.mean([(holm(row) < 0.05).any() for row in p_values])
    assert alarms == pytest.approx(0.05, abs=0.013)
    assert (p_values < 0.05).any(axis=1).mean() > 0.4


@pytest.mark.parametrize("p_values", [[0.1, 1.2], [-0.1]])
def test_what_is_no_p_value_is_refused(p_values):
    message = f"`p_values` should be in [0, 1]; found {p_values[-1]:g}. Pass what a test returns."
    with pytest.raises(ValueError, match=re.escape(message)):
        holm(p_values)


def difference(low, high):
    return PairedDifference((low + high) / 2, low, high, 0.01, 1.0, 5)


@pytest.mark.parametrize(
    ("low", "high", "corrected", "says"),
    [
        (0.01, 0.03, 0.02, "higher"),
        (-0.03, -0.01, 0.02, "lower"),
        (-0.01, 0.03, 0.02, "not distinguishable"),
        (0.0, 0.03, 0.02, "not distinguishable"),
        (-0.03, 0.0, 0.02, "not distinguishable"),
        (0.01, 0.03, 0.05, "not distinguishable after correction"),
        (-0.03, -0.01, 0.9, "not distinguishable after correction"),
        (0.01, 0.03, math.nan, "not tested"),
        (math.nan, math.nan, 0.01, "not tested"),
    ],
)
def test_nothing_is_told_where_the_interval_holds_zero(low, high, corrected, says):
    assert verdict(difference(low, high), corrected) == says


def test_the_level_can_be_chosen():
    assert verdict(difference(0.01, 0.03), 0.02, level=0.01).endswith("after correction")


def test_ranks_are_means_over_data_sets_with_ties_shared():
    # On the first the order is 2, 1, 3; on the second the last two share ranks 2 and 3.
    values_DK = [[0.8, 0.9, 0.1], [0.7, 0.5, 0.5]]
    assert mean_ranks(values_DK).tolist() == [1.5, 1.75, 2.75]
    values_SDK = [values_DK, [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]]
    assert mean_ranks(values_SDK).tolist() == [[1.5, 1.75, 2.75], [3.0, 2.0, 1.0]]


def test_lengths_that_do_not_pair_are_refused():
    message = "`baseline` should have a value for each of 7 in `values`; found 2."
    with pytest.raises(ValueError, match=re.escape(message)):
        paired_difference(AGM, [0.1, 0.2])
    with pytest.raises(ValueError, match="`baseline` should be a sequence of finite numbers"):
        paired_difference([0.1], [math.inf])
    with pytest.raises(ValueError, match="`differences` should be a sequence of finite numbers"):
        paired_p_value([])
