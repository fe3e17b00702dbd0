"""Tables on the terminal, as wide as it is and no wider, with nothing cut off."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

    from counterpoise.report import Column, Table

_WIDEST_WORDS = 24  # of text, which is wrapped beyond
_BETWEEN = 3  # columns
_EDGES = 2  # a space at either side


def print_table(table: Table, title: str = "", *, console: Console | None = None) -> None:
    """Print a table; where its columns do not fit side by side, in several parts.

    Each part begins with the columns that tell the rows apart: those of text before the first
    number.

    Args:
        table: As a report has it.
        title: What stands above. Default: nothing.
        console: Where to print. Default: standard output.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Printed
    from rich.text import Text

    console = console or Console()
    columns = list(table.columns)
    cells = [
        [column.text(row[index]) for row in table.rows] for index, column in enumerate(columns)
    ]
    widths = [_width(column, shown) for column, shown in zip(columns, cells, strict=True)]
    for part in _parts(columns, widths, console.width):
        # As text, since labels may hold what Rich takes for markup.
        printed = Printed(title=Text(title, "bold") if title else None, title_justify="left")
        printed.box, printed.pad_edge = SIMPLE_HEAD, False
        for index in part:
            numeric, heading = columns[index].numeric, columns[index].full_title
            if numeric:  # numbers stay whole, and the heading has their width
                heading = textwrap.fill(heading, min(widths[index], console.width))
            side: Literal["left", "right"] = "right" if numeric else "left"
            printed.add_column(Text(heading), justify=side, overflow="fold", no_wrap=numeric)
        for row in zip(*(cells[index] for index in part), strict=True):
            printed.add_row(*map(Text, row))
        console.print(printed)
        title = ""


def _width(column: Column, shown: Sequence[str]) -> int:
    """The least width at which no number is broken, and no word that is not very long."""
    words = [word for text in (column.full_title, *shown) for word in text.split()]
    if column.numeric:
        return max(map(len, (*column.full_title.split(), *shown)), default=1)
    return min(max(map(len, words), default=1), _WIDEST_WORDS)


def _parts(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[list[int]]:
    """Divide the columns into parts that fit, by their numbers.

    Example:
        >>> from counterpoise.report import Column
        >>> columns = [Column("a", "a", numeric=False), *(Column(x, x) for x in "bcd")]
        >>> _parts(columns, [4, 5, 5, 5], width=22)
        [[0, 1, 2], [0, 3]]
    """
    numbers = [index for index, column in enumerate(columns) if column.numeric]
    first = numbers[0] if numbers else len(columns)
    rows, rest = list(range(first)), range(first, len(columns))
    parts: list[list[int]] = [rows]
    for index in rest:
        part = [*parts[-1], index]
        needed = sum(widths[i] + _BETWEEN for i in part) - _BETWEEN + _EDGES
        if needed > width and parts[-1] != rows:
            parts.append([*rows, index])
        else:
            parts[-1] = part
    return parts
