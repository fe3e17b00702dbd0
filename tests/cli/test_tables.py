"""What commands print fits a terminal of 80 columns, and nothing of it is cut off."""

import io

import pytest
from rich.console import Console

from counterpoise.cli.list import KINDS, listed
from counterpoise.cli.tables import print_table
from counterpoise.report import Column, Table
from counterpoise.training.console import print_runs

WIDE = 80


def record(method, modalities, coefficients=True):
    values = {name: [0.5, 1.25 + index] for index, name in enumerate(modalities)}
    return {
        "name": "mine",
        "method": {"name": method},
        "data": {"modalities": list(modalities)},
        "test": {"loss": 0.5, "accuracy": 0.8125}
        | {f"response/{name}/accuracy": 0.25 for name in modalities},
        "seconds_per_step": 0.01234,
        "outcome": "done",
        "steps": {"coefficients": values if coefficients else None},
    }


def lines_of(out, width=WIDE):
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in out  # what Rich puts where it cuts
    return lines


@pytest.mark.parametrize(
    "modalities",
    [
        ("a", "b"),
        ("spectrogram", "optical flow", "transcription"),
        [f"sensor{i}" for i in range(7)],
    ],
)
@pytest.mark.parametrize("method", ["AGM", "UnimodalLoss + Windowed(MMPareto) + OGMGE, alpha=0.8"])
def test_runs_fit(modalities, method, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDE))
    print_runs([record(method, modalities), record("Joint", modalities, coefficients=False)])
    lines = lines_of(capsys.readouterr().out)
    text = "".join("".join(line.split()) for line in lines)
    assert text.count("81.2%") == 2
    assert text.count("25.0%") == 2 * len(modalities)
    assert "12.3" in text
    for word in method.split():
        assert word[:20] in text


@pytest.mark.parametrize("width", range(23, 53))
def test_no_word_is_broken_however_wide_the_terminal(width):
    columns = [
        *(Column("method", "Method", numeric=False), Column("sets", "Data sets")),
        *(Column("verdict", "Verdict", numeric=False), Column("share", "Improves in, %")),
    ]
    out = io.StringIO()
    rows = [("OGM-GE", 2, "undecided", "36.0 (31.0)")]
    print_table(Table("", columns, rows), console=Console(file=out, width=width))
    assert {
        "Method",
        "OGM-GE",
        "Data",
        "sets",
        "Verdict",
        "undecided",
        "Improves",
        "(31.0)",
    } <= set(out.getvalue().split())


def test_two_modalities_stand_side_by_side(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDE))
    print_runs([record("AGM", ("audio", "image"))], title="On test data", names=["first"])
    title, _, heading, _, row, *_ = lines_of(capsys.readouterr().out)
    assert title.strip() == "On test data"
    assert heading.split()[:3] == ["run", "accuracy", "audio"]
    assert row.split() == ["first", "81.2%", "25.0%", "25.0%", "12.3", "0.50", "to", "2.25"]


def test_runs_of_other_modalities_and_without_results_have_a_line_each(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDE))
    lost = record("AGM", ("text",)) | {"test": None, "outcome": "diverged"}
    print_runs([record("Joint", ("audio", "image"), coefficients=False), lost])
    rows = [line.split() for line in lines_of(capsys.readouterr().out)[3:]]
    assert rows[:3] == [
        ["Joint", "81.2%", "12.3", "audio", "25.0%", "-"],
        ["image", "25.0%", "-"],
        ["AGM", "diverged", "12.3", "text", "-", "0.50", "to", "1.25"],
    ]


@pytest.mark.parametrize("width", [80, 40])
def test_columns_that_do_not_fit_come_in_further_parts(width):
    numbers = [Column(f"n{i}", f"Test accuracy {i}, %") for i in range(13)]
    table = Table(
        "A caption.",
        [
            Column("data", "Data", numeric=False),
            Column("method", "Method", numeric=False),
            *numbers,
        ],
        [("digits", name, *(f"{i}.125" for i in range(13))) for name in ("Joint", "[AGM] [0.5]")],
    )
    console = Console(file=io.StringIO(), width=width)
    print_table(table, "The title", console=console)
    out = console.file.getvalue()
    lines = lines_of(out, width)
    assert out.count("The title") == 1
    assert all(out.count(f" {i}.125") == 2 for i in range(13))
    rows = [line for line in lines if line.lstrip().startswith("digits")]
    assert len(rows) > 2
    assert {row.split()[1] for row in rows} == {"Joint", "[AGM]"}


@pytest.mark.parametrize("what", KINDS)
def test_lists_fit(what):
    assert lines_of(listed(what, WIDE))
