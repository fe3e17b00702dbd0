"""The shell of a page and the parts it is composed of.

Every part renders itself through a template of its own, with autoescape on, and offers the result
as `__html__`, which is how templates take another part in unescaped. Jinja2 comes with torch.
"""

from __future__ import annotations

import functools
import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from counterpoise.core.files import write_atomically
from counterpoise.report.charts import Spec
from counterpoise.report.packing import packed
from counterpoise.report.theme import CONFIG, style_sheet


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

    @property
    def children(self) -> Sequence[Part]:
        """The parts inside it."""
        return ()

    @property
    def charts(self) -> Mapping[str, Spec]:
        """Its own charts by their names, not those of the parts inside it."""
        return {}

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

    @property
    def children(self) -> Sequence[Part]:
        """The parts below the heading."""
        return self.parts

    @property
    def anchor(self) -> str:
        """Where a link leads: of sections with different titles, different places."""
        words = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
        return f"{words}-{sha256(self.title.encode()).hexdigest()[:6]}"


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

    @property
    def children(self) -> Sequence[Part]:
        """What unfolds."""
        return self.parts


@dataclass(frozen=True)
class Page(Part):
    """A self-contained HTML page: nothing in it asks for anything outside it.

    It begins with what was found, in one sentence, and the figure that shows it. What must be said
    about data and intervals follows, folded. Contents are listed where the page is long.

    Args:
        title: The heading, also the title of the browser's tab.
        lead: The finding in one sentence, then what else is to be said, a paragraph each.
        parts: What follows, in order.
        facts: Pairs of a name and a value, shown in a row below the lead.
        figure: What shows the finding. Default: none.
        notes: What a reader must know before believing it.

    Example:
        >>> Page("Costs", ["AGM costs 1.1 plain steps."], ()).to_html()[:15]
        Markup('<!doctype html>')
    """

    template: ClassVar[str] = "page.html"
    title: str
    lead: Sequence[str]
    parts: Sequence[Part]
    facts: Sequence[tuple[str, str]] = ()
    figure: Part | None = None
    notes: Sequence[Note] = ()

    @property
    def style(self) -> Markup:
        """The style sheet that is set into the page."""
        return Markup(style_sheet())

    @property
    def sections(self) -> list[Section]:
        """What the contents list."""
        return [part for part in self.parts if isinstance(part, Section)]

    @property
    def children(self) -> Sequence[Part]:
        """All parts of the page."""
        return [*([self.figure] if self.figure else []), *self.notes, *self.parts]

    @property
    def script(self) -> Markup:
        """What makes charts and tables answer."""
        own = resources.files("counterpoise.report").joinpath("page.js")
        return Markup(own.read_text("utf-8"))

    @cached_property
    def all_charts(self) -> Mapping[str, Spec]:
        """The charts of all parts by their names."""
        return {name: spec for part in _all_parts(self) for name, spec in part.charts.items()}

    @cached_property
    def library(self) -> str:
        """The script that draws charts; empty where there are none."""
        if not self.all_charts:
            return ""
        from counterpoise.report.drawing import chart_library

        return chart_library()

    @property
    def packed_library(self) -> str:
        """The same, a third as long."""
        return packed(self.library)

    @property
    def packed_charts(self) -> str:
        """All charts in one: much of each stands in the others too."""
        return packed(json.dumps(self.all_charts, separators=(",", ":"), ensure_ascii=False))

    @property
    def packed_config(self) -> str:
        """How charts look, for the script that draws them."""
        return packed(json.dumps(CONFIG))

    @property
    def policy(self) -> str:
        """What the browser may do for the page: run its own scripts, and fetch nothing at all."""
        scripts = [self.script, *([self.library] if self.library else [])]
        digests = [sha256(script.encode()).digest() for script in scripts]
        allowed = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)
        return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"

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


def _all_parts(part: Part) -> Iterator[Part]:
    yield part
    for child in part.children:
        yield from _all_parts(child)
