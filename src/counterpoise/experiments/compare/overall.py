"""What holds over the data sets of a comparison.

A data set counts once, with the mean over its fusions: these share its samples, and are no other
data sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from counterpoise.experiments.compare.outcomes import Outcome
from counterpoise.measures.statistics import (
    DIVERGED,
    FEWEST_DATA_SETS,
    Estimate,
    Interval,
    Judgement,
    Ranking,
    Run,
    mean_differences,
    mean_share,
    rank,
    share_of_wins,
)

__all__ = ["Overall", "expected_differences", "improvements", "ranking"]


class Overall(NamedTuple):
    """A method over all data sets.

    Attributes:
        difference: To the baseline, to be expected on a data set like these.
        improvement: How probably a run of it beats one of the baseline.
    """

    difference: Judgement
    improvement: Interval


def expected_differences(outcomes: Sequence[Outcome], baseline: str) -> dict[str, Estimate]:
    """Return what difference to the baseline to expect of each method; nothing for one data set."""
    table = _means_by_data(outcomes)
    base = table.get(baseline, {})
    found = {
        method: {data: means[data] - base[data] for data in means if data in base}
        for method, means in table.items()
        if method != baseline
    }
    found = {method: differences for method, differences in found.items() if differences}
    data = {name for differences in found.values() for name in differences}
    return mean_differences(found) if len(data) > 1 else {}


def improvements(outcomes: Sequence[Outcome], baseline: str) -> dict[str, Interval]:
    """Return how probably a run of each method beats one of the baseline; with no result, none."""
    runs = {each.place: _turned(each) for each in outcomes if each.accuracies}
    shares: dict[str, dict[str, list[float]]] = {}
    for (data, fusion, method), found in runs.items():
        base = runs.get((data, fusion, baseline))
        if method != baseline and base:
            by_data = shares.setdefault(method, {})
            by_data.setdefault(data, []).append(share_of_wins(found, base))
    return {
        method: mean_share([fmean(each) for each in by_data.values()])
        for method, by_data in shares.items()
    }


def ranking(outcomes: Sequence[Outcome]) -> Ranking | None:
    """Rank the methods that have a result on every data set; None for fewer than 8 of these."""
    table = _means_by_data(outcomes)
    names = list(dict.fromkeys(outcome.place[0] for outcome in outcomes))
    turned = {each.place[0]: each.form.turned for each in outcomes if each.chosen is not None}
    complete = {
        method: [turned[data](means[data]) for data in names]
        for method, means in table.items()
        if len(means) == len(names)
    }
    if len(names) < FEWEST_DATA_SETS or len(complete) < 2:
        return None
    return rank(complete)


def _turned(outcome: Outcome) -> list[Run]:
    """Return the runs' values, so that higher is better."""
    turned = outcome.form.turned
    return [run if run == DIVERGED else turned(run) for run in outcome.accuracies.values()]


def _means_by_data(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """By method and data set, the mean accuracy over seeds and fusions.

    Diverged runs are as good as guessing. A data set of which a fusion is missing is left out for
    the method, since fusions are not alike.
    """
    found: dict[str, dict[str, list[list[float]]]] = {}
    for outcome in outcomes:
        data, _, method = outcome.place
        accuracies = [
            outcome.guessing if run == DIVERGED else run for run in outcome.accuracies.values()
        ]
        found.setdefault(method, {}).setdefault(data, []).append(accuracies)
    return {
        method: {
            data: fmean(fmean(runs) for runs in fusions)
            for data, fusions in by_data.items()
            if all(fusions)
        }
        for method, by_data in found.items()
    }
