"""What a comparison answers, in the order in which a reader asks; every number computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.balance import ON_AVERAGE
from counterpoise.experiments.compare.tables import difference_text, margin_text
from counterpoise.measures.statistics import Judgement, Verdict
from counterpoise.report import ACCURACY, Metric
from counterpoise.report.formats import NUMBER, P_VALUE, enumerate_words, interval

__all__ = ["answers"]

_UNIT = 0.1  # of a competition strength, or of an accuracy


class _Told(NamedTuple):
    """A difference, of which method it is, where, and what a step costs."""

    method: str
    place: str
    judgement: Judgement
    cost: float | None = None


def answers(comparison: Comparison, metric: Metric = ACCURACY) -> dict[str, str]:
    """Map the questions of a comparison to their answers.

    Which methods beat the baseline, by how much, how surely, at what cost; which do worse; which
    are equivalent; what could not be decided; the same against the second of each further pair;
    and on which data balancing helps.
    """
    baseline = comparison.grid.baseline
    told = [
        _Told(row.method, block.title, row.difference, row.cost)
        for block in comparison.blocks
        for row in block.rows
        if row.difference is not None
    ]
    found = _about(baseline, told, comparison, metric)
    for second in dict.fromkeys(pair.second for pair in comparison.pairs):
        pairs = [
            _Told(pair.first, pair.title, pair.difference)
            for pair in comparison.pairs
            if pair.second == second and pair.difference is not None
        ]
        found |= _about(second, pairs, comparison, metric)
    if comparison.relations:
        found["On which data does balancing help?"] = _relations(comparison, metric)
    return found


def _about(
    second: str, told: Iterable[_Told], comparison: Comparison, metric: Metric
) -> dict[str, str]:
    """The answers about differences to one method."""
    by_verdict: dict[Verdict, list[_Told]] = {}
    for each in told:
        by_verdict.setdefault(each.judgement.verdict, []).append(each)
    if not by_verdict:
        return {}
    better, worse = ("higher", "lower") if metric.higher_is_better else ("lower", "higher")
    listed = partial(_listed, show=partial(_with_cost, comparison=comparison, metric=metric))
    brief = partial(_listed, show=lambda each: each.place)
    within = margin_text(comparison)
    return {
        f"Which methods beat {second}?": listed(by_verdict.get(better, ())),  # type: ignore[call-overload]
        f"Which do worse than {second}?": listed(by_verdict.get(worse, ())),  # type: ignore[call-overload]
        f"Which are equivalent to {second}, within {within}?": brief(
            by_verdict.get("equivalent", ())
        ),
        f"What is undecided against {second}?": _undecided(by_verdict, metric),
    }


def _listed(told: Iterable[_Told], show: Callable[[_Told], str]) -> str:
    """Each method with where it was seen."""
    by_method: dict[str, list[str]] = {}
    for each in told:
        by_method.setdefault(each.method, []).append(show(each))
    if not by_method:
        return "None."
    return "; ".join(f"{m} on {enumerate_words(seen)}" for m, seen in by_method.items()) + "."


def _with_cost(told: _Told, *, comparison: Comparison, metric: Metric) -> str:
    said = [difference_text(told.judgement, metric) + metric.in_units.replace(",", "")]
    said.append(f"p {_p_text(told.judgement.corrected)}")
    if told.cost is not None:
        said.append(f"{NUMBER(told.cost)} of the step time of {comparison.cost_reference}")
    return f"{told.place} [{', '.join(said)}]"


def _p_text(p_value: float) -> str:
    text = P_VALUE(p_value)
    return text if text.startswith("<") else f"= {text}"


def _undecided(by_verdict: Mapping[Verdict, list[_Told]], metric: Metric) -> str:
    told = by_verdict.get("undecided", [])
    few = len(by_verdict.get("too few seeds", []))
    said = []
    if told:
        seen = [t.judgement.detectable for t in told if not math.isnan(t.judgement.detectable)]
        text = f"{len(told)} of {sum(map(len, by_verdict.values()))} differences"
        if seen:
            low, high = metric.form(min(seen)), metric.form(max(seen))
            ends = low if low == high else f"{low} to {high}"
            text += (
                f": with a probability of 80% they would have been told from zero from {ends}"
                f"{metric.in_units.replace(',', '')} on"
            )
        said.append(text + ".")
    if few:
        said.append(f"{few} are of too few seeds to test.")
    return " ".join(said) or "Nothing."


def _relations(comparison: Comparison, metric: Metric) -> str:
    """How the gain of all methods on average goes with what data are like."""
    names = {"strength": "competition strength", "gap": "gap between the modalities alone"}
    single = len({each.method for each in comparison.relations}) == 1
    said = []
    for each in comparison.relations:
        if (each.method != ON_AVERAGE and not single) or each.slope is None:
            continue
        ends = (_UNIT * end for end in each.slope.interval)
        slope = interval(_UNIT * each.slope.mean, *ends, metric.difference)
        verdict = {"higher": "it rises", "lower": "it falls"}.get(
            each.slope.verdict, each.slope.verdict
        )
        said.append(
            f"for each {_UNIT:g} more of {names[each.quantity]} the gain changes by {slope}"
            f"{metric.in_units.replace(',', '')} over {len(each.gains)} data sets: {verdict}"
        )
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else "Fewer than 3 data sets were measured."
