"""Matplotlib drawings as inline SVG that follows the page's colours and fonts.

Artists are drawn in stand-in colours (`paint`), which `inline_svg` replaces by CSS variables: the
same drawing then follows light and dark. Text stays text, in the fonts of the page.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["NUM_TONES", "drawing", "inline_svg", "new_figure", "paint", "standalone_svg", "tone"]

NUM_TONES: Final = 6
_NAMES: Final = ("ink", "muted", "rule", "paper", *(f"tone-{k}" for k in range(NUM_TONES)))
# Colours that no drawing asks for by itself, one for each CSS variable.
_PAINTS: Final = {name: f"#0102{index:02x}" for index, name in enumerate(_NAMES)}
_VARIABLES: Final = {value: f"var(--{name})" for name, value in _PAINTS.items()}


def tone(index: int) -> str:
    """The colour's name of the modality with this index; colours repeat after `NUM_TONES`."""
    return f"tone-{index % NUM_TONES}"


def paint(name: str) -> str:
    """The stand-in, a Matplotlib colour, for one of the page's colours.

    Args:
        name: ``"ink"``, ``"muted"``, ``"rule"``, ``"paper"``, or a name that `tone` gives.

    Returns:
        A colour that `inline_svg` replaces by the CSS variable of that name.

    Raises:
        ValueError: The page has no such colour.

    Example:
        >>> paint("ink")
        '#010200'
    """
    if name not in _PAINTS:
        raise ValueError(f"`name` should be one of {list(_PAINTS)}; found {name!r}. Choose one.")
    return _PAINTS[name]


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's own defaults, whatever the user's are, with text kept as text and fixed ids.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed.
    """
    try:
        from matplotlib import style
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Reports need Matplotlib. Install it with: pip install 'counterpoise[train]'"
        ) from error
    settings = {"svg.fonttype": "none", "svg.hashsalt": "counterpoise"}
    with style.context(["default", settings]), warnings.catch_warnings():
        # The browser draws the text in its own fonts: what DejaVu Sans lacks is no loss.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty transparent Matplotlib figure whose unit, the point, is the SVG's unit.

    Args:
        width: Width in units.
        height: Height in units.

    Returns:
        A figure outside pyplot's registry, so that nothing must be closed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72))
    figure.patch.set_visible(False)
    return figure


def inline_svg(figure: Figure, *, name: str, title: str, description: str) -> Markup:
    """Renders a figure as an `svg` element for use inside an HTML page.

    Args:
        figure: A figure from `new_figure`, drawn in colours from `paint`, inside `drawing`.
        name: Prefix of every id in the element: unique on the page, letters, digits and hyphens.
        title: What the drawing is, for those who do not see it.
        description: What the drawing shows, for the same.

    Returns:
        The element: equal bytes for equal figures, no dates, no outside references.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            # Metadata holds web addresses; a style rule would apply to the whole page.
            if _local(child.tag) in {"metadata", "style"}:
                parent.remove(child)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', buffer.getvalue()))
    for element in root.iter():
        _restyle(element, used, name)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(position, element)
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))


def standalone_svg(drawing: Markup) -> str:
    """Turns a drawing of a page into a file of its own, which follows light and dark by itself.

    Args:
        drawing: What `inline_svg` returned.

    Returns:
        An SVG document with the page's colours and fonts, on a ground of its own.

    Example:
        >>> standalone_svg(Markup('<svg viewBox="0 0 9 5" role="img"></svg>'))[:38]
        '<svg xmlns="http://www.w3.org/2000/svg'
    """
    sheet = resources.files("counterpoise.report").joinpath("style.css").read_text("utf-8")
    colours = re.findall(
        r"^:root \{.*?^\}|^@media \(prefers.*?^\}", sheet, re.DOTALL | re.MULTILINE
    )
    text = re.search(r"^svg text \{.*?\}", sheet, re.DOTALL | re.MULTILINE)
    assert len(colours) == 2
    assert text is not None
    rules = [*colours, text[0], "svg { background: var(--paper); font-family: sans-serif; }"]
    style = f"<style>{' '.join(' '.join(rules).split())}</style>"
    size = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', drawing)
    assert size is not None
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[1]}" height="{size[2]}" '
    first, _, rest = drawing.removeprefix("<svg ").partition(">")
    return f"{opening}{first}>{style}{rest}"


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _restyle(element: ElementTree.Element, used: set[str], name: str) -> None:
    element.tag = _local(element.tag)
    element.tail = None
    if element.tag != "text":
        element.text = None
    attributes = {_local(key): value for key, value in element.attrib.items()}
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    for key, value in attributes.items():
        if key == "id":
            attributes[key] = f"{name}-{value}"
        elif key in {"d", "x", "y", "transform", "width", "height"}:
            attributes[key] = re.sub(r"-?\d+\.\d+", _round, " ".join(value.split()))
        elif key == "style":
            attributes[key] = _follow_page(value)
        attributes[key] = re.sub(r"^#|(?<=url\()#", f"#{name}-", attributes[key])
    if "rotate(-0 " in attributes.get("transform", ""):
        del attributes["transform"]
    element.attrib = attributes


def _round(match: re.Match[str]) -> str:
    return f"{round(float(match[0]), 2) + 0.0:g}"  # adding 0.0 turns -0 into 0


def _follow_page(style: str) -> str:
    # The sizes and families of text are the style sheet's: it knows how wide the panel is shown.
    kept = [
        part.strip()
        for part in style.split(";")
        if not part.strip().startswith(("font-family", "font-size", "font:"))
    ]
    return re.sub(r"#[0-9a-f]{6}", lambda m: _VARIABLES.get(m[0], m[0]), "; ".join(kept))
