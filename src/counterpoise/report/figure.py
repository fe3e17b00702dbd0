"""A figure of a page: charts under one heading and one legend, with a caption."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar, Literal

from markupsafe import Markup

from counterpoise.report.charts import Spec
from counterpoise.report.drawing import inline_svg, standalone_svg
from counterpoise.report.page import Part
from counterpoise.report.series import Look


@dataclass(frozen=True)
class Panel:
    """One chart of a figure.

    Args:
        title: Its heading; empty where the figure's says enough.
        spec: The chart, from `line_chart`, `row_chart` or `scatter_chart`.
        description: What it shows, in words, for those who do not see it.
    """

    title: str
    spec: Spec
    description: str

    @property
    def name(self) -> str:
        """A name for ids: charts that differ have different ones."""
        content = json.dumps([self.title, self.spec, self.description], sort_keys=True)
        return f"chart-{_digest(content)}"


@dataclass(frozen=True)
class Figure(Part):
    """Charts under one heading, with a caption that says how to read them.

    Args:
        title: What is drawn.
        caption: How to read it, and what was left out of it.
        panels: The charts.
        legend: How each series is drawn; those of one series need none. With scripts, each entry
            hides and shows its series in all charts of the figure.
        keys: Whether the legend shows lines or points.
        wide: Whether each chart takes the page's whole width.
    """

    template: ClassVar[str] = "figure.html"
    title: str
    caption: str
    panels: Sequence[Panel]
    legend: Mapping[str, Look] = field(default_factory=dict)
    keys: Literal["line", "point"] = "line"
    wide: bool = False

    @property
    def columns(self) -> int:
        """Charts beside each other on a wide screen: rows are filled as evenly as three allow."""
        return 1 if self.wide else {1: 1, 2: 2, 4: 2}.get(len(self.panels), 3)

    @property
    def charts(self) -> Mapping[str, Spec]:
        """The charts by their names."""
        return {panel.name: panel.spec for panel in self.panels}

    def drawing(self, index: int) -> Markup:
        """The drawing of a chart that readers without scripts see, and that is printed."""
        panel = self.panels[index]
        return inline_svg(
            panel.spec,
            # The same chart may stand in two figures.
            name=f"c{_digest(self.title + panel.name)}",
            title=self.titles[index],
            description=panel.description,
        )

    @property
    def titles(self) -> list[str]:
        """What each chart is called away from the page."""
        return [f"{self.title}: {p.title}" if p.title else self.title for p in self.panels]

    def to_files(self) -> list[str]:
        """Each chart as an SVG file of its own, for Markdown."""
        drawn = zip(self.panels, self.titles, strict=True)
        return [standalone_svg(panel.spec, title) for panel, title in drawn]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
