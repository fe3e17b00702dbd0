"""What a panel of curves holds: lines, the levels to read them against, and the axes' meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from counterpoise.report.formats import percent, significant

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_POINTS", "Curve", "Level", "Scale", "describe", "is_logarithmic", "thin"]

MAX_POINTS: Final = 60  # of a curve in a panel: more would show the noise, not the course


@dataclass(frozen=True)
class Curve:
    """One line in a panel.

    Args:
        label: The name written at the line's end.
        tone: The colour's name, as `paint` takes it.
        x: Places along the axis, ascending, length N.
        y: Values, length N; where not finite, the line has a gap.
        low: Lower edge of the band around the line, length N. Default: no band.
        high: Upper edge of the band, length N. Default: no band.
        ring: A point, place and value, that a ring marks. Default: none.
        bold: Whether the line is drawn heavier than its neighbours.
        dashed: Whether the line is dashed, where another one has its colour.
    """

    label: str
    tone: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    ring: tuple[float, float] | None = None
    bold: bool = False
    dashed: bool = False

    @property
    def extent(self) -> NDArray[np.float64]:
        """All finite values that the axis must hold, band included."""
        parts = [part for part in (self.y, self.low, self.high) if part is not None]
        values = np.concatenate(parts)
        return values[np.isfinite(values)]


@dataclass(frozen=True)
class Level:
    """A horizontal line to read the curves against.

    Args:
        value: Where it lies.
        label: What is written at its end. Default: nothing.
    """

    value: float
    label: str = ""


@dataclass(frozen=True)
class Scale:
    """The axes that all panels of a figure share.

    Args:
        x_label: What runs along the axis.
        y_label: What is measured, with its unit.
        levels: Lines to read the curves against; the axis holds them all.
        percent: Whether the values are shares in [0, 1], shown as percentages.
        factor: Whether the values are factors, for which an axis that spans more than a factor
            of 3 is logarithmic, so that doubling and halving take equal room.
    """

    x_label: str
    y_label: str
    levels: Sequence[Level] = ()
    percent: bool = False
    factor: bool = False


def is_logarithmic(values: Sequence[float], scale: Scale) -> bool:
    """Whether an axis that holds these values is logarithmic.

    Args:
        values: Finite values, levels among them, at least one.
        scale: What the axis measures.

    Example:
        >>> factors = Scale("step", "Coefficient", factor=True)
        >>> is_logarithmic([0.5, 2.0], factors), is_logarithmic([0.9, 1.1], factors)
        (True, False)
    """
    return scale.factor and min(values) > 0 and max(values) / min(values) > 3


def thin(curve: Curve, max_points: int = MAX_POINTS) -> Curve:
    """Replaces runs of neighbouring values by their mean and a band from minimum to maximum.

    Args:
        curve: A curve of N values without a band.
        max_points: How many points may remain. Default: `MAX_POINTS`.

    Returns:
        `curve` itself if N <= `max_points`; else a curve of `max_points` points, each the mean of
        N / `max_points` neighbours (rounded up or down), with band. Values that are not finite are
        left out of means and bands; a point without any finite value is a gap.

    Example:
        >>> import numpy as np
        >>> thin(Curve("audio", "tone-0", np.arange(6.0), np.arange(6.0)), max_points=2).y
        array([1., 4.])
    """
    if len(curve.x) <= max_points:
        return curve
    bins = np.array_split(np.arange(len(curve.x)), max_points)
    means, lows, highs = np.full((3, max_points), np.nan)
    for index, members in enumerate(bins):
        values = curve.y[members]
        values = values[np.isfinite(values)]
        if len(values):
            means[index], lows[index], highs[index] = values.mean(), values.min(), values.max()
    x = np.array([curve.x[members].mean() for members in bins])
    return replace(curve, x=x, y=means, low=lows, high=highs)


def describe(curves: Sequence[Curve], scale: Scale) -> str:
    """A panel in words, for those who do not see it.

    Args:
        curves: The panel's curves.
        scale: What its axes measure.

    Example:
        >>> import numpy as np
        >>> describe([Curve("audio", "tone-0", np.arange(3), np.arange(3))], Scale("step", "Score"))
        'Score over step. audio: from 0 to 2, lowest 0, highest 2.'
    """
    sentences = [f"{scale.y_label} over {scale.x_label}."]
    for curve in curves:
        values = curve.y[np.isfinite(curve.y)]
        if not len(values):
            sentences.append(f"{curve.label}: no finite value.")
            continue
        shown = [
            percent(value) if scale.percent else significant(value, 3)
            for value in (values[0], values[-1], values.min(), values.max())
        ]
        sentences.append(
            f"{curve.label}: from {shown[0]} to {shown[1]}, lowest {shown[2]}, highest {shown[3]}."
        )
    return " ".join(sentences)
