"""Where each method was published: the entries of ``references.bib``, by the methods' names.

The keywords of an entry are the names of the methods that it is the reference of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files
from typing import NamedTuple

from counterpoise.core.errors import check_choice
from counterpoise.methods.method import Method


class Reference(NamedTuple):
    """A publication.

    Attributes:
        key: In BibTeX.
        author: Names, joined by "and".
        title: As printed.
        venue: Conference or journal.
        year: Of publication.
        entry: In BibTeX, whole.
    """

    key: str
    author: str
    title: str
    venue: str
    year: int
    entry: str


def _read() -> dict[str, Reference]:
    references: dict[str, Reference] = {}
    text = files("counterpoise.methods").joinpath("references.bib").read_text(encoding="utf-8")
    for entry in text.strip().split("\n\n"):
        told = {name: value.strip("{}") for name, value in re.findall(r"(\w+) = {(.*)},\n", entry)}
        key, venue = entry.partition("{")[2].partition(",")[0], told.get("booktitle")
        shown = re.sub(r"  keywords = .*\n", "", entry)
        reference = Reference(
            key,
            told["author"],
            told["title"],
            venue or told["journal"],
            int(told["year"]),
            shown,
        )
        references |= dict.fromkeys(told["keywords"].split(", "), reference)
    return references


MMCOSINE = "MMCosine"
"""Published as a method, and here a fusion, "cosine"."""

REFERENCES: dict[str, Reference] = _read()
"""By name of the method, and of MMCosine. Joint training has none."""

_UNPUBLISHED = ("Joint",)


def names_in(method: str | Method) -> list[str]:
    """Return the names of the methods that one is made of, as :meth:`Method.title` joins them.

    Example:
        >>> names_in("UnimodalLoss + AGM")
        ['UnimodalLoss', 'AGM']
    """
    title = method if isinstance(method, str) else method.title()
    return title.split(" + ")


def bibtex(names: Iterable[str]) -> str:
    """Return the BibTeX of some methods, each publication once, in the order of the names.

    Args:
        names: Of methods, such as "AGM", or "MMCosine". Joint training adds nothing.

    Raises:
        ValueError: If one is unknown; the nearest is suggested.

    Example:
        >>> print(bibtex(["OGM", "OGMGE"]).splitlines()[0])
        @inproceedings{peng2022balanced,
    """
    entries: dict[str, None] = {}
    for name in names:
        check_choice("name", name, (*REFERENCES, *_UNPUBLISHED))
        if name in REFERENCES:
            entries[REFERENCES[name].entry] = None
    return "\n\n".join(entries)
