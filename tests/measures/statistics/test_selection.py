"""Choices at the edge of their range, and budget curves."""

import math
import re
from itertools import combinations

import numpy as np
import pytest

from counterpoise.measures.statistics import DIVERGED, best_so_far, expected_best, is_at_edge


@pytest.mark.parametrize(
    ("choice", "options", "edge"),
    [
        (0.001, {}, True),
        (0.1, {}, True),
        (0.05, {}, False),
        (0.004, {}, True),  # 3% of a linear range
        (0.004, {"logarithmic": True}, False),
        (0.085, {"logarithmic": True}, True),  # 96.5% of two decades
        (0.085, {"logarithmic": True, "share": 0.0}, False),
        (0.1, {"share": 0.0}, True),
        (0.001, {"share": 0.0}, True),
        (0.008, {}, False),  # 7% of a linear range
    ],
)
def test_edges_are_those_of_the_scale(choice, options, edge):
    assert is_at_edge(choice, 0.001, 0.1, **options) == edge


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: is_at_edge(0.2, 0.001, 0.1), "`choice` should be finite, at least 0.001 and at"),
        (lambda: is_at_edge(0.2, 0.3, 0.3), "`high` should be finite, above 0.3; found 0.3."),
        (lambda: is_at_edge(1, 0, 2, logarithmic=True), "`low` should be finite, above 0; found 0"),
        (lambda: is_at_edge(1, 0, 2, share=0.5), "`share` should be finite, at least 0 and below"),
        (lambda: best_so_far([]), "`validation` should be a sequence of finite numbers"),
        (lambda: expected_best([0.1, DIVERGED]), "`diverged` should be what a diverged run counts"),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_the_best_so_far_rises_and_knows_no_diverged_trial():
    found = best_so_far([DIVERGED, 0.5, 0.7, DIVERGED, 0.6])
    assert math.isnan(found[0])
    assert found[1:].tolist() == [0.5, 0.7, 0.7, 0.7]


def test_the_expected_best_is_the_mean_over_all_choices_of_trials():
    validation = [0.71, 0.62, 0.74, 0.62, DIVERGED, 0.69, 0.70]
    values = [0.1 if v == DIVERGED else v for v in validation]
    slow = [np.mean([max(chosen) for chosen in combinations(values, n)]) for n in range(1, 8)]
    found = expected_best(validation, diverged=0.1)
    assert found.tolist() == pytest.approx(slow)
    assert expected_best(validation[::-1], diverged=0.1).tolist() == pytest.approx(slow)
