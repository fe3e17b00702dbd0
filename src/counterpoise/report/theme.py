"""Colours, line styles and fonts of every chart, named as the page's style sheet names them.

A chart asks for colours by CSS variable, so that the same drawing follows light and dark.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any, Final

NUM_TONES: Final = 6
_DASHES: Final = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
_SHAPES: Final = ("circle", "square", "triangle-up", "diamond")
_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'


def tone(index: int) -> str:
    """The colour's name of the series with this index; colours repeat after `NUM_TONES`."""
    return f"tone-{index % NUM_TONES}"


def colour(name: str) -> str:
    """The CSS colour of a name such as "ink", "muted", "rule", "paper" or one of `tone`.

    Example:
        >>> colour("tone-0")
        'var(--tone-0)'
    """
    return f"var(--{name})"


def dash(index: int) -> list[int]:
    """The dash pattern of the series with this index: solid until the colours repeat."""
    return list(_DASHES[index // NUM_TONES % len(_DASHES)])


def shape(index: int) -> str:
    """The point's shape of the series with this index: circles until the colours repeat."""
    return _SHAPES[index // NUM_TONES % len(_SHAPES)]


@cache
def style_sheet() -> str:
    """The style sheet that is set into each page."""
    return resources.files("counterpoise.report").joinpath("style.css").read_text("utf-8")


@cache
def light_colours() -> dict[str, str]:
    """The colours of the light page by name, for drawings that leave the page."""
    block = re.search(r"^:root \{(.*?)\}", style_sheet(), re.DOTALL | re.MULTILINE)
    assert block is not None
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", block[1]))


CONFIG: Final[dict[str, Any]] = {
    "background": "transparent",
    "font": _FONT,
    "aria": False,  # the figure describes itself; a label for every point would drown it
    "view": {"stroke": None},
    "axis": {
        "domainColor": colour("muted"),
        "gridColor": colour("rule"),
        "labelColor": colour("muted"),
        "labelFontSize": 12,
        "labelLimit": 0,  # a label is never cut
        "ticks": False,
        "labelPadding": 6,
        "titleColor": colour("muted"),
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "axisX": {"grid": False, "labelFlush": True},
    "axisY": {"domain": False},
    "text": {"fontSize": 11, "fill": colour("muted")},
}
"""How charts look, in the terms of Vega-Lite; once a page, not once a chart."""
