import math
import re
from xml.etree import ElementTree

import pytest

from counterpoise.report.curves import Level, Scale
from counterpoise.report.intervals import Mark, draw_intervals

SCALE = Scale("method", "Test accuracy, %", [Level(0.5)], percent=True)
ROWS = [
    ("Joint", [Mark(0.5, 0.4, 0.6)]),
    ("AGM", [Mark(0.55, 0.45, 0.7, ring=True, repeats=(0.52, 0.58))]),
    ("OGM", [Mark(math.nan)]),
]


def draw(rows=ROWS, scale=SCALE, **options):
    ((_, svg),) = draw_intervals([("digits", rows)], scale, name="test", **options)
    return ElementTree.fromstring(str(svg))


def texts(svg):
    return ["".join(each.itertext()).strip() for each in svg.iter("text")]


def paths(svg, colour):
    """Paths drawn in a colour, as lists of (x, y)."""
    found = []
    for path in svg.iter("path"):
        if f"stroke: var(--{colour})" in path.get("style", ""):
            numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", path.get("d", ""))]
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


def spans(svg):
    """Left and right end of the intervals, from the top."""
    lines = [path for path in paths(svg, "ink") if len(path) == 2 and path[0][1] == path[1][1]]
    return [(a[0], b[0], a[1]) for a, b in sorted(lines, key=lambda path: path[0][1])]


def test_intervals_lie_where_their_numbers_say():
    svg = draw()
    (joint_low, joint_high, joint_y), (agm_low, agm_high, agm_y) = spans(svg)
    unit = (joint_high - joint_low) / 0.2
    assert agm_low - joint_low == pytest.approx(0.05 * unit, abs=0.05)
    assert agm_high - joint_low == pytest.approx(0.3 * unit, abs=0.05)
    assert agm_y > joint_y
    upright = [p for p in paths(svg, "muted") if len(p) == 2 and abs(p[0][1] - p[1][1]) > 20]
    ((level, *_),) = upright
    assert level[0] == pytest.approx((joint_low + joint_high) / 2, abs=0.05)


def test_rows_are_named_from_the_top_and_shares_are_percentages():
    shown = texts(draw())
    assert [label for label in shown if label in ("Joint", "AGM", "OGM")] == ["Joint", "AGM", "OGM"]
    assert {"40", "50", "60", "70"} <= set(shown)
    assert "Test accuracy, %" in shown


def test_negative_ticks_have_a_minus_sign():
    rows = [("AGM", [Mark(-0.02, -0.04, 0.01)])]
    shown = texts(draw(rows, Scale("method", "Difference", percent=True)))
    assert "\N{MINUS SIGN}4" in shown
    assert not any(text.startswith("-") for text in shown)


def test_marks_of_one_row_lie_beside_each_other_in_their_colours_with_a_legend():
    rows = [
        ("Joint", [Mark(0.2, 0.1, 0.3, "audio", "tone-0"), Mark(0.2, 0.1, 0.3, "image", "tone-1")]),
        ("AGM", [Mark(0.2, 0.1, 0.3, "audio", "tone-0"), Mark(0.2, 0.1, 0.3, "image", "tone-1")]),
    ]
    svg = draw(rows)
    heights = [p[0][1] for tone in ("tone-0", "tone-1") for p in paths(svg, tone) if len(p) == 2]
    assert len(set(heights)) == 4
    assert [text for text in texts(svg) if "audio" in text or "image" in text] == [
        "\N{BLACK CIRCLE} audio",
        "\N{BLACK CIRCLE} image",
    ]


def test_panels_share_one_axis_and_have_ids_of_their_own():
    rows = [("Joint", [Mark(0.5, 0.4, 0.6)])], [("Joint", [Mark(0.5, 0.1, 0.9)])]
    panels = draw_intervals([("one", rows[0]), ("two", rows[1])], SCALE, name="both")
    drawn = [ElementTree.fromstring(str(svg)) for _, svg in panels]
    assert [heading for heading, _ in panels] == ["one", "two"]
    assert texts(drawn[0]) == texts(drawn[1])
    ids = [{each.get("id") for each in svg.iter() if each.get("id")} for svg in drawn]
    assert not ids[0] & ids[1]


def test_a_drawing_says_what_it_shows():
    (description,) = (each.text for each in draw().iter("desc"))
    assert description == (
        "Test accuracy, % by method. Joint: 50.0, from 40.0 to 60.0. "
        "AGM: 55.0, from 45.0 to 70.0. OGM: not measured."
    )


def test_drawings_follow_the_page_and_are_the_same_every_time():
    first, again = (draw_intervals([("digits", ROWS)], SCALE, name="a") for _ in range(2))
    assert first == again
    assert "#" not in re.sub(r'(href="|url\()#', "", str(first[0][1]))


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match=r"`panels` should hold a finite value; found none\."):
        draw_intervals([("digits", [("OGM", [Mark(math.nan)])])], SCALE, name="none")
