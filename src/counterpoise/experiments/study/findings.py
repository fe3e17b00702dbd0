"""What a study found: results with intervals, figures, an answer; as a page, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from counterpoise.experiments.study.observations import Condition
from counterpoise.experiments.verdicts import with_interval
from counterpoise.measures.statistics import Interval
from counterpoise.report import (
    Axis,
    Column,
    Figure,
    Format,
    Level,
    Note,
    Page,
    Point,
    Section,
    Table,
    looks_of,
    row_figure,
    terms,
)
from counterpoise.report.formats import PERCENT, POINTS

if TYPE_CHECKING:
    from counterpoise.experiments.study.observations import Observations

_FEW: Final = 3  # first labels that have charts of their own
_CAPTION: Final = "Points: means over seeds, with their 95% intervals."


@dataclass(frozen=True)
class Quantity:
    """Something measured, with what a reader must know of it.

    Args:
        title: What it is, with its unit.
        digits: Digits after the point.
        share: Whether it is a share in [0, 1], shown in percent, or a difference of shares.
        level: Where the axis of its figure has a line: 0 for differences, which carry a sign.
    """

    title: str
    digits: int = 3
    share: bool = False
    level: float | None = None

    @property
    def form(self) -> Format:
        """How values are written."""
        shares = POINTS if self.level == 0 else PERCENT
        return shares if self.share else Format(self.digits)

    def text(self, value: Interval) -> str:
        """Write a mean with its interval.

        Example:
            >>> accuracy = Interval(0.5, 0.41, 0.59, 5)
            >>> Quantity("Accuracy, %", share=True).text(accuracy).replace(chr(160), " ")
            '50.0 (41.0 to 59.0)'
        """
        return with_interval(value, self.form)


@dataclass(frozen=True)
class Results:
    """A table of means with intervals over seeds.

    Args:
        caption: What the table holds.
        headings: Of the columns that say what a row is about.
        quantities: What was measured, by the name that it has in CSV.
        rows: By condition, one label a heading, the values; where one is missing, there is none.

    Example:
        >>> results = Results(
        ...     "Costs",
        ...     ("method",),
        ...     {"seconds": Quantity("Seconds", digits=1)},
        ...     {("AGM",): {"seconds": Interval(1.5, 1.25, 1.75, 3)}},
        ... )
        >>> print(results.to_markdown().replace(chr(160), " "), end="")
        Costs
        <BLANKLINE>
        | Method | Seconds |
        | :--- | ---: |
        | AGM | 1.5 (1.2 to 1.8) |
        >>> print(results.to_csv(), end="")
        method,seconds,seconds_low,seconds_high,seconds_num
        AGM,1.5,1.25,1.75,3
    """

    caption: str
    headings: tuple[str, ...]
    quantities: Mapping[str, Quantity]
    rows: Mapping[Condition, Mapping[str, Interval]]

    def to_table(self) -> Table:
        """Return the table for people: an interval in each cell."""
        columns = [Column(name, name.capitalize(), numeric=False) for name in self.headings]
        columns += [Column(n, q.title, show=q.text) for n, q in self.quantities.items()]
        return Table(self.caption, columns, [self._cells(c) for c in self.rows])

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        return self.to_table().to_markdown()

    def to_csv(self) -> str:
        """Return the raw numbers: mean, ends of the interval and number of values."""
        columns = [Column(name, name) for name in self.headings]
        for name in self.quantities:
            columns += [Column(f"{name}{end}", name) for end in ("", "_low", "_high", "_num")]
        rows = []
        for condition, intervals in self.rows.items():
            row: list[object] = list(condition)
            for name in self.quantities:
                row += list(intervals[name][:4]) if name in intervals else [None] * 4
            rows.append(row)
        return Table(self.caption, columns, rows).to_csv()

    def to_figures(self, names: Sequence[str] | None = None) -> list[Figure]:
        """Draw quantities, a figure each: a row for each condition, points with intervals.

        Args:
            names: Which. Default: all.

        Returns:
            The figures; none for a quantity that nothing was measured of.

        Raises:
            ImportError: What draws charts is not installed.
        """
        figures = [self._figure(name) for name in names or self.quantities]
        return [figure for figure in figures if figure is not None]

    def _figure(self, name: str) -> Figure | None:
        """Draw one quantity.

        Where a condition has two labels, a chart holds one of a few first labels, or a row holds a
        point for each second one.
        """
        quantity = self.quantities[name]
        levels = [] if quantity.level is None else [Level(quantity.level)]
        axis = Axis(quantity.title, quantity.form, levels)
        intervals = {condition: row[name] for condition, row in self.rows.items() if name in row}
        first = list(dict.fromkeys(condition[0] for condition in intervals))
        single = all(len(condition) == 1 for condition in intervals)
        looks = None
        if single or len(first) <= _FEW:
            headings = [""] if single else first
            panels = [
                (heading, [_point(c[-1], v) for c, v in intervals.items() if heading in ("", c[0])])
                for heading in headings
            ]
        else:
            panels = [("", [_point(c[0], v, label=c[-1]) for c, v in intervals.items()])]
            looks = looks_of(condition[-1] for condition in intervals)
        charts = [(heading, points, axis) for heading, points in panels]
        return row_figure(quantity.title, _CAPTION, charts, looks, shared=True)

    def _cells(self, condition: Condition) -> list[object]:
        return [*condition, *(self.rows[condition].get(name) for name in self.quantities)]


def _point(row: str, value: Interval, label: str = "") -> Point:
    return Point(row, value.mean, value.low, value.high, label)


class Asked(Protocol):
    """The attributes of a study that its findings need; all others are options."""

    @property
    def question(self) -> str:
        """What was asked."""


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Args:
        study: Which, with its options.
        seen: All that was measured.
        answer: The question's answer, computed from the results; a paragraph each.
        results: The main table first.
        figures: What the answer rests on, the one that shows it first.
        notes: What a reader must know before believing it.
    """

    study: Asked
    seen: Observations
    answer: Sequence[str]
    results: Sequence[Results]
    figures: Sequence[Figure]
    notes: Sequence[Note] = field(default_factory=tuple)

    def to_page(self) -> Page:
        """Compose the page."""
        first, others = (self.figures[0] if self.figures else None), self.figures[1:]
        parts = [Section("In numbers", [result.to_table() for result in self.results])]
        if others:
            parts.insert(0, Section("What else was measured", others))
        parts.append(Section("Terms", [terms("95% interval")]))
        headline, _, rest = self.answer[0].partition(". ")  # shown large
        lead = [f"{headline}.", rest] if rest else [headline]
        lead += self.answer[1:]
        return Page(self.study.question, lead, parts, self._facts(), first, self.notes)

    def to_markdown(self) -> str:
        """Return question, answer, notes and tables as Markdown."""
        notes = [f"**{note.title}** {note.text}" for note in self.notes]
        facts = [f"{name}: {value}." for name, value in self._facts()]
        tables = [result.to_markdown().strip() for result in self.results]
        drawn = [title for figure in self.figures for title in figure.titles]
        figures = [f"![{title}](figure-{k}.svg)" for k, title in enumerate(drawn, start=1)]
        answer = [f"# {self.study.question}", *self.answer]
        parts = [*answer, *figures, *tables, *notes, " ".join(facts)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> Path:
        """Write the page, and beside it Markdown, CSV, drawings and all that was measured.

        Returns:
            The path of ``report.html``.

        Raises:
            ImportError: What draws charts is not installed.
        """
        from counterpoise.core.files import write_atomically
        from counterpoise.training.record import describe, versions, write_json

        page = self.to_page()
        folder.mkdir(parents=True, exist_ok=True)
        for index, result in enumerate(self.results):
            name = "results.csv" if index == 0 else f"results-{index + 1}.csv"
            write_atomically(folder / name, result.to_csv())
        drawings = [drawing for figure in self.figures for drawing in figure.to_files()]
        for index, drawing in enumerate(drawings):
            write_atomically(folder / f"figure-{index + 1}.svg", drawing)
        measured = {
            "study": describe(self.study),
            "versions": versions(),
            "measured": self.seen.describe(),
        }
        write_json(folder / "measured.json", measured)
        write_atomically(folder / "report.md", self.to_markdown())
        return page.write(folder / "report.html")

    def _facts(self) -> list[tuple[str, str]]:
        from counterpoise.training.record import versions

        return [
            ("Seeds", str(self.seen.num_seeds)),
            ("Conditions", str(len(self.seen.conditions))),
            ("Counterpoise", versions()["counterpoise"]),
            ("Intervals of tables", "95%, Student's t over seeds; of differences, corrected"),
        ]
