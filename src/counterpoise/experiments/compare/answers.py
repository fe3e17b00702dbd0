"""What a comparison answers, in the order in which a reader asks; every number computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.over_data import SLOPE_UNIT, slope_form
from counterpoise.experiments.compare.tables import margin_text
from counterpoise.experiments.compare.tuning import edges
from counterpoise.experiments.verdicts import difference_text
from counterpoise.measures.statistics import Judgement, Verdict
from counterpoise.report import Metric
from counterpoise.report.formats import NUMBER, P_VALUE


class _Told(NamedTuple):
    """A judged difference: of which method, on which data set, and the cost of a step."""

    method: str
    place: str
    judgement: Judgement
    cost: float | None = None


def answers(comparison: Comparison) -> dict[str, str]:
    """Map the questions of a comparison to their answers.

    Which methods beat the baseline, by how much, how surely, at what cost; which do worse; which
    are equivalent; what could not be decided; the same against whatever is the second of several
    further pairs; what of the others; and on which data balancing helps.
    """
    baseline, metric = comparison.grid.baseline, comparison.metric
    told = [
        _Told(row.method, block.title, row.difference, row.cost)
        for block in comparison.blocks
        for row in block.rows
        if row.difference is not None
    ]
    by_question = _about(baseline, told, comparison)
    by_second: dict[str, dict[str, list[_Told]]] = {}
    for pair in comparison.pairs:
        if pair.difference is not None:
            here = by_second.setdefault(pair.second, {}).setdefault(pair.first, [])
            here.append(_Told(pair.first, pair.title, pair.difference))
    several = {second: by_first for second, by_first in by_second.items() if len(by_first) > 1}
    for second, by_first in several.items():
        pairs = [difference for told in by_first.values() for difference in told]
        by_question |= _about(second, pairs, comparison)
    single = {
        f"{first} against {second}": told
        for second, by_first in by_second.items()
        if second not in several
        for first, told in by_first.items()
    }
    if single:
        by_question["What of other pairs?"] = " ".join(
            f"{pair}: {_counted(told, metric)}." for pair, told in single.items()
        )
    if comparison.relations:
        by_question["On which data does balancing help?"] = _relations(comparison)
    at_ends = edges(comparison)
    if at_ends:
        listed = [f"{m} on {place} ({', '.join(paths)})" for (place, m), paths in at_ends.items()]
        by_question["Which chosen settings lie at an end of their range?"] = "; ".join(listed) + "."
    return by_question


def _about(second: str, told: Iterable[_Told], comparison: Comparison) -> dict[str, str]:
    """The answers about differences to one method."""
    metric = comparison.metric
    by_verdict: dict[Verdict, list[_Told]] = {}
    for difference in told:
        by_verdict.setdefault(difference.judgement.verdict, []).append(difference)
    if not by_verdict:
        return {}
    better: Verdict = "higher" if metric.higher_is_better else "lower"
    worse: Verdict = "lower" if metric.higher_is_better else "higher"
    listed = partial(_listed, show=partial(_with_interval, metric=metric), comparison=comparison)
    brief = partial(_listed, show=lambda difference: difference.place, comparison=comparison)
    equivalent = f"Which are equivalent to {second}, within {margin_text(comparison)}?"
    return {
        f"Which methods beat {second}?": listed(by_verdict.get(better, ())),
        f"Which do worse than {second}?": listed(by_verdict.get(worse, ())),
        **({equivalent: brief(by_verdict.get("equivalent", ()))} if comparison.has_margin else {}),
        f"What is undecided against {second}?": _undecided(by_verdict, metric),
    }


def _listed(told: Iterable[_Told], show: Callable[[_Told], str], comparison: Comparison) -> str:
    """Each method with what a step of it costs and where it was seen."""
    by_method: dict[str, list[_Told]] = {}
    for difference in told:
        by_method.setdefault(difference.method, []).append(difference)
    said = []
    for method, differences in by_method.items():
        costs = [difference.cost for difference in differences if difference.cost is not None]
        reference = comparison.cost_reference
        cost = (
            f" (a step takes {NUMBER(median(costs))} times as long as with {reference})"
            if costs
            else ""
        )
        said.append(f"{method}{cost} on {'; '.join(map(show, differences))}.")
    return " ".join(said) or "None."


def _with_interval(told: _Told, metric: Metric) -> str:
    unit = metric.in_units.replace(",", "")
    p_value = P_VALUE(told.judgement.corrected)
    sign = "" if p_value.startswith("<") else "= "
    shown = difference_text(told.judgement, metric.difference)
    return f"{told.place} {shown}{unit}, p {sign}{p_value}"


def _counted(told: Sequence[_Told], metric: Metric) -> str:
    """List the verdicts on a pair, each with the data sets and fusions where it holds."""
    places: dict[Verdict, list[str]] = {}
    for difference in told:
        text = difference.place
        if difference.judgement.verdict in ("higher", "lower"):
            text = _with_interval(difference, metric)
        places.setdefault(difference.judgement.verdict, []).append(text)
    return "; ".join(
        f"undecided on {len(texts)} of {len(told)}"
        if verdict == "undecided"
        else f"{verdict} on {' and on '.join(texts)}"
        for verdict, texts in places.items()
    )


def _undecided(by_verdict: Mapping[Verdict, list[_Told]], metric: Metric) -> str:
    told = by_verdict.get("undecided", [])
    few = len(by_verdict.get("too few seeds", []))
    said = []
    if told:
        seen = [t.judgement.detectable for t in told if not math.isnan(t.judgement.detectable)]
        text = f"{len(told)} of {sum(map(len, by_verdict.values()))} differences"
        if seen:
            low, high = metric.form(min(seen)), metric.form(max(seen))
            ends = f"is {low}" if low == high else f"lies between {low} and {high}"
            text += (
                ": the smallest that would have been found with a probability of 80% "
                f"{ends}{metric.in_units.replace(',', '')}"
            )
        said.append(text + ".")
    if few:
        said.append(f"{few} are of too few seeds to test.")
    return " ".join(said) or "Nothing."


def _relations(comparison: Comparison) -> str:
    """How the gain of all methods on average goes with what data are like."""
    metric = comparison.metric
    names = {"strength": "competition strength", "gap": "gap between the modalities alone"}
    said = []
    for relation in comparison.relations:
        if relation.slope is None:
            continue
        slope = difference_text(relation.slope, slope_form(metric))
        verdict = {"higher": "it rises", "lower": "it falls"}.get(
            relation.slope.verdict, relation.slope.verdict
        )
        said.append(
            f"for each {SLOPE_UNIT:g} more of {names[relation.quantity]} the gain changes by "
            f"{slope}{metric.in_units.replace(',', '')} over {len(relation.gains)} data sets: "
            f"{verdict}"
        )
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else "Fewer than 3 data sets were measured."
