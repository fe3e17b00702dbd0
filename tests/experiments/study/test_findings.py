"""Findings, and the files that they leave."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest

from counterpoise.experiments.study.findings import Findings, Quantity, Results
from counterpoise.experiments.study.observations import Observations
from counterpoise.experiments.study.references import References
from counterpoise.measures.statistics import Interval
from counterpoise.report.page import Note

TIED = "\N{NO-BREAK SPACE}"
SVG = "{http://www.w3.org/2000/svg}"
RESULTS = Results(
    "What came out",
    ("data", "method"),
    {
        "accuracy": Quantity("Accuracy, %", share=True, level=0.5),
        "seconds": Quantity("Seconds", digits=1),
    },
    {
        ("a|b", "AGM"): {
            "accuracy": Interval(0.5, 0.25, 0.75, 3),
            "seconds": Interval(1.5, None, None, 1),
        },
        ("c, d", "Joint"): {"accuracy": Interval(0.625, 0.5, 0.75, 3)},
    },
)
SEEN = Observations({("a|b", "AGM"): [{"accuracy": 0.5}] * 2, ("c, d", "Joint"): [{}] * 2})


@pytest.fixture(scope="module")
def findings():
    note = Note("Mind.", "It is made up.")
    answer = ["Yes: it is 50.0 (25.0 to 75.0). So it goes.", "More or less."]
    other = Results("More", ("method",), RESULTS.quantities, {("AGM",): {}})
    return Findings(References(), SEEN, answer, [RESULTS, other], RESULTS.to_figures(), [note])


def test_markdown_shows_intervals_and_leaves_out_what_is_missing():
    lines = RESULTS.to_markdown().replace(TIED, " ").splitlines()
    assert lines[0] == "What came out"
    assert lines[2] == "| Data | Method | Accuracy, % | Seconds |"
    assert lines[4].endswith("| AGM | 50.0 (25.0 to 75.0) | 1.5 |")
    cells = [cell.strip() for cell in lines[5].strip("|").split("|")]
    assert cells[:3] == ["c, d", "Joint", "62.5 (50.0 to 75.0)"]
    assert not re.search(r"\d", cells[3])


def test_csv_holds_the_raw_numbers():
    first, second = csv.DictReader(io.StringIO(RESULTS.to_csv()))
    assert first["data"] == "a|b"
    ends = ("accuracy", "accuracy_low", "accuracy_high", "accuracy_num")
    assert [float(first[name]) for name in ends] == [0.5, 0.25, 0.75, 3]
    assert float(first["seconds"]) == 1.5
    assert first["seconds_low"] == first["seconds_high"] == ""
    assert second["data"] == "c, d"
    assert {second[f"seconds{end}"] for end in ("", "_low", "_high", "_num")} == {""}


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Quantity("Share", share=True), "12.5 (\N{MINUS SIGN}2.5 to 27.5)"),
        (Quantity("Nats", digits=2), "0.12 (\N{MINUS SIGN}0.03 to 0.28)"),
    ],
)
def test_a_quantity_says_how_it_is_written(quantity, text):
    assert quantity.text(Interval(0.125, -0.025, 0.275, 3)).replace(TIED, " ") == text


def rows(panel):
    """The rows of a chart, and the series in them."""
    records = [r for values in panel.spec["datasets"].values() for r in values if "n" in r]
    return list(dict.fromkeys((record["n"], record["s"]) for record in records))


def test_few_first_labels_have_charts_of_their_own():
    accuracy, seconds = RESULTS.to_figures()
    assert [panel.title for panel in accuracy.panels] == ["a|b", "c, d"]
    assert [panel.title for panel in seconds.panels] == ["a|b"]
    assert [rows(panel) for panel in accuracy.panels] == [[("AGM", "")], [("Joint", "")]]
    assert seconds.titles == ["Seconds: a|b"]


def test_many_first_labels_are_rows_with_a_point_for_each_second():
    value = {"seconds": Interval(1.0, 0.5, 1.5, 3)}
    found = {(data, method): value for data in "abcd" for method in ("AGM", "Joint")}
    results = Results("", ("data", "method"), RESULTS.quantities, found)
    (figure,) = results.to_figures(["seconds"])
    (panel,) = figure.panels
    assert rows(panel) == [(data, method) for data in "abcd" for method in ("AGM", "Joint")]
    assert list(figure.legend) == ["AGM", "Joint"]


def test_single_labels_are_rows_of_one_chart():
    found = {(method,): {"seconds": Interval(1.0, 0.5, 1.5, 3)} for method in ("AGM", "Joint")}
    results = Results("", ("method",), RESULTS.quantities, found)
    (figure,) = results.to_figures(["seconds"])
    assert [rows(panel) for panel in figure.panels] == [[("AGM", ""), ("Joint", "")]]


def test_a_drawing_of_its_own_is_xml_with_colours_and_words():
    document = RESULTS.to_figures()[0].to_files()[0]
    root = ElementTree.fromstring(document)
    assert {element.tag.startswith(SVG) for element in root.iter()} == {True}
    assert "var(" not in document
    written = {"".join(element.itertext()) for element in root.iter(f"{SVG}text")}
    assert {"AGM", "Accuracy, %: a|b"} <= written


def test_files_hold_what_was_found(findings, tmp_path):
    folder = tmp_path / "new" / "references"
    report = findings.write(folder)
    assert report == folder / "report.html"
    drawings = {f"figure-{k}.svg" for k in (1, 2, 3)}
    names = {"report.html", "report.md", "results.csv", "results-2.csv", "measured.json"}
    assert {path.name for path in folder.iterdir()} == names | drawings
    assert (folder / "results.csv").read_text("utf-8") == RESULTS.to_csv()
    measured = json.loads((folder / "measured.json").read_text("utf-8"))
    assert measured["measured"] == SEEN.describe()
    assert measured["study"]["init_args"]["num_seeds"] == findings.study.num_seeds
    assert "counterpoise" in measured["versions"]
    for name in drawings:
        ElementTree.fromstring((folder / name).read_text("utf-8"))
    html = report.read_text("utf-8")
    for text in (
        *findings.answer[1:],
        "Yes: it is 50.0 (25.0 to 75.0).",
        "So it goes.",
        findings.study.question,
        "It is made up.",
        "What came out",
    ):
        assert text in html


def test_markdown_has_question_answer_notes_tables_and_facts(findings, tmp_path):
    findings.write(tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text == findings.to_markdown()
    parts = [
        f"# {findings.study.question}\n",
        *findings.answer,
        "![Accuracy, %: a|b](figure-1.svg)",
        "![Seconds: a|b](figure-3.svg)",
        RESULTS.to_markdown().strip(),
        "**Mind.** It is made up.",
        "Seeds: 2. Conditions: 2.",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_to_write_again_gives_the_same_files(findings, tmp_path):
    findings.write(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    findings.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_a_page_that_cannot_be_composed_leaves_nothing(findings, tmp_path):
    other = Results("Torn", ("data", "method"), RESULTS.quantities, {("only one",): {}})
    torn = Findings(References(), SEEN, ["No."], [other], findings.figures)
    with pytest.raises(ValueError, match="should"):
        torn.write(tmp_path / "torn")
    assert not (tmp_path / "torn").exists()
