import csv
import io
import re

import pytest

from counterpoise.experiments.compare.figures import (
    accuracy_figure,
    cost_figure,
    curve_figure,
    difference_figure,
)
from counterpoise.experiments.compare.over_data import overall_table
from counterpoise.experiments.compare.prose import facts, lead, notes
from counterpoise.experiments.compare.report import comparison_page, write_comparison
from counterpoise.experiments.compare.tables import summary_table
from counterpoise.report import GLOSSARY
from experiments.compare import made

SEEDS = [0.90, 0.91, 0.89, 0.92, 0.905]
SHIFTS = {
    "Joint": [0.0] * 5,
    "AGM": [0.02, 0.021, 0.019, 0.022, 0.0205],
    "OGM": [0.01, -0.01, 0.02, -0.02, 0.005],
}


def make(cell):
    method, number = cell.candidate.method, cell.candidate.number
    if (method, number, cell.seed) == ("OGM", 1, 2):
        return made.result(cell, None, error="FloatingPointError: <NaN> at step 3")
    responses = {"left": 0.5 + 0.001 * (cell.seed % 1000), "right": 0.25}
    scales = [0.5, 1.0, 2.0] if method == "AGM" else None
    test = SEEDS[cell.seed % 1000] + SHIFTS[method][cell.seed % 1000]
    return made.result(cell, made.record(cell, test, 0.9 - 0.1 * number, responses, scales))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    methods = {
        "Joint": {"search": {"optimizer.weight_decay": [0.0, 0.5]}},
        "AGM": {"search": {"method.alpha": [0.5, 2.5]}},
        "OGM": {"search": {"method.alpha": [0.5, 1.0]}},
    }
    given = made.grid(
        methods=methods, seeds=5, base={}, data={"a": made.DATA["blobs"], "b": made.DATA["blobs"]}
    )
    return made.comparison(given, tmp_path_factory.mktemp("compared"), make)


def test_the_lead_counts_what_can_be_told_from_chance(compared):
    assert lead(compared) == [
        "Of 4 differences to Joint, 2 can be told from chance: 2 higher, 0 lower; 2 remain "
        "undecided.",
        "3 methods were compared on a and b, each with 5 seeds. Each method tried 2 "
        "configurations on each data set, one of which was chosen by validation accuracy with "
        "other seeds; the test data were used on the chosen epoch of each run alone.",
    ]
    assert dict(facts(compared)) == {
        "Methods": "3",
        "Data sets": "2",
        "Seeds": "5",
        "Configurations a method": "2",
        "Runs": "72",
        "Training time in all": "2 min 20 s",
        "Started": "2026-01-02 03:04",
    }


def test_leads_of_comparisons_that_show_nothing():
    def flat(cell):
        return made.result(cell, made.record(cell, SEEDS[cell.seed % 1000], 0.9, {"left": 0.5}))

    alone = made.comparison(made.grid(base={}, methods={"Joint": None}), None, flat)
    assert lead(alone)[0] == "There is nothing to compare with Joint."
    assert (
        "1 method was compared on blobs, each with 2 seeds. No method was tuned" in lead(alone)[1]
    )
    two = {"base": {}, "methods": {"Joint": None, "AGM": None}}
    same = made.comparison(made.grid(**two), None, flat)
    assert lead(same)[0] == "With fewer than 5 seeds no difference to Joint can be tested."
    enough = made.comparison(made.grid(**two, seeds=5), None, flat)
    assert lead(enough)[0] == (
        "Of 1 difference to Joint, none can be told from chance; 1 is shown to be smaller than 1 "
        "point."
    )


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def test_the_summary_says_where_nothing_can_be_told(compared):
    text = summary_table(compared).to_markdown().replace("\N{NO-BREAK SPACE}", " ")
    joint, agm, ogm = text.strip().splitlines()[-3:]
    assert joint == "| Joint | b | 90.5 ± 1.1 | – | – |"  # noqa: RUF001
    assert agm == "| AGM | b | 92.5 ± 1.2 | +2.1 (+1.8 to +2.3) | higher |"
    assert re.search(r"\| undecided \(\d\.\d\) \|$", ogm)
    assert "**" not in text


def test_the_summary_is_as_wide_for_many_data_sets_as_for_two(compared):
    whole = summary_table(compared)
    assert [column.name for column in whole.columns] == [
        *("method", "place", "accuracy", "difference", "verdict"),
    ]
    assert [row[:2] for row in whole.rows] == [
        (method, place) for place in "ab" for method in ("Joint", "AGM", "OGM")
    ]
    assert [len(rows) for rows in whole.parts] == [3, 3]
    one = summary_table(compared, compared.blocks[1:])
    assert [row[1:] for row in one.rows] == [row[2:] for row in whole.rows[3:]]


def test_what_holds_over_data_sets_has_a_table_of_its_own(compared):
    table = overall_table(compared)
    text = table.to_markdown().replace("\N{NO-BREAK SPACE}", " ")
    joint, agm, ogm = text.splitlines()[-3:]
    assert joint == "| Joint | – | – | – | – | – | – | – | – | 1.00 | – |"  # noqa: RUF001
    # The same on both data sets: there is no spread to make an interval of.
    assert re.match(
        r"\| AGM \| 2 \| \+2.1 \| – \| too few data sets \| 90.0 \(\d+.\d to \d+.\d\) "  # noqa: RUF001
        r"\| 2 \| 0 \| 0 \| 1.00 \| – \|",  # noqa: RUF001
        agm,
    )
    assert ogm.startswith("| OGM | 2 | +0.1")
    assert "at least 8 data sets" in table.caption
    alone = made.comparison(made.grid(base={}, methods={"Joint": None}), None, make)
    assert overall_table(alone) is None


def test_ranks_are_told_with_their_critical_difference():
    data = {f"d{n}": made.DATA["blobs"] for n in range(8)}
    methods = dict.fromkeys(("Joint", "AGM", "OGM"))
    found = made.comparison(made.grid(base={}, methods=methods, data=data, seeds=5), None, make)
    table = overall_table(found)
    assert [row[-1] for row in table.rows] == [3.0, 1.0, 2.0]
    assert "differ by less than 1.2 cannot be told apart" in table.caption


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        (["Joint"], "with its interval."),
        (["Joint", "AGM"], "corrected for the only test of this report. The interval"),
        (
            ["Joint", "AGM", "OGM"],
            "its interval, corrected for all 2 tests of this report. The",
        ),
    ],
)
def test_captions_count_the_differences(methods, told):
    given = made.grid(base={}, methods=dict.fromkeys(methods), seeds=5)
    found = made.comparison(given, None, make)
    assert told in summary_table(found).caption
    assert "all 1" not in str(comparison_page(found).to_html())


def test_terms_claim_no_more_than_intervals_show():
    assert "nothing is said to be better, nor as good" in GLOSSARY["Undecided"]
    assert "excludes zero exactly where the corrected p is below 5%" in GLOSSARY["Interval"]


def test_the_baseline_has_no_point_among_the_differences(compared):
    figure = accuracy_figure(compared.blocks[0], compared)
    assert [panel.title for panel in figure.panels] == [
        "Whole model",
        "Responses of single modalities",
    ]
    assert "Joint, whole model: 90.5" in figure.panels[0].description
    against, _ = (plain(panel.description) for panel in difference_figure(compared).panels)
    assert against.startswith("Difference to Joint, points. AGM: +2.1 (+1.8 to +2.3).")
    assert "Joint:" not in against
    alone = made.comparison(made.grid(base={}, methods={"Joint": None}), None, make)
    assert difference_figure(alone) is None


def test_differences_that_do_not_stand_are_rings_that_say_why(compared):
    spec = difference_figure(compared).panels[0].spec
    records = [r for values in spec["datasets"].values() for r in values if "n" in r]
    rings = {record["n"]: (record["o"], record["t"].split(", ")[1]) for record in records}
    assert rings == {"AGM": (False, "higher"), "OGM": (True, "undecided")}


def test_all_differences_stand_on_one_axis(compared):
    panels = difference_figure(compared).panels
    axes = [panel.spec["layer"][0]["encoding"]["x"] for panel in panels]
    assert len(axes) == 2
    assert axes[0] == axes[1]


def test_learning_curves_begin_with_epoch_1_and_hold_every_method(compared):
    figure = curve_figure(compared)
    assert [panel.title for panel in figure.panels] == ["a", "b"]
    assert list(figure.legend) == ["Joint", "AGM", "OGM"]
    records = [r for v in figure.panels[0].spec["datasets"].values() for r in v if "x" in r]
    assert {record["x"] for record in records} == {1, 2}
    assert {r["y"] for r in records if (r["s"], r["x"]) == ("Joint", 1)} == {90.0}


def test_costs_are_drawn_against_the_result(compared):
    figure = cost_figure(compared)
    description = figure.panels[0].description
    assert description.startswith("Test accuracy, % over Step time × Joint. Joint: 1.00, 90.5.")  # noqa: RUF001


def test_notes_tell_of_failures_data_and_what_intervals_are_of(compared):
    found = {note.title: note.text for note in notes(compared)}
    assert found["Failures."] == "2 runs failed and are listed below, with the error."
    assert "They are over seeds" in found["What the intervals tell."]
    assert "1.3 points on a (400 samples) and 1.3 points on b" in found["What the intervals tell."]
    assert found["About the data."].endswith("Made up.")


def test_where_all_runs_of_a_method_diverged_the_others_tell_of_test_samples():
    def diverging(cell):
        found = make(cell)
        if cell.candidate.method == "Joint":
            found.record["outcome"] = "diverged"
        return found

    given = made.grid(base={}, methods={"Joint": None, "AGM": None}, seeds=5)
    (told, *_) = notes(made.comparison(given, None, diverging))
    assert told.text.endswith("a standard error of 1.3 points on blobs (400 samples).")


def test_notes_tell_of_other_code_and_machines():
    def differing(cell):
        found = make(cell)
        found.record["hardware"]["processor"] = f"number {cell.seed}"
        return type(found)(**{**vars(found), "code": str(cell.seed), "warnings": ["odd"]})

    given = made.grid(base={}, methods={"Joint": None})
    titles = [note.title for note in notes(made.comparison(given, None, differing))]
    assert {"Different code.", "Different machines.", "Warnings of runs."} <= set(titles)


def test_files_hold_the_same_numbers(compared):
    files = write_comparison(compared, compared.path)
    assert [path.name for path in files] == [
        *("report.html", "report.md", "results.csv", "runs.csv", "pairs.csv", "overall.csv"),
        *(f"figure-{k}.svg" for k in range(1, 7)),
    ]
    page, text, results, runs, _, _, *drawings = (path.read_text() for path in files)
    assert all(f"(figure-{k}.svg)" in text for k in range(1, 7))
    assert all(drawing.startswith("<svg xmlns") for drawing in drawings)
    rows = list(csv.DictReader(io.StringIO(results)))
    assert [(row["data"], row["method"]) for row in rows] == [
        (data, method) for data in "ab" for method in ("Joint", "AGM", "OGM")
    ]
    agm = compared.blocks[0].rows[1]
    assert float(rows[1]["accuracy_mean"]) == agm.accuracy.mean
    assert float(rows[1]["difference_low"]) == agm.difference.low
    assert float(rows[1]["p_corrected"]) == agm.difference.corrected
    assert float(rows[2]["detectable"]) == compared.blocks[0].rows[2].difference.detectable
    assert (rows[1]["verdict"], rows[2]["verdict"]) == ("higher", "undecided")
    assert rows[0]["difference_mean"] == ""
    assert float(rows[1]["response/left/accuracy"]) == pytest.approx(0.502)
    for shown in ("90.5", "+2.1", "undecided", "alpha=0.5: 90.0; alpha=2.5: 80.0"):
        assert shown in page.replace("\N{NO-BREAK SPACE}", " ")
        assert shown in text.replace("\N{NO-BREAK SPACE}", " ")
    kept = list(csv.DictReader(io.StringIO(runs)))
    assert len(kept) == 72
    # Nobody shall look at test results of what was not chosen.
    for row in kept:
        judges = row["chosen"] == "True" and row["seed"] != "1000"
        assert (row["test/accuracy"] != "") == judges
    (failed, _) = (row for row in kept if row["state"] == "failed")
    assert failed["error"] == "FloatingPointError: <NaN> at step 3"


def test_the_page_is_one_file_that_marks_nothing_as_best(compared):
    page = str(comparison_page(compared).to_html())
    assert page == str(comparison_page(compared).to_html())
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert not re.search(r"https?:", page)
    assert len(page.encode()) < 1_500_000
    assert "<b>" not in page
    assert "&lt;NaN&gt; at step 3" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_has_figures_for_each_data_set_and_all_settings(compared):
    page = str(comparison_page(compared).to_html())
    for title in (
        *("Difference to Joint", "Learning curves", "What it costs"),
        *("Test accuracy on a", "Test accuracy on b", "Coefficients on a", "Coefficients on b"),
    ):
        assert f"<h3>{title}</h3>" in page
    assert "Joint and OGM have no coefficients." in page
    for setting in ("method.init_args.alpha", "trainer.max_epochs", "versions of the run.torch"):
        assert setting in page


def test_a_comparison_in_which_all_failed_has_a_report_too(tmp_path):
    given = made.grid(base={}, data={"<i>blobs": made.DATA["blobs"]})
    found = made.comparison(given, tmp_path, lambda cell: made.result(cell, None, error="no"))
    page, text, *_ = (path.read_text() for path in write_comparison(found, tmp_path))
    assert "There is nothing to compare with Joint." in page
    assert "12 runs failed" in page
    for shown in (page, text):
        assert "were compared on &lt;i&gt;blobs, each" in shown
        assert "<i>" not in shown
