"""What a study found: results with intervals, figures, an answer; as a page, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from counterpoise.experiments.study.observations import Condition
from counterpoise.measures.statistics import Interval
from counterpoise.report.curves import Level, Scale
from counterpoise.report.formats import decimals, percent
from counterpoise.report.intervals import Mark, draw_intervals
from counterpoise.report.page import Figure, Note, Page, Section
from counterpoise.report.svg import standalone_svg, tone
from counterpoise.report.table import Column, Table

if TYPE_CHECKING:
    from counterpoise.experiments.study.observations import Observations

__all__ = ["Findings", "Quantity", "Results", "show_interval"]


_FEW = 3  # first labels that have panels of their own


@dataclass(frozen=True)
class Quantity:
    """Something measured, with what a reader must know of it.

    Args:
        title: What it is, with its unit.
        digits: Digits after the point.
        share: Whether it is a share in [0, 1], shown in percent.
        level: Where the axis of its figure has a line, such as 0 for differences.
    """

    title: str
    digits: int = 3
    share: bool = False
    level: float | None = None

    def text(self, value: float) -> str:
        """Write a value."""
        return percent(value) if self.share else decimals(self.digits)(value)


@dataclass(frozen=True)
class Results:
    """A table of means with intervals over seeds.

    Args:
        caption: What the table holds.
        headings: Of the columns that say what a row is about.
        quantities: What was measured, by the name that it has in CSV.
        rows: By condition, one label a heading, the values; where one is missing, there is none.

    Example:
        >>> found = Results(
        ...     "Costs",
        ...     ("method",),
        ...     {"seconds": Quantity("Seconds", digits=1)},
        ...     {("AGM",): {"seconds": Interval(1.5, 1.25, 1.75, 3)}},
        ... )
        >>> print(found.to_markdown(), end="")
        Costs
        <BLANKLINE>
        | method | Seconds |
        | :--- | ---: |
        | AGM | 1.5 (1.2 to 1.8) |
        >>> print(found.to_csv(), end="")
        method,seconds,seconds_low,seconds_high,seconds_num
        AGM,1.5,1.25,1.75,3
    """

    caption: str
    headings: tuple[str, ...]
    quantities: Mapping[str, Quantity]
    rows: Mapping[Condition, Mapping[str, Interval]]

    def to_table(self) -> Table:
        """Return the table for people: an interval in each cell."""
        columns = [Column(name, name, numeric=False) for name in self.headings]
        columns += [Column(name, each.title) for name, each in self.quantities.items()]
        return Table(self.caption, columns, [self._texts(c) for c in self.rows])

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        return self.to_table().to_markdown()

    def to_csv(self) -> str:
        """Return the raw numbers: mean, ends of the interval and number of values."""
        columns = [Column(name, name) for name in self.headings]
        for name in self.quantities:
            columns += [Column(f"{name}{end}", name) for end in ("", "_low", "_high", "_num")]
        rows = []
        for condition, found in self.rows.items():
            row: list[object] = list(condition)
            for name in self.quantities:
                row += list(found[name][:4]) if name in found else [None] * 4
            rows.append(row)
        return Table(self.caption, columns, rows).to_csv()

    def to_figure(self, names: Sequence[str] | None = None, *, label: str = "results") -> Figure:
        """Draw quantities, a panel each: a row for each condition, points with intervals.

        Args:
            names: Which. Default: all.
            label: Prefix of ids, unique on the page.

        Raises:
            ModuleNotFoundError: Matplotlib is not installed.
        """
        panels = []
        for index, name in enumerate(names or self.quantities):
            each = self.quantities[name]
            levels = [] if each.level is None else [Level(each.level)]
            scale = Scale("condition", each.title, levels, percent=each.share)
            groups = [
                (f"{each.title}: {group}" if group else each.title, rows)
                for group, rows in self._grouped(name, tone(index)).items()
            ]
            panels += draw_intervals(groups, scale, name=f"{label}-{index}")
        return Figure("Means over seeds", "Dots: means, with 95% intervals.", panels)

    def _grouped(self, name: str, color: str) -> dict[str, list[tuple[str, list[Mark]]]]:
        """Return the rows of each panel of a quantity.

        Where a condition has two labels, a panel holds one of a few first labels, or a row holds
        a mark for each second one.
        """
        found = {condition: row[name] for condition, row in self.rows.items() if name in row}
        first = list(dict.fromkeys(condition[0] for condition in found))
        if all(len(condition) == 1 for condition in found):
            return {"": [(c[0], [_mark(value, color)]) for c, value in found.items()]}
        if len(first) <= _FEW:
            return {
                group: [(c[-1], [_mark(v, color)]) for c, v in found.items() if c[0] == group]
                for group in first
            }
        second = list(dict.fromkeys(condition[-1] for condition in found))
        rows = []
        for group in first:
            marks = [
                replace(_mark(value, tone(second.index(c[-1]))), label=c[-1])
                for c, value in found.items()
                if c[0] == group
            ]
            rows.append((group, marks))
        return {"": rows}

    def _texts(self, condition: Condition) -> list[object]:
        found = self.rows[condition]
        values = (
            show_interval(found[name], each) if name in found else None
            for name, each in self.quantities.items()
        )
        return [*condition, *values]


def show_interval(value: Interval, quantity: Quantity) -> str:
    """Write a mean with its interval.

    Example:
        >>> show_interval(Interval(0.5, 0.41, 0.59, 5), Quantity("Accuracy, %", share=True))
        '50.0 (41.0 to 59.0)'
    """
    if value.low is None or value.high is None:
        return quantity.text(value.mean)
    low, high = quantity.text(value.low), quantity.text(value.high)
    return f"{quantity.text(value.mean)} ({low} to {high})"


def _mark(value: Interval, color: str) -> Mark:
    if value.low is None or value.high is None:
        return Mark(value.mean, tone=color)
    return Mark(value.mean, value.low, value.high, tone=color)


class Asked(Protocol):
    """What findings need of their study; its other attributes are options."""

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
        figure: What the answer rests on.
        notes: What a reader must know before believing it.
    """

    study: Asked
    seen: Observations
    answer: Sequence[str]
    results: Sequence[Results]
    figure: Figure
    notes: Sequence[Note] = field(default_factory=tuple)

    def to_page(self) -> Page:
        """Compose the page."""
        parts = [
            *self.notes,
            Section("What was measured", [self.figure]),
            Section("In numbers", [each.to_table() for each in self.results]),
        ]
        headline, _, rest = self.answer[0].partition(". ")  # shown large
        lead = [f"{headline}.", rest] if rest else [headline]
        return Page(self.study.question, [*lead, *self.answer[1:]], parts, self._facts())

    def to_markdown(self) -> str:
        """Return question, answer, notes and tables as Markdown."""
        notes = [f"**{note.title}** {note.text}" for note in self.notes]
        facts = [f"{name}: {value}." for name, value in self._facts()]
        tables = [each.to_markdown().strip() for each in self.results]
        parts = [f"# {self.study.question}", *self.answer, *notes, *tables, " ".join(facts)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> Path:
        """Write the page, and beside it Markdown, CSV, drawings and all that was measured.

        Returns:
            The path of ``report.html``.

        Raises:
            ModuleNotFoundError: If Matplotlib is not installed.
        """
        from counterpoise.training.record import describe, versions, write_atomically, write_json

        page = self.to_page()
        folder.mkdir(parents=True, exist_ok=True)
        for index, each in enumerate(self.results):
            name = "results.csv" if index == 0 else f"results-{index + 1}.csv"
            write_atomically(folder / name, each.to_csv())
        for index, (_, drawing) in enumerate(self.figure.panels):
            write_atomically(folder / f"figure-{index + 1}.svg", standalone_svg(drawing))
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
            ("Intervals", "95%, Student's t over seeds"),
        ]
