import csv
import io
import math

import pytest

from counterpoise.report import Column, Table
from counterpoise.report.formats import PERCENT, decimals

COLUMNS = [
    Column("method", "Method", numeric=False),
    Column("accuracy", "model", "Accuracy, %", PERCENT, bar=True),
    Column("cost", "ms", show=decimals(1)),
]


def test_one_number_is_shown_in_all_three_renderings():
    table = Table("Runs", COLUMNS, [("AGM", 0.912345678901, 1234.56)])
    assert "91.2<" in table.to_html()
    assert "| AGM | 91.2 | 1,234.6 |" in table.to_markdown()
    assert table.to_csv() == "method,accuracy,cost\nAGM,0.912345678901,1234.56\n"


def test_groups_head_neighbouring_columns_only():
    columns = [Column(name, name, group) for name, group in zip("abcde", "xx xy", strict=True)]
    grouped = Table("", columns, []).groups
    assert [(group, [c.name for c in members]) for group, members in grouped] == [
        ("x", ["a", "b"]),
        (" ", ["c"]),
        ("x", ["d"]),
        ("y", ["e"]),
    ]


def test_ungrouped_neighbours_are_not_joined():
    columns = [Column("a", "a"), Column("b", "b")]
    assert [group for group, _ in Table("", columns, []).groups] == ["", ""]


def test_rows_are_parted_where_a_column_changes():
    rows = [("AGM", 0.5, 1.0), ("OGM", 0.5, 2.0), ("AGM", 0.75, 1.0)]
    table = Table("", COLUMNS, rows, parted_by="accuracy")
    assert table.parts == [rows[:2], rows[2:]]
    assert table.to_html().count("<tbody>") == 2
    assert Table("", COLUMNS, rows).to_html().count("<tbody>") == 1
    with pytest.raises(ValueError, match=r"`parted_by` should be one of 'method', .*; found 'acc'"):
        Table("", COLUMNS, rows, parted_by="acc")


def test_markdown_headings_carry_their_group():
    assert "| Method | Accuracy, %: model | ms |" in Table("", COLUMNS, []).to_markdown()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "−∞"), (0.5, "50.0"), (0, "0.0")],  # noqa: RUF001
)
def test_values_that_are_no_numbers_are_named(value, shown):
    assert COLUMNS[1].text(value) == shown


@pytest.mark.parametrize(
    ("value", "share"), [(0.25, 0.25), (1.7, 1.0), (-0.2, 0.0), (None, None), (math.nan, None)]
)
def test_bars_stay_inside_their_cell(value, share):
    assert COLUMNS[1].share(value) == share


def test_columns_without_bars_draw_none():
    assert COLUMNS[2].share(0.5) is None
    assert 'class="bar"' not in Table("", [COLUMNS[0], COLUMNS[2]], [("AGM", 0.5)]).to_html()


def test_missing_values_are_empty_in_csv():
    table = Table("", COLUMNS, [("a,b", None, 2.0)])
    assert list(csv.reader(io.StringIO(table.to_csv())))[1] == ["a,b", "", "2.0"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a|b", r"a\|b"),
        ("<script>", "&lt;script&gt;"),
        ("*a* [b](c)", r"\*a\* \[b\](c)"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_escapes_names(name, written):
    assert f"| {written} | " in Table("", COLUMNS, [(name, 0.5, 1.0)]).to_markdown()


def test_html_escapes_names_and_captions():
    html = Table("<b>", [Column("<i>", "<u>")], [("<script>",)]).to_html()
    assert "&lt;b&gt;" in html
    assert "&lt;u&gt;" in html
    assert "&lt;script&gt;" in html
    assert not any(tag in html for tag in ("<b>", "<i>", "<u>", "<script>"))


def test_error_for_repeated_columns():
    with pytest.raises(
        ValueError, match=r"`columns` should have distinct names; found \['a', 'a'\]"
    ):
        Table("", [Column("a", "A"), Column("a", "B")], [])


def test_error_for_short_row_names_the_row():
    with pytest.raises(
        ValueError,
        match=r"`rows\[1\]` should have a value for each of 3 columns; found 2\. Put None",
    ):
        Table("", COLUMNS, [("a", 0.1, 0.2), ("b", 0.1)])


class Mean:
    def __init__(self, mean):
        self.mean = mean


@pytest.mark.parametrize(
    ("value", "key"),
    [(0.5, 0.5), (3, 3.0), (Mean(0.25), 0.25), (None, None), (math.nan, None), ("a", None)],
)
def test_numbers_and_means_are_what_a_column_is_sorted_by(value, key):
    assert COLUMNS[2].key(value) == key


def test_words_are_sorted_as_words():
    assert COLUMNS[0].key(0.5) is None


def test_cells_carry_what_they_are_sorted_by_at_full_precision():
    html = Table("", COLUMNS, [("AGM", 0.912345678901, None)]).to_html()
    assert 'data-key="0.912345678901"' in html
    assert html.count("data-key") == 1


def test_captions_stand_outside_what_scrolls():
    html = Table("How to read it.", COLUMNS, [("AGM", 0.5, 1.0)]).to_html()
    assert html.index("How to read it.") < html.index('class="scroll"')
    assert "<caption" not in html
