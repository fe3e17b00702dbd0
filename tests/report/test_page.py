import re
import stat
from pathlib import Path

import pytest
from markupsafe import Markup

from counterpoise.report import Details, Figure, Note, Page, Section, Terms
from counterpoise.report.svg import NUM_TONES

STYLE = Page("", [], []).style


def variables(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


LIGHT, DARK = (variables(block) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "muted", *(f"tone-{k}" for k in range(NUM_TONES))])
def test_text_has_the_contrast_that_accessibility_asks_for(colours, name):
    assert contrast(colours[name], colours["paper"]) >= 4.5


def test_light_and_dark_name_the_same_colours():
    assert LIGHT.keys() == DARK.keys()


def test_parts_nest_and_escape_what_is_text():
    page = Page(
        "T<1>",
        ["L<2>"],
        [
            Section("S<3>", [Note("N<4>", "n<5>"), Terms([("t<6>", "d<7>")])]),
            Details("D<8>", [Figure("F<9>", "c<10>", [("p<11>", Markup("<svg></svg>"))])]),
        ],
        facts=[("f<12>", "v<13>")],
    )
    html = page.to_html()
    assert not re.search(r"<\d+>", html)
    for number in range(1, 14):
        assert f"&lt;{number}&gt;" in html
    assert "<svg></svg>" in html


@pytest.mark.parametrize(("panels", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (7, 3)])
def test_rows_of_panels_are_filled_evenly(panels, columns):
    assert Figure("", "", [("", Markup())] * panels).columns == columns


def test_writing_makes_folders_and_returns_the_path(tmp_path):
    path = Page("Title", [], []).write(str(tmp_path / "new" / "page.html"))
    assert path == tmp_path / "new" / "page.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(path.parent.iterdir()) == [path]


def test_a_written_page_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    path = Page("Title", [], []).write(tmp_path / "page.html")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


class Broken(Section):
    def __html__(self):
        raise RuntimeError("cannot render")


def test_failure_to_render_leaves_the_older_file(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("older")
    with pytest.raises(RuntimeError, match="cannot render"):
        Page("Title", [], [Broken("", [])]).write(path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_failure_on_disk_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("older")

    def fail(self, target):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        Page("Title", [], []).write(path)
    monkeypatch.undo()
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_error_for_a_folder(tmp_path):
    with pytest.raises(
        ValueError, match=r"`path` should be a file; found the folder .* Add a file"
    ):
        Page("Title", [], []).write(tmp_path)
