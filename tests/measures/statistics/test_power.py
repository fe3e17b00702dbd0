"""Power and detectable differences."""

import math
import re

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from counterpoise.measures.statistics import detectable_difference, power


@pytest.mark.parametrize("degrees", [2, 4, 9, 30])
@pytest.mark.parametrize("level", [0.05, 0.05 / 29])
def test_power_is_that_of_the_noncentral_t_where_scipy_knows_it(degrees, level):
    critical = stats.t.isf(level / 2, degrees)
    for shift in (0, 0.5, 1, 2, 4):
        theirs = stats.nct.sf(critical, degrees, shift) + stats.nct.cdf(-critical, degrees, shift)
        assert power(shift, 1.0, degrees, level=level) == pytest.approx(theirs, abs=1e-8)


def test_detectable_differences_are_those_of_statsmodels():
    for num_seeds in (5, 11):
        effect = TTestPower().solve_power(nobs=num_seeds, alpha=0.05, power=0.8)
        found = detectable_difference(0.02 / math.sqrt(num_seeds), num_seeds - 1)
        assert found == pytest.approx(0.02 * effect, rel=1e-6)


@pytest.mark.parametrize("degrees", [1, 4, 30])
@pytest.mark.parametrize("wanted", [0.0501, 0.8, 0.9999])
def test_a_detectable_difference_is_that_of_its_power(degrees, wanted):
    found = detectable_difference(0.02, degrees, power=wanted)
    assert power(found, 0.02, degrees) == pytest.approx(wanted, abs=1e-6)
    assert detectable_difference(0.02, degrees) == detectable_difference(0.02, degrees, power=0.8)


def test_power_by_simulation():
    rng = np.random.default_rng(0)
    p_values = stats.ttest_1samp(rng.normal(1.5, 1.0, size=(4000, 5)), 0, axis=1).pvalue
    found = (p_values < 0.01).mean()
    assert power(1.5, 1 / math.sqrt(5), 4, level=0.01) == pytest.approx(found, abs=0.03)


def test_power_grows_with_the_difference_and_starts_at_the_level():
    found = [power(d, 0.01, 4, level=0.03) for d in (0, 0.01, -0.02, 0.04, 0.5)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.03)
    assert found[-1] == pytest.approx(1)


def test_an_unknown_error_detects_nothing():
    assert math.isnan(detectable_difference(math.nan, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power(0.1, 0.0, 4), "`error` should be finite, above 0; found 0.0."),
        (lambda: power(0.1, 0.1, 0), "`degrees` should be finite, above 0; found 0."),
        (lambda: power(0.1, 0.1, 4, level=1.0), "`level` should be finite, above 0 and below 1;"),
        (
            lambda: detectable_difference(0.1, 4, power=0.04),
            "`power` should be finite, above 0.05 and below 1; found 0.04.",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
