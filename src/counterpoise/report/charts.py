"""Charts as specifications of Vega-Lite, composed by Altair: lines, rows and scattered points.

A specification is data. The page's script draws it with values under the pointer, and hides the
series named in its parameter ``hidden``; without scripts the page shows a drawing made from it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from counterpoise.data.files.extras import require
from counterpoise.report.domains import Domain
from counterpoise.report.encodings import (
    fill,
    from_low,
    inline,
    level_layers,
    look,
    plain_axis,
    point_shape,
    range_of,
    scale_of,
    value_axis,
)
from counterpoise.report.formats import FACTOR, interval
from counterpoise.report.series import Axis, Line, Look, Point, finite, thin
from counterpoise.report.theme import colour

if TYPE_CHECKING:
    import altair as alt

Spec = dict[str, Any]

_WIDTH: Final = 340  # of a drawing; where scripts run, a chart is as wide as its place
_HEIGHT: Final = 190
_ROW: Final = 15  # for each series in a row
_BETWEEN: Final = 12  # rows
_LETTER: Final = 7.6  # the width of one in a label, in the widest of common fonts
_LABEL: Final = 20  # letters of a row's label on a line
_PIECES: Final = re.compile(r"[^\s(,;]{1,26}[(,;]*\s*|[\s(,;]+")
_POINTER: Final = "pointer"  # marks that only answer the pointer, and are left out of drawings
_SHOWN: Final = "indexof(hidden, datum.s) < 0"


def require_charts() -> None:
    """Raise unless what draws charts is installed.

    Raises:
        ImportError: If it is not; the message holds the pip command.
    """
    require("A report", "train", {"altair": "altair", "vl_convert": "vl-convert-python"})


def line_chart(
    lines: Sequence[Line],
    looks: Mapping[str, Look],
    x_axis: Axis,
    y_axis: Axis,
    domain: Domain,
) -> Spec:
    """Map lines to a chart of them, bands and levels included.

    Args:
        lines: One a series; those longer than `MAX_POINTS` are thinned.
        looks: How each series is drawn.
        x_axis: What runs along; its levels are not drawn.
        y_axis: What is measured.
        domain: The room of the vertical axis, the same for charts to be compared.

    Returns:
        The specification, as wide as its place, with the parameter ``hidden``.
    """
    import altair as alt

    drawn = [thin(line) for line in lines]
    records = [record for line in drawn for record in _line_records(line, y_axis, domain)]
    marked = [record for record in records if record.pop("m")]
    x = alt.X("x:Q", axis=plain_axis(alt, x_axis), scale=alt.Scale(nice=False, zero=False))
    y = alt.Y("y:Q", axis=value_axis(alt, y_axis, domain), scale=scale_of(alt, domain))
    base = alt.Chart(inline(alt, records)).transform_filter(_SHOWN).encode(x, y, **look(alt, looks))
    heavy = [name for name, look in looks.items() if look.bold]
    test = f"indexof({json.dumps(heavy)}, datum.s) >= 0"
    line_marks = base.mark_line(strokeCap="round").encode(
        strokeDash=alt.StrokeDash("s:N", scale=range_of(alt, looks, "dash"), legend=None),
        strokeWidth=alt.condition(test, alt.value(3.2), alt.value(1.9)),
    )
    layers: list[alt.Chart] = level_layers(alt, y_axis, domain, "y")
    if any(line.low and line.band for line in drawn):
        layers.append(base.mark_area(opacity=0.16, line=False).encode(y2="h:Q", y=from_low(alt, y)))
    layers.append(line_marks)
    if marked:
        ring = alt.Chart(inline(alt, marked)).transform_filter(_SHOWN)
        layers.append(
            ring.mark_point(size=70, filled=False, strokeWidth=2).encode(x, y, **look(alt, looks))
        )
    pointer = base.mark_point(size=220, opacity=0, filled=True).encode(
        tooltip=[
            alt.Tooltip("s:N", title="series"),
            alt.Tooltip("x:Q", title=x_axis.title, format=",.0f" if x_axis.whole else ",~r"),
            alt.Tooltip("t:N", title=y_axis.title),
        ]
    )
    return _spec(alt.layer(*layers, _named(pointer)), _HEIGHT)


def row_chart(
    points: Sequence[Point], looks: Mapping[str, Look], axis: Axis, domain: Domain
) -> Spec:
    """Map points to rows of them with their intervals, in the order in which rows first appear.

    Args:
        points: Those of one row need labels of their own; it holds one after the other.
        looks: How each series is drawn.
        axis: What is measured.
        domain: Its room, the same for charts to be compared.

    Returns:
        The specification, as wide as its place, with the parameter ``hidden``.
    """
    import altair as alt

    rows = list(dict.fromkeys(_wrapped(point.row) for point in points))
    labels = list(dict.fromkeys(point.label for point in points))
    records = [record for p in points if (record := _point_record(p, axis, domain))]
    faint = [{**record, "y": v} for record in records for v in record.pop("f")]
    x = alt.X("y:Q", axis=value_axis(alt, axis, domain), scale=scale_of(alt, domain))
    base = alt.Chart(inline(alt, records)).transform_filter(_SHOWN)
    base = base.encode(x, _rows(alt, rows), **look(alt, looks))
    if len(labels) > 1:
        base = base.encode(yOffset=alt.YOffset("s:N", sort=labels, scale=alt.Scale(domain=labels)))
    layers: list[alt.Chart] = level_layers(alt, axis, domain, "x")
    if faint:
        single = base.properties(data=inline(alt, faint))
        layers.append(single.mark_point(size=22, filled=True, opacity=0.3))
    layers.append(base.mark_rule(strokeWidth=2.4).encode(x=from_low(alt, x), x2="h:Q"))
    inside = alt.condition("datum.o", alt.value(colour("paper")), fill(alt, looks))
    points_mark = base.mark_point(size=75, strokeWidth=2, opacity=1)
    layers.append(points_mark.encode(fill=inside, shape=point_shape(alt, looks)))
    pointer = base.mark_point(size=400, opacity=0, filled=True)
    layers.append(_named(pointer.encode(tooltip=_told(alt, axis, labels))))
    # Rows have to hold their series, and the lines of their labels.
    lines = max((row.count("\n") + 1 for row in rows), default=1)
    height = len(rows) * max(_ROW * len(labels) + _BETWEEN, 15 * lines + 6)
    return _spec(alt.layer(*layers), height)


def _rows(alt: Any, rows: Sequence[str]) -> Any:
    """The axis of rows, in this order; their labels may have several lines."""
    widest = max((len(part) for row in rows for part in row.split("\n")), default=0)
    axis = alt.Axis(
        title=None,
        labelExpr="split(datum.label, '\\n')",
        labelColor=colour("ink"),
        # A browser's letters may be wider than those that a drawing was measured with.
        minExtent=round(_LETTER * widest),
    )
    return alt.Y("r:N", sort=list(rows), scale=alt.Scale(domain=list(rows)), axis=axis)


def scatter_chart(
    points: Sequence[Point],
    looks: Mapping[str, Look],
    x_axis: Axis,
    y_axis: Axis,
    domains: tuple[Domain, Domain],
) -> Spec:
    """Map points to their places, each with its interval upwards.

    Args:
        points: `x` and `value` say where each lies.
        looks: How each series is drawn.
        x_axis: What runs along.
        y_axis: What runs upwards.
        domains: The room of both.

    Returns:
        The specification, as wide as its place, with the parameter ``hidden``.
    """
    import altair as alt

    records = []
    for point in points:
        record, place = _point_record(point, y_axis, domains[1]), domains[0].within(point.x)
        if record and place is not None:
            records.append({**record, "x": place, "u": x_axis.form(point.x)})
            del records[-1]["f"]
    x = alt.X("x:Q", axis=value_axis(alt, x_axis, domains[0]), scale=scale_of(alt, domains[0]))
    y = alt.Y("y:Q", axis=value_axis(alt, y_axis, domains[1]), scale=scale_of(alt, domains[1]))
    base = alt.Chart(inline(alt, records)).transform_filter(_SHOWN)
    base = base.encode(x, y, **look(alt, looks))
    of = [alt.Tooltip("n:N", title="of")] if any(p.row != p.label for p in points) else []
    pointer = base.mark_point(size=500, opacity=0, filled=True).encode(
        tooltip=[
            *of,
            alt.Tooltip("s:N", title="series"),
            alt.Tooltip("u:N", title=x_axis.title),
            alt.Tooltip("t:N", title=y_axis.title),
        ]
    )
    layers = [
        *level_layers(alt, y_axis, domains[1], "y"),
        *level_layers(alt, x_axis, domains[0], "x"),
        base.mark_rule(strokeWidth=1.6, opacity=0.6).encode(y=from_low(alt, y), y2="h:Q"),
        base.mark_point(size=90, filled=True, opacity=1).encode(shape=point_shape(alt, looks)),
        _named(pointer),
    ]
    return _spec(alt.layer(*layers), 240)


def still(spec: Spec, *, title: str = "") -> Spec:
    """The specification of a drawing: of fixed width, without what only answers the pointer.

    Args:
        spec: Of a chart.
        title: Makes a drawing that stands by itself, with this title and a legend. Default: one
            inside a page, which has both beside it.
    """
    layers = [deepcopy(layer) for layer in spec["layer"] if layer.get("name") != _POINTER]
    drawing = {**spec, "width": _WIDTH, "layer": layers}
    if title:
        drawing["title"] = {"text": title, "anchor": "start", "color": colour("ink")}
        coloured = [layer["encoding"]["color"] for layer in layers if "color" in layer["encoding"]]
        for encoding in coloured:
            several = len(encoding["scale"]["domain"]) > 1
            encoding["legend"] = {"orient": "top", "title": None, "columns": 3} if several else None
    return drawing


def _line_records(line: Line, axis: Axis, domain: Domain) -> list[dict[str, Any]]:
    """A record for each place; a gap keeps its place, so that the line breaks there."""
    factor, shown = axis.form.factor, FACTOR if axis.factor else axis.form
    records = []
    for index, (place, value) in enumerate(zip(line.x, line.y, strict=True)):
        ends = (line.low[index], line.high[index]) if line.low else (math.nan, math.nan)
        low, high = (domain.within(factor * end) for end in ends)
        record = {
            "s": line.label,
            "x": float(f"{place:.6g}"),
            "y": domain.within(factor * value),
            "t": interval(value, *ends, shown),
            "m": place == line.marked and math.isfinite(value),
        }
        if low is not None:
            record |= {"l": low, "h": high}
        records.append(record)
    return records


def _point_record(point: Point, axis: Axis, domain: Domain) -> dict[str, Any] | None:
    """What is drawn of a point; None where it has no finite value."""
    factor = axis.form.factor
    value = domain.within(factor * point.value)
    if value is None:
        return None
    ends = (math.nan if end is None else factor * end for end in (point.low, point.high))
    low, high = map(domain.within, ends)
    faint = [domain.within(factor * repeat) for repeat in finite(point.repeats)]
    told = interval(point.value, point.low, point.high, axis.form)
    return {
        "s": point.label,
        "r": _wrapped(point.row),
        "n": point.row,
        "y": value,
        "l": value if low is None else low,
        "h": value if high is None else high,
        "o": point.ring,
        "t": f"{told}, {point.remark}" if point.remark else told,
        "f": faint,
    }


def _wrapped(label: str) -> str:
    """A row's label over several lines, which break between words and arguments."""
    lines = [""]
    for piece in _PIECES.findall(label):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > _LABEL:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines) or " "


def _told(alt: Any, axis: Axis, labels: Sequence[str]) -> list[Any]:
    told = [alt.Tooltip("n:N", title="of"), alt.Tooltip("t:N", title=axis.title)]
    return [*told[:1], alt.Tooltip("s:N", title="series"), *told[1:]] if any(labels) else told


def _named(chart: Any) -> Any:
    return chart.properties(name=_POINTER)


def _spec(chart: Any, height: int) -> Spec:
    # Checking against the schema takes longer than all the rest; the tests do it.
    spec: Spec = chart.properties(width="container", height=height).to_dict(validate=False)
    # The page holds the schema's address and the looks of all charts once.
    kept = {name: spec[name] for name in spec if name not in ("$schema", "config")}
    kept["autosize"] = {"type": "fit-x", "contains": "padding"}
    kept["params"] = [{"name": "hidden", "value": []}]
    return kept
