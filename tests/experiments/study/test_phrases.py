"""Phrases depend on the numbers."""

from counterpoise.experiments.study.phrases import above, listed
from counterpoise.measures.statistics import Interval

ONE = Interval(0.125, None, None, 1)


def test_the_highest_comes_first():
    values = {"low": ONE, "high": ONE._replace(mean=0.75), "middle": ONE._replace(mean=0.5)}
    assert listed(values) == "high 0.75, middle 0.50 and low 0.12"


def test_nothing_lies_above_where_either_is_of_few_values():
    high, low = Interval(0.9, 0.8, 1.0, 5), Interval(0.5, 0.4, 0.6, 5)
    assert above(high, low)
    assert not above(low, high)
    assert not above(high._replace(num_values=4), low)
    assert not above(high, low._replace(num_values=4))
    assert not above(high._replace(num_values=4), 0.5)
