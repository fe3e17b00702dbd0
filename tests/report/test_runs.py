import base64
import copy
import csv
import gzip
import io
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from counterpoise.report import Format, Metric, prose, run_page, run_table, write_run_report
from counterpoise.report.records import read_runs

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Checks that tags are balanced; gathers ids, references, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.attributes, self.text = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text.append(data)


def cells(records):
    """The summary table's rows as texts of cells."""
    html = run_table(records).to_html()
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.DOTALL)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in rows]


@pytest.fixture(params=["one", "two", "four", "hostile"])
def records(request, make_record, two_runs, four_runs):
    hostile = make_record(
        "<script>alert('1')</script>", modalities=('"><b>', "a&b", "$x"), num_epochs=67
    )
    hostile["steps"]["scores"]["a&b"][100:] = [math.nan] * 441
    hostile["data"]["note"] = "</style><img src=x>"
    hostile["test"]["accuracy"] = None
    return {"one": two_runs[1:], "two": two_runs, "four": four_runs, "hostile": [hostile]}[
        request.param
    ]


_DRAWN: dict[str, str] = {}  # by the records' name: a page takes a second to draw


@pytest.fixture
def html(request, records):
    name = request.node.callspec.params["records"]
    if name not in _DRAWN:
        _DRAWN[name] = run_page(records).to_html()
    return _DRAWN[name]


def test_page_is_well_formed_with_unique_ids_that_are_all_there(html):
    outline = Outline(html)
    assert len(set(outline.ids)) == len(outline.ids)
    references = re.findall(r'(?:url\(|href=")#([\w-]+)', html)
    labelled = [v for _, key, v in outline.attributes if key.startswith("aria-labelledby")]
    assert references
    assert {*references, *(" ".join(labelled).split())} <= set(outline.ids)


def test_page_asks_for_nothing_outside_it(html):
    assert "http:" not in html
    assert "https:" not in html
    outline = Outline(html)
    for tag, key, value in outline.attributes:
        assert tag not in {"link", "iframe", "img", "object"}
        assert not key.startswith("on")
        if key in {"src", "href"}:
            assert value.startswith("#")


def test_page_stays_within_its_size(html):
    assert len(html.encode()) < 1_500_000


def test_page_shows_the_table_and_what_must_be_known_before_it(records, html):
    text = "".join(Outline(html).text)
    runs = read_runs(records)
    sentences = [*prose.lead(runs), *(note.text for note in prose.notes(runs))]
    sentences += [value for pair in prose.facts(runs) for value in pair]
    assert all(sentence in text for sentence in sentences)
    assert str(run_table(records).to_html()) in html


def test_page_shows_every_name(records, html):
    text = " ".join(Outline(html).text)
    for record in records:
        assert record["method"]["name"] in text
        assert record["data"]["note"] in text
        assert record["data"]["fingerprint"] in text
        assert record["versions"]["torch"] in text
        for modality in record["data"]["modalities"]:
            assert modality in text


def test_every_drawing_has_a_title_and_a_description(html):
    drawings = re.findall(r'<div class="still">(<svg .*?</svg>)</div>', html, re.DOTALL)
    assert drawings
    for drawing in drawings:
        assert 'role="img"' in drawing
        assert re.search(r"<title id=[^>]*>[^<]+</title>", drawing)
        assert re.search(r"<desc id=[^>]*>[^<]+</desc>", drawing)


def test_equal_records_give_equal_bytes_and_are_left_as_they_are(records, html):
    equal = copy.deepcopy(records)
    assert run_page(equal).to_html() == html
    assert equal == records


def test_bytes_do_not_depend_on_the_process(two_runs, tmp_path):
    (tmp_path / "records.json").write_text(json.dumps(two_runs))
    program = (
        "import json, sys; from counterpoise.report import write_run_report;"
        "write_run_report(json.load(open(sys.argv[1])), sys.argv[2], title='T')"
    )
    here = write_run_report(two_runs, tmp_path / "here.html", title="T")
    there = tmp_path / "there.html"
    command = [sys.executable, "-c", program, str(tmp_path / "records.json"), str(there)]
    subprocess.run(command, check=True)
    assert here.read_bytes() == there.read_bytes()


def test_table_holds_the_numbers_of_the_records(two_runs):
    joint, agm = two_runs
    agm["test"] |= {
        "accuracy": 0.91234,
        "response/audio/accuracy": 0.417,
        "response/image/accuracy": 0.83349,
    }
    agm["steps"]["coefficients"]["audio"][17] = 4.3219
    agm["steps"]["coefficients"]["image"][19] = 0.0123
    joint["seconds_per_step"], agm["seconds_per_step"] = 0.0125, 0.1501
    row = cells(two_runs)[1]
    assert row == ["AGM", "91.2", "41.7", "83.3", "6", "150", "12.01", "0.012", "4.32"]
    assert list(csv.DictReader(io.StringIO(run_table(two_runs).to_csv())))[1] == {
        "method": "AGM",
        "test/accuracy": "0.91234",
        "test/response/audio/accuracy": "0.417",
        "test/response/image/accuracy": "0.83349",
        "chosen_epoch": "6",
        "seconds_per_step": "0.1501",
        "seconds_per_step_ratio": str(0.1501 / 0.0125),
        "coefficient_lowest": "0.0123",
        "coefficient_highest": "4.3219",
    }


def test_table_marks_what_is_missing(four_runs):
    four_runs[1]["test"]["accuracy"] = math.nan
    four_runs[1]["seconds_per_step"] = None
    rows = cells(four_runs)
    assert rows[0] == ["Joint", "89.2", "–", "–", "–", "6", "11.3", "1.00", "–", "–"]  # noqa: RUF001
    assert rows[1][1] == "NaN"
    assert rows[1][6:8] == ["–", "–"]  # noqa: RUF001


def lead(records):
    return " ".join(prose.lead(read_runs(records)))


def test_lead_says_what_ran_on_what_and_what_came_out(two_runs):
    two_runs[0]["test"]["accuracy"], two_runs[1]["test"]["accuracy"] = 277 / 307, 280 / 307
    assert lead(two_runs) == (
        "AGM classifies 91.2% of the 307 test samples correctly, Joint 90.2%. "
        "Joint and AGM were trained on digits (audio and image, 10 classes) with one seed (0). "
        "Between the two lie 1.0 percentage points, or 3 samples."
    )


def test_lead_of_a_tie_and_of_a_single_sample(two_runs):
    for record in two_runs:
        record["test"]["accuracy"] = 0.5
    assert lead(two_runs).endswith("There is no difference between them.")
    two_runs[0]["test"]["accuracy"] += 1 / 307
    assert lead(two_runs).endswith("lie 0.3 percentage points, or 1 sample.")


def test_lead_names_runs_without_a_result(four_runs):
    four_runs[0]["test"]["accuracy"] = None
    four_runs[3]["test"]["accuracy"] = math.nan
    assert lead(four_runs).endswith("No test accuracy was measured for Joint and OGM-GE.")
    assert "Joint 8" not in lead(four_runs)


def test_lead_counts_runs_that_are_too_many_to_name(make_record):
    records = [make_record(seed=seed) for seed in range(7)]
    for seed, record in enumerate(records):
        record["test"]["accuracy"] = 0.5 + seed / 100
    text = lead(records)
    assert text.startswith(
        "AGM (seed 6) classifies 56.0% of the 307 test samples correctly, AGM (seed 0) 50.0%. "
        "7 runs were trained on digits"
    )
    assert "Between the highest and the lowest lie 6.0 percentage points" in text


def test_lead_does_without_sizes_and_classes(make_record):
    record = make_record()
    record["data"]["num_classes"] = record["data"]["sizes"]["test"] = None
    assert lead([record]) == (
        "AGM classifies 90.2% of the test samples correctly. "
        "AGM was trained on digits (audio and image) with one seed (0)."
    )


def notes(records):
    return {note.title: note.text for note in prose.notes(read_runs(records))}


def test_one_seed_is_called_no_proof(two_runs):
    for record in two_runs:
        record["test"]["accuracy"] = 0.75
        record["data"]["sizes"]["test"] = 300
    found = notes(two_runs)
    assert list(found) == ["One seed proves nothing.", "About the data."]
    assert (
        "standard error of an accuracy of 75.0% is 2.5 points" in found["One seed proves nothing."]
    )
    assert found["About the data."] == two_runs[0]["data"]["note"]


def test_several_seeds_are_called_single_runs(make_record):
    found = notes([make_record(seed=3), make_record(seed=5)])
    assert "no mean or interval over seeds is computed" in found["Single runs."]
    assert "One seed proves nothing." not in found


def test_what_cannot_be_compared_is_said(two_runs):
    two_runs[0]["data"]["fingerprint"] = "sha256:other"
    two_runs[1]["hardware"] = {"machine": "arm64"}
    assert {"Different data.", "Different machines."} <= set(notes(two_runs))


def test_values_that_are_not_finite_are_counted(two_runs):
    two_runs[1]["steps"]["scores"]["audio"][-3:] = [math.nan, None, math.inf]
    assert notes(two_runs)["Values that are not finite."].endswith(
        "AGM: 3. Curves have gaps there."
    )


def facts(records):
    return dict(prose.facts(read_runs(records)))


def test_facts_place_the_runs(two_runs):
    two_runs[0] |= {"wall_time_seconds": 4000.0, "started": "2026-05-16T23:59:00+00:00"}
    assert facts(two_runs) == {
        "Data set": "digits",
        "Train / validation / test": "1,201 / 293 / 307",
        "Epochs": "7",
        "Training time in all": "1 h 07 min",
        "Started": "2026-05-16 23:59",
    }


def test_runs_on_several_data_sets_are_placed_by_all_of_them(two_runs):
    data = two_runs[1]["data"]
    data["name"], data["num_classes"], data["sizes"] = "strokes", 3, {**data["sizes"], "test": 7}
    told = facts(two_runs)
    assert told["Data set"] == "digits and strokes"
    assert told["Train / validation / test"].endswith(" / 7")
    assert told["Train / validation / test"].count(";") == 1
    _, opening = prose.lead(read_runs(two_runs))
    assert "trained on digits and strokes (audio and image) with" in opening


def test_facts_leave_out_what_was_not_recorded(make_record):
    record = make_record() | {"wall_time_seconds": None, "started": None}
    assert facts([record, make_record(num_epochs=3)])["Epochs"] == "3 to 7"
    assert list(facts([record])) == ["Data set", "Train / validation / test", "Epochs"]


def captions(records):
    html = run_page(records).to_html()
    titles = re.findall(r"<h3>(.*?)</h3>", html)
    return dict(zip(titles, re.findall(r"<figcaption>(.*?)</figcaption>", html), strict=True))


def test_captions_say_what_was_thinned_and_who_is_left_out(four_runs):
    found = captions(four_runs)
    assert found["Validation accuracy"].endswith("Every recorded epoch is drawn.")
    assert "ln 10 = 2.30" in found["Scores"]
    for title, quantity in (("Scores", "scores"), ("Coefficients", "coefficients")):
        assert f"Joint has no {quantity}." in found[title]
        assert (
            "Each point is the mean of 9 to 39 recorded steps, the band spans their extremes; "
            "shorter runs show every step."
        ) in found[title]
    assert "The axis is logarithmic" in found["Coefficients"]


@pytest.mark.parametrize(
    ("score", "drawn"),
    [
        (None, True),
        ("CrossEntropy", True),
        ({"class_path": "counterpoise.scores.CrossEntropy"}, True),
        ({"class_path": "counterpoise.scores.BinaryCrossEntropy"}, False),
    ],
)
def test_guessing_is_drawn_for_cross_entropy_alone(make_record, score, drawn):
    html = run_page([make_record(score=score)]).to_html()
    assert (">guessing</text>" in html) is drawn
    assert ("worse than guessing" in html) is drawn


def test_guessing_is_not_drawn_where_runs_disagree_on_classes(two_runs):
    two_runs[0]["data"]["num_classes"] = 3
    assert "guessing" not in run_page(two_runs).to_html()


@pytest.mark.parametrize(("num_steps", "start"), [(41, "Every"), (83, "Each point is the mean of")])
def test_captions_say_how_often_steps_were_recorded(make_record, num_steps, start):
    record = make_record(num_steps=num_steps)
    record["steps"]["step"] = [10 * step for step in record["steps"]["step"]]
    sentence = re.search(rf"{start} [^.]*\.", captions([record])["Scores"])[0]
    assert " (one in 10)" in sentence
    record["steps"]["step"][0] = 1
    assert "(one in" not in captions([record])["Scores"]


def test_the_ring_is_explained_where_there_is_one(make_record):
    record = make_record()
    assert "The ring marks" in captions([record])["Validation accuracy"]
    record["best_epoch"] = None
    assert "ring" not in captions([record])["Validation accuracy"]


def test_a_logarithmic_axis_is_announced_only_where_there_is_one(make_record):
    record = make_record(strength=0.1)
    assert "logarithmic" not in captions([record])["Coefficients"]


def test_figures_without_values_are_left_out(make_record):
    record = make_record(modulated=False, monitored=False)
    assert list(captions([record])) == ["Test accuracy", "Validation accuracy"]
    record["epochs"], record["test"]["accuracy"] = [], None
    assert captions([record]) == {}
    assert "Course of training" not in run_page([record]).to_html()


def test_a_modality_keeps_its_colour_in_every_panel(make_record):
    records = [make_record("A", modalities=("x", "y")), make_record("B", modalities=("y", "z"))]
    html = run_page(records).to_html()
    for modality, tone in (("x", 0), ("y", 1), ("z", 2)):
        keys = re.findall(rf'data-series="{modality}">\s*<svg [^>]*var\(--([\w-]+)\)', html)
        assert set(keys) == {f"tone-{tone}"}
        assert len(keys) == 4  # figures
        assert re.search(rf'<span class="swatch tone-{tone}"></span>{modality}<', html)


def test_modalities_beyond_the_colours_are_dashed(make_record):
    html = run_page([make_record(modalities=tuple("abcdefgh"))]).to_html()
    found = re.findall(r'data-series="(.)">\s*<svg[^>]*><line [^>]*dasharray="([\d ]+)"', html)
    dashes = dict(found)
    assert {dashes[name] for name in "abcdef"} == {"1 0"}
    assert {dashes[name] for name in "gh"} == {"6 3"}


def charts(html):
    (packed,) = re.findall(r'id="charts">([^<]+)<', html)
    return list(json.loads(gzip.decompress(base64.b64decode(packed))).values())


def test_epochs_are_counted_from_1_everywhere(make_record):
    record = make_record(num_epochs=5)
    assert (record["epochs"][0]["epoch"], record["best_epoch"]) == (0, 3)
    page = run_page([record])
    curves = next(spec for spec in charts(page.to_html()) if "epoch" in json.dumps(spec["layer"]))
    places = {r["x"] for values in curves["datasets"].values() for r in values if "x" in r}
    assert places == {1, 2, 3, 4, 5}
    assert run_table([record]).rows[0][4] == 4
    assert "best_epoch" not in page.to_html()


def test_another_metric_is_named_written_and_ranked_its_own_way(two_runs):
    error = Metric("mae", "absolute error", "", Format(3), Format(3, signed=True), "", False, False)
    for record, value in zip(two_runs, (0.25, 0.5), strict=True):
        record["test"] = {"mae": value}
        for entry in record["epochs"]:
            entry["validation/mae"] = value
    html = run_page(two_runs, metric=error).to_html()
    assert "Joint reaches a absolute error of 0.250" not in html
    assert "Joint reaches 0.250 in absolute error on the 307 test samples, AGM 0.500." in html
    assert "lower is better" in html
    without_terms = re.sub(r'<dl class="terms">.*?</dl>', "", html, flags=re.DOTALL)
    assert "accuracy" not in without_terms.lower()
    with pytest.raises(ValueError, match=r"should have the key 'test\.accuracy'"):
        run_page(two_runs)


def test_configuration_tells_apart_what_differs(four_runs):
    html = run_page(four_runs).to_html()
    differing, shared = html.split("What all runs share")
    differing = differing.split("What differs between the runs")[1]
    assert "method.settings.alpha" in differing
    assert "model.fusion" in shared
    assert "model.fusion" not in differing
    assert "text, audio, video" in shared


def test_entries_that_the_report_does_not_know_are_shown(make_record):
    html = run_page([make_record() | {"git.commit": {"hash": "abc1234", "dirty": False}}]).to_html()
    assert "git.commit.hash" in html
    assert "abc1234" in html


def test_the_table_needs_nothing_that_draws(two_runs, monkeypatch):
    monkeypatch.setattr("counterpoise.data.files.extras.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "counterpoise\[train\]"'):
        run_page(two_runs)
    assert run_table(two_runs).to_csv()


def test_error_leaves_no_file(make_record, tmp_path):
    record = make_record()
    del record["seed"]
    with pytest.raises(ValueError, match="should have the key 'seed'"):
        write_run_report([record], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
