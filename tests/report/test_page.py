import base64
import gzip
import hashlib
import json
import re
import stat
from pathlib import Path

import pytest

from counterpoise.report import (
    Axis,
    Column,
    Details,
    Note,
    Page,
    Point,
    Section,
    Table,
    Terms,
    looks_of,
    row_figure,
)
from counterpoise.report.theme import CONFIG, NUM_TONES

STYLE = Page("", [], []).style


def variables(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


LIGHT, DARK, PRINTED = (
    variables(block) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
)


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


def figure(title="Accuracy", row="AGM", label=""):
    points = [Point(row, 0.5, 0.25, 0.75, label), Point(row, 0.5, label=f"{label}2")]
    looks = {f"{label}{end}": look for end, look in looks_of(["", "2"]).items()}
    return row_figure(title, "Further right is better.", [("", points, Axis("Share"))], looks)


def unpacked(text):
    return gzip.decompress(base64.b64decode(text)).decode()


def test_printed_colours_are_the_light_ones():
    changed = {name for name in LIGHT if PRINTED[name] != LIGHT[name]}
    assert changed == {"paper", "shade"}


def test_parts_nest_and_escape_what_is_text():
    page = Page(
        "T<1>",
        ["L<2>", "l<3>"],
        [
            Section("S<4>", [Note("N<5>", "n<6>"), Terms([("t<7>", "d<8>")])]),
            Details("D<9>", [figure("F<10>", "r<11>", "s<12>")]),
        ],
        facts=[("f<13>", "v<14>")],
        notes=[Note("M<15>", "m<16>")],
    )
    html = page.to_html()
    assert not re.search(r"<\d+>", html)
    for number in range(1, 17):
        assert f"&lt;{number}&gt;" in html


def test_a_page_begins_with_the_finding_and_what_shows_it():
    parts = [Section("Numbers", [Table("c", [Column("a", "A")], [(1,)])])]
    note = Note("One seed proves nothing.", "Run more.")
    page = Page("Costs", ["AGM costs less.", "More."], parts, [("Seeds", "1")], figure(), [note])
    html = page.to_html()
    order = ("AGM costs less.", "<figure", "More.", "Seeds", "Before you rely on", "<h2>Numbers")
    places = [html.index(text) for text in order]
    assert places == sorted(places)
    folded = re.search(r'<details class="notes">(.*?)</details>', html, re.DOTALL)[1]
    assert "Before you rely on this: One seed proves nothing<" in folded
    assert "Run more." in folded


def test_contents_lead_to_every_section_of_a_long_page():
    titles = ["Results", "av-mnist, gated", "av-mnist gated", "<b>", "结果"]
    html = Page("T", ["L"], [Section(title, []) for title in titles]).to_html()
    links = re.findall(r'<li><a href="#([^"]+)">', html)
    anchors = re.findall(r'<section id="([^"]+)"', html)
    assert links == anchors
    assert len(set(anchors)) == len(titles)
    assert "<nav" not in Page("T", ["L"], [Section("Results", [])]).to_html()


def test_the_browser_may_run_the_scripts_of_the_page_and_fetch_nothing():
    page = Page("T", ["L"], [figure()])
    html = page.to_html()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    (own,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    packed = dict(re.findall(r'<script type="[^"]+" id="([^"]+)">([^<]+)</script>', html))
    for script in (own, unpacked(packed["chart-library"])):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert json.loads(unpacked(packed["chart-config"])) == CONFIG
    assert not re.search(r"""(?:src|href)=["'](?!#)""", html.replace(own, ""))
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    for word in ("fetch(", "XMLHttpRequest", "import(", "eval(", "innerHTML"):
        assert word not in own


def test_a_page_without_charts_has_no_library():
    html = Page("T", ["L"], [Section("S", [])]).to_html()
    assert 'id="chart-library"' not in html
    assert len(html) < 50_000


def test_charts_hold_their_data_beside_a_drawing_for_readers_without_scripts():
    part = figure("F", "a</script><script>alert(1)", "s")
    html = part.to_html()
    (name,) = re.findall(r'data-chart="([^"]+)"', html)
    (data,) = re.findall(r'id="charts">([^<]+)<', Page("T", ["L"], [part, part]).to_html())
    assert json.loads(unpacked(data)) == {name: part.panels[0].spec}
    assert "a</script><script>alert(1)" in json.dumps(part.panels[0].spec)
    assert "<script" not in html
    still = re.search(r'<div class="still">(<svg.*?</svg>)</div>', html, re.DOTALL)[1]
    assert 'role="img"' in still
    assert 'data-series="s"' in html


def test_a_page_with_charts_stays_small():
    figures = [figure(f"F{k}") for k in range(5)]
    assert len(Page("T", ["L"], figures).to_html().encode()) < 500_000


@pytest.mark.parametrize(("panels", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (7, 3)])
def test_rows_of_charts_are_filled_evenly(panels, columns):
    point = [Point("AGM", 0.5)]
    figure = row_figure("", "", [(str(k), point, Axis("")) for k in range(panels)])
    assert figure.columns == columns


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
