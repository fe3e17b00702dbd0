"""The one family of tests of a comparison: every difference and slope that it tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from counterpoise.measures.statistics import Estimate, Judgement, judge

_ANYWHERE: Final = (-math.inf, math.inf)


class Question(NamedTuple):
    """Something that is asked of a comparison.

    Attributes:
        estimate: What came out; None where nothing did.
        margin: The largest difference that does not matter; None where none is stated.
        bounds: Between which it can lie at all.
    """

    estimate: Estimate | None
    margin: float | None = None
    bounds: tuple[float, float] = _ANYWHERE


def judge_all(questions: Mapping[Any, Question]) -> dict[Any, Judgement | None]:
    """Judge all questions of a comparison together; None is the answer where nothing came out."""
    known = {key: question for key, question in questions.items() if question.estimate is not None}
    judged = judge(
        [question.estimate for question in known.values() if question.estimate is not None],
        margin=[question.margin for question in known.values()],
        bounds=[question.bounds for question in known.values()],
    )
    return dict.fromkeys(questions) | dict(zip(known, judged, strict=True))
