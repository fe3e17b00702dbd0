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


class Overall(NamedTuple):
    """Two methods over all data sets.

    Attributes:
        difference: Of the first to the second, to be expected on a data set like these.
        improvement: How probably a run of the first beats one of the second.
    """

    difference: Judgement
    improvement: Interval


def expected_differences(
    outcomes: Sequence[Outcome], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Estimate]:
    """Return what difference to expect of each pair of methods; nothing for one data set.

    Pairs with the same second method are fitted together, since what it does on a data set is in
    all of their differences.
    """
    table = _means_by_data(outcomes)
    by_second: dict[str, dict[str, dict[str, float]]] = {}
    for first, second in pairs:
        ours, theirs = table.get(first, {}), table.get(second, {})
        differences = {data: ours[data] - theirs[data] for data in ours if data in theirs}
        if first != second and differences:
            by_second.setdefault(second, {})[first] = differences
    return {
        (first, second): told
        for second, by_first in by_second.items()
        if len({data for differences in by_first.values() for data in differences}) > 1
        for first, told in mean_differences(by_first).items()
    }


def improvements(
    outcomes: Sequence[Outcome], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Interval]:
    """Return how probably a run of the first of each pair beats one of the second."""
    runs: dict[str, dict[tuple[str, str], list[Run]]] = {}
    for outcome in outcomes:
        if outcome.accuracies:
            runs.setdefault(outcome.place[2], {})[outcome.place[:2]] = _turned(outcome)
    wins = {}
    for first, second in pairs:
        ours, theirs = runs.get(first, {}), runs.get(second, {})
        by_data: dict[str, list[float]] = {}
        for place in ours:
            if first != second and place in theirs:
                share = share_of_wins(ours[place], theirs[place])
                by_data.setdefault(place[0], []).append(share)
        if by_data:
            shares = [fmean(of_data) for of_data in by_data.values()]
            fewest = min(len(runs) for runs in (*ours.values(), *theirs.values()))
            wins[first, second] = mean_share(shares, step=0.5 / fewest**2)  # of a tie
    return wins


def ranking(outcomes: Sequence[Outcome]) -> Ranking | None:
    """Rank the methods that have a result on every data set; None for fewer than 8 of these."""
    table = _means_by_data(outcomes)
    names = list(dict.fromkeys(outcome.place[0] for outcome in outcomes))
    turned = {o.place[0]: o.form.turned for o in outcomes if o.chosen is not None}
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
    by_method: dict[str, dict[str, list[list[float]]]] = {}
    for outcome in outcomes:
        data, _, method = outcome.place
        accuracies = [
            outcome.guessing if run == DIVERGED else run for run in outcome.accuracies.values()
        ]
        by_method.setdefault(method, {}).setdefault(data, []).append(accuracies)
    return {
        method: {
            data: fmean(fmean(runs) for runs in fusions)
            for data, fusions in by_data.items()
            if all(fusions)
        }
        for method, by_data in by_method.items()
    }
