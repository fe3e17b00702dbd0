"""The data of charts: lines, points, and the axes that give them a meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import fmean

from counterpoise.report.formats import NUMBER, Format
from counterpoise.report.theme import dash, shape, tone

MAX_POINTS = 60
"""Of a line in a chart: more would show the noise, not the course."""


@dataclass(frozen=True)
class Look:
    """How a series looks: the same in every chart of a page.

    Args:
        tone: The colour's name.
        dash: Lengths of dashes and gaps, in units of a chart.
        shape: The shape of its points.
        bold: Whether its line is heavier.
    """

    tone: str = "ink"
    dash: Sequence[int] = (1, 0)
    shape: str = "circle"
    bold: bool = False


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, in order; 24 are different.

    Example:
        >>> looks_of(["audio", "image"])["image"].tone
        'tone-1'
    """
    return {
        name: Look(tone(index), tuple(dash(index)), shape(index))
        for index, name in enumerate(dict.fromkeys(names))
    }


@dataclass(frozen=True)
class Line:
    """A quantity along an axis.

    Args:
        label: The series it belongs to, as the legend names it.
        x: Places, ascending, length N.
        y: Values, length N; where not finite the line has a gap.
        low: Lower edge of the band around it, length N. Default: no band.
        high: Upper edge of the band, length N.
        band: Whether the band is drawn, or only told under the pointer.
        marked: A place that a ring marks. Default: none.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    band: bool = True
    marked: float | None = None


@dataclass(frozen=True)
class Point:
    """A mean with its interval, in a row or at a place.

    Args:
        row: The row's label; in a scatter chart, what the point is of.
        value: The mean; not finite: the point is left out.
        low: Lower end of the interval; None or NaN: there is none.
        high: Upper end.
        label: The series it belongs to, as the legend names it. Default: none.
        ring: Whether the point is a ring, lighter than a dot.
        repeats: Single measurements, drawn as faint dots.
        x: The place, in a scatter chart.
        remark: What else is told under the pointer.
    """

    row: str
    value: float
    low: float | None = None
    high: float | None = None
    label: str = ""
    ring: bool = False
    repeats: Sequence[float] = ()
    x: float = math.nan
    remark: str = ""

    @property
    def extent(self) -> list[float]:
        """All finite values that the axis must hold."""
        return finite((self.value, self.low, self.high, *self.repeats))


@dataclass(frozen=True)
class Level:
    """A line across a chart to read it against.

    Args:
        value: Where it lies.
        label: What is written at its end. Default: nothing.
    """

    value: float
    label: str = ""


@dataclass(frozen=True)
class Axis:
    """What runs along an axis.

    Args:
        title: What is measured, with its unit.
        form: How values are written; its factor applies to what is drawn.
        levels: Lines to read the chart against; the axis holds them all.
        factor: Whether values are factors, for which an axis that spans more than a factor of 3 is
            logarithmic, so that doubling and halving take equal room.
        whole: Whether it counts what was recorded, such as epochs: whole numbers alone are marked.
    """

    title: str
    form: Format = NUMBER
    levels: Sequence[Level] = field(default_factory=tuple)
    factor: bool = False
    whole: bool = False


def finite(values: Iterable[float | None]) -> list[float]:
    """Those that are numbers, neither NaN nor infinite."""
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def thin(line: Line, max_points: int = MAX_POINTS) -> Line:
    """Replace neighbouring values by their mean and a band from the lowest to the highest.

    Args:
        line: N values.
        max_points: How many points may remain.

    Returns:
        `line` itself if N <= `max_points`; else a line of `max_points` points, each the mean of
        N / `max_points` neighbours (rounded up or down), with a band that holds their bands. Values
        that are not finite are left out; a point without any is a gap.

    Example:
        >>> thin(Line("audio", range(6), range(6)), max_points=2).y
        [1.0, 4.0]
    """
    count = len(line.x)
    if count <= max_points:
        return line
    edges = [round(count * k / max_points) for k in range(max_points + 1)]
    bins = [slice(*pair) for pair in pairwise(edges)]

    def reduced(values: Sequence[float], how: Callable[[list[float]], float]) -> list[float]:
        binned = [finite(values[members]) for members in bins]
        return [how(part) if part else math.nan for part in binned]

    return replace(
        line,
        x=reduced(line.x, fmean),
        y=reduced(line.y, fmean),
        low=reduced(line.low or line.y, min),
        high=reduced(line.high or line.y, max),
    )
