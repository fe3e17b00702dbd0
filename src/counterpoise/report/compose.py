"""Figures from series: charts of one kind on the same axis, described in words as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from counterpoise.report.charts import line_chart, require_charts, row_chart, scatter_chart
from counterpoise.report.domains import Domain, domain_of, domain_of_lines
from counterpoise.report.figure import Figure, Panel
from counterpoise.report.formats import FACTOR, interval
from counterpoise.report.series import MAX_POINTS, Axis, Line, Look, Point, finite, thin


def line_figure(
    title: str,
    caption: str,
    panels: Sequence[tuple[str, Sequence[Line]]],
    looks: Mapping[str, Look],
    axes: tuple[Axis, Axis],
    *,
    shared: bool = True,
) -> Figure | None:
    """Map headings with lines to a figure of one chart each.

    Args:
        title: Of the figure.
        caption: What is drawn; how lines were thinned and what lies outside is added to it.
        panels: Pairs of a heading and its lines.
        looks: How each series is drawn, by the lines' labels.
        axes: What runs along and what is measured.
        shared: Whether what is measured has the same room in all charts. Default: it has. False
            where charts are not to be compared, as those of different data sets.

    Returns:
        The figure; None where no line has a finite value.

    Raises:
        ImportError: If what draws charts is not installed.
    """
    require_charts()
    x_axis, y_axis = axes
    drawn = [(heading, [thin(line) for line in lines]) for heading, lines in panels]
    lines = [line for _, members in drawn for line in members]
    if not _known(lines):
        return None
    domains = [
        domain_of_lines(lines if shared or not _known(members) else members, y_axis)
        for _, members in drawn
    ]
    charts = [
        Panel(
            heading,
            line_chart(members, _used(looks, members), x_axis, y_axis, domain),
            _lines_in_words(members, x_axis, y_axis),
        )
        for (heading, members), domain in zip(drawn, domains, strict=True)
    ]
    whole = [line for _, members in panels for line in members]
    own = "" if shared or len(charts) == 1 else " Each chart has an axis of its own."
    beyond = "".join(dict.fromkeys(map(_outside, domains)))
    told = f"{caption}{own}{_thinned(whole, x_axis)}{beyond}"
    return Figure(title, told, charts, _used(looks, lines))


def row_figure(
    title: str,
    caption: str,
    panels: Sequence[tuple[str, Sequence[Point], Axis]],
    looks: Mapping[str, Look] | None = None,
    *,
    shared: bool = False,
    wide: bool = False,
) -> Figure | None:
    """Map headings with points to a figure of one chart of rows each.

    Args:
        title: Of the figure.
        caption: How to read it.
        panels: A heading, its points and what they measure; one without points is left out.
        looks: How each series is drawn, by the points' labels. Default: one series, without name.
        shared: Whether all charts have the same axis, that of the first.
        wide: Whether each chart takes the page's width.

    Returns:
        The figure; None where there is no point.

    Raises:
        ImportError: If what draws charts is not installed.
    """
    require_charts()
    looks = {"": Look("tone-0")} if looks is None else looks
    kept = [
        (heading, [p for p in points if p.extent], axis)
        for heading, points, axis in panels
        if any(p.extent for p in points)
    ]
    if not kept:
        return None
    together = [value for _, points, _ in kept for p in points for value in p.extent]
    charts = []
    for heading, points, axis in kept:
        mine = [value for p in points for value in p.extent]
        domain = domain_of(together if shared else mine, axis)
        chart = row_chart(points, _used(looks, points), axis, domain)
        charts.append(Panel(heading, chart, _points_in_words(points, axis)))
    used = _used(looks, [p for _, points, _ in kept for p in points])
    return Figure(title, caption, charts, used, "point", wide)


def scatter_figure(
    title: str,
    caption: str,
    panels: Sequence[tuple[str, Sequence[Point]]],
    looks: Mapping[str, Look],
    axes: tuple[Axis, Axis],
) -> Figure | None:
    """Map headings with places to a figure of one chart of scattered points each.

    Args:
        title: Of the figure.
        caption: How to read it.
        panels: A heading and its points; those without a finite place are left out.
        looks: How each series is drawn, by the points' labels.
        axes: What runs along and what runs upwards.

    Returns:
        The figure; None where there is no point.

    Raises:
        ImportError: If what draws charts is not installed.
    """
    require_charts()
    charts = []
    drawn: list[Point] = []
    for heading, points in panels:
        placed = [p for p in points if finite([p.value]) and finite([p.x])]
        if not placed:
            continue
        drawn += placed
        domains = (
            domain_of([p.x for p in placed], axes[0]),
            domain_of([value for p in placed for value in p.extent], axes[1]),
        )
        chart = scatter_chart(placed, _used(looks, placed), *axes, domains)
        words = [f"{p.label}: {axes[0].form(p.x)}, {axes[1].form(p.value)}." for p in placed]
        opening = f"{axes[1].title} over {axes[0].title}."
        charts.append(Panel(heading, chart, " ".join([opening, *words])))
    return Figure(title, caption, charts, _used(looks, drawn), "point") if charts else None


def _known(lines: Sequence[Line]) -> list[float]:
    """All values of lines that are finite."""
    return finite(value for line in lines for value in line.y)


def _used(looks: Mapping[str, Look], series: Sequence[Line] | Sequence[Point]) -> dict[str, Look]:
    """The looks of series that are there, in the order of `looks`."""
    labels = {mark.label for mark in series}
    return {label: look for label, look in looks.items() if label in labels}


def _lines_in_words(lines: Sequence[Line], x_axis: Axis, y_axis: Axis) -> str:
    sentences = [f"{y_axis.title} over {x_axis.title}."]
    write = FACTOR if y_axis.factor else y_axis.form
    for line in lines:
        known = finite(line.y)
        if not known:
            sentences.append(f"{line.label}: no finite value.")
            continue
        first, last, low, high = map(write, (known[0], known[-1], min(known), max(known)))
        sentences.append(f"{line.label}: from {first} to {last}, lowest {low}, highest {high}.")
    return " ".join(sentences)


def _points_in_words(points: Sequence[Point], axis: Axis) -> str:
    sentences = [f"{axis.title}."]
    for point in points:
        name = f"{point.row}, {point.label}" if point.label else point.row
        sentences.append(f"{name}: {interval(point.value, point.low, point.high, axis.form)}.")
    return " ".join(sentences)


def _thinned(lines: Sequence[Line], x_axis: Axis) -> str:
    """Say what a point of a line stands for."""
    lengths, unit = [len(line.x) for line in lines], x_axis.title
    long = [length for length in lengths if length > MAX_POINTS]
    if not long:
        return f" Every recorded {unit} is drawn{_spacing(lines)}." if x_axis.whole else ""
    fewest, most = min(long) // MAX_POINTS, -(-max(long) // MAX_POINTS)
    among = f"{most}" if fewest == most else f"{fewest} to {most}"
    text = (
        f" Each point is the mean of {among} recorded {unit}s{_spacing(lines)}, the band spans "
        "their extremes"
    )
    return text + ("." if len(long) == len(lengths) else f"; shorter runs show every {unit}.")


def _spacing(lines: Sequence[Line]) -> str:
    """How many places along the axis there are for one that was recorded, where that is one."""
    gaps = {b - a for line in lines for a, b in pairwise(line.x)}
    return f" (one in {gaps.pop():.0f})" if len(gaps) == 1 and max(gaps) > 1 else ""


def _outside(domain: Domain) -> str:
    """Say that the axis is logarithmic, and what it leaves out."""
    if not domain.log:
        return ""
    text = " The axis is logarithmic: doubling and halving take equal room."
    if not domain.num_outside:
        return text
    lie = "lies" if domain.num_outside == 1 else "lie"
    low, high = map(FACTOR, domain.extremes)
    return (
        f"{text} {domain.num_outside:,} of the points and ends of bands {lie} beyond it (all reach "
        f"from {low} to {high}) and {'is' if domain.num_outside == 1 else 'are'} drawn at its edge."
    )
