"""Findings, and the files that they leave."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from counterpoise.experiments.study.findings import Findings, Quantity, Results, show_interval
from counterpoise.experiments.study.observations import Observations
from counterpoise.experiments.study.references import References
from counterpoise.measures.statistics import Interval
from counterpoise.report.page import Note
from counterpoise.report.svg import standalone_svg

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
    return Findings(References(), SEEN, answer, [RESULTS, other], RESULTS.to_figure(), [note])


def test_markdown_shows_intervals_and_leaves_out_what_is_missing():
    lines = RESULTS.to_markdown().splitlines()
    assert lines[0] == "What came out"
    assert lines[2] == "| data | method | Accuracy, % | Seconds |"
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
        (Quantity("Share", share=True), "12.5 (-2.5 to 27.5)"),
        (Quantity("Nats", digits=2), "0.12 (-0.03 to 0.28)"),
    ],
)
def test_a_quantity_says_how_it_is_written(quantity, text):
    assert show_interval(Interval(0.125, -0.025, 0.275, 3), quantity) == text


def texts(drawing):
    """What is written in a drawing."""
    return {"".join(each.itertext()) for each in ElementTree.fromstring(drawing).iter("text")}


def test_few_first_labels_have_panels_of_their_own():
    figure = RESULTS.to_figure(label="here")
    headings = [heading for heading, _ in figure.panels]
    assert headings == ["Accuracy, %: a|b", "Accuracy, %: c, d", "Seconds: a|b"]
    assert "AGM" in texts(figure.panels[0][1])
    assert "Joint" not in texts(figure.panels[0][1])
    ids = [set(re.findall(r'id="([^"]+)"', drawing)) for _, drawing in figure.panels]
    every = set().union(*ids)
    assert len(every) == sum(map(len, ids))
    assert all(name.startswith("here-") for name in every)


def test_many_first_labels_are_rows_with_a_mark_for_each_second():
    value = {"seconds": Interval(1.0, 0.5, 1.5, 3)}
    rows = {(data, method): value for data in "abcd" for method in ("AGM", "Joint")}
    results = Results("", ("data", "method"), RESULTS.quantities, rows)
    ((heading, drawing),) = results.to_figure(["seconds"]).panels
    assert heading == "Seconds"
    assert {*"abcd", "\N{BLACK CIRCLE} AGM", "\N{BLACK CIRCLE} Joint"} <= texts(drawing)


def test_single_labels_are_rows_of_one_panel():
    rows = {(method,): {"seconds": Interval(1.0, 0.5, 1.5, 3)} for method in ("AGM", "Joint")}
    results = Results("", ("method",), RESULTS.quantities, rows)
    ((heading, drawing),) = results.to_figure(["seconds"]).panels
    assert heading == "Seconds"
    assert {"AGM", "Joint"} <= texts(drawing)


def test_a_drawing_of_its_own_is_xml_that_brings_its_colours():
    (_, drawing), *_ = RESULTS.to_figure().panels
    document = standalone_svg(drawing)
    root = ElementTree.fromstring(document)
    assert root.tag == f"{SVG}svg"
    assert {element.tag.startswith(SVG) for element in root.iter()} == {True}
    _, _, width, height = root.attrib["viewBox"].split()
    assert (root.attrib["width"], root.attrib["height"]) == (width, height)
    style = root.findtext(f"{SVG}style")
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", document))
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    assert {"--paper", "--ink", "--tone-0"} <= used
    for sheet in (light, dark):
        assert used <= set(re.findall(r"(--[a-z0-9-]+): #[0-9a-f]{6}", sheet))
    body = document.replace(style, "")
    assert not re.search(r"#[0-9a-f]{6}", body)
    written = {"".join(element.itertext()) for element in root.iter(f"{SVG}text")}
    assert written == texts(drawing)
    assert "AGM" in written


def test_the_drawing_itself_is_kept():
    inner = '<title id="t">a &amp; b</title><path d="M 0 0 L 9 5"></path>'
    drawing = Markup(f'<svg viewBox="0 0 9 5" role="img">{inner}</svg>')
    document = standalone_svg(drawing)
    assert document.endswith(f"{inner}</svg>")
    assert 'width="9" height="5" viewBox="0 0 9 5" role="img"' in document


def test_files_hold_what_was_found(findings, tmp_path):
    folder = tmp_path / "new" / "references"
    report = findings.write(folder)
    assert report == folder / "report.html"
    drawings = {f"figure-{k + 1}.svg" for k in range(len(findings.figure.panels))}
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
        "**Mind.** It is made up.",
        RESULTS.to_markdown().strip(),
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
    torn = Findings(References(), SEEN, ["No."], [other], findings.figure)
    with pytest.raises(ValueError, match="should"):
        torn.write(tmp_path / "torn")
    assert not (tmp_path / "torn").exists()
