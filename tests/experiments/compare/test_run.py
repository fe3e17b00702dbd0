import csv
import re

import pytest

from counterpoise.experiments.compete import compete
from counterpoise.experiments.computing import compute_cell
from counterpoise.experiments.execution import pools
from counterpoise.experiments.session import OtherPartsError
from counterpoise.measures.statistics import DIVERGED
from counterpoise.training import run as training
from experiments.compare import made


@pytest.fixture
def ran(monkeypatch):
    """The titles of the cells that are run, in order."""
    titles = []

    def noted(cell, path, **options):
        titles.append(cell.title)
        return compute_cell(cell, path, **options)

    monkeypatch.setattr(pools, "compute_cell", noted)
    return titles


def test_a_grid_becomes_a_report_and_no_cell_is_run_twice(tmp_path, ran):
    first = made.compared(made.grid(), tmp_path)
    assert len(ran) == made.grid().num_cells == 8
    for name in ("report.html", "report.md", "results.csv", "runs.csv", "search.csv", "grid.yaml"):
        assert (tmp_path / name).is_file()
    pages = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    ran.clear()
    again = made.compared(made.grid(), tmp_path)
    assert not ran
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == pages
    assert [row.accuracy for row in again.blocks[0].rows] == [
        row.accuracy for row in first.blocks[0].rows
    ]
    made.compared(made.grid(seeds=3, name="longer"), tmp_path, report=False)
    chosen = [row.outcome.chosen.candidate for row in first.blocks[0].rows]
    assert ran == [made.run(candidate, 2).title for candidate in chosen]


def test_configurations_are_tried_with_other_seeds_than_the_chosen_one_is_judged_by(tmp_path, ran):
    given = made.grid(seeds=[5, 3])
    found = made.compared(given, tmp_path, report=False)
    assert len(ran) == given.num_cells == 8
    assert all(title.endswith("seed 1000") for title in ran[:4])
    chosen = [row.outcome.chosen.candidate for row in found.blocks[0].rows]
    assert ran[4:] == [made.run(each, seed).title for each in chosen for seed in (5, 3)]
    assert [row.accuracy.num_values for row in found.blocks[0].rows] == [2, 2]
    for row in found.blocks[0].rows:
        assert set(row.outcome.chosen.records) == set(row.outcome.accuracies) == {5, 3}


def test_failures_are_reported_and_do_not_stop_the_others(tmp_path, ran, monkeypatch):
    methods = {"Joint": None, "bad": {"method": "experiments.compare.made.Fails"}}
    given = made.grid(methods=methods)
    found = made.compared(given, tmp_path)
    joint, bad = found.blocks[0].rows
    assert joint.accuracy.num_values == 2
    assert bad.accuracy is None
    text = (tmp_path / "report.md").read_text()
    assert "RuntimeError: there is nothing to learn here" in text
    ran.clear()
    made.compared(given, tmp_path, report=False)
    assert not ran
    monkeypatch.setattr(made.Fails, "loss", lambda self, joint, signals: joint)
    repaired = made.compared(given, tmp_path, retry_failed=True, report=False)
    assert ran == ["blobs: bad, seed 0", "blobs: bad, seed 1"]
    assert repaired.blocks[0].rows[1].accuracy == joint.accuracy


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path):
    given = made.grid(
        data={"gone": {"data": {"class_path": "Features", "init_args": {"path": "no"}}}}
    )
    with pytest.raises(FileNotFoundError, match="found no file 'no'"):
        made.compared(given, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_same_run_asked_for_by_two_commands_is_trained_once(tmp_path, ran):
    given = made.grid(methods={"Joint": None}, seeds=2)
    (candidate,) = given.candidates()
    here = {"runs": tmp_path, "backend": "threading"}
    paths = {"fused": "head:input", "concept": "encoders.left"}
    competition = compete(candidate.recipe, num_seeds=2, **paths, **here)
    assert len(ran) == 2 * (1 + 2 + 1)  # joint, each modality alone, measured
    ran.clear()
    found = made.compared(given, tmp_path, report=False)
    assert not ran
    accuracies = [record["test"]["accuracy"] for record in found.blocks[0].rows[0].records]
    assert accuracies == [outcome.joint for outcome in competition.outcomes]
    measured = made.grid(methods={"Joint": None}, seeds=2, competition=paths)
    made.compared(measured, tmp_path, report=False)
    assert not ran  # nor are the runs on one modality, or the measurements


def test_parts_together_are_the_whole(tmp_path, ran):
    given = made.grid()
    message = "Part 1/2 of the searches is done; of other parts 1 of 2 are not finished, such as"
    with pytest.raises(OtherPartsError, match=re.escape(message)):
        made.compared(given, tmp_path, part="1/2")
    assert [title.partition(" (")[0] for title in ran] == ["blobs: Joint"] * 2
    for number in (2, 1):
        message = f"Part {number}/3 is done; of other parts "
        with pytest.raises(OtherPartsError, match=re.escape(message)):
            made.compared(given, tmp_path, part=f"{number}/3")
    assert not (tmp_path / "report.html").exists()
    found = made.compared(given, tmp_path, part="3/3")
    assert len(ran) == len(set(ran)) == 8
    assert (tmp_path / "report.html").is_file()
    whole = made.compared(given, tmp_path / "whole", report=False)
    accuracies = [
        [record["test"] for record in c.blocks[0].rows[1].records] for c in (found, whole)
    ]
    assert accuracies[0] == accuracies[1]


def diverged(record):
    """What training returns of a run whose loss is not finite in the second epoch."""
    names = [f"response/{name}/accuracy" for name in record["data"]["modalities"]]
    test = dict.fromkeys(["loss", "accuracy", *names])
    lost = {"outcome": "diverged", "divergence": "no number", "best_epoch": None, "test": test}
    return record | lost | {"epochs": record["epochs"][:1]}


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_run_that_diverged_comes_last_and_is_kept(tmp_path, monkeypatch, everywhere):
    train = training.train

    def diverging(recipe, *args, **options):
        record = train(recipe, *args, **options)
        lost = recipe.optimizer.weight_decay and (everywhere or recipe.seed)
        return diverged(record) if lost else record

    monkeypatch.setattr(training, "train", diverging)
    methods = {
        name: {"search": {"optimizer.weight_decay": tried}}
        for name, tried in (("Joint", [0.5, 0.0]), ("AGM", [0.5, 0.3]))
    }
    found = made.compared(made.grid(methods=methods), tmp_path)
    joint, agm = (row.outcome for row in found.blocks[0].rows)
    assert joint.chosen.candidate.changes == {"optimizer.weight_decay": 0.0}
    states = [result.state for result in joint.trials[0].results.values()]
    assert states == ["diverged"]
    assert agm.chosen is not None  # though each of its configurations lost a run
    assert list(agm.accuracies.values())[-1] == DIVERGED
    assert found.failures == []
    rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
    lost = [row for row in rows if row["state"] == "diverged"]
    assert {(row["error"], row["validation/accuracy"]) for row in lost} == {("no number", "")}
    told = (tmp_path / "report.md").read_text()
    assert "weight_decay=0.5: diverged; weight_decay=0.0: " in told
