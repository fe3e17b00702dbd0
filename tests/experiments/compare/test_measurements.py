import csv
import io
import re
import shutil

import pytest

import counterpoise as cp
from counterpoise.experiments.cells import Run
from counterpoise.experiments.compare.competition_report import competition_table
from counterpoise.experiments.compare.report import comparison_page
from counterpoise.experiments.compete import compete
from counterpoise.experiments.computing import compute_cell
from counterpoise.experiments.execution import pools
from counterpoise.experiments.store import Store
from counterpoise.measures.statistics import judge, two_way_difference
from experiments.compare import made

PATHS = {"fused": "head:input", "concept": "encoders.left"}


def grid(**changes):
    given = {"competition": PATHS, "base": {**made.BASE, "trainer.max_epochs": 1}}
    return made.grid(**(given | changes))


def noting(patch):
    """The titles of the cells that are run from now on, in order."""
    titles = []

    def noted(cell, path, **options):
        titles.append(cell.title)
        return compute_cell(cell, path, **options)

    patch.setattr(pools, "compute_cell", noted)
    return titles


@pytest.fixture
def ran(monkeypatch):
    return noting(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole comparison, the titles of its cells, and its folder."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        titles = noting(patch)
        return made.compared(grid(), folder), titles, folder


def test_chosen_runs_are_measured_against_runs_on_one_modality(finished, monkeypatch):
    given, (found, ran, folder) = grid(), finished
    alone = [f"blobs: {name} alone, seed {seed}" for seed in (0, 1) for name in ("left", "right")]
    assert [title for title in ran if "alone" in title] == alone
    measured = [title for title in ran if title.endswith(", competition")]
    chosen = [row.outcome.chosen.candidate for row in found.blocks[0].rows]
    assert len(measured) == len(found.measured) == 4
    for candidate in chosen:
        changes = ", ".join(f"{k.partition('.')[2]}={v}" for k, v in candidate.changes.items())
        for seed in (0, 1):
            assert f"blobs: {candidate.method} ({changes}), seed {seed}, competition" in measured
    assert len(ran) == given.num_cells + 4 + 4
    kept = {path.name for path in (folder / "models").iterdir()}
    assert len(kept) == 4  # those on one modality: another method is measured against them too
    again = noting(monkeypatch)
    made.compared(given, folder, report=False)
    assert not again


def test_strengths_are_those_of_the_protocol_of_competition(tmp_path):
    """A slow, obviously right twin: the command that measures one recipe."""
    given = grid(methods={"AGM": {"method.alpha": 2.0}}, baseline="AGM")
    (candidate,) = given.candidates()
    twin = compete(
        candidate.recipe,
        [cp.AGM(alpha=2.0)],
        num_seeds=2,
        **PATHS,
        runs=tmp_path / "twin",
        backend="threading",
    )
    found = made.compared(given, tmp_path / "grid", report=False)
    ours = found.blocks[0].rows[0].competition
    for outcome in twin.outcomes:
        for quantity in ("strength", "alone", "probe", "contribution"):
            expected = getattr(outcome, quantity)
            assert ours.outcomes[outcome.seed][quantity] == pytest.approx(expected, abs=1e-6)
        assert ours.outcomes[outcome.seed]["robustness"] == pytest.approx(outcome.robustness)


def test_a_method_that_is_added_later_is_measured_against_the_same_runs(tmp_path, ran):
    made.compared(grid(methods={"Joint": None}), tmp_path, report=False)
    ran.clear()
    made.compared(grid(methods={"Joint": None, "AGM": None}), tmp_path, report=False)
    assert ran == [
        "blobs: AGM, seed 0",
        "blobs: AGM, seed 1",
        "blobs: AGM, seed 0, competition",
        "blobs: AGM, seed 1, competition",
    ]


def test_measuring_can_be_asked_for_later_and_what_is_lost_is_trained_again(tmp_path, ran):
    given = {"methods": {"Joint": None}, "seeds": 1}
    before = made.compared(grid(**given, competition=False), tmp_path)
    assert not before.measured
    assert not (tmp_path / "competition.csv").exists()
    found = made.compared(grid(**given), tmp_path, report=False)
    alone = ["blobs: left alone, seed 0", "blobs: right alone, seed 0"]
    joint = "blobs: Joint, seed 0"  # whose model was not kept at first
    assert ran == [joint, *alone, joint, f"{joint}, competition"]
    (measured,) = found.blocks[0].rows[0].competition.outcomes.values()
    store = Store(tmp_path)
    for path in store.models.iterdir():
        shutil.rmtree(path)
    for key, result in found.measured.items():
        assert key != result.key
        store.forget(result.key)
    ran.clear()
    again = made.compared(grid(**given), tmp_path, report=False)
    assert ran == [joint, *alone, f"{joint}, competition"]
    (repeated,) = again.blocks[0].rows[0].competition.outcomes.values()
    assert repeated["strength"] == measured["strength"]


def test_a_run_that_failed_is_not_measured_and_a_failed_measurement_is_told(
    tmp_path, ran, monkeypatch
):
    methods = {"Joint": None, "bad": {"method": "experiments.compare.made.Fails"}}
    found = made.compared(grid(methods=methods, seeds=1), tmp_path, report=False)
    assert not [title for title in ran if title.startswith("blobs: bad") and "competition" in title]
    assert found.blocks[0].rows[1].competition is None
    store = Store(tmp_path)
    ((_, measured),) = found.measured.items()
    against = measured.identity["against"]["left"]
    lost = store.read(against)
    broken = {**vars(lost), "state": "failed", "record": None, "error": "OSError: the disk is full"}
    store.write(type(lost)(**broken))
    store.forget(measured.key)
    found = made.compared(grid(methods=methods, seeds=1), tmp_path)
    assert competition_table(found.blocks[0], found.metric) is None
    text = (tmp_path / "report.md").read_text()
    assert "RuntimeError: The run 'left alone' failed: OSError: the disk is full" in text
    assert "2 runs failed" in text
    again = {"retry_failed": True, "report": False}
    repaired = made.compared(grid(methods=methods, seeds=1), tmp_path, **again)
    assert list(repaired.blocks[0].rows[0].competition.outcomes) == [0]
    for key in (against, measured.key):
        store.forget(key)
    # Now the joint run, too, fails as it is made again to be measured: what it came to is told.
    monkeypatch.setattr(Run, "compute", made.Fails.loss)  # which takes as many arguments
    ran.clear()
    found = made.compared(grid(methods=methods, seeds=1), tmp_path, **again)
    alone = [title for title in ran if "left alone" in title]
    assert alone == ["blobs: left alone, seed 0"]  # once, though two phases ask for it
    assert found.blocks[0].rows[0].accuracy == repaired.blocks[0].rows[0].accuracy


def test_the_report_shows_probes_strengths_and_terms(finished):
    found, _, folder = finished
    (block,) = found.blocks
    text = (folder / "report.md").read_text().replace("\N{NO-BREAK SPACE}", " ")
    page = str(comparison_page(found).to_html()).replace("\N{NO-BREAK SPACE}", " ")
    ours = block.rows[1].competition
    strength = ours.summary("strength", "left")
    shown = f"{strength.mean:.2f} ({strength.low:.2f} to {strength.high:.2f})"
    assert shown in page
    assert shown in text
    assert re.search(r"Trained alone the network reaches: left \d+\.\d ± \d+\.\d% and right", page)
    assert "<h3>Competition of modalities on blobs</h3>" in page
    assert "Competition strength" in page
    rows = list(csv.DictReader(io.StringIO((folder / "competition.csv").read_text())))
    assert [(row["method"], row["seed"], row["modality"]) for row in rows] == [
        (method, str(seed), name)
        for method in ("Joint", "AGM")
        for seed in (0, 1)
        for name in ("left", "right")
    ]
    assert float(rows[4]["probe"]) == ours.outcomes[0]["probe"]["left"]
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_pairs_are_compared_and_corrected_with_all_others(tmp_path):
    methods = {"Joint": None, "AGM": None, "OGM": None}
    given = grid(competition=False, methods=methods, pairs=[["AGM", "OGM"]])
    found = made.compared(given, tmp_path)
    (pair,), (_, agm, ogm) = found.pairs, found.blocks[0].rows
    assert (pair.first, pair.second, pair.title) == ("AGM", "OGM", "blobs")
    right = [
        [found.sample_values[each.key] for each in row.outcome.chosen.results.values()]
        for row in (agm, ogm)
    ]
    for row, values in zip((agm, ogm), right, strict=True):
        accuracies = [record["test"]["accuracy"] for record in row.records]
        assert [each.mean() for each in values] == pytest.approx(accuracies)
    assert pair.difference.estimate == two_way_difference(*right, step=1)
    told = [each.difference for each in (agm, ogm, pair)]
    assert [*map(id, told)] == [*map(id, found.judgements)]
    again = judge([each.estimate for each in told], bounds=(-1, 1))
    assert [each.interval for each in told] == [each.interval for each in again]
    assert (found.num_compared, len(told)) == (0, 3)  # of two seeds
    assert "With fewer than 5 seeds no difference to Joint" in (tmp_path / "report.md").read_text()
    assert "## Further pairs" in (tmp_path / "report.md").read_text()
