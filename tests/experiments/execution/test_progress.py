import io
import re

import pytest
from rich.console import Console

from counterpoise.experiments.execution.progress import Progress
from counterpoise.experiments.store import Cell, Store
from experiments.compare import made


@pytest.fixture
def cells():
    return [
        Cell(candidate, seed, "f" * 64)
        for candidate in made.grid(base={}).candidates()
        for seed in (0, 1)
    ]


def finish(store, cell, validation=0.875):
    """Keep a result; one that failed if there is no validation accuracy."""
    if validation is None:
        store.write(made.result(cell, None, error="RuntimeError: no"))
    else:
        record = made.record(cell, 0.123, validation, {"left": 0.5})
        store.write(made.result(cell, record))


def console(**options):
    return Console(file=io.StringIO(), width=100, **options)


def test_elsewhere_each_finished_cell_is_a_line(tmp_path, cells):
    store, out = Store(tmp_path), console()
    finish(store, cells[0])
    with Progress(store, 8, console=out) as shown:
        shown.expect(cells)
        finish(store, cells[1], 0.75)
        finish(store, cells[5], None)
    lines = out.file.getvalue().splitlines()
    assert sorted(line.partition(" ")[2] for line in lines[:-1]) == [
        "blobs: AGM (alpha=0.5), seed 1: failed",
        "blobs: Joint (weight_decay=0.0), seed 1: 75.0% on validation",
    ]
    assert {line.partition(" ")[0] for line in lines[:-1]} == {"2/8", "3/8"}
    assert lines[-1].startswith("3 of 8 cells done, 1 of them before; 1 failed; 0 s, about ")


def test_a_terminal_shows_a_table_of_validation_accuracies(tmp_path, cells):
    store, out = Store(tmp_path), console(force_terminal=True)
    finish(store, cells[0], 0.8)
    finish(store, cells[1], 0.9)
    finish(store, cells[4], None)
    shown = Progress(store, 8, console=out)
    shown.expect(cells)
    out.print(shown._draw())
    text = out.file.getvalue()
    assert "85.0 (2)" in text
    assert "12.3" not in text  # nothing of the test data
    assert "3 of 8 cells done, 3 of them before; 1 failed" in text
    with shown:
        finish(store, cells[2])
    assert "4 of 8 cells done, 3 of them before; 1 failed" in out.file.getvalue()


def test_bar_and_summary_have_a_line_each_on_a_narrow_terminal(tmp_path, cells):
    out = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    shown = Progress(Store(tmp_path), 8, console=out)
    shown.expect(cells)
    out.print(shown._draw())
    *_, bar, summary = re.sub(r"\x1b\[[\d;]*m", "", out.file.getvalue()).splitlines()
    assert bar.strip() == 40 * "━"
    assert summary.startswith("0 of 8 cells done; 0 s.")


def test_nothing_is_shown_if_nobody_asked(tmp_path, cells):
    store, out = Store(tmp_path), console(force_terminal=True)
    with Progress(store, 8, show=False, console=out) as shown:
        shown.expect(cells)
        finish(store, cells[0])
    assert out.file.getvalue() == ""


def test_the_terminal_is_given_back_when_something_goes_wrong(tmp_path, cells):
    out = console(force_terminal=True)
    with pytest.raises(KeyError), Progress(Store(tmp_path), 8, console=out) as shown:
        raise KeyError
    assert not shown._live.is_started
    assert not shown._follower.is_alive()


def test_what_was_finished_meanwhile_does_not_count_as_found(tmp_path, cells):
    store, out = Store(tmp_path), console()
    with Progress(store, 8, console=out) as shown:
        shown.expect(cells[:4])
        finish(store, cells[0])
        shown.expect(cells[4:])
    assert out.file.getvalue().splitlines()[-1].startswith("1 of 8 cells done; 0 s, about ")
