"""The command ``counterpoise compete``, from arguments to table and page."""

import csv

import pytest
from jsonargparse import ArgumentParser

from counterpoise.cli import compete as command
from counterpoise.cli.running import progress_bar
from counterpoise.experiments import FailedCellsError, OtherPartsError

SMALL = [
    "--data=Synthetic", "--data.num_train=59", "--data.num_validation=41", "--data.num_test=37",
    "--data.num_classes=3", "--data.num_features=7", "--model=Network", "--model.num_features=5",
    "--optimizer=Adam", "--schedule=Constant", "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu", "--backend=threading",
]  # fmt: skip


def parsed(*arguments):
    parser = ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    return parser.instantiate(parser.parse_args([*SMALL, *arguments]))


def test_it_measures_and_prints_and_writes(tmp_path, capsys):
    output = tmp_path / "out"
    arguments = parsed(
        "--methods=[Joint,AGM]", "--num-seeds=1", f"--output={output}", f"--runs={tmp_path}"
    )
    command.run(arguments)
    out = capsys.readouterr().out
    assert "0/6\n1/6 trained synthetic-" in out
    assert "6/6 measured synthetic-agm-0" in out
    assert "Modality competition on synthetic" in out
    assert f"Report: {output / 'report.html'}" in out.replace("\n", "")
    with (output / "strengths.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["Joint", "Joint", "AGM", "AGM"]
    command.run(arguments)
    assert "0/0 all is there already" in capsys.readouterr().out


def test_without_progress_there_is_none(tmp_path, capsys):
    command.run(parsed("--num-seeds=1", f"--output={tmp_path}", "--no-progress"))
    assert capsys.readouterr().out.lstrip().startswith("Modality competition")


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with progress_bar(show=True) as progress:
        progress(1, 4, "trained something")
        progress(4, 4, "measured something")
    out = capsys.readouterr().out
    assert "4/4" in out
    assert "measured something" in out


def test_options_reach_the_measurement(monkeypatch):
    given = {}

    class Stop(Exception):
        pass

    def compete(recipe, **options):
        given.update(options, recipe=recipe)
        raise Stop

    monkeypatch.setattr(command, "compete", compete)
    arguments = parsed(
        "--methods=[{class_path: AGM, init_args: {alpha: 2.5}}]",
        "--concept.m1=a", "--fused=b:input", "--ridge=3", "--seed=5", "--no-progress",
        "--time-limit=90",
    )  # fmt: skip
    with pytest.raises(Stop):
        command.run(arguments)
    assert (given["backend"], given["jobs"], given["time_limit"]) == ("threading", None, 90.0)
    assert given["methods"][0].alpha == 2.5
    assert given["concept"] == {"m1": "a"}
    assert (given["fused"], given["ridge"], given["num_seeds"]) == ("b:input", 3.0, 5)
    assert given["recipe"].seed == 5
    assert parsed("--concept=encoder").concept == "encoder"


@pytest.mark.parametrize(("error", "code"), [(FailedCellsError, 1), (OtherPartsError, 0)])
def test_what_is_left_is_a_line_and_a_code(monkeypatch, capsys, error, code):
    def compete(recipe, **options):
        raise error("2 of 3 are not there.")

    monkeypatch.setattr(command, "compete", compete)
    assert command.run(parsed("--no-progress")) == code
    printed = capsys.readouterr()
    assert "2 of 3 are not there.\n" in (printed.err if code else printed.out)
