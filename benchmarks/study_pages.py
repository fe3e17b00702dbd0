"""Put what the studies found into docs/studies.md: the words and the table of each report.

    python benchmarks/study_pages.py            # prints the sections
    python benchmarks/study_pages.py --write    # puts them into the docs

The report of a study is that of the latest benchmarks/results/*-studies/NAME, which
`counterpoise study NAME` wrote.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from counterpoise.experiments.study import STUDIES, study_class

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies.md"
BEGIN, END = "<!-- studies: python benchmarks/study_pages.py -->", "<!-- end of the studies -->"


def folder(name: str) -> Path:
    """Return where the latest results of a study are."""
    return max((ROOT / "benchmarks" / "results").glob(f"*-studies/{name}"))


def section(name: str) -> str:
    """Return what a study found, from its report: of its figures the first."""
    place = folder(name).relative_to(ROOT)
    _, *blocks = (folder(name) / "report.md").read_text("utf-8").strip().split("\n\n")
    pictures = [block for block in blocks if block.startswith("![")]
    words = [block for block in blocks if block not in pictures]
    shown = [
        re.sub(r"\]\((.*)\)$", rf"](../{place.as_posix()}/\1)", picture) for picture in pictures
    ]
    parts = "page, tables" if (folder(name) / "report.html").is_file() else "tables"
    told = f"`counterpoise study {name}` ({parts} and drawings: `{place.as_posix()}`)"
    return "\n\n".join([f"### `{name}`: {study_class(name).question}", told, *words, *shown[:1]])


def sections() -> str:
    """Return what stands between the markers."""
    return "\n\n".join([BEGIN, *(section(name) for name in STUDIES), END])


def main() -> None:
    """Print the sections, or put them into the docs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    if not parser.parse_args().write:
        print(sections())
        return
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + sections() + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main()
