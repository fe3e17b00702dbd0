"""A table whose numbers exist once and are rendered as HTML, Markdown and CSV."""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

from counterpoise.core.errors import check_choice
from counterpoise.core.files import plain_cell
from counterpoise.report.formats import MISSING, NUMBER
from counterpoise.report.page import Part


@dataclass(frozen=True)
class Column:
    """One column of a `Table`: its names, and how its values are shown to people.

    Args:
        name: The heading in CSV, unique in the table, such as ``"test/accuracy"``.
        title: The heading for people, with the unit.
        group: A heading above neighbouring columns that share it. Default: none.
        show: Maps a value to text. Missing and non-finite values never reach it.
        numeric: Whether to align values as numbers.
        bar: Whether the value, a share in [0, 1], is also drawn as a bar below its text.
        tone: The colour of the column's modality, such as ``"tone-0"``. Default: none.
    """

    name: str
    title: str
    group: str = ""
    show: Callable[[Any], str] = str
    numeric: bool = True
    bar: bool = False
    tone: str = ""

    @property
    def full_title(self) -> str:
        """The heading where there is no second row to hold the group."""
        return f"{self.group}: {self.title}" if self.group else self.title

    def text(self, value: object) -> str:
        """The value as people see it: a dash when missing, NaN and infinity by name."""
        if value is None:
            return MISSING
        if isinstance(value, float) and not math.isfinite(value):
            return NUMBER(value)
        return self.show(value)

    def key(self, value: object) -> float | None:
        """What the value is sorted by: the number itself, or the mean of one with an interval."""
        number = value if isinstance(value, (int, float)) else getattr(value, "mean", None)
        if not self.numeric or not isinstance(number, (int, float)) or math.isnan(number):
            return None
        return float(f"{number:.12g}")

    def share(self, value: object) -> float | None:
        """The length of the value's bar as a share of the cell, if it has one."""
        if not self.bar or not isinstance(value, (int, float)) or not math.isfinite(value):
            return None
        return min(max(float(value), 0.0), 1.0)


@dataclass(frozen=True)
class Table(Part):
    """Rows of raw values under columns that know how to show them.

    Args:
        caption: What the table holds and how to read it.
        columns: The columns; the first holds the rows' headings.
        rows: One value a column, None where there is none.
        parted_by: The name of a column: a heavier line parts rows with different values in it.
            Default: none.

    Raises:
        ValueError: Two columns share a name, a row has another length than `columns`, or
            `parted_by` names no column.

    Example:
        >>> from counterpoise.report.formats import decimals
        >>> table = Table(
        ...     "Costs",
        ...     [Column("run", "Run", numeric=False), Column("ratio", "Ratio", show=decimals(2))],
        ...     [("Joint", 1.0), ("AGM", 1.0534)],
        ... )
        >>> print(table.to_csv(), end="")
        run,ratio
        Joint,1.0
        AGM,1.0534
        >>> print(table.to_markdown(), end="")
        Costs
        <BLANKLINE>
        | Run | Ratio |
        | :--- | ---: |
        | Joint | 1.00 |
        | AGM | 1.05 |
    """

    template: ClassVar[str] = "table.html"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]
    parted_by: str = ""

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(
                f"`columns` should have distinct names; found {names}. Rename those that repeat."
            )
        for index, row in enumerate(self.rows):
            if len(row) != len(names):
                raise ValueError(
                    f"`rows[{index}]` should have a value for each of {len(names)} columns; "
                    f"found {len(row)}. Put None where there is no value."
                )
        if self.parted_by:
            check_choice("parted_by", self.parted_by, names)

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Neighbouring columns under their common heading; an ungrouped column stands alone."""
        keyed = groupby(enumerate(self.columns), lambda pair: pair[1].group or pair[0])
        return [
            (str(key) if isinstance(key, str) else "", [column for _, column in pairs])
            for key, pairs in keyed
        ]

    @property
    def parts(self) -> list[Sequence[Sequence[object]]]:
        """The rows between heavier lines."""
        if not self.parted_by:
            return [self.rows]
        place = [column.name for column in self.columns].index(self.parted_by)
        return [list(rows) for _, rows in groupby(self.rows, lambda row: row[place])]

    def to_markdown(self) -> str:
        """The caption and the table in GitHub's Markdown, values as people see them."""
        lines = [
            [column.full_title for column in self.columns],
            ["---:" if column.numeric else ":---" for column in self.columns],
            *(
                [column.text(value) for column, value in zip(self.columns, row, strict=True)]
                for row in self.rows
            ),
        ]
        escaped = ("| " + " | ".join(map(_escape_markdown, line)) + " |" for line in lines)
        return "\n".join([_escape_markdown(self.caption), "", *escaped]) + "\n"

    def to_csv(self) -> str:
        """The raw values at full precision under the columns' names; missing values are empty.

        Text that a spreadsheet would take for a formula has an apostrophe in front.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows([plain_cell(value) for value in row] for row in self.rows)
        return text.getvalue()


def _escape_markdown(text: str) -> str:
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*\[\]|])", r"\\\1", plain)
