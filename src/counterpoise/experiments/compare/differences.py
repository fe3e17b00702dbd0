"""Results of a method and differences between two, with intervals over seeds and test samples.

Where the metric of each test sample is kept, intervals cover seeds and samples; else seeds alone.
Legend: R seeds, N test samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.experiments.compare.outcomes import Outcome
from counterpoise.measures.statistics import (
    DIVERGED,
    Estimate,
    Floats,
    Interval,
    mean_interval,
    paired_difference,
    two_way_difference,
    two_way_estimate,
)

SampleValues = Mapping[str, NDArray[Any]]
"""By key of a run the metric of each test sample, (N,): whether it was right, or its error."""

_CLOSE = 1e-4
"""Relative to the metric of a run, how far the mean of its samples' scores may be off: records are
of single precision."""


def result(outcome: Outcome, values: SampleValues) -> Interval | None:
    """Return the mean result over seeds with its interval; None if there is none.

    Runs that diverged are counted beside the mean of the others.
    """
    runs = outcome.accuracies
    if not runs:
        return None
    known = [seed for seed, run in runs.items() if run != DIVERGED]
    interval = mean_interval(list(runs.values()), step=outcome.step)
    x_RN = _matrix(outcome, known, values)
    if x_RN is not None:
        low, high = two_way_estimate(x_RN, step=_sample_step(outcome)).interval()
        if np.isfinite(low):
            interval = interval._replace(low=low, high=high)
    return interval.within(*outcome.form.bounds)


def difference(outcome: Outcome, base: Outcome, values: SampleValues) -> Estimate | None:
    """Return the difference over the seeds that both have; None for a method and itself.

    A diverged run is as good as guessing, on every sample.
    """
    runs, others = outcome.accuracies, base.accuracies
    seeds = [seed for seed in runs if seed in others]
    if outcome is base or not seeds:
        return None
    x_RN, base_RN = (_matrix(side, seeds, values) for side in (outcome, base))
    if x_RN is not None and base_RN is not None and x_RN.shape == base_RN.shape:
        return two_way_difference(x_RN, base_RN, step=_sample_step(outcome))
    return paired_difference(
        [runs[seed] for seed in seeds],
        [others[seed] for seed in seeds],
        step=outcome.step,
        diverged=outcome.guessing,
    )


def _matrix(outcome: Outcome, seeds: Sequence[int], values: SampleValues) -> Floats | None:
    """Return the metric of each seed and sample, (R, N); None where it is not known for all seeds.

    Nor is it known where the metric is no mean over samples, or not that of what was kept.
    """
    if len(seeds) < 2 or not outcome.form.additive:
        return None
    rows: list[Floats | None] = []
    for seed in seeds:
        run = outcome.accuracies[seed]
        if run == DIVERGED:
            rows.append(None)
            continue
        assert outcome.chosen is not None  # or there would be no runs
        kept = values.get(outcome.chosen.results[seed].key)
        row = None if kept is None else np.asarray(kept, dtype=float)
        if row is None or not np.isclose(row.mean(), run, rtol=_CLOSE, atol=1e-9):
            return None
        rows.append(row)
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) != 1 or max(lengths) < 2:
        return None
    guess = np.full(max(lengths), outcome.guessing)
    return np.stack([guess if row is None else row for row in rows])


def _sample_step(outcome: Outcome) -> float:
    """By how much the score of a sample changes at least: right and wrong are 1 apart."""
    return 1.0 if outcome.step else 0.0
