"""Regression and several labels on real data, from a run to the report of a comparison."""

import csv
import re

import pytest
import yaml

from counterpoise.cli import main
from counterpoise.cli.compare import print_tables
from counterpoise.experiments.compare import compare, read_grid
from support.shared import shared_data

CASES = {
    "strokes": ("mfeat.npz", "training.turned.Strokes", "mae", "Mean absolute error", False),
    "categories": ("wikipedia.npz", "training.turned.Categories", "map", "Mean average prec", True),
}
TRAINER = {"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 20, "num_threads": 1}


def written(path, content):
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("case", CASES)
def test_a_task_goes_from_a_run_to_the_report_of_a_comparison(case, tmp_path, capsys):
    file, source, name, title, higher = CASES[case]
    path = str(shared_data(f"features/{file}") / "features" / file)
    data = {"class_path": source, "init_args": {"path": path}}
    base = {"data": data, "optimizer": {"class_path": "Adam"}, "trainer": TRAINER}
    config = written(tmp_path / "recipe.yaml", base | {"method": {"class_path": "AGM"}})
    options = ["--progress=false", f"--output={tmp_path / 'run'}"]
    assert main(["train", f"--config={config}", *options]) == 0, capsys.readouterr().err
    grid = {
        "name": case,
        "base": base,
        "data": {case: {"data": data}},
        "methods": {name: {"method": name} for name in ("Joint", "AGM", "UnimodalLoss")},
        "seeds": 2,
    }
    written_grid = written(tmp_path / "grid.yaml", grid)
    how = {"progress": False, "backend": "threading", "runs": tmp_path}
    found = compare(read_grid(written_grid), tmp_path / "compared", **how)
    assert not found.failures
    guess = found.outcomes[0].guessing
    for outcome in found.outcomes:
        assert outcome.form.name == name
        for value in outcome.accuracies.values():
            assert (value > guess) if higher else (value < guess)
    page = (tmp_path / "compared" / "report.html").read_text()
    assert re.search(title, page)
    assert "ccuracy, %" not in page
    capsys.readouterr()
    print_tables(found)
    printed = capsys.readouterr().out
    assert "ccuracy" not in printed
    assert title.split()[0] in printed  # which is broken into lines
    assert ("points" in printed) is higher
    rows = list(csv.DictReader((tmp_path / "compared" / "results.csv").read_text().splitlines()))
    for row, outcome in zip(rows, found.outcomes, strict=True):
        values = list(outcome.accuracies.values())
        assert float(row[f"{name}_mean"]) == pytest.approx(sum(values) / len(values))


def grid_of(tmp_path, data, method="Joint"):
    base = {"trainer": TRAINER, "data": {"class_path": "Synthetic"}}
    grid = {"name": "mixed", "base": base, "data": data, "seeds": 1}
    grid["methods"] = {"Joint": {}, "other": {"method": method}}
    return read_grid(written(tmp_path / "grid.yaml", grid))


def planted(kind):
    return {"data": {"class_path": "training.test_tasks.Hidden", "init_args": {"kind": kind}}}


def test_data_of_different_metrics_are_compared_apart(tmp_path):
    grid = grid_of(tmp_path, {"one": planted("multilabel"), "two": planted("regression")})
    with pytest.raises(
        ValueError, match=r"one headline metric; found one: map, two: mae\. Compare"
    ):
        compare(grid, tmp_path / "out", jobs=1, progress=False)


def test_a_method_that_is_not_defined_for_the_data_is_refused_before_anything_runs(tmp_path):
    grid = grid_of(tmp_path, {"one": planted("regression")}, method="PMR")
    with pytest.raises(ValueError, match=r"task, regression; found PMR.*At `data.one` in the grid"):
        compare(grid, tmp_path / "out", jobs=1, progress=False)
