"""Judged differences in words and tables: no number that is written contradicts its verdict."""

import random
import re

from counterpoise.experiments.verdicts import (
    difference_text,
    judged_interval,
    null_text,
    with_interval,
)
from counterpoise.measures.statistics import Estimate, Interval, judge
from counterpoise.report.formats import POINTS, Format


def written(text):
    """The numbers of a difference as it is written: mean, low and high."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", "")
    return [float(number) for number in re.findall(r"[+-]?\d+\.\d+", plain)]


def test_what_is_written_excludes_zero_exactly_where_the_verdict_is_higher_or_lower():
    draw = random.Random(7)
    verdicts = set()
    for _ in range(211):
        estimates = [
            Estimate(draw.gauss(0, 0.01), 10 ** draw.uniform(-5, -2), 4, draw.choice([4, 5]))
            for _ in range(draw.randint(1, 7))
        ]
        for judgement in judge(estimates):
            for form in (POINTS, Format(2)):
                _, low, high = written(difference_text(judgement, form))
                if judgement.tested:
                    assert (low > 0) == (judgement.verdict == "higher")
                    assert (high < 0) == (judgement.verdict == "lower")
                assert bool(null_text(judgement, form)) == (
                    low <= 0 <= high or not judgement.tested
                )
            shown = judged_interval(judgement)
            assert (shown.low, shown.high) == judgement.interval
            verdicts.add(judgement.verdict)
    assert verdicts == {"higher", "lower", "equivalent", "undecided", "too few seeds"}


def test_digits_are_added_where_an_end_would_be_rounded_to_zero_and_nowhere_else():
    near, far = judge([Estimate(0.00281, 0.001, 4, 5)]), judge([Estimate(0.0281, 0.001, 4, 5)])
    assert difference_text(*near, POINTS).replace("\N{NO-BREAK SPACE}", " ") == (
        "+0.281 (+0.003 to +0.559)"
    )
    assert written(difference_text(*far, POINTS)) == [2.8, 2.5, 3.1]


def test_an_interval_is_written_only_where_there_is_one():
    text = with_interval(Interval(0.123, 0.1, 0.146, 3), Format(1, 100))
    assert text.replace("\N{NO-BREAK SPACE}", " ") == "12.3 (10.0 to 14.6)"
    assert with_interval(Interval(0.125, None, None, 1), Format(3)) == "0.125"
