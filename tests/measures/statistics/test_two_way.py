"""Intervals over seeds and test samples."""

import math
import re

import numpy as np
import pytest

from counterpoise.measures.statistics import (
    judge,
    mean_estimate,
    paired_difference,
    two_way_difference,
    two_way_estimate,
)


def draw(rng, num_seeds, num_samples, *, seed=0.3, sample=1.5, own=0.5):
    """What two equally good methods get right: seeds, samples, and what each finds hard."""
    easy = rng.normal(0, sample, num_samples)

    def method():
        mine = rng.normal(0, own, num_samples)
        noise = rng.logistic(size=(num_seeds, num_samples))
        return (1 + easy + mine + rng.normal(0, seed, (num_seeds, 1)) + noise > 0).astype(float)

    return method(), method()


def slow_squares(x_RN):
    """The analysis of variance, term by term: mean squares of rows, columns and the rest."""
    R, N = x_RN.shape
    mean = x_RN.mean()
    rows = sum((x_RN[r].mean() - mean) ** 2 for r in range(R)) * N / (R - 1)
    columns = sum((x_RN[:, n].mean() - mean) ** 2 for n in range(N)) * R / (N - 1)
    rest = sum(
        (x_RN[r, n] - x_RN[r].mean() - x_RN[:, n].mean() + mean) ** 2
        for r in range(R)
        for n in range(N)
    ) / ((R - 1) * (N - 1))
    return rows, columns, rest


def slow_variance(x_RN):
    R, N = x_RN.shape
    rows, columns, rest = slow_squares(x_RN)
    by_seed, by_sample = (rows - rest) / N, (columns - rest) / R
    return by_seed / R + by_sample / N + rest / (R * N)


def test_the_error_is_that_of_the_variance_components():
    x_RN, _ = draw(np.random.default_rng(1), 5, 31, seed=1.0)
    found = two_way_estimate(x_RN)
    assert found.mean == pytest.approx(x_RN.mean())
    assert found.error == pytest.approx(math.sqrt(slow_variance(x_RN)))
    assert found.num_values == 5
    assert found.std == pytest.approx(x_RN.mean(axis=1).std(ddof=1))
    # Satterthwaite's: of a sum of mean squares, each with its own degrees of freedom.
    squares, own = slow_squares(x_RN), (4, 30, 4 * 30)
    scaled = [square / (5 * 31) for square in squares]
    expected = slow_variance(x_RN) ** 2 / sum(v**2 / d for v, d in zip(scaled, own, strict=True))
    assert found.degrees == pytest.approx(expected)
    assert 4 < expected < 30 + 4


def test_results_that_are_all_alike_have_no_error_and_the_degrees_of_the_seeds():
    found = two_way_estimate(np.full((5, 7), 0.25), step=0)
    assert (found.mean, found.degrees, found.num_values) == (0.25, 4, 5)
    assert math.isnan(found.error)


def test_what_rounding_leaves_of_results_that_are_all_alike_gives_no_certainty():
    """The error is then that of the step, and its degrees those of the seeds and samples."""
    found = two_way_estimate(np.full((5, 7), 0.3), step=1)
    assert found.error == pytest.approx(1 / 7)
    assert 4 <= found.degrees <= 4 + 6


def test_rounding_is_relative_to_the_mean():
    noise = np.random.default_rng(4).normal(size=(5, 7))
    assert math.isnan(two_way_estimate(1e3 + 1e-10 * noise, step=0).error)
    assert two_way_estimate(1 + 1e-7 * noise, step=0).error > 0


def test_the_mean_is_that_over_seeds_and_the_interval_is_wider():
    ours, joint = draw(np.random.default_rng(2), 7, 41)
    both = two_way_difference(ours, joint)
    seeds = paired_difference(ours.mean(axis=1).tolist(), joint.mean(axis=1).tolist())
    assert both.mean == pytest.approx(seeds.mean)
    assert both.error >= seeds.error


def test_pairing_by_sample_removes_what_all_find_hard():
    ours, joint = draw(np.random.default_rng(3), 5, 211, sample=3.0, own=0.1)
    paired, one = two_way_difference(ours, joint), two_way_estimate(ours)
    assert paired.error < one.error


@pytest.mark.parametrize("num_seeds", [5, 11])
def test_the_interval_holds_the_difference_on_new_seeds_and_samples(num_seeds):
    rng, both, seeds = np.random.default_rng(num_seeds), 0, 0
    for _ in range(300):
        ours, joint = draw(rng, num_seeds, 97, seed=0.05)
        low, high = two_way_difference(ours, joint).interval()
        both += low <= 0 <= high
        low, high = mean_estimate((ours - joint).mean(axis=1).tolist()).interval()
        seeds += low <= 0 <= high
    assert both / 300 >= 0.925
    assert seeds < both  # seeds alone know nothing of the samples


def test_methods_that_never_differ_are_equivalent_on_many_samples_only():
    same = np.tile(np.arange(1000) % 3 == 0, (5, 1)).astype(float)
    found = two_way_difference(same, same)
    assert (found.mean, found.error, found.degrees) == (0, 1 / 1000, 4)
    assert math.isnan(found.std)
    assert judge([found])[0].verdict == "equivalent"
    few = two_way_difference(same[:, :97], same[:, :97])
    assert judge([few])[0].verdict == "undecided"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 0, 1]], "`correct` should be of shape (seeds, samples), at least 2 of each; found"),
        ([1, 0, 1], "found shape (3,). Pass a row for each seed."),
        (
            [[1, 0], [math.nan, 1]],
            "`correct` should be finite; found nan. Give a run that diverged",
        ),
    ],
)
def test_what_is_no_table_of_right_and_wrong_is_refused(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        two_way_estimate(values)


def test_errors_of_samples_scale_as_they_do():
    """Absolute errors move in no steps, and their unit does not matter."""
    rng = np.random.default_rng(5)
    ours, theirs = np.abs(rng.normal(size=(2, 5, 37)))
    found = two_way_difference(ours, theirs, step=0.0)
    scaled = two_way_difference(1e-6 * ours, 1e-6 * theirs, step=0.0)
    assert scaled.error == pytest.approx(1e-6 * found.error)
    assert scaled.degrees == pytest.approx(found.degrees)
    assert found.error == pytest.approx(two_way_difference(ours, theirs).error)
    same = two_way_difference(ours, ours, step=0.0)
    assert (same.mean, math.isnan(same.error)) == (0, True)
    with pytest.raises(ValueError, match="`step` should be"):
        two_way_estimate(ours, step=-1)


def test_shapes_that_do_not_pair_are_refused():
    message = "`baseline` should be of the shape of `correct`, (2, 3); found (3, 2). Keep the seeds"
    with pytest.raises(ValueError, match=re.escape(message)):
        two_way_difference(np.ones((2, 3)), np.ones((3, 2)))


def test_there_are_never_fewer_degrees_of_freedom_than_of_the_seeds():
    rng = np.random.default_rng(3)
    found = [two_way_estimate(rng.normal(size=(5, 7))).degrees for _ in range(50)]
    assert min(found) == 4.0
    assert max(found) > 4.0
