import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from counterpoise.experiments.compare.progress import Progress
from experiments.compare import made


@pytest.fixture
def cells():
    return [
        made.run(candidate, seed)
        for candidate in made.grid(base={}).candidates()
        for seed in (0, 1)
    ]


def came(cell, validation=0.875, state="done"):
    """A cell and its result; one that failed if there is no validation accuracy."""
    if validation is None:
        return cell, made.result(cell, None, error="RuntimeError: no")
    found = made.result(cell, made.record(cell, 0.123, validation, {"left": 0.5}))
    return cell, replace(found, state=state)


def known(*pairs):
    return {cell.key: result for cell, result in pairs}


def console(**options):
    return Console(file=io.StringIO(), width=100, **options)


def test_elsewhere_each_finished_cell_is_a_line(cells):
    out = console()
    with Progress(8, console=out) as shown:
        shown.expect(cells, known(came(cells[0])))
        shown.finished(*came(cells[1], 0.75))
        shown.finished(*came(cells[5], None))
        shown.finished(*came(cells[6], state="diverged"))
    *lines, summary = out.file.getvalue().splitlines()
    assert lines == [
        "2/8 blobs: Joint (weight_decay=0.0), seed 1: 75.0% on validation",
        "3/8 blobs: AGM (alpha=0.5), seed 1: failed",
        "4/8 blobs: AGM (alpha=2.5), seed 0: diverged",
    ]
    start = "4 of 8 cells done, 1 of them before; 1 failed; 1 diverged; 0 s, about "
    assert summary.startswith(start)


def test_a_terminal_shows_a_table_of_validation_accuracies(cells):
    out = console(force_terminal=True)
    shown = Progress(8, console=out)
    shown.expect(cells, known(came(cells[0], 0.8), came(cells[1], 0.9), came(cells[4], None)))
    out.print(shown._draw())
    text = out.file.getvalue()
    assert "85.0 (2)" in text
    assert "12.3" not in text  # nothing of the test data
    assert "3 of 8 cells done, 3 of them before; 1 failed" in text
    with shown:
        shown.finished(*came(cells[2]))
    assert "4 of 8 cells done, 3 of them before; 1 failed" in out.file.getvalue()


def test_bar_and_summary_have_a_line_each_on_a_narrow_terminal(cells):
    out = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    shown = Progress(8, console=out)
    shown.expect(cells, {})
    out.print(shown._draw())
    *_, bar, summary = re.sub(r"\x1b\[[\d;]*m", "", out.file.getvalue()).splitlines()
    assert bar.strip() == 40 * "━"
    assert summary.startswith("0 of 8 cells done; 0 s.")


def test_nothing_is_shown_if_nobody_asked(cells):
    out = console(force_terminal=True)
    with Progress(8, show=False, console=out) as shown:
        shown.expect(cells, {})
        shown.finished(*came(cells[0]))
    assert out.file.getvalue() == ""


def test_the_terminal_is_given_back_when_something_goes_wrong():
    with pytest.raises(KeyError), Progress(8, console=console(force_terminal=True)) as shown:
        raise KeyError
    assert not shown._live.is_started


def test_what_was_finished_meanwhile_does_not_count_as_found(cells):
    out = console()
    with Progress(8, console=out) as shown:
        shown.expect(cells[:4], {})
        shown.finished(*came(cells[0]))
        shown.expect(cells, known(came(cells[0])))
    assert out.file.getvalue().splitlines()[-1].startswith("1 of 8 cells done; 0 s, about ")
