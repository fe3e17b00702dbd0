"""Charts as drawings: SVG inside a page, and SVG files that stand by themselves."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from markupsafe import Markup, escape

from counterpoise.report.charts import Spec, require_charts, still
from counterpoise.report.theme import CONFIG, light_colours

_UNUSED = re.compile(
    r' (?:(?:font-family|class|aria-[\w-]+|role|version|pointer-events)="[^"]*"'
    r'|opacity="1"|font-size="12px"|font-weight="normal"|stroke-width="1"|transform="translate\(0,0\)")'
)
_ORIGIN = re.compile(r' [xy]2="0"')
_EMPTY = re.compile(r'<path d="" display="none"/>|<path d="M0,0h[\d.]+v[\d.]+h-?[\d.]+Z"/>|<g></g>')
_MARK = re.compile(r'<path transform="translate\(([-\d.]+),([-\d.]+)\)" ([^>]*)/>')
# A word that is moved to a place can stand there; the lines of a text have places of their own.
_WORDS = re.compile(r'(<text [^>]*?)transform="translate\(([-\d.]+),([-\d.]+)\)"(?=[^>]*>[^<])')
_TAG = re.compile(r"<[^>]*>")
_LONG = re.compile(r"-?\d+\.\d{2,}")


@cache
def chart_library() -> str:
    """The script that draws charts, whole: a page that holds it fetches nothing.

    Raises:
        ImportError: If vl-convert is not installed.
    """
    require_charts()
    import vl_convert

    # The interpreter draws without evaluating text as code, so that the page may forbid that.
    script: str = vl_convert.javascript_bundle("window.embedChart = vegaEmbed;")
    return script


def inline_svg(spec: Spec, *, name: str, title: str, description: str) -> Markup:
    """Draw a chart as an ``svg`` element that follows the page's colours and fonts.

    Args:
        spec: Of the chart.
        name: Prefix of every id in the element, unique on the page.
        title: What the drawing is, for those who do not see it.
        description: What the drawing shows, for the same.

    Returns:
        The element: equal bytes for equal charts, no references to anything outside.

    Raises:
        ImportError: If vl-convert is not installed.
    """
    text = _drawn(spec)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', text)
    assert size is not None
    # No wider than it was drawn: its words keep their size, and the page its length.
    head = (
        f'<svg {size[0]} style="max-width:{size[1]}px" font-size="12" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    return Markup(head + _compact(text[text.index(">") + 1 :], name))


def standalone_svg(spec: Spec, title: str) -> str:
    """Draw a chart as a file of its own, in the colours of a light page, with title and legend.

    Args:
        spec: Of the chart.
        title: Written above it.

    Raises:
        ImportError: If vl-convert is not installed.
    """
    colours = light_colours()
    text = _drawn({**spec, "background": "var(--paper)"}, title)
    return re.sub(r"var\(--([\w-]+)\)", lambda match: colours[match[1]], text) + "\n"


def _drawn(spec: Spec, title: str = "") -> str:
    require_charts()
    import vl_convert

    padded = {"padding": 12} if title else {"padding": 2}
    text: str = vl_convert.vegalite_to_svg({**still(spec, title=title), **padded}, config=CONFIG)
    # Places are rounded; what is written between the tags is left as it is.
    return _TAG.sub(lambda tag: _LONG.sub(_rounded, tag[0]), text).strip()


def _compact(text: str, name: str) -> str:
    """Leave out what draws nothing, and write down once what is drawn in many places."""
    text, changes = _TAG.sub(_bare, text), 1
    text = _WORDS.sub(r'\1x="\2" y="\3"', text)
    while changes:
        text, changes = _EMPTY.subn("", text)
    marks = Counter(match[3] for match in _MARK.finditer(text))
    names = {mark: f"{name}-{k}" for k, mark in enumerate(marks) if marks[mark] > 1}

    def placed(match: re.Match[str]) -> str:
        used = names.get(match[3])
        return f'<use href="#{used}" x="{match[1]}" y="{match[2]}"/>' if used else match[0]

    shapes = "".join(f'<path id="{used}" {mark}/>' for mark, used in names.items())
    return (f"<defs>{shapes}</defs>" if shapes else "") + _MARK.sub(placed, text)


def _bare(tag: re.Match[str]) -> str:
    """Leave out of a tag what is so anyhow; what is written between tags stays as it is."""
    text = _UNUSED.sub("", tag[0])
    return _ORIGIN.sub("", text) if text.startswith("<line ") else text


def _rounded(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 1) + 0.0:g}"
