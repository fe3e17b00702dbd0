"""What a comparison says over data sets, of pairs, and on which data it helps: a made-up pilot."""

import csv
import importlib
import io
import re
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.answers import answers
from counterpoise.experiments.compare.balance import ON_AVERAGE
from counterpoise.experiments.compare.competition_report import measurements_table
from counterpoise.experiments.compare.listings import runs_table
from counterpoise.experiments.compare.over_data import (
    overall_pair_table,
    overall_results,
    overall_table,
    profile_figure,
    relation_figure,
    relation_table,
)
from counterpoise.experiments.compare.prose import lead, notes
from counterpoise.experiments.compare.tables import pairs_table, results_table
from counterpoise.measures.statistics import (
    mean_differences,
    paired_difference,
    slope,
    two_way_difference,
    two_way_estimate,
)
from counterpoise.training.record import write_yaml
from experiments.compare import made, pilot


@pytest.fixture(scope="module")
def found():
    return pilot.compared()


def rows_of(comparison, method):
    return [row for block in comparison.blocks for row in block.rows if row.method == method]


def matrix(comparison, row):
    results = row.outcome.chosen.results.values()
    return np.stack([comparison.sample_values[each.key] for each in results]).astype(float)


def test_intervals_cover_samples_where_their_results_are_kept(found):
    joint, _, agm, _ = found.blocks[0].rows
    expected = two_way_difference(matrix(found, agm), matrix(found, joint))
    assert agm.difference.estimate == expected
    assert agm.difference.estimate.unit == "seeds and samples"
    low, high = two_way_estimate(matrix(found, joint)).interval()
    assert (joint.accuracy.low, joint.accuracy.high) == pytest.approx((low, high))
    without = pilot.compared(scored=False).blocks[0].rows
    values = [list(row.outcome.accuracies.values()) for row in (without[2], without[0])]
    assert without[2].difference.estimate == paired_difference(*values, step=1 / pilot.NUM_TEST)
    assert without[2].difference.estimate.unit == "seeds"
    assert (
        joint.accuracy.high - joint.accuracy.low
        > without[0].accuracy.high - without[0].accuracy.low
    )
    (note,) = (each.text for each in notes(found) if each.title.startswith("What the intervals"))
    assert "and over test samples" in note


def altered(found, key, values):
    """The same comparison with other results of the samples of one run."""
    sample_values = {**found.sample_values, key: values}
    return Comparison(found.grid, found.outcomes, found.path, found.measured, sample_values)


@pytest.mark.parametrize("how", ["gone", "others"])
def test_results_of_samples_that_do_not_fit_are_not_used(found, how):
    agm = found.blocks[0].rows[2]
    key = agm.outcome.chosen.results[3].key
    values = None if how == "gone" else ~found.sample_values[key]
    other = altered(found, key, values).blocks[0].rows
    assert other[2].difference.estimate.unit == "seeds"
    assert other[1].difference.estimate.unit == "seeds and samples"


def test_a_diverged_run_is_as_good_as_guessing_on_every_sample():
    def make(cell):
        found = pilot.make(cell)
        if (cell.candidate.method, cell.seed) == ("AGM", 2):
            found.record["test"]["loss"] = None
        return found

    given = made.grid(data={"a": {"data": "training.runs.Blobs"}}, base={}, seeds=5,
                      methods=dict.fromkeys(pilot.METHODS))  # fmt: skip
    cut = made.comparison(given, None, make, score=pilot.score)
    joint, _, agm, _ = cut.blocks[0].rows
    right = matrix(cut, agm)
    right[2] = 1 / 3
    assert agm.difference.estimate == two_way_difference(right, matrix(cut, joint))
    assert agm.accuracy.num_diverged == 1


def test_pairs_hold_over_data_sets_too(found):
    agm, loss = (rows_of(found, method) for method in ("AGM", "UnimodalLoss"))
    means = {}
    for ours, theirs in zip(agm, loss, strict=True):
        gap = ours.accuracy.mean - theirs.accuracy.mean
        means.setdefault(ours.outcome.place[0], []).append(gap)
    told = found.overall_pairs["AGM", "UnimodalLoss"].difference
    assert told.mean == pytest.approx(fmean(map(fmean, means.values())), abs=1e-9)
    assert told.estimate.num_values == len(pilot.DATA)
    assert told in found.judgements
    table = {data: fmean(gaps) for data, gaps in means.items()}
    alone = mean_differences({"AGM": table})["AGM"]
    assert told.estimate.error >= alone.error  # never surer than by itself
    rows = list(csv.DictReader(io.StringIO(overall_results(found).to_csv())))
    assert [(row["first"], row["second"]) for row in rows] == [
        *((m, "Joint") for m in ("UnimodalLoss", "AGM", "OGM")),
        *((m, "UnimodalLoss") for m in ("AGM", "OGM")),
        ("OGM", "AGM"),
    ]
    assert float(rows[3]["difference_mean"]) == told.mean
    assert [row[:2] for row in overall_pair_table(found).rows] == [
        ("AGM", "UnimodalLoss"), ("OGM", "UnimodalLoss"), ("OGM", "AGM")
    ]  # fmt: skip


def test_gains_go_with_what_data_are_like(found):
    asked = {(each.method, each.quantity): each for each in found.relations}
    loss = asked["UnimodalLoss", "strength"]
    strengths = pilot.STRENGTHS | {"e": pilot.STRENGTHS["e"] + 0.2}  # of the other modality there
    for data, (x, gain) in loss.gains.items():
        assert x == pytest.approx(strengths[data], abs=0.02)
        assert gain == pytest.approx(pilot.gain(data, "UnimodalLoss"), abs=0.01)
    for gap, _ in asked["AGM", "gap"].gains.values():
        assert gap == pytest.approx(0.15, abs=0.02)
    average = asked[ON_AVERAGE, "strength"]
    expected = slope(*zip(*average.gains.values(), strict=True))
    assert average.slope.estimate == expected
    assert average.slope in found.judgements
    assert loss.slope is None  # asked of all on average alone: each would cost the others power
    table = relation_table(found)
    assert [row[0] for row in table.rows] == [ON_AVERAGE] * 2
    panels = relation_figure(found).panels
    assert [panel.title.split()[0] for panel in panels] == ["Competition", "Gap"]
    assert len(panels[0].spec["datasets"]) >= 1


def test_of_4_data_sets_slopes_have_intervals_and_no_verdict():
    few = pilot.compared(data=pilot.DATA[:4], scored=False)
    (strength, gap) = (each for each in few.relations if each.method == ON_AVERAGE)
    assert {strength.slope.verdict, gap.slope.verdict} == {"too few data sets"}
    assert strength.slope.low < strength.slope.mean < strength.slope.high
    assert (
        "over 4 data sets: too few data sets" in answers(few)["On which data does balancing help?"]
    )
    assert pilot.compared(data=pilot.DATA[:2], scored=False).relations[0].slope is None


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def test_questions_are_answered_in_the_order_in_which_they_are_asked(found):
    told = {asked: plain(answer) for asked, answer in answers(found).items()}
    assert list(told) == [
        "Which methods beat Joint?",
        "Which do worse than Joint?",
        "Which are equivalent to Joint, within 1 point?",
        "What is undecided against Joint?",
        "Which methods beat UnimodalLoss?",
        "Which do worse than UnimodalLoss?",
        "Which are equivalent to UnimodalLoss, within 1 point?",
        "What is undecided against UnimodalLoss?",
        "What of other pairs?",
        "On which data does balancing help?",
    ]
    beats = told["Which methods beat Joint?"]
    assert re.match(
        r"UnimodalLoss \(a step takes 1\.10 times as long as with Joint\) on b, additive \+[56]\.",
        beats,
    )
    assert "p < 0.0001" in beats
    assert told["Which methods beat UnimodalLoss?"] == "None."
    others = told["What of other pairs?"]
    assert re.match(
        r"OGM against AGM: lower on a, additive -[56]\.\d \(-.*?\) points, p < ", others
    )
    assert "OGM (a step takes 2.00" in told["Which do worse than Joint?"]
    counted = [row.difference.verdict for m in pilot.METHODS[1:] for row in rows_of(found, m)]
    undecided = told["What is undecided against Joint?"]
    assert undecided.startswith(f"{counted.count('undecided')} of 30 differences: the smallest th")
    seen = [row.difference for m in pilot.METHODS[1:] for row in rows_of(found, m)]
    most = max(each.detectable for each in seen if each.verdict == "undecided")
    assert f"and {100 * most:.1f} points." in undecided


def test_the_table_over_data_sets_counts_verdicts_and_tells_costs(found):
    rows = {row[0]: row for row in overall_table(found).rows}
    names = [column.name for column in overall_table(found).columns]
    ogm = dict(zip(names, rows["OGM"], strict=True))
    assert [ogm[name] for name in ("higher", "equivalent", "lower")] == [0, 0, 10]
    assert ogm["step_time"] == pytest.approx(2.0)
    assert ogm["improvement"].mean == 0
    assert rows["Joint"][1:6] == (None,) * 5


def test_profiles_fall_and_order_what_is_better_everywhere(found):
    figure = profile_figure(found)
    (panel,) = figure.panels
    records = [r for values in panel.spec["datasets"].values() for r in values if "x" in r]
    by_method = {m: [r["y"] for r in records if r["s"] == m] for m in pilot.METHODS}
    for shares in by_method.values():
        assert shares == sorted(shares, reverse=True)
    assert all(a >= b for a, b in zip(by_method["Joint"], by_method["OGM"], strict=True))
    assert profile_figure(pilot.compared(data=("a",), scored=False)) is None


def test_the_margin_of_an_error_is_a_share_of_that_of_guessing(found):
    (outcome, *_) = found.outcomes
    assert outcome.margin(0.01) == 0.01

    def make(cell):
        found = pilot.make(cell)
        found.record["task"] = {
            "kind": "regression",
            "headline": "mae",
            "guess": 0.8,
            "metrics": {"mae": {"name": "mae", "title": "mean absolute error", "share": False,
                                "higher_is_better": False, "decimals": 3, "additive": True}},
        }  # fmt: skip
        found.record["data"]["num_classes"] = None
        error = 0.6 + 0.01 * cell.seed if cell.candidate.method == "AGM" else 0.4
        found.record["test"] |= {"mae": error, "response/left/mae": 0.6, "response/right/mae": 0.7}
        for epoch in found.record["epochs"]:
            epoch["validation/mae"] = 0.4
        return found

    data = {"a": made.DATA["blobs"]}
    given = made.grid(base={}, data=data, seeds=5, methods={"Joint": None, "AGM": None})
    erring = made.comparison(given, None, make)
    told = erring.blocks[0].rows[1].difference
    assert told.margin == pytest.approx(0.008)
    asked = next(each for each in answers(erring) if each.startswith("Which are equivalent"))
    assert asked == "Which are equivalent to Joint, within 1% of the result of guessing?"
    assert "1 can be told from chance: 1 higher, 0 lower (lower is better)." in lead(erring)[0]


@pytest.fixture
def scripts(monkeypatch):
    """The benchmarks that make pages of a comparison's files."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    names = ("claims_data", "claims_asked", "claims", "what_came_out")
    yield [importlib.import_module(name) for name in names]
    for name in names:
        del sys.modules[name]


def test_pages_made_of_the_files_find_what_is_true(found, scripts, tmp_path):
    data, _, claims, what_came_out = scripts
    tables = {"results": results_table, "pairs": pairs_table, "runs": runs_table,
              "overall": overall_results, "competition": measurements_table}  # fmt: skip
    for name, make in tables.items():
        (tmp_path / f"{name}.csv").write_text(make(found).to_csv())
    write_yaml(tmp_path / "grid.yaml", found.grid.describe())
    report = data.read(tmp_path)
    text = plain(claims.page(report, ["AGM", "OGM"], "folder"))
    surpasses, reliance, prefers, lowers = text.split("\n## ")[1:]
    assert "OGM: 10 lower of 10" in surpasses
    assert re.search(
        r"\| OGM \| over 5 data sets \| \S+ \| \+1\d\.\d \(.*\) \| higher \|", reliance
    )
    assert re.search(
        r"\| AGM \| over 5 data sets \| \S+ \| .* \| equivalent, within 5\.0 \|", reliance
    )
    assert "told in 10 of 10 places" in prefers
    assert "alone) in 2 of them: e, additive; e, maxout." in prefers
    assert re.search(r"\| OGM \| a, maxout \| right \| -0\.1\d \(.*\) \| lower \|", lowers)
    said = [plain(each) for each in what_came_out.sentences(report, "folder")]
    assert len(said) == 5
    assert all("(`" in each for each in said)  # each with its command
    assert said[0].startswith("3 methods against Joint on a, b, c, d and e")
    alone = plain(claims.page(report, ["AGM"], "folder")).split("\n## ")[4]
    assert alone.split("\n")[2] in said[4]  # corrected for the same family
    told = [row["verdict"] for row in report.pairs if row["second"] == "UnimodalLoss"]
    assert f"{told.count('lower')} lower and {told.count('undecided')} undecided" in said[3]
    assert what_came_out.picture(report).startswith("<svg")
    with pytest.raises(FileNotFoundError, match=r"found no grid\.yaml in"):
        data.read(tmp_path / "elsewhere")
