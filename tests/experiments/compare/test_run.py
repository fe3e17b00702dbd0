import re
import subprocess
import sys

import pytest
from filelock import FileLock

from counterpoise.experiments.compare.run import compare
from counterpoise.experiments.execution import backends
from counterpoise.experiments.store import Cell, Store, run_cell
from experiments.compare import made


@pytest.fixture
def ran(monkeypatch):
    """The titles of the cells that are run, in order."""
    titles = []

    def noted(cell, path):
        titles.append(cell.title)
        run_cell(cell, path)

    monkeypatch.setattr(backends, "run_cell", noted)
    return titles


def test_a_grid_becomes_a_report_and_no_cell_is_run_twice(tmp_path, ran):
    first = compare(made.grid(), tmp_path, progress=False)
    assert len(ran) == made.grid().num_cells == 8
    for name in ("report.html", "report.md", "results.csv", "runs.csv", "grid.yaml"):
        assert (tmp_path / name).is_file()
    pages = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    ran.clear()
    again = compare(made.grid(), tmp_path, progress=False)
    assert not ran
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == pages
    assert [row.accuracy for row in again.blocks[0].rows] == [
        row.accuracy for row in first.blocks[0].rows
    ]
    compare(made.grid(seeds=3, name="longer"), tmp_path, progress=False)
    assert sorted(ran) == sorted(
        f"blobs: {tried}, seed 2"
        for tried in (
            "Joint (weight_decay=0.0)",
            "Joint (weight_decay=0.5)",
            "AGM (alpha=0.5)",
            "AGM (alpha=2.5)",
        )
    )


def test_only_what_was_chosen_is_run_with_the_other_seeds(tmp_path, ran):
    given = made.grid(seeds=[5, 3], selection_seeds=1)
    found = compare(given, tmp_path, progress=False)
    assert len(ran) == given.num_cells == 6
    chosen = [row.outcome.chosen.candidate for row in found.blocks[0].rows]
    titles = [Cell(candidate, 3, "").title for candidate in chosen]
    assert ran[4:] == titles
    assert [row.accuracy.num_values for row in found.blocks[0].rows] == [2, 2]


def test_failures_are_reported_and_do_not_stop_the_others(tmp_path, ran, monkeypatch):
    methods = {"Joint": None, "bad": {"method": "experiments.compare.made.Fails"}}
    given = made.grid(methods=methods)
    found = compare(given, tmp_path, progress=False)
    joint, bad = found.blocks[0].rows
    assert joint.accuracy.num_values == 2
    assert bad.accuracy is None
    text = (tmp_path / "report.md").read_text()
    assert "RuntimeError: there is nothing to learn here" in text
    ran.clear()
    compare(given, tmp_path, progress=False)
    assert not ran
    monkeypatch.setattr(made.Fails, "loss", lambda self, joint, signals: joint)
    repaired = compare(given, tmp_path, retry_failed=True, progress=False)
    assert ran == ["blobs: bad, seed 0", "blobs: bad, seed 1"]
    assert repaired.blocks[0].rows[1].accuracy == joint.accuracy


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path):
    given = made.grid(
        data={"gone": {"data": {"class_path": "Features", "init_args": {"path": "no"}}}}
    )
    with pytest.raises(FileNotFoundError, match="found no file 'no'"):
        compare(given, tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


def test_two_comparisons_do_not_share_a_folder_at_a_time(tmp_path):
    Store(tmp_path)
    message = (
        f"`output` should not be in use by another comparison; found one running in '{tmp_path}'"
    )
    with FileLock(tmp_path / ".lock"), pytest.raises(ValueError, match=re.escape(message)):
        compare(made.grid(), tmp_path, progress=False)


def test_threads_take_turns(tmp_path, monkeypatch):
    """Two runs at a time in one process would draw from each other's random generator."""
    given = made.grid(methods={"Joint": None}, seeds=4)
    alone = compare(given, tmp_path / "alone", progress=False)
    together = compare(given, tmp_path / "together", backend="threading", jobs=3, progress=False)
    assert together.blocks[0].rows[0].accuracy == alone.blocks[0].rows[0].accuracy


def test_ray_and_dask_are_not_imported_until_they_are_asked_for():
    lines = (
        "import sys, counterpoise.experiments.compare.run\n"
        "print({'ray', 'dask'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True
    )
    assert found.stdout == "set()\n"
