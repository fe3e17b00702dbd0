"""The report of what a loop has logged."""

import pytest

from counterpoise.report import write_log_report


def entries():
    """Seven steps of a loop, its validation twice."""
    training = [
        {
            "step": step,
            "train/loss": 2.0 / step,
            "response/audio/score": 1.5 / step,
            "response/image/score": 1.7,
            "coefficient/audio": 0.5,
            "coefficient/image": 1.25,
            "lr": 0.1,
        }
        for step in range(1, 8)
    ]
    return [
        *training,
        {"step": 3, "eval_loss": 0.9, "eval_response/audio/accuracy": 0.43},
        {"step": 7, "validation/loss": 1.1, "validation/response/audio/score": 0.6137},
    ]


@pytest.fixture
def page(tmp_path):
    return write_log_report(entries(), tmp_path / "report.html", title="Mine").read_text()


def test_it_begins_with_what_became_of_the_loss(page):
    assert "The training loss goes from 2.00 to 0.29 by step 7; it was lowest, 0.29" in page
    assert "The validation loss goes from 0.90 to 1.10 by step 7; it was lowest, 0.90" in page
    assert "at step 3." in page


def test_it_draws_what_was_logged_and_nothing_else(page):
    for title in ("Loss", "Scores", "Coefficients", "Validation scores"):
        assert f">{title}<" in page
    assert "audio: from 1.50 to 0.21, lowest 0.21, highest 1.50" in page
    assert ">lr<" not in page


def test_the_table_has_the_last_values(page):
    row = page[page.index("<th", page.index("Validation accuracy")) :]
    assert row.index("audio") < row.index(">0.21<") < row.index(">0.61<") < row.index(">43.0<")


def test_equal_entries_give_equal_bytes(tmp_path):
    first, second = (
        write_log_report(entries(), tmp_path / name).read_bytes() for name in ("a.html", "b.html")
    )
    assert first == second


def test_a_log_of_the_loss_alone_is_enough(tmp_path):
    logged = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": float("nan")}, {"note": 3.0}]
    page = write_log_report(logged, tmp_path / "report.html").read_text()
    assert "it was lowest, 0.50, at step 1" in page
    assert "Scores" not in page


def test_a_log_without_a_loss_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'`entries` should hold a "loss".* in 2 entries. Log'):
        write_log_report([{"step": 1.0}, {"loss": 2.0}], tmp_path / "report.html")
