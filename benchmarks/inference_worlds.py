"""Worlds in which the truth is known, and intervals made in them: what inference.py counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.random import Generator
from numpy.typing import NDArray

from counterpoise.measures.statistics import (
    Interval,
    Judgement,
    correlation,
    correlation_interval,
    judge,
    mean_correlation,
    mean_differences,
    mean_interval,
    paired_difference,
    probability_of_improvement,
    share_interval,
    slope,
    two_way_difference,
    two_way_estimate,
)

__all__ = [
    "COVERAGE",
    "MARGIN",
    "WORLDS",
    "Draw",
    "World",
    "judged",
    "right_or_wrong",
    "whole_report",
]

Floats = NDArray[np.float64]
Draw = Callable[[Generator, int], tuple[float, float, float]]
"""Maps a generator and a number of values to the ends of an interval and what it should hold."""

MARGIN = 0.01


@dataclass(frozen=True)
class World:
    """Accuracies of equally good methods.

    Args:
        name: What is particular to it.
        spread: Standard deviation over seeds, of each method by itself.
        num_test: Test samples.
        common: Standard deviation of what all methods have in common in a seed.
        collapsed: Probability that a run ends at an accuracy of 0.25.
        unequal: Factor by which the spread of the last method exceeds that of the first.
    """

    name: str
    spread: float = 0.01
    num_test: int = 1000
    common: float = 0.01
    collapsed: float = 0.0
    unequal: float = 1.0

    def draw(self, rng: Generator, num_methods: int, num_seeds: int) -> Floats:
        """Return accuracies of methods and seeds, the baseline first."""
        shape = num_methods + 1, num_seeds
        spreads = self.spread * np.geomspace(1, self.unequal, shape[0])[:, None]
        found = 0.75 + self.common * rng.normal(size=num_seeds) + spreads * rng.normal(size=shape)
        ends = np.where(rng.random(shape) < self.collapsed, 0.25, found)
        return np.clip(np.round(ends * self.num_test) / self.num_test, 0, 1)


WORLDS = (
    World("deviation 1 point, 1,000 test samples"),
    World("half a step: deviation 0.5 points, 100 test samples", spread=0.005, num_test=100),
    World("one method in four times the deviation of another", unequal=4.0),
    World("10% of runs collapse to 25%", collapsed=0.1),
)


def judged(accuracies: Floats, num_test: int, shift: float = 0.0) -> list[Judgement]:
    """Judge all methods against the baseline, the first of them lifted by a shift."""
    base, *methods = accuracies.tolist()
    methods[0] = [value + shift for value in methods[0]]
    estimates = [paired_difference(each, base, step=1 / num_test) for each in methods]
    return judge(estimates, margin=MARGIN)


# -- coverage ------------------------------------------------------------------------------------


def ends(interval: Interval) -> tuple[float, float]:
    """Return both ends of an interval, NaN where it has none."""
    if interval.low is None or interval.high is None:
        return math.nan, math.nan
    return interval.low, interval.high


def of_mean(rng: Generator, count: int, *, world: World) -> tuple[float, float, float]:
    """Accuracy over seeds."""
    values = world.draw(rng, 1, count)[0]
    found = mean_interval(values.tolist(), step=1 / world.num_test)
    mean = (1 - world.collapsed) * 0.75 + world.collapsed * 0.25
    return *ends(found), mean


def of_difference(rng: Generator, count: int) -> tuple[float, float, float]:
    """Difference to the baseline, as one of thirteen."""
    found = judged(WORLDS[0].draw(rng, 13, count), WORLDS[0].num_test)[0]
    return found.low, found.high, 0.0


def of_all_differences(rng: Generator, count: int) -> tuple[float, float, float]:
    """Of thirteen intervals, the one that is furthest from what it should hold."""
    found = judged(WORLDS[0].draw(rng, 13, count), WORLDS[0].num_test)
    return max(each.low for each in found), min(each.high for each in found), 0.0


def right_or_wrong(
    rng: Generator, num_methods: int, num_seeds: int, num_test: int, collapsed: float = 0.0
) -> Floats:
    """Return what equally good methods get right: (methods, seeds, samples).

    Some samples are hard for all methods, some for one of them, and seeds differ. Runs collapse to
    a quarter right with a probability.
    """
    hard = rng.normal(0, 1.5, num_test)
    own = rng.normal(0, 0.5, (num_methods, 1, num_test))
    seed = rng.normal(0, 0.1, (num_methods, num_seeds, 1))
    noise = rng.logistic(size=(num_methods, num_seeds, num_test))
    right = (1 + hard + own + seed + noise > 0).astype(float)
    guessed = (rng.random(right.shape) < 0.25).astype(float)
    return np.where(rng.random(seed.shape) < collapsed, guessed, right)


def whole_report(
    rng: Generator, num_seeds: int, *, data: int = 5, methods: int = 4, collapsed: float = 0.0
) -> list[Judgement]:
    """Judge all that a report tells of equally good methods, as a comparison does.

    Differences to the baseline on each data set and two fusions, over seeds and 300 test samples;
    over data sets, by the mixed model; and how gains go with a property of the data.
    """
    blocks = {
        (d, f): right_or_wrong(rng, methods + 1, num_seeds, 300, collapsed)
        for d in range(data)
        for f in range(2)
    }
    found = {
        (d, f, m): two_way_difference(x[m], x[0])
        for (d, f), x in blocks.items()
        for m in range(1, methods + 1)
    }
    table = {
        str(m): {str(d): (found[d, 0, m].mean + found[d, 1, m].mean) / 2 for d in range(data)}
        for m in range(1, methods + 1)
    }
    gains = [sum(by_data[str(d)] for by_data in table.values()) / methods for d in range(data)]
    related = slope(rng.random(data).tolist(), gains)
    return judge([*found.values(), *mean_differences(table).values(), related])


def of_seeds_and_samples(
    rng: Generator, count: int, *, paired: bool, two_way: bool
) -> tuple[float, float, float]:
    """Accuracy or difference to expect of other seeds and samples."""
    ours, joint = right_or_wrong(rng, 2, count, 300)
    if two_way:
        found = two_way_difference(ours, joint) if paired else two_way_estimate(ours)
        return *found.interval(), 0.0 if paired else EXPECTED
    over_seeds = (ours - joint if paired else ours).mean(axis=1)
    return *ends(mean_interval(over_seeds.tolist(), step=1 / 300)), 0.0 if paired else EXPECTED


EXPECTED = float(right_or_wrong(np.random.default_rng(0), 1, 1, 2_000_000).mean())
"""The accuracy to expect in that world."""


def of_data_sets(rng: Generator, count: int, *, method: str) -> tuple[float, float, float]:
    """Difference to expect on another data set: one of five methods, whose rest is not alike."""
    rest = np.geomspace(0.005, 0.02, 5)[:, None] * rng.normal(size=(5, count))
    values = (0.01 + 0.01 * rng.normal(size=count) + rest).tolist()
    table = {str(k): dict(zip(map(str, range(count)), row, strict=True))
             for k, row in enumerate(values)}  # fmt: skip
    return *mean_differences(table)[method].interval(), 0.01


def of_improvement(rng: Generator, count: int) -> tuple[float, float, float]:
    """Probability of improvement over data sets on which a method is 0.5 deviations ahead, -+ 1."""
    ahead = 0.5 + rng.normal(size=count)
    ours = {str(d): (s + rng.normal(size=5)).tolist() for d, s in enumerate(ahead)}
    joint = {str(d): rng.normal(size=5).tolist() for d in range(count)}
    found = probability_of_improvement(ours, joint)
    return *ends(found), float(scipy.special.ndtr(0.5 / math.sqrt(3)))


def pairs(rng: Generator, count: int) -> tuple[list[float], list[float]]:
    """Pairs of a correlation of 0.6."""
    x = rng.normal(size=count)
    return x.tolist(), (0.6 * x + 0.8 * rng.normal(size=count)).tolist()


def of_slope(rng: Generator, count: int) -> tuple[float, float, float]:
    """By how much gains rise with a property of data sets: truly 0.5."""
    x = rng.random(count)
    return *slope(x.tolist(), (0.5 * x + 0.1 * rng.normal(size=count)).tolist()).interval(), 0.5


def of_errors(rng: Generator, count: int) -> tuple[float, float, float]:
    """Difference of absolute errors to expect of other seeds and samples: none."""
    hard = np.abs(rng.normal(size=300))
    errors = hard + 0.3 * np.abs(rng.normal(size=(2, count, 300)) + rng.normal(size=(2, 1, 300)))
    return *two_way_difference(*errors, step=0.0).interval(), 0.0


def of_correlation(rng: Generator, count: int, *, ranks: bool) -> tuple[float, float, float]:
    """Correlation over data sets."""
    found = correlation_interval(*pairs(rng, count), ranks=ranks)
    return *ends(found), 6 / math.pi * math.asin(0.3) if ranks else 0.6


def of_mean_correlation(rng: Generator, count: int) -> tuple[float, float, float]:
    """Mean over seeds of correlations of 16 pairs each."""
    found = mean_correlation([correlation(*pairs(rng, 16)) for _ in range(count)])
    # The mean of atanh r is atanh 0.6 + 0.6 / (2 (16 - 1)), its bias for few pairs.
    return *ends(found), math.tanh(math.atanh(0.6) + 0.6 / 30)


def of_share(rng: Generator, count: int) -> tuple[float, float, float]:
    """Share of independent cases, true in 80%."""
    return *ends(share_interval(int(rng.binomial(count, 0.8)), count)), 0.8


COVERAGE: dict[str, Draw] = {
    "accuracy over seeds": partial(of_mean, world=WORLDS[0]),
    "accuracy over seeds, half a step": partial(of_mean, world=WORLDS[1]),
    "accuracy over seeds, 10% collapse": partial(of_mean, world=WORLDS[3]),
    "difference over seeds, one of 13": of_difference,
    "all 13 differences at once": of_all_differences,
    "accuracy, seeds and samples": partial(of_seeds_and_samples, paired=False, two_way=True),
    "the same by seeds alone": partial(of_seeds_and_samples, paired=False, two_way=False),
    "difference, seeds and samples": partial(of_seeds_and_samples, paired=True, two_way=True),
    "the same difference by seeds alone": partial(of_seeds_and_samples, paired=True, two_way=False),
    "difference of errors, seeds and samples": of_errors,
    "difference over data sets, method of middling spread": partial(of_data_sets, method="2"),
    "difference over data sets, method of the largest spread": partial(of_data_sets, method="4"),
    "probability of improvement over data sets": of_improvement,
    "slope over data sets": of_slope,
    "correlation over data sets": partial(of_correlation, ranks=False),
    "rank correlation over data sets": partial(of_correlation, ranks=True),
    "mean correlation over seeds": of_mean_correlation,
    "share of cases": of_share,
}
