"""Checks every link within the built documentation, anchors too; counts those that lead outside.

``python docs/check_links.py FOLDER`` exits with 1 if one leads nowhere.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Reader(HTMLParser):
    """Gathers where a page can be entered, and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one tag."""
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def broken(folder: Path) -> tuple[list[str], int, int]:
    """Return links that lead nowhere, how many there are within, and how many lead outside."""
    pages = {}
    for path in sorted(folder.resolve().rglob("*.html")):
        pages[path] = Reader()
        pages[path].feed(path.read_text(encoding="utf-8"))
    found, within, outside = [], 0, set()
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                outside.add(link)
                continue
            within += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            lost = not target.exists()
            if target in pages and parts.fragment:
                lost = unquote(parts.fragment) not in pages[target].anchors
            if lost:
                found.append(f"{path.relative_to(folder.resolve())}: {link}")
    return found, within, len(outside)


if __name__ == "__main__":
    lost, num_within, num_outside = broken(Path(sys.argv[1]))
    print(
        "\n".join([*lost, f"{num_within:,} links within, {len(lost)} lost; {num_outside} outside"])
    )
    sys.exit(bool(lost))
