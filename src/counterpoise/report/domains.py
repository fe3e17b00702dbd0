"""The range of an axis and its ticks, decided once for all charts of a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from counterpoise.report.series import Axis, Line, finite

_SPAN_OF_LINEAR = 3.0
_SHARE_INSIDE = 0.98
_FAR = 3.0


@dataclass(frozen=True)
class Domain:
    """The range of an axis.

    Args:
        low: Lower end, in the units that are drawn.
        high: Upper end.
        log: Whether equal factors take equal room.
        num_outside: How many values lie beyond the ends, and are drawn at them.
        extremes: The lowest and the highest of all values, also of those outside.
    """

    low: float
    high: float
    log: bool = False
    num_outside: int = 0
    extremes: tuple[float, float] = (0.0, 1.0)

    def within(self, value: float) -> float | None:
        """The value where it is drawn: at the end that it lies beyond; None where not finite."""
        if not math.isfinite(value):
            return None
        return float(f"{min(max(value, self.low), self.high):.5g}")

    @property
    def ticks(self) -> list[float] | None:
        """Where a logarithmic axis is marked; None leaves it to the chart."""
        if not self.log:
            return None
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1,)):
            ticks = [step * 10.0**power for power in powers for step in steps]
            ticks = [value for value in ticks if self.low <= value <= self.high]
            if len(ticks) <= 7:
                break
        return ticks


def domain_of(values: Sequence[float], axis: Axis) -> Domain:
    """Map values to a range that holds them and the axis's levels, with a margin.

    Args:
        values: What is drawn, at least one finite value among them and the levels.
        axis: What it measures. On an axis of factors the outermost hundredth at either side lies
            outside where it would else flatten the rest.

    Raises:
        ValueError: If no value is finite, so that there is nothing to draw.

    Example:
        >>> domain_of([0.25, 4.0], Axis("Coefficient", factor=True)).log
        True
    """
    known = sorted(finite(values))
    if not known:
        raise ValueError(
            "`values` should hold a finite number; found none. Leave the chart out of the page."
        )
    levels = [level.value for level in axis.levels]
    low, high = min(known[0], *levels, known[-1]), max(known[-1], *levels, known[0])
    if axis.factor and high > 0 and (low <= 0 or high / low > _SPAN_OF_LINEAR):
        return _factors(known, levels)
    low, high = axis.form.factor * low, axis.form.factor * high
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    ends = axis.form.factor * known[0], axis.form.factor * known[-1]
    return Domain(low - margin, high + margin, extremes=ends)


def domain_of_lines(lines: Sequence[Line], axis: Axis) -> Domain:
    """Map lines to a range that holds them, bands included.

    The bands of factors may reach beyond: it is the lines that tell how a method acts.
    """
    everything = [v for line in lines for v in (*line.y, *line.low, *line.high)]
    domain = domain_of([v for line in lines for v in line.y] if axis.factor else everything, axis)
    if not domain.log:
        return domain_of(everything, axis)
    known = finite(everything)
    outside = sum(not domain.low <= value <= domain.high for value in known)
    return replace(domain, num_outside=outside, extremes=(min(known), max(known)))


def _factors(known: list[float], levels: list[float]) -> Domain:
    """The room of positive factors; zeros, which it cannot hold, lie at its lower end."""
    positive = [value for value in known if value > 0] or [1.0]
    beyond = round((1 - _SHARE_INSIDE) / 2 * len(positive))
    inner = positive[beyond : len(positive) - beyond]
    # Outliers stay inside unless they take more room than all the rest has.
    low = positive[0] if inner[0] / positive[0] < _FAR else inner[0]
    high = positive[-1] if positive[-1] / inner[-1] < _FAR else inner[-1]
    low, high = min(low, *levels, 0.5), max(high, *levels, 2.0)
    low, high = low / 1.1, high * 1.1
    outside = sum(not low <= value <= high for value in known)
    return Domain(low, high, True, outside, (known[0], known[-1]))
