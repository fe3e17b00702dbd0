"""Means and judged differences in words; an undecided one with what would have been found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from counterpoise.measures.statistics import Interval, Judgement
from counterpoise.report.formats import NUMBER, Format, enumerate_words, interval


def difference_text(judgement: Judgement, form: Format) -> str:
    """Write a difference with its interval, signed.

    Where zero is excluded that can be seen: with more digits where an end would be rounded to it.

    Example:
        >>> from counterpoise.measures.statistics import judge, mean_estimate
        >>> (judgement,) = judge([mean_estimate([0.02, 0.01, 0.03, 0.02, 0.04])])
        >>> difference_text(judgement, Format(1, 100)).replace(chr(160), " ")
        '+2.4 (+1.0 to +3.8)'
    """
    low, high = judgement.interval
    signed, nearest = replace(form, signed=True), form.factor * min(abs(low), abs(high))
    while judgement.verdict in ("higher", "lower") and not round(nearest, signed.digits):
        signed = replace(signed, digits=signed.digits + 1)
    return interval(judgement.mean, low, high, signed)


def with_interval(value: Interval, form: Format = NUMBER) -> str:
    """Write a mean with its interval, if it has one.

    Example:
        >>> with_interval(Interval(0.5, 0.41, 0.59, 3)).replace(chr(160), " ")
        '0.50 (0.41 to 0.59)'
    """
    return interval(value.mean, value.low, value.high, form)


def judged_interval(judgement: Judgement) -> Interval:
    """Return a difference as tables show it, with the interval that its verdict rests on.

    Example:
        >>> from counterpoise.measures.statistics import judge, mean_estimate
        >>> (judgement,) = judge([mean_estimate([0.02])])
        >>> judged_interval(judgement)[:4]
        (0.02, None, None, 1)
    """
    low, high = (None if math.isnan(end) else end for end in judgement.interval)
    return Interval(judgement.mean, low, high, judgement.estimate.num_values)


def null_text(judgement: Judgement, form: Format) -> str:
    """Say what a difference that is neither higher nor lower shows; nothing of one that is.

    Example:
        >>> from counterpoise.measures.statistics import judge, mean_estimate
        >>> (judgement,) = judge([mean_estimate([0.02, -0.01, 0.03, 0.0, 0.01])])
        >>> null_text(judgement, Format(1, 100))
        'undecided: 2.7 would have been found with a probability of 80%'
    """
    if judgement.verdict in ("higher", "lower"):
        return ""
    if judgement.verdict == "equivalent" and judgement.margin is not None:
        return f"equivalent, within {form(judgement.margin)}"
    if judgement.verdict == "undecided":
        seen = f": {form(judgement.detectable)} would have been found with a probability of 80%"
        return "undecided" + ("" if math.isnan(judgement.detectable) else seen)
    return f"{judgement.verdict} to test"


def differences_text(judged: Mapping[str, Judgement], form: Format, second: str) -> str:
    """List differences with their intervals; then those that cannot be told from zero.

    Args:
        judged: By what they are of.
        form: How they are written.
        second: What they are differences to, in words.

    Returns:
        The list, and a sentence on nulls, if there are any.
    """
    told = enumerate_words([f"{name} {difference_text(d, form)}" for name, d in judged.items()])
    nulls = nothing_shown(judged, form)
    return f"{told}.{f' What cannot be told from {second}: {nulls}.' if nulls else ''}"


def nothing_shown(judged: Mapping[str, Judgement], form: Format) -> str:
    """Name the differences that are neither higher nor lower, with what they show, in brackets.

    Example:
        >>> nothing_shown({}, Format(1))
        ''
    """
    nulls = {name: null_text(judgement, form) for name, judgement in judged.items()}
    return "; ".join(f"{name} ({text})" for name, text in nulls.items() if text)
