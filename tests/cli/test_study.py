"""``counterpoise study``."""

import pytest

from counterpoise.cli.main import main
from counterpoise.experiments.study import STUDIES, study_class
from experiments.study import made


def complaint(capsys, *arguments):
    """The one line on standard error of a call that fails."""
    assert main(["study", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line.removeprefix("counterpoise: error: ")


@pytest.mark.parametrize(
    ("word", "near"), [("response", "responses"), ("initializations", "initialisations")]
)
def test_an_unknown_study_is_answered_with_the_nearest(word, near, capsys):
    line = complaint(capsys, word)
    assert line == (
        f"`name` should be one of {', '.join(STUDIES)}; found {word!r}. Did you mean {near!r}?"
    )


def test_a_study_must_be_named(capsys):
    line = complaint(capsys)
    assert "`name` should be one of" in line
    assert "responses" in line


def test_a_number_out_of_range_is_one_line(capsys):
    line = complaint(capsys, "references", "--num_seeds", "1", "--progress", "false")
    assert line == "`num_seeds` should be at least 2; found 1. Pass 2 or more."


@pytest.mark.parametrize(
    "words",
    [
        ["study", "references"],
        ["compete", "--config=digits-joint"],
        ["compare", "grid.yaml", "--runs=runs"],
    ],
)
def test_a_file_in_place_of_a_folder_is_told_before_anything_is_trained(
    words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    (tmp_path / "grid.yaml").write_text("{data: {synthetic: null}, methods: {Joint: null}}")
    assert main([*words, "--output=taken/report"]) == 2
    assert capsys.readouterr() == (
        "",
        "counterpoise: error: `output` should be a folder; found the file 'taken'. Choose "
        "another.\n",
    )
    assert main([*words[:2], "--runs=taken"]) == 2
    assert "`runs` should be a folder; found the file " in capsys.readouterr().err


def test_help_asks_every_question(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["study", "--help"])
    assert stop.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for name in STUDIES:
        assert f" {name} {study_class(name).question}" in out


@pytest.fixture
def observed(monkeypatch):
    """What was asked of ``observe``, which makes up its measurements."""
    asked = []

    def observe(study, *, progress, **options):
        asked.append((study, options))
        return made.references({"running mean": 0.95})

    monkeypatch.setattr("counterpoise.experiments.study.observing.observe", observe)
    return asked


def test_it_prints_the_answer_and_leaves_the_report(observed, tmp_path, capsys):
    options = ["--num_seeds", "3", "--fusion", "gated", "--data", "Synthetic"]
    where = [
        "--output",
        str(tmp_path),
        "--num_workers",
        "2",
        "--runs",
        "mine",
        "--progress",
        "false",
    ]
    assert main(["study", "references", *options, *where]) == 0
    ((study, options),) = observed
    assert (study.name, study.num_seeds, study.fusion) == ("references", 3, "gated")
    assert study.data.name == "synthetic"
    assert (options["runs"], options["jobs"], options["part"]) == ("mine", 2, None)
    out = capsys.readouterr().out
    said = " ".join(out.split())
    assert study.question in said
    assert "the running mean does better than the fixed reference (+5.0 (" in said
    report = tmp_path / "references" / "report.html"
    assert f"Report: {report}" in out
    assert study.question in report.read_text("utf-8")
