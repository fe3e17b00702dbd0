"""Make the gallery of reports: pages of packaged data, and what docs/gallery.md shows of each.

    python benchmarks/gallery.py            # reads the pages again: finding, figure, link
    python benchmarks/gallery.py --make     # runs the commands first: two minutes of one core

The page of `compare` is that of the pilot, which takes an hour (benchmarks/results). What the
documentation tells is read from the pages, so that it cannot tell anything else.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import os
import re
import shlex
import shutil
import tempfile
from base64 import b64decode
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from counterpoise.cli import main as counterpoise
from counterpoise.report.drawing import standalone_svg

__all__ = ["BEGIN", "END", "ENTRIES", "FOLDER", "PAGE", "Entry", "First", "first_of", "section"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"
FOLDER = ROOT / "docs" / "gallery"
BEGIN, END = "<!-- gallery: python benchmarks/gallery.py -->", "<!-- end of the gallery -->"
_MOST = 2  # charts of a figure that the documentation shows

_TRAIN = (
    "counterpoise train --data Synthetic --data.unique [0.4,0.2,0.1] --data.redundancy 0.1 "
    "--data.synergy 0 --data.num_train 1000 --trainer.max_epochs 8 --trainer.accelerator cpu"
)


class Entry(NamedTuple):
    """One page of the gallery.

    Attributes:
        title: What kind of page it is.
        text: What the reader should know of it.
        commands: What makes it, in the end.
        made: Where the last command writes the page.
        kept: Where the repository has it, seen from docs/.
    """

    title: str
    text: str
    commands: tuple[str, ...]
    made: str
    kept: str


ENTRIES = {
    "train": Entry(
        "One run",
        "Every run writes its page: loss and accuracy over epochs, each modality's response, the "
        "coefficients of its gradient, the whole recipe.",
        (f"{_TRAIN} --method AGM --name agm",),
        "runs/agm/report.html",
        "gallery/train.html",
    ),
    "report": Entry(
        "Several runs",
        "Runs side by side, under their own names; the run above is one of them.",
        (
            f"{_TRAIN} --method Joint --name joint",
            f"{_TRAIN} --method OGMGE --name ogm-ge",
            "counterpoise report runs/joint runs/agm runs/ogm-ge --output three.html",
        ),
        "three.html",
        "gallery/report.html",
    ),
    "demo": Entry(
        "The demo",
        "Joint training against AGM on digits that are seen and heard; here shorter than `make "
        "demo`, which trains for eight epochs.",
        ("counterpoise demo --epochs 3",),
        "runs/demo/report.html",
        "gallery/demo.html",
    ),
    "compare": Entry(
        "A comparison",
        "Eight methods on four data sets over seeds: 704 runs, 53 minutes of one core. Differences "
        "are paired by seed and corrected for how many there are.",
        ("counterpoise compare benchmarks/pilot.yaml --jobs 1",),
        "",
        "../benchmarks/results/2026-11-21-pilot/report.html",
    ),
    "compete": Entry(
        "Competition",
        "How strongly each modality is held back, against networks trained on it alone.",
        (
            "counterpoise compete --data Synthetic --data.unique [0.4,0.2] --data.num_train 500 "
            "--methods [Joint,AGM] --num-seeds 5 --trainer.max_epochs 6 --trainer.accelerator cpu "
            "--backend threading --jobs 1",
        ),
        "runs/compete/report.html",
        "gallery/compete.html",
    ),
    "study": Entry(
        "A study",
        "One of nine questions about competition, answered by experiment on data whose truth is "
        "known; here with a quarter of the usual data.",
        ("counterpoise study shifts --num_train 500 --backend threading --jobs 1",),
        "studies/shifts/report.html",
        "gallery/study.html",
    ),
}


class First(NamedTuple):
    """What a page begins with.

    Attributes:
        finding: The sentence.
        charts: The charts of its first figure, by what they are called.
    """

    finding: str
    charts: dict[str, dict[str, Any]]


def first_of(text: str) -> First:
    """Read a page of the report kit."""
    finding = _inside(r'<p class="finding">(.*?)</p>', text)
    figure = text.partition('<div class="first">')[2].partition("</figure>")[0]
    title = _inside(r"<h3>(.*?)</h3>", figure)
    panels = re.findall(
        r'(?:<h4>(.*?)</h4>\s*)?<div class="chart" data-chart="(.+?)">', figure, re.DOTALL
    )
    packed = _inside(r'id="charts">(.*?)</script>', text)
    specs = json.loads(gzip.decompress(b64decode(packed)))
    names = {
        f"{title}: {html.unescape(heading)}" if heading else title: specs[name]
        for heading, name in panels
    }
    return First(finding, names)


def _inside(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None, pattern
    return html.unescape(found[1])


def make() -> None:
    """Run the commands in a folder that is thrown away, and keep their pages."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["COUNTERPOISE_RUNS"] = "store"
        for entry in ENTRIES.values():
            if not entry.made:
                continue
            for command in entry.commands:
                assert counterpoise(shlex.split(command)[1:]) == 0, command
            shutil.copy(entry.made, PAGE.parent / entry.kept)
        os.chdir(ROOT)


def section() -> str:
    """Return what stands between the markers."""
    parts = [BEGIN]
    for name, entry in ENTRIES.items():
        first = first_of((PAGE.parent / entry.kept).read_text(encoding="utf-8"))
        shown = [*first.charts][:_MOST]
        parts += [f"## {entry.title}", entry.text, f"> {first.finding}"]
        parts += [f"![{title}](gallery/{name}-{k}.svg)" for k, title in enumerate(shown, start=1)]
        if len(first.charts) > _MOST:
            parts.append(f"*{_MOST} of {len(first.charts)} charts of the page's first figure.*")
        commands = "\n".join(map(_wrapped, entry.commands))
        parts += [f"```text\n{commands}\n```", f"[The whole page]({entry.kept})"]
    return "\n\n".join([*parts, END])


def _wrapped(command: str) -> str:
    """Write a command as a shell takes it, in lines that need no scrolling."""
    lines = wrap(f"$ {command}", 78, subsequent_indent="    ", break_on_hyphens=False)
    return " \\\n".join(lines)


def draw() -> None:
    """Draw what the documentation shows of each page."""
    for name, entry in ENTRIES.items():
        charts = first_of((PAGE.parent / entry.kept).read_text(encoding="utf-8")).charts
        for k, title in enumerate([*charts][:_MOST], start=1):
            drawn = standalone_svg(charts[title], title)
            (FOLDER / f"{name}-{k}.svg").write_text(drawn, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", action="store_true", help="run the commands first")
    if parser.parse_args().make:
        make()
    draw()
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + section() + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
