"""Channels, axes and levels that charts of every kind share, as Altair composes them.

Altair is handed in: it is imported where a chart is made, not when this package is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoise.report.domains import Domain
from counterpoise.report.series import Axis, Look
from counterpoise.report.theme import colour


def inline(alt: Any, records: list[dict[str, Any]]) -> Any:
    """Records as the data of a chart."""
    return alt.InlineData(values=records)


def look(alt: Any, looks: Mapping[str, Look]) -> dict[str, Any]:
    """The colour of each series."""
    scale = range_of(alt, looks, "tone")
    return {"color": alt.Color("s:N", scale=scale, legend=None)}


def fill(alt: Any, looks: Mapping[str, Look]) -> Any:
    """The same for the inside of points."""
    return alt.Fill("s:N", scale=range_of(alt, looks, "tone"), legend=None)


def point_shape(alt: Any, looks: Mapping[str, Look]) -> Any:
    """The shape of each series' points."""
    return alt.Shape("s:N", scale=range_of(alt, looks, "shape"), legend=None)


def range_of(alt: Any, looks: Mapping[str, Look], what: str) -> Any:
    """Map each series to its colour, dash or shape."""
    values = {
        "tone": [colour(look.tone) for look in looks.values()],
        "dash": [list(look.dash) for look in looks.values()],
        "shape": [look.shape for look in looks.values()],
    }[what]
    return alt.Scale(domain=list(looks), range=values)


def scale_of(alt: Any, domain: Domain) -> Any:
    """The scale of an axis."""
    ends = [float(f"{end:.6g}") for end in (domain.low, domain.high)]
    kind = {"type": "log"} if domain.log else {"type": "linear", "zero": False}
    return alt.Scale(domain=ends, nice=False, **kind)


def value_axis(alt: Any, axis: Axis, domain: Domain) -> Any:
    """The axis of what is measured."""
    form = "~g" if domain.log else "~r"
    ticks: dict[str, Any] = {"tickCount": 5} if domain.ticks is None else {"values": domain.ticks}
    if axis.form.signed:  # which zero is not
        ticks["labelExpr"] = "datum.value ? format(datum.value, '+~r') : '0'"
    return alt.Axis(title=axis.title, format=form, grid=True, **ticks)


def plain_axis(alt: Any, axis: Axis) -> Any:
    """The axis that lines run along."""
    # Vega-Lite marks halves too where there are fewer than five whole numbers.
    whole = {"labelExpr": "datum.value % 1 ? '' : format(datum.value, ',')"} if axis.whole else {}
    return alt.Axis(title=axis.title, tickCount=5, **whole)


def from_low(alt: Any, encoding: Any) -> Any:
    """The same axis, from the interval's lower end."""
    lower = encoding.copy()
    lower.shorthand = "l:Q"
    return lower


def level_layers(alt: Any, axis: Axis, domain: Domain, direction: str) -> list[Any]:
    """Lines across, and the words at their ends."""
    if not axis.levels:
        return []
    records = [
        {"v": domain.within(axis.form.factor * level.value), "w": level.label}
        for level in axis.levels
    ]
    channel = alt.Y("v:Q") if direction == "y" else alt.X("v:Q")
    base = alt.Chart(inline(alt, records))
    layers = [base.mark_rule(strokeDash=[4, 3], color=colour("muted")).encode(channel)]
    if direction == "y" and any(level.label for level in axis.levels):
        words = base.mark_text(align="right", baseline="bottom", dy=-3).encode(
            channel, x=alt.value("width"), text="w:N"
        )
        layers.append(words)
    return layers
