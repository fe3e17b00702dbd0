"""What a report may say of its differences: one family of tests, one verdict each.

Legend: m the tests of the family, p_(1) <= ... <= p_(m) their p-values, a the level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from counterpoise.core.errors import check_choice, check_list, check_range
from counterpoise.measures.statistics.estimates import FEWEST, Estimate
from counterpoise.measures.statistics.power import detectable_difference, equivalence_p_value
from counterpoise.measures.statistics.runs import Floats, floats_of

Correction = Literal["holm", "bonferroni"]
"""How p-values are corrected for how many there are."""

Verdict = Literal[
    "higher", "lower", "equivalent", "undecided", "too few seeds", "too few data sets"
]
"""What a difference shows.

"higher" and "lower": zero is outside the interval. "equivalent": it is not, the interval lies
within the margin, and so says the test of equivalence. "undecided": none of these; the detectable
difference says what would have been seen. "too few ...": below 5 nothing is tested.
"""


_ANYWHERE: Final = (-math.inf, math.inf)


@dataclass(frozen=True)
class Judgement:
    """A difference as one of a family.

    Args:
        estimate: The difference.
        p_value: Of its being 0, not corrected; NaN where it is not tested.
        corrected: The same, corrected for the family.
        equivalence: Corrected p-value of its being within the margin; NaN where not tested.
        decided_at: The level at which the correction decided this test; where it is not tested,
            that of the family.
        level: Of the family.
        margin: The largest difference that does not matter; None where none was stated.
        bounds: Between which differences can lie at all.
    """

    estimate: Estimate
    p_value: float
    corrected: float
    equivalence: float
    decided_at: float
    level: float
    margin: float | None
    bounds: tuple[float, float] = _ANYWHERE

    @property
    def tested(self) -> bool:
        """Whether there was enough to test anything with."""
        return not math.isnan(self.p_value)

    @property
    def mean(self) -> float:
        """The difference."""
        return self.estimate.mean

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Its ends, at the confidence 1 - ``decided_at``; NaN where the error is not known.

        Where it is tested, it excludes 0 exactly where the corrected test does. It is never
        narrower than one of the family's level alone.
        """
        low, high = self.estimate.interval(1 - self.decided_at)
        least, most = self.bounds
        return max(low, least), min(high, most)  # in this order NaN stays

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.interval[1]

    @cached_property
    def detectable(self) -> float:
        """The smallest true difference that would have been found with a probability of 80%.

        At the level at which this test was decided; NaN where it is not tested.
        """
        if not self.tested:
            return math.nan
        return detectable_difference(
            self.estimate.error, self.estimate.degrees, level=self.decided_at
        )

    @property
    def within_margin(self) -> bool:
        """Whether the difference, 0 or not, is shown to be smaller than the margin."""
        if self.margin is None or not self.equivalence < self.level:
            return False
        return -self.margin < self.low and self.high < self.margin

    @property
    def verdict(self) -> Verdict:
        """What the difference shows."""
        if not self.tested:
            if self.estimate.num_values >= FEWEST:
                return "undecided"  # all values are alike, and nothing says how surely
            return "too few data sets" if self.estimate.unit == "data sets" else "too few seeds"
        if self.low > 0:
            return "higher"
        if self.high < 0:
            return "lower"
        return "equivalent" if self.within_margin else "undecided"


def judge(
    estimates: Sequence[Estimate],
    *,
    level: float = 0.05,
    margin: float | list[float | None] | None = 0.01,
    correction: Correction = "holm",
    bounds: tuple[float, float] | list[tuple[float, float]] = _ANYWHERE,
) -> list[Judgement]:
    """Map all differences that a report tells to what they show together.

    The probability that any true zero of the family is called "higher" or "lower" is at most
    ``level``, however the tests depend on each other; so is the probability that any difference
    as large as the margin is called "equivalent". What has fewer than 5 values is not tested, and
    does not count.

    Args:
        estimates: The differences, of one report all together: leaving out those that came to
            nothing would make the others look surer than they are.
        level: Of the family, in (0, 1).
        margin: The largest difference that does not matter, in the unit of the differences; one for
            each where they are of different quantities. The default is 1 point of accuracy. None:
            nothing is called equivalent.
        correction: "holm", or "bonferroni", less powerful, whose intervals hold their differences
            all together with confidence 1 - level.
        bounds: Between which differences can lie at all, as those of accuracies in [-1, 1], where
            intervals end; a pair of ends, or a list of pairs, one for each.

    Returns:
        A judgement for each, in order.

    Raises:
        ValueError: If an argument is out of range, or there is not a margin for each.
        ImportError: If SciPy is not installed.

    Example:
        >>> from counterpoise.measures.statistics import paired_difference
        >>> joint = [0.70, 0.71, 0.70, 0.72, 0.71]
        >>> ours = [0.74, 0.75, 0.73, 0.76, 0.75]
        >>> other = [0.71, 0.74, 0.68, 0.70, 0.75]
        >>> judgements = judge([paired_difference(ours, joint), paired_difference(other, joint)])
        >>> [judgement.verdict for judgement in judgements]
        ['higher', 'undecided']

    Reference: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
    """
    check_range("level", level, low=0, high=1, open_low=True, open_high=True)
    check_list("estimates", estimates, Estimate, "a list of estimates")
    margins = _one_each("margin", margin, len(estimates))
    ends = _one_each("bounds", bounds, len(estimates))
    for most, pair in zip(margins, ends, strict=True):
        if most is not None:
            check_range("margin", most, low=0, open_low=True)
        check_list("bounds", pair, (int, float), "two numbers, the lower first")
        if len(pair) != 2 or not pair[0] < pair[1]:
            raise ValueError(
                f"`bounds` should be two numbers, the lower first; found {pair}. Swap or add one."
            )
    p_values = [e.p_value() if e.testable else math.nan for e in estimates]
    equivalences = [
        equivalence_p_value(e, most) if e.testable and most is not None else math.nan
        for e, most in zip(estimates, margins, strict=True)
    ]
    corrected = corrected_p_values(p_values, correction=correction)
    columns = zip(
        estimates,
        p_values,
        corrected.tolist(),
        corrected_p_values(equivalences, correction=correction).tolist(),
        _decided_at(np.array(p_values), corrected, level, correction).tolist(),
        [level] * len(estimates),
        margins,
        ends,
        strict=True,
    )
    return [Judgement(*column) for column in columns]


def _one_each(name: str, value: Any, count: int) -> Sequence[Any]:
    """Return a value for each difference: the same, or those of a list."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"`{name}` should be one for all {count} estimates or a list of as many; found a list "
            f"of {len(value)}. Pass one for each, in order."
        )
    return value


def corrected_p_values(p_values: ArrayLike, *, correction: Correction = "holm") -> Floats:
    """Correct p-values for how many of them there are.

    Args:
        p_values: Numbers in [0, 1]; NaN stands for no test and does not count.
        correction: As in :func:`judge`.

    Returns:
        Corrected p-values in the same order, at least as large; NaN where there was none.

    Raises:
        ValueError: If a number is outside [0, 1], or the correction is not known.

    Example:
        >>> corrected_p_values([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
        [0.03, 0.06, 0.06, 0.02]
    """
    check_choice("correction", correction, ("holm", "bonferroni"))
    p = floats_of("p_values", p_values)
    outside = p[(p < 0) | (p > 1)]
    if len(outside):
        raise ValueError(
            f"`p_values` should be in [0, 1]; found {outside[0]:g}. Pass what a test returns."
        )
    # statsmodels has the same, with a full garbage collection in each call: half a second
    # beside PyTorch. The tests hold this against it.
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    places = np.arange(len(order)) if correction == "holm" else 0
    corrected = np.full(p.shape, math.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * (len(order) - places)), 1)
    return corrected


def _decided_at(p: Floats, corrected: Floats, level: float, correction: Correction) -> Floats:
    """Return the level at which each test was decided.

    Holm tests p_(k) at a / (m - k + 1) until one is not below it, and leaves that one and all
    larger ones at its level. An interval of that confidence excludes 0 exactly where the test
    does: p_(k) of later ones is above that level too.
    """
    tested = np.flatnonzero(np.isfinite(p))
    levels = np.full(p.shape, level)
    if not len(tested):
        return levels
    if correction == "bonferroni":
        levels[tested] = level / len(tested)
        return levels
    order = tested[np.argsort(p[tested], kind="stable")]
    num_found = int((corrected[tested] < level).sum())
    places = np.minimum(np.arange(len(order)), num_found)
    levels[order] = level / (len(order) - places)
    return levels
