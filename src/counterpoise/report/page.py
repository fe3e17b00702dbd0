"""The shell of a page and the parts it is composed of.

Every part renders itself through a template of its own, with autoescape on, and offers the result
as `__html__`, which is how templates take another part in unescaped. Jinja2 comes with torch.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from counterpoise.core.files import write_atomically

__all__ = ["Details", "Figure", "Note", "Page", "Part", "Section", "Terms"]


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("counterpoise.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Part:
    """A piece of a page: subclasses name the template that renders them as `part`."""

    template: ClassVar[str]

    def __html__(self) -> str:
        return _environment().get_template(self.template).render(part=self)

    def to_html(self) -> Markup:
        """The part as HTML that templates and other parts take in as it is."""
        return Markup(self.__html__())


@dataclass(frozen=True)
class Section(Part):
    """A heading with parts below it.

    Args:
        title: The heading.
        parts: What follows it, in order.

    Example:
        >>> "<h2>Costs</h2>" in Section("Costs", ()).to_html()
        True
    """

    template: ClassVar[str] = "section.html"
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Note(Part):
    """A remark that a reader must not miss.

    Args:
        title: The point, in a few words.
        text: The explanation.

    Example:
        >>> "&lt;1 hour" in Note("Took <1 hour", "Nothing else ran.").to_html()
        True
    """

    template: ClassVar[str] = "note.html"
    title: str
    text: str


@dataclass(frozen=True)
class Terms(Part):
    """Definitions: pairs of a term and what it means.

    Args:
        terms: The pairs, in order.

    Example:
        >>> "<dt>Score</dt>" in Terms([("Score", "The cross-entropy.")]).to_html()
        True
    """

    template: ClassVar[str] = "terms.html"
    terms: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Details(Part):
    """Parts that a reader unfolds.

    Args:
        summary: The line that stays visible.
        parts: What unfolds, in order.

    Example:
        >>> "<summary>Versions</summary>" in Details("Versions", ()).to_html()
        True
    """

    template: ClassVar[str] = "details.html"
    summary: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Figure(Part):
    """Small multiples under one heading, with a caption that says how to read them.

    Args:
        title: What is drawn.
        caption: How to read it, and what was left out of it.
        panels: Pairs of a panel's heading and its inline SVG.

    Example:
        >>> "<figcaption>Higher is better.</figcaption>" in Figure(
        ...     "Accuracy", "Higher is better.", [("AGM", Markup("<svg></svg>"))]
        ... ).to_html()
        True
    """

    template: ClassVar[str] = "figure.html"
    title: str
    caption: str
    panels: Sequence[tuple[str, Markup]]

    @property
    def columns(self) -> int:
        """Panels beside each other on a wide screen: rows are filled as evenly as three allow."""
        return {1: 1, 2: 2, 4: 2}.get(len(self.panels), 3)


@dataclass(frozen=True)
class Page(Part):
    """A self-contained HTML page: nothing in it asks for anything outside it.

    Args:
        title: The heading, also the title of the browser's tab.
        lead: The result in a few sentences, a paragraph each.
        parts: What follows, in order.
        facts: Pairs of a name and a value, shown in a row below the lead.

    Example:
        >>> Page("Costs", ["AGM costs 1.1 plain steps."], ()).to_html()[:15]
        Markup('<!doctype html>')
    """

    template: ClassVar[str] = "page.html"
    title: str
    lead: Sequence[str]
    parts: Sequence[Part]
    facts: Sequence[tuple[str, str]] = ()

    @property
    def style(self) -> Markup:
        """The style sheet that is set into the page."""
        sheet = resources.files("counterpoise.report").joinpath("style.css")
        return Markup(sheet.read_text(encoding="utf-8"))

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes the page to a temporary file beside `path` and renames it.

        Args:
            path: The file to write. Missing folders are made; an older file is replaced whole.

        Returns:
            The path written.

        Raises:
            ValueError: `path` is a folder.
        """
        path = Path(path)
        if path.is_dir():
            raise ValueError(
                f"`path` should be a file; found the folder {str(path)!r}. "
                "Add a file name, such as 'report.html'."
            )
        text = self.__html__()  # rendered before anything on disk is touched
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        return path
