"""The gallery of the documentation says what its pages say: ``benchmarks/gallery.py``."""

import importlib.util
import sys
from pathlib import Path

import pytest

from counterpoise.cli.main import COMMANDS
from counterpoise.report import Page, Point, row_figure
from counterpoise.report.series import Axis

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "benchmarks" / "gallery.py")
    module = sys.modules["gallery"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["gallery"]


def test_the_documentation_has_the_findings_of_the_pages(gallery):
    shown = gallery.PAGE.read_text("utf-8").partition(gallery.BEGIN)
    assert gallery.section() == shown[1] + shown[2].rstrip("\n")
    for name, entry in gallery.ENTRIES.items():
        assert (gallery.PAGE.parent / entry.kept).is_file()
        assert (gallery.FOLDER / f"{name}-1.svg").is_file()


def test_every_command_that_writes_a_page_is_there(gallery):
    written = {entry.commands[-1].split()[1] for entry in gallery.ENTRIES.values()}
    assert written == {"train", "report", "demo", "compare", "compete", "study"} <= set(COMMANDS)


def test_a_page_is_read_as_it_was_written(gallery):
    axis, points = Axis("Accuracy"), [Point("AGM", 0.5)]
    figure = row_figure("a < b", "How.", [("", points, axis), ("c & d", points, axis)])
    text = Page("Title", ["Is 1 < 2?", "More."], (), figure=figure).to_html()
    first = gallery.first_of(text)
    assert first.finding == "Is 1 < 2?"
    assert list(first.charts) == ["a < b", "a < b: c & d"]
    assert [*first.charts.values()] == [panel.spec for panel in figure.panels]
