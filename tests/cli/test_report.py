"""``counterpoise report``, and the page that ``counterpoise train`` writes."""

import json

import pytest

from counterpoise.cli.main import main
from counterpoise.training.record import sealed, write_json

OPTIONS = [
    *("train", "--data", "training.runs.Blobs", "--model", "training.runs.Small"),
    *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--no-progress"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    for name, method in (("mine-joint", "Joint"), ("mine-agm", "AGM")):
        own = ["--method", method, "--name", name, "--output", str(folder / name)]
        assert main([*OPTIONS, *own]) == 0
    return folder


@pytest.fixture
def copies(trained, tmp_path):
    """A function that keeps a changed copy of a record in a folder of its own."""

    def keep(folder, **changes):
        record = json.loads((trained / "mine-agm" / "record.json").read_text()) | changes
        (tmp_path / folder).mkdir(parents=True)
        write_json(tmp_path / folder / "record.json", sealed(record))
        return str(tmp_path / folder)

    return keep


def test_train_writes_a_page_named_by_the_run(trained):
    html = (trained / "mine-joint" / "report.html").read_text()
    assert "<h1>mine-joint</h1>" in html
    assert "mine-agm" not in html.partition("<body")[2].partition("<script")[0]


def test_several_runs_are_named_by_their_names(trained, tmp_path, capsys):
    page = tmp_path / "new" / "both.html"
    words = [str(trained / "mine-joint"), str(trained), "--output", str(page)]
    assert main(["report", *words]) == 0
    out, html = capsys.readouterr().out, page.read_text()
    assert f"Report: {page}" in out
    lines = [line.split()[0] for line in out.splitlines() if line.startswith(" mine")]
    assert lines == ["mine-joint", "mine-agm"]  # as they were given, each once
    assert "<h1>2 runs</h1>" in html
    assert "mine-joint" in html
    assert "mine-agm" in html


def test_runs_of_one_name_are_told_apart_by_their_folders(copies, tmp_path, capsys):
    folders = [copies("a/run"), copies("b/run")]
    page = tmp_path / "page.html"
    assert main(["report", *folders, "--title", "Twice", "--output", str(page)]) == 0
    html = page.read_text()
    assert "<h1>Twice</h1>" in html
    assert all(folder in html for folder in folders)
    (tmp_path / "again").symlink_to(folders[0])
    same = [folders[0], f"{tmp_path}/b/../a/run", str(tmp_path / "again")]
    assert main(["report", *same, "--output", str(page)]) == 0
    assert "<h1>mine-agm</h1>" in page.read_text()  # one run


def test_a_run_that_diverged_or_was_not_tested_has_a_page(copies, tmp_path):
    lost = copies(
        "lost", test=None, outcome="diverged", divergence="The loss was nan.", name="lost"
    )
    page = tmp_path / "page.html"
    assert main(["report", lost, "--output", str(page)]) == 0
    html = page.read_text()
    assert "lost diverged." in html
    assert "The loss was nan." in html
    assert "lost comes to a validation accuracy of" in html
    assert "No test accuracy was measured for lost." in html


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {},
            "`runs` should be folders of runs that are complete; found no record.json in or below",
        ),
        (
            {"task": {"headline": "mae", "metrics": {"mae": {"name": "mae", "title": "error"}}}},
            "`runs` should be of tasks that are measured alike; found accuracy, error.",
        ),
    ],
)
def test_what_makes_no_page_is_said_in_a_line(change, message, trained, copies, tmp_path, capsys):
    other = copies("other", **change) if change else str(tmp_path)
    assert main(["report", str(trained / "mine-agm"), other, "--output", str(tmp_path / "p")]) == 2
    assert message in capsys.readouterr().err
