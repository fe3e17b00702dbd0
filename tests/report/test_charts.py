import json
import math
import re
from xml.etree import ElementTree

import altair
import pytest

from counterpoise.report import Axis, Level, Line, Point, looks_of, row_figure, scatter_figure
from counterpoise.report.charts import line_chart, row_chart, scatter_chart, still
from counterpoise.report.compose import line_figure
from counterpoise.report.domains import Domain, domain_of, domain_of_lines
from counterpoise.report.drawing import _drawn, inline_svg, standalone_svg
from counterpoise.report.formats import PERCENT, POINTS, Format
from counterpoise.report.series import thin

LOOKS = looks_of(["audio", "image"])
STEP = Axis("step", whole=True)
FACTORS = Axis("Coefficient", levels=[Level(1.0)], factor=True)


def records(spec):
    """All that a chart draws, of whatever layer."""
    return [record for values in spec["datasets"].values() for record in values]


def values(spec, name):
    return [record[name] for record in records(spec) if name in record]


# -- series --------------------------------------------------------------------------------------


def test_24_series_look_different():
    looks = looks_of(str(k) for k in range(24))
    assert len({(look.tone, look.dash) for look in looks.values()}) == 24
    assert len({(look.tone, look.shape) for look in looks.values()}) == 24


def test_thinning_keeps_short_lines_as_they_are():
    line = Line("audio", [1.0, 2.0], [3.0, math.nan])
    assert thin(line, 2) is line


def test_thinning_takes_means_of_neighbours_and_a_band_of_their_extremes():
    line = Line("audio", list(range(7)), [0.0, 4.0, 2.0, math.nan, 8.0, math.inf, 10.0])
    found = thin(line, 3)
    assert found.x == [0.5, 3.0, 5.5]
    assert found.y == [2.0, 5.0, 10.0]
    assert (found.low, found.high) == ([0.0, 2.0, 10.0], [4.0, 8.0, 10.0])


def test_thinning_holds_the_bands_there_were_and_leaves_gaps():
    line = Line("a", [1, 2, 3, 4], [1, 2, math.nan, math.nan], [0, 1, 5, 6], [9, 3, 7, 8])
    found = thin(line, 2)
    assert (found.low, found.high) == ([0, 5], [9, 8])
    assert found.y[0] == 1.5
    assert math.isnan(found.y[1])


# -- axes ----------------------------------------------------------------------------------------


def test_an_axis_holds_all_values_and_levels():
    domain = domain_of([0.25, 0.5, math.nan], Axis("", PERCENT, [Level(0.75)]))
    assert domain.low < 25 < 75 < domain.high
    assert not domain.log


def test_an_axis_of_one_value_has_room():
    for value in (0.0, 0.5):
        domain = domain_of([value], Axis("", PERCENT))
        assert domain.low < 100 * value < domain.high


@pytest.mark.parametrize(
    ("found", "log"), [([0.9, 1.1], False), ([0.5, 2.0], True), ([0.0, 1.0], True), ([2, 5], True)]
)
def test_factors_that_spread_have_a_logarithmic_axis(found, log):
    assert domain_of(found, FACTORS).log is log


def test_one_outlier_does_not_flatten_an_axis_of_factors():
    usual = [0.8, 0.9, 1.0, 1.1, 1.25] * 101
    domain = domain_of([*usual, 6e4, 1e-5, 0.0], FACTORS)
    assert domain.log
    assert 0.4 < domain.low < domain.high < 2.5
    assert domain.num_outside == 3
    assert domain.extremes == (0.0, 6e4)
    assert domain.within(6e4) == pytest.approx(domain.high, rel=1e-4)
    assert domain.within(0.0) == pytest.approx(domain.low, rel=1e-4)
    assert domain.within(math.nan) is None


def test_values_that_stand_apart_but_take_little_room_stay_inside():
    domain = domain_of([1.0] * 997 + [2.5], FACTORS)
    assert domain.num_outside == 0


def test_bands_of_factors_may_reach_beyond_the_axis_and_are_counted():
    line = Line("audio", [1, 2], [0.5, 2.0], [0.001, 1.0], [1.0, 900.0])
    domain = domain_of_lines([line], FACTORS)
    assert domain.high < 10
    assert domain.num_outside == 2
    assert domain.extremes == (0.001, 900.0)


def test_a_logarithmic_axis_is_marked_at_round_numbers():
    assert Domain(0.4, 2.5, True).ticks == [0.5, 1.0, 2.0]
    assert Domain(1e-4, 1e5, True).ticks == pytest.approx([10.0**k for k in range(-4, 6)])
    assert Domain(0.0, 1.0).ticks is None


def test_nothing_finite_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"`values` should hold a finite number; .* Leave the"):
        domain_of([math.nan, math.inf], STEP)


# -- charts --------------------------------------------------------------------------------------


def test_lines_tell_their_values_under_the_pointer():
    line = Line("audio", [1, 2], [0.25, 0.5], [0.2, 0.4], [0.3, 0.6], marked=2)
    axis = Axis("Accuracy, %", PERCENT)
    spec = line_chart([line], LOOKS, STEP, axis, domain_of_lines([line], axis))
    told = set(values(spec, "t"))
    assert {text.replace("\N{NO-BREAK SPACE}", " ") for text in told} == {
        "25.0 (20.0 to 30.0)",
        "50.0 (40.0 to 60.0)",
    }
    pointer = next(layer for layer in spec["layer"] if layer.get("name") == "pointer")
    fields = [each["field"] for each in pointer["encoding"]["tooltip"]]
    assert fields == ["s", "x", "t"]


def test_a_gap_stays_a_gap():
    line = Line("audio", [1, 2, 3], [0.25, math.nan, 0.5])
    spec = line_chart([line], LOOKS, STEP, STEP, domain_of_lines([line], STEP))
    assert values(spec, "y") == [0.25, None, 0.5]


def test_what_lies_beyond_the_axis_is_drawn_at_its_edge_and_told_as_it_is():
    domain = Domain(0.5, 2.0, True)
    line = Line("audio", [1, 2], [0.0, 60.0])
    spec = line_chart([line], LOOKS, STEP, FACTORS, domain)
    assert [r["y"] for r in records(spec) if "y" in r] == [0.5, 2.0]
    assert values(spec, "t") == ["0.00", "60.00"]


@pytest.mark.parametrize("kind", ["lines", "rows", "scatter"])
def test_every_chart_can_hide_each_series(kind):
    domain = Domain(0.0, 1.0)
    points = [Point("AGM", 0.5, 0.25, 0.75, label, x=0.5) for label in LOOKS]
    spec = {
        "lines": lambda: line_chart(
            [Line(label, [1, 2], [0.25, 0.5]) for label in LOOKS], LOOKS, STEP, STEP, domain
        ),
        "rows": lambda: row_chart(points, LOOKS, STEP, domain),
        "scatter": lambda: scatter_chart(points, LOOKS, STEP, STEP, (domain, domain)),
    }[kind]()
    assert spec["params"] == [{"name": "hidden", "value": []}]
    for layer in spec["layer"]:
        if "color" in layer["encoding"]:
            assert layer["transform"] == [{"filter": "indexof(hidden, datum.s) < 0"}]
            assert layer["encoding"]["color"]["scale"]["domain"] == list(LOOKS)
            assert layer["encoding"]["color"]["legend"] is None
    assert "http" not in json.dumps(spec)
    altair.Chart.from_dict(spec)  # which checks it against the schema
    whole = inline_svg(spec, name="a", title="t", description="d")
    gone = {**spec, "params": [{"name": "hidden", "value": ["audio"]}]}
    some = inline_svg(gone, name="a", title="t", description="d")
    assert "var(--tone-0)" in whole
    assert "var(--tone-0)" not in some
    assert "var(--tone-1)" in some


def test_rows_keep_their_order_and_long_labels_their_letters():
    names = ["UnimodalLoss(heads=linear, weight=0.25)", "AGM", "Joint"]
    points = [Point(name, 0.5) for name in names]
    spec = row_chart(points, looks_of([""]), STEP, Domain(0.0, 1.0))
    shown = list(dict.fromkeys(values(spec, "r")))
    assert shown == ["UnimodalLoss(\nheads=linear,\nweight=0.25)", "AGM", "Joint"]
    drawing = inline_svg(spec, name="a", title="t", description="d")
    for word in ("UnimodalLoss(", "heads=linear,", "weight=0.25)", "AGM", "Joint"):
        assert word in drawing
    assert "…" not in drawing


def test_rounding_of_places_leaves_what_is_written_alone():
    spec = row_chart([Point("0.123456", 0.5)], looks_of([""]), STEP, Domain(0.0, 1.0))
    drawing = inline_svg(spec, name="a", title="0.654321", description="0.135791")
    assert ">0.123456<" in drawing
    assert "0.654321" in drawing
    assert not re.search(r' d="[^"]*\d\.\d\d', drawing)


def marks(svg):
    """Each shape that is drawn at a place, with the place, whether or not it is written once."""
    root = ElementTree.fromstring(svg)
    shapes, drawn = {}, []
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag == "path" and "id" in element.attrib:
            shapes[element.get("id")] = element.get("d"), element.get("fill")
        elif tag == "use":
            place = float(element.get("x")), float(element.get("y"))
            drawn.append((*place, *shapes[element.get("href")[1:]]))
        elif tag == "path" and (
            at := re.match(r"translate\((.+),(.+)\)", element.get("transform", ""))
        ):
            drawn.append((float(at[1]), float(at[2]), element.get("d"), element.get("fill")))
    return sorted(drawn, key=str)


def test_shapes_that_are_written_once_stand_where_each_was_drawn():
    points = [Point(f"row {k}", 0.1 * k, label=list(LOOKS)[k % 2]) for k in range(7)]
    spec = row_chart(points, LOOKS, STEP, Domain(0.0, 1.0))
    compact = inline_svg(spec, name="a", title="t", description="d")
    assert compact.count("<use ") == 7
    assert marks(compact) == marks(_drawn(spec))
    assert len({place[:2] for place in marks(compact)}) == 7


def test_words_stand_where_each_was_drawn():
    rows = ["AGM", "Joint", "UnimodalLoss(heads=linear, weight=0.25)"]
    spec = row_chart([Point(row, 0.5) for row in rows], looks_of([""]), STEP, Domain(0.0, 1.0))
    drawn, compact = _drawn(spec), inline_svg(spec, name="a", title="t", description="d")
    before = re.findall(r'<text [^>]*translate\((\S+),(\S+)\)"[^>]*>([^<]+)<', drawn)
    after = re.findall(r'<text [^>]*x="(\S+)" y="(\S+)"[^>]*>([^<]+)<', compact)
    assert len(after) > 6
    assert after == before
    assert re.findall(r"<text .*translate.*?<tspan>Uni", compact)  # the lines of which have places


def test_what_looks_like_an_attribute_is_left_where_it_is_written():
    spec = row_chart([Point('an opacity="1" row', 0.5)], looks_of([""]), STEP, Domain(0.0, 1.0))
    assert 'opacity="1"' in inline_svg(spec, name="a", title="t", description="d")


def test_points_that_are_not_finite_are_left_out():
    points = [Point("AGM", math.nan), Point("OGM", 0.5, math.nan, None)]
    spec = row_chart(points, looks_of([""]), STEP, Domain(0.0, 1.0))
    assert set(values(spec, "n")) == {"OGM"}
    assert set(values(spec, "t")) == {"0.50"}


def test_zero_has_no_sign_on_an_axis_of_differences():
    axis = Axis("Difference", POINTS, [Level(0.0)])
    spec = row_chart([Point("AGM", 0.02)], looks_of([""]), axis, domain_of([-0.02, 0.02], axis))
    drawing = inline_svg(spec, name="a", title="t", description="d")
    assert ">0<" in drawing
    assert ">+1<" in drawing
    assert ">+0<" not in drawing


def test_a_drawing_leaves_out_what_only_answers_the_pointer():
    line = Line("audio", [1, 2], [0.25, 0.5])
    spec = line_chart([line], LOOKS, STEP, STEP, Domain(0.0, 1.0))
    assert [layer.get("name") for layer in spec["layer"]].count("pointer") == 1
    assert all(layer.get("name") != "pointer" for layer in still(spec)["layer"])
    assert spec["width"] == "container"
    assert still(spec)["width"] > 0


def test_a_drawing_of_its_own_brings_colours_legend_and_title():
    lines = [Line(label, [1, 2], [0.25, 0.5]) for label in LOOKS]
    spec = line_chart(lines, LOOKS, STEP, STEP, Domain(0.0, 1.0))
    text = standalone_svg(spec, "Scores: <AGM>")
    assert "var(" not in text
    for word in ("audio", "image", "Scores: &lt;AGM&gt;"):
        assert word in text
    assert "audio" not in inline_svg(spec, name="a", title="t", description="d")


# -- figures -------------------------------------------------------------------------------------


def test_figures_without_a_finite_value_are_none():
    empty = Line("audio", [1, 2], [math.nan, math.nan])
    assert line_figure("t", "c", [("AGM", [empty])], LOOKS, (STEP, STEP)) is None
    assert row_figure("t", "c", [("", [Point("AGM", math.nan)], STEP)]) is None
    assert scatter_figure("t", "c", [("", [Point("AGM", 0.5)])], LOOKS, (STEP, STEP)) is None


def test_captions_say_how_lines_were_thinned_and_what_lies_outside():
    line = Line("audio", list(range(1, 122)), [1.0] * 120 + [1e9])
    figure = line_figure("t", "Seen.", [("AGM", [line])], LOOKS, (STEP, FACTORS))
    assert figure.caption.startswith(
        "Seen. Each point is the mean of 2 to 3 recorded steps, the band spans their extremes. "
        "The axis is logarithmic: doubling and halving take equal room."
    )
    assert figure.caption.endswith("drawn at its edge.")
    assert "10⁹" in figure.caption
    short = line_figure(
        "t", "Seen.", [("AGM", [Line("audio", [10, 20, 30], [1.0, 1.5, 2.0])])], LOOKS, (STEP, STEP)
    )
    assert short.caption == "Seen. Every recorded step is drawn (one in 10)."
    bare = line_figure("t", "Seen.", [("", [Line("audio", [1], [0.5])])], LOOKS, (FACTORS, STEP))
    assert bare.caption == "Seen."  # nothing was recorded along such an axis


@pytest.mark.parametrize(("last", "shown"), [(2, "12"), (3, "123"), (5, "12345")])
def test_whole_numbers_alone_are_marked_on_an_axis_that_counts(last, shown):
    line = Line("audio", range(1, last + 1), [0.5] * last)
    spec = line_chart([line], LOOKS, STEP, Axis("Share"), Domain(0.0, 1.0))
    drawing = inline_svg(spec, name="a", title="t", description="d")
    along = drawing[: drawing.index(">step<")]
    assert "".join(re.findall(r">(\d)</text>", along)) == shown


def test_scattered_points_tell_what_they_are_of_where_that_is_not_their_series():
    def told(row):
        points = [Point(row, 0.5, label="audio", x=1.0)]
        (panel,) = scatter_figure("t", "c", [("", points)], LOOKS, (STEP, STEP)).panels
        (pointer,) = (layer for layer in panel.spec["layer"] if layer.get("name") == "pointer")
        return [tip["field"] for tip in pointer["encoding"]["tooltip"]]

    assert told("audio") == ["s", "u", "t"]
    assert told("digits") == ["n", "s", "u", "t"]


def test_shared_rows_have_one_axis_and_others_one_each():
    panels = [("a", [Point("AGM", 0.1)], STEP), ("b", [Point("AGM", 0.9)], STEP)]

    def domains(**options):
        figure = row_figure("t", "c", panels, **options)
        x = [panel.spec["layer"][0]["encoding"]["x"] for panel in figure.panels]
        return {json.dumps(each["scale"]["domain"]) for each in x}

    assert len(domains(shared=True)) == 1
    assert len(domains()) == 2


def test_lines_that_are_not_to_be_compared_have_an_axis_each():
    panels = [("a", [Line("audio", [1, 2], [0.1, 0.2])]), ("b", [Line("audio", [1, 2], [7, 8])])]
    panels.append(("c", [Line("audio", [1, 2], [math.nan, math.nan])]))

    def domains(**options):
        figure = line_figure("t", "c.", panels, LOOKS, (STEP, STEP), **options)
        y = [panel.spec["layer"][0]["encoding"]["y"] for panel in figure.panels]
        return figure.caption, [json.dumps(axis["scale"]["domain"]) for axis in y]

    caption, (one, other, empty) = domains(shared=False)
    assert caption == "c. Each chart has an axis of its own. Every recorded step is drawn."
    assert len({one, other, empty}) == 3
    caption, together = domains()
    assert "an axis of its own" not in caption
    assert set(together) == {empty}


def test_a_legend_holds_the_series_that_are_there():
    figure = row_figure("t", "c", [("", [Point("AGM", 0.5, label="image")], STEP)], LOOKS)
    assert list(figure.legend) == ["image"]


def test_charts_are_described_in_words():
    point = Point("AGM", 0.125, 0.1, 0.15, "audio")
    axis = Axis("Accuracy, %", PERCENT)
    (panel,) = row_figure("t", "c", [("", [point], axis)], LOOKS).panels
    assert panel.description.replace("\N{NO-BREAK SPACE}", " ") == (
        "Accuracy, %. AGM, audio: 12.5 (10.0 to 15.0)."
    )
    placed = Point("AGM", 0.5, label="audio", x=1.25)
    (panel,) = scatter_figure("t", "c", [("", [placed])], LOOKS, (Axis("Time"), axis)).panels
    assert panel.description == "Accuracy, % over Time. audio: 1.25, 50.0."
    line = Line("audio", [1, 2, 3], [0.5, 0.25, math.nan])
    (panel,) = line_figure("t", "c", [("", [line])], LOOKS, (Axis("epoch"), axis)).panels
    assert panel.description == (
        "Accuracy, % over epoch. audio: from 50.0 to 25.0, lowest 25.0, highest 50.0."
    )


def test_values_are_written_by_the_axis_format():
    axis = Axis("Nats", Format(3))
    spec = row_chart([Point("AGM", 0.12345)], looks_of([""]), axis, Domain(0.0, 1.0))
    assert values(spec, "t") == ["0.123"]


@pytest.mark.parametrize("missing", ["altair", "vl_convert"])
def test_what_draws_charts_is_named_with_the_command_that_installs_it(missing, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    found = {missing: None}
    monkeypatch.setattr(
        "counterpoise.data.files.extras.find_spec", lambda name: found.get(name, real(name))
    )
    with pytest.raises(ImportError, match=r'A report needs altair .*counterpoise\[train\]"'):
        row_figure("t", "c", [("", [Point("AGM", 0.5)], STEP)])
