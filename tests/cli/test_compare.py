import re

import pytest

from counterpoise.cli.compare import print_tables
from counterpoise.cli.main import main
from counterpoise.experiments.execution.settings import BACKENDS
from experiments.compare import made

GRID = """
name: toy
data:
  blobs: {data: training.runs.Blobs}
methods:
  Joint: null
  AGM: null
seeds: 2
base:
  model: training.runs.Small
  trainer.max_epochs: 1
  trainer.accelerator: cpu
"""


@pytest.fixture
def write(tmp_path):
    def write(text=GRID):
        (tmp_path / "grid.yaml").write_text(text)
        return str(tmp_path / "grid.yaml")

    return write


def test_a_grid_is_run_and_its_results_are_printed(write, tmp_path, capsys):
    folder = tmp_path / "out"
    assert (
        main(["compare", write(), "--backend=threading", f"--output={folder}", f"--runs={folder}"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "4/4 blobs: AGM, seed 1: " in printed
    assert "With fewer than 5 seeds no difference to Joint can be tested." in printed
    assert f"Report and tables: {folder}" in printed
    assert (folder / "report.html").is_file()


def test_an_estimate_is_a_few_lines_and_measures_one_run_of_each_method(write, tmp_path, capsys):
    options = ["--estimate", "--backend=threading", "--jobs=2", f"--runs={tmp_path}"]
    assert main(["compare", write(), *options, f"--output={tmp_path / 'out'}"]) == 0
    progress, last, *_ = capsys.readouterr().out.partition("4 runs and measurements in all, ")
    assert "2/2 trained blobs: AGM, seed 0" in progress
    assert last
    assert main(["compare", write(), *options]) == 0
    first, *lines = capsys.readouterr().out.splitlines()[-4:]
    assert first == "4 runs and measurements in all, 2 done, 2 left."
    assert re.fullmatch(r"  blobs: 2 left, [\d.]+ s of one process\.", lines[0])
    assert re.fullmatch(r"On this machine, 2 at a time: [\d.]+ s\.", lines[1])
    assert re.fullmatch(
        r"By the number of workers as fast as these: 4: .* s; 16: .*; 64: .*", lines[2]
    )
    assert not (tmp_path / "out").exists()


def test_tables_fit_a_narrow_terminal_whatever_is_compared(capsys, monkeypatch):
    def make(cell):
        shift = 0.01 * cell.seed - 0.3 * (cell.candidate.method == "AGM [slow]")
        return made.result(cell, made.record(cell, 0.9 + shift, 0.9, {"left": 0.5}))

    methods = {"Joint": None, "AGM [slow]": {"method": "AGM"}}
    data = {f"digits {number}": made.DATA["blobs"] for number in range(4)}
    found = made.comparison(made.grid(base={}, data=data, methods=methods, seeds=5), None, make)
    monkeypatch.setenv("COLUMNS", "80")
    print_tables(found)
    printed = capsys.readouterr().out.replace("\N{NO-BREAK SPACE}", " ")
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    for title in (*data, "All together"):
        assert re.search(rf"^{title} *$", printed, re.MULTILINE)
    row = r"AGM \[slow\] +62.0 ± 1.6 +−30.0 \(−30.\d to −29.\d\) +lower"  # noqa: RUF001
    assert len(re.findall(row, printed)) == 4
    assert len(re.findall("Method +(?:Accuracy, )?% .*Verdict", printed)) == 4


def test_the_folder_is_called_like_the_grid(write, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", write(), "--backend=threading", "--progress=false"]) == 0
    assert (tmp_path / "comparisons" / "toy" / "report.md").is_file()
    assert "4/4" not in capsys.readouterr().out


def test_runs_that_failed_are_told_and_the_code_says_so(write, tmp_path, capsys):
    methods = "  Joint: null\n  bad: {method: experiments.compare.made.Fails}\n"
    path = write(GRID.replace("  Joint: null\n  AGM: null\n", methods))
    arguments = ["compare", path, "--backend=threading", "--progress=false"]
    arguments += [f"--output={tmp_path / 'out'}", f"--runs={tmp_path}"]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        "counterpoise: 2 of 4 runs failed: RuntimeError: there is nothing to learn here "
        "(The report lists all; run them again with --retry-failed.)\n"
    )
    assert "Report and tables: " in printed.out
    assert main(arguments) == 1  # also where they failed before


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (GRID.replace("AGM", "AGN"), [], "found 'AGN'. Did you mean 'AGM'?"),
        (GRID.replace("training.runs.Blobs", "Digit"), [], "found 'Digit'. Did you mean 'Digits'?"),
        (GRID.replace("seeds: 2", "seeds: 0"), [], "`seeds` should be at least 1; found 0."),
        (GRID, ["--backend=lok"], "found 'lok'. Did you mean 'loky'?"),
        (GRID.replace("name: toy", "nam: toy"), [], "found 'nam'. Did you mean 'name'?"),
    ],
)
def test_mistakes_are_one_line(write, capsys, text, options, message):
    assert main(["compare", write(text), *options]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_help_says_what_can_be_chosen(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    listed = f"What computes them: {', '.join(BACKENDS)}."
    code = "The exit code is 0 if all succeeded, 1 if any failed"
    for text in (listed, code, "--backend", "--jobs", "--output", "HOST:PORT", "grid"):
        assert text in printed
