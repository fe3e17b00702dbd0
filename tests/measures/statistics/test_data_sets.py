"""What holds over data sets."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from counterpoise.measures.statistics import (
    DIVERGED,
    FEWEST_DATA_SETS,
    mean_differences,
    mean_estimate,
    mean_share,
    performance_profile,
    probability_of_improvement,
    rank,
    share_of_wins,
)


def table(values_KD):
    return {
        f"method {k}": {f"data {d}": float(v) for d, v in enumerate(row)}
        for k, row in enumerate(values_KD)
    }


def closed_form(values_KD):
    """Restricted maximum likelihood of the balanced design: mean squares, the variance >= 0."""
    K, D = values_KD.shape
    means = values_KD.mean(axis=1)
    rest = values_KD - means[:, None]
    by_data = rest.mean(axis=0)
    between = K * np.square(by_data).sum() / (D - 1)
    within = np.square(rest - by_data).sum() / ((K - 1) * (D - 1))
    if between < within:
        variance = np.square(rest).sum() / (K * (D - 1))
    else:
        variance = within + (between - within) / K
    return means, math.sqrt(variance / D)


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_the_mixed_model_is_the_closed_form_where_there_is_one(spread):
    rng = np.random.default_rng(7)
    for _ in range(5):
        values_KD = 0.02 * (rng.normal(size=(5, 7)) + spread * rng.normal(size=7))
        found = mean_differences(table(values_KD))
        means, error = closed_form(values_KD)
        assert [each.mean for each in found.values()] == pytest.approx(means.tolist(), abs=1e-9)
        own = values_KD.std(axis=1, ddof=1) / math.sqrt(7)
        expected = np.maximum(error, own).tolist()
        assert [each.error for each in found.values()] == pytest.approx(expected, rel=1e-3)
        assert {(e.degrees, e.num_values, e.unit) for e in found.values()} == {(6, 7, "data sets")}


def test_a_method_that_varies_more_than_the_others_is_no_surer_than_by_itself():
    rng, hits = np.random.default_rng(8), 0
    for _ in range(100):
        values_KD = np.array([[0.005], [0.005], [0.02]]) * rng.normal(size=(3, 7))
        low, high = mean_differences(table(values_KD))["method 2"].interval()
        hits += low <= 0 <= high
    assert hits >= 89


def test_a_method_that_ran_on_few_data_sets_borrows_from_the_others():
    rng = np.random.default_rng(2)
    easy = 0.1 * rng.normal(size=11)
    whole = table(easy + 0.001 * rng.normal(size=(3, 11)))
    kept = dict(list(whole["method 0"].items())[:3])
    whole["method 1"]["of method 1 alone"] = 0.0
    found = mean_differences({**whole, "method 0": kept})
    # Where it ran matters little: the data sets' own effects are known from the other methods.
    assert found["method 0"].mean == pytest.approx(easy.mean(), abs=0.005)
    assert abs(np.mean(list(kept.values())) - easy.mean()) > 0.02
    assert found["method 0"].num_values == 3


def test_three_data_sets_are_pooled_and_two_are_not():
    three = np.array([[0.01, 0.02, 0.012], [0.03, 0.01, 0.05]])
    found = mean_differences(table(three))
    assert found["method 0"].error == pytest.approx(closed_form(three)[1], rel=1e-3)
    assert found["method 0"].error > 2 * mean_estimate(three[0].tolist()).error
    for row, each in zip(three, mean_differences(table(three[:, :2])).values(), strict=True):
        assert each == mean_estimate(row[:2].tolist(), unit="data sets")


def test_the_error_on_a_single_data_set_is_not_known_and_on_equal_ones_that_of_the_model():
    few = {"one": {"data 0": 0.1}, "two": {"data 0": 0.1, "data 1": 0.1}}
    for seed in range(5):
        whole = table(np.random.default_rng(seed).normal(size=(2, 7)))
        found = mean_differences({**whole, **few})
        assert math.isnan(found["one"].error)
        model = min(found["method 0"].error, found["method 1"].error)  # of the one that varies less
        assert 1.4 * model < found["two"].error < 1.9 * model  # sqrt(7 / 2) where data sets do not


def test_one_method_or_no_rest_is_students_t():
    values = [0.01, 0.03, -0.01, 0.02]
    alone = mean_differences(table([values]))["method 0"]
    assert alone == mean_estimate(values, unit="data sets")
    exact = mean_differences(table([values, [v + 0.5 for v in values]]))
    assert exact["method 0"] == alone
    assert math.isnan(mean_differences(table([[0.1] * 3, [0.2] * 3]))["method 0"].error)
    assert math.isnan(mean_differences(table([[0.1], [0.2]]))["method 0"].error)


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ({}, "`differences` should have at least one method; found none."),
        ({"AGM": {}}, "`differences['AGM']` should be a sequence of finite numbers, at least one;"),
        ({"AGM": {"a": math.nan}}, "at least one; found [nan]"),
    ],
)
def test_differences_that_are_not_there_are_refused(differences, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        mean_differences(differences)


def slow_share(runs, baseline):
    """Pair by pair, with the order of diverged runs written out."""

    def points(x, y):
        if x == y:
            return 0.5
        if DIVERGED in (x, y):
            return float(y == DIVERGED)
        return float(x > y)

    return np.mean([points(x, y) for x in runs for y in baseline])


def test_shares_of_wins_pair_by_pair():
    rng = np.random.default_rng(4)
    for _ in range(20):
        runs, base = ([*rng.integers(5, size=n).tolist(), DIVERGED] for n in (5, 7))
        assert share_of_wins(runs, base) == pytest.approx(slow_share(runs, base))
        assert share_of_wins(runs, base) + share_of_wins(base, runs) == pytest.approx(1)


def test_improvement_is_the_mean_over_data_sets():
    ours = {"a": [0.9, 0.8, 0.7], "b": [0.5, 0.4], "only ours": [0.1]}
    joint = {"a": [0.6, 0.75], "b": [0.5, 0.6], "c": [0.3]}
    found = probability_of_improvement(ours, joint)
    shares = [share_of_wins(ours[d], joint[d]) for d in "ab"]
    assert found == mean_share(shares, step=0.5 / 4)
    assert found.mean == pytest.approx(np.mean(shares))
    both = {"a": [9, 8, 7, 2], "b": [9, 8, 7, 2]}
    same = probability_of_improvement(both, {"a": [5], "b": [5, 5]})
    assert same == mean_share([0.75, 0.75], step=0.5 / 4)  # alike, for all that four runs can tell
    with pytest.raises(
        ValueError, match=r"`runs` and `baseline` should have a data set in common; found \["
    ):
        probability_of_improvement(ours, {"z": [0.1]})


def test_shares_won_or_lost_whole_have_the_interval_of_wilson():
    """Of 0 and 1 the factor is D / (D - 1), so taken for 1: Wilson's with t in place of z."""
    found, t = mean_share([1, 0, 1, 1, 1, 0, 1]), stats.t.isf(0.025, 6)
    p, k = 5 / 7, t**2 / 7
    middle, half = (p + k / 2) / (1 + k), math.sqrt(k * p * (1 - p) + k**2 / 4) / (1 + k)
    assert found[:4] == pytest.approx((p, middle - half, middle + half, 7))
    every = mean_share([1.0] * 7)
    assert every[:4] == pytest.approx((1, 1 / (1 + k), 1, 7))
    assert mean_share([0.3]) == (0.3, None, None, 1, None, 0)


def test_shares_that_vary_little_have_the_interval_of_wilson_by_that_factor():
    found = mean_share([0.7, 0.8, 0.75], 0.9, step=0.3)
    variance = 0.05**2 + 0.3**2 / 12  # of the shares, and of a value that moves in steps
    k = stats.t.isf(0.05, 2) ** 2 * variance / (0.75 * 0.25) / 3
    middle, half = (0.75 + k / 2) / (1 + k), math.sqrt(k * 0.75 * 0.25 + k**2 / 4) / (1 + k)
    assert found[:5] == pytest.approx((0.75, middle - half, middle + half, 3, 0.05))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=7))
def test_intervals_of_shares_stay_within_bounds_and_turn_with_them(shares):
    found, turned = mean_share(shares, step=0.1), mean_share([1 - s for s in shares], step=0.1)
    assert 0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1
    assert turned.low == pytest.approx(1 - found.high, abs=1e-6)


def test_shares_in_percent_are_refused():
    with pytest.raises(
        ValueError, match=r"`shares` should be in \[0, 1\]; found 80\. Pass shares,"
    ):
        mean_share([0.5, 80])


def test_profiles_fall_and_hold_diverged_runs_below_all():
    runs = {"a": [0.1, 0.5, 0.5], "b": [0.3, DIVERGED]}
    found = performance_profile(runs, [-9.0, 0.2, 0.4, 0.5])
    assert found.tolist() == pytest.approx([0.75, (2 / 3 + 0.5) / 2, (2 / 3) / 2, 0])
    with pytest.raises(ValueError, match="`runs` should have at least one data set; found none"):
        performance_profile({}, [0.5])
    with pytest.raises(ValueError, match="`thresholds` should be a sequence of finite numbers"):
        performance_profile(runs, [math.inf])


# -- ranks ---------------------------------------------------------------------------------------


def test_ranks_share_ties_and_the_test_is_that_of_friedman():
    rng = np.random.default_rng(9)
    values_KD = rng.integers(7, size=(4, 11)) / 10  # with ties
    found = rank({f"m{k}": row for k, row in enumerate(values_KD.tolist())})
    ranks_KD = np.stack([stats.rankdata(-column) for column in values_KD.T], axis=1)
    assert list(found.mean_ranks.values()) == pytest.approx(ranks_KD.mean(axis=1).tolist())
    chi2 = stats.friedmanchisquare(*values_KD).statistic
    expected = stats.f.sf(10 * chi2 / (11 * 3 - chi2), 3, 30)
    assert found.p_value == pytest.approx(expected)
    assert found.num_data_sets == 11


@pytest.mark.parametrize(("num_methods", "q"), [(2, 1.960), (4, 2.569), (7, 2.949)])
def test_critical_differences_are_those_of_the_table(num_methods, q):
    """The two-sided Nemenyi test at 5%: Demsar 2006, table 5a."""
    found = rank({f"m{k}": [0.1 * k] * 8 for k in range(num_methods)})
    expected = q * math.sqrt(num_methods * (num_methods + 1) / (6 * 8))
    assert found.critical_difference == pytest.approx(expected, abs=0.002)


def test_diverged_results_share_the_last_rank():
    results = {"a": [0.5] * 7 + [DIVERGED], "b": [0.4] * 7 + [DIVERGED], "c": [0.3] * 8}
    found = rank(results).mean_ranks
    assert found["a"] == pytest.approx((7 * 1 + 2.5) / 8)
    assert found["c"] == pytest.approx((7 * 3 + 1) / 8)


def test_methods_that_are_all_alike_and_orders_that_are_all_the_same():
    assert rank({"a": [0.5] * 8, "b": [0.5] * 8}).p_value == 1
    assert rank({"a": [0.5] * 8, "b": [0.4] * 8}).p_value == pytest.approx(0.5**7)


def test_friedman_is_wrong_as_often_as_it_says():
    rng = np.random.default_rng(6)
    found = [
        rank(dict(zip("abcde", rng.normal(size=(5, 8)).tolist(), strict=True))) for _ in range(400)
    ]
    assert np.mean([each.p_value < 0.05 for each in found]) == pytest.approx(0.05, abs=0.035)
    apart = [np.ptp(list(each.mean_ranks.values())) >= each.critical_difference for each in found]
    assert np.mean(apart) <= 0.08


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (
            {"a": [0.1] * 7, "b": [0.2] * 7},
            f"`results` should have at least {FEWEST_DATA_SETS} data sets for ranks to tell "
            "anything; found 7. Use mean_differences, or add data sets.",
        ),
        ({"a": [0.1] * 8}, "`results` should have at least 2 methods; found 1."),
        (
            {"a": [0.1] * 8, "b": [0.1] * 9},
            "`results` should have as many data sets for each method; found [8, 9]. Leave out",
        ),
        ({"a": [0.1] * 8, "b": [math.nan] * 8}, "`results['b']` should be a sequence of finite"),
    ],
)
def test_what_ranks_cannot_tell_is_refused(results, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        rank(results)
