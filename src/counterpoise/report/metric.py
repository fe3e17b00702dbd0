"""The headline number of a task: its name, how it is written, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from counterpoise.data.tasks import MetricForm
from counterpoise.report.formats import PERCENT, POINTS, Format


@dataclass(frozen=True)
class Metric:
    """The headline number of a page.

    Args:
        name: Its name in records, such as ``"accuracy"``.
        title: Its name in sentences.
        unit: Written behind a value; empty for none.
        form: How a value is written.
        difference: How a difference of two values is written.
        difference_unit: What a difference is counted in; empty for none.
        higher_is_better: Which way is better.
        bounded: Whether it is a share in [0, 1], so that a bar can show it.

    Example:
        >>> error = Metric("mae", "mean absolute error", "", Format(3), Format(3, signed=True), "",
        ...     higher_is_better=False, bounded=False)
        >>> error.heading, error.text(0.25), error.direction
        ('Mean absolute error', '0.250', 'lower is better')
    """

    name: str
    title: str
    unit: str
    form: Format
    difference: Format
    difference_unit: str
    higher_is_better: bool = True
    bounded: bool = True

    @property
    def heading(self) -> str:
        """Title and unit, as a column or an axis is headed."""
        return self._with_unit(self.title[:1].upper() + self.title[1:])

    @property
    def direction(self) -> str:
        """Which way is better, in words."""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def in_units(self) -> str:
        """The unit of a difference, as it follows a heading."""
        return f", {self.difference_unit}" if self.difference_unit else ""

    def on(self, split: str, whose: str = "") -> str:
        """The heading of this metric on a split, of the whole model or of something else.

        Example:
            >>> ACCURACY.on("Test", "of the response")
            'Test accuracy of the response, %'
        """
        return self._with_unit(f"{split} {self.title} {whose}".rstrip())

    def text(self, value: float) -> str:
        """A value with its unit.

        Example:
            >>> ACCURACY.text(0.912)
            '91.2%'
        """
        return f"{self.form(value)}{self.unit}"

    def _with_unit(self, heading: str) -> str:
        return f"{heading}, {self.unit}" if self.unit else heading


def metric_of(form: MetricForm) -> Metric:
    """Map a task's metric to the headline number of a page.

    Example:
        >>> metric_of(MetricForm("accuracy")) == ACCURACY
        True
        >>> metric_of(MetricForm("mae", share=False, decimals=3)).text(0.25)
        '0.250'
    """
    factor, unit = (100.0, "%") if form.share else (1.0, "")
    return Metric(
        form.name,
        form.title,
        unit,
        Format(form.decimals, factor=factor),
        Format(form.decimals, factor=factor, signed=True),
        "points" if form.share else "",
        higher_is_better=form.higher_is_better,
        bounded=form.share,
    )


ACCURACY: Final = Metric("accuracy", "accuracy", "%", PERCENT, POINTS, "points")
"""The share of samples that are classified correctly."""
