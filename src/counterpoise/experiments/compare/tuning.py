"""The results of searches, as the report shows them: budget curves, and choices on an edge."""

from __future__ import annotations

from counterpoise.experiments.compare.analysis import Comparison
from counterpoise.experiments.compare.search import searched
from counterpoise.report import Axis, Figure, Line, line_figure, looks_of


def budget_figure(comparison: Comparison) -> Figure | None:
    """The best validation result by the number of trials, a chart for each data set and fusion.

    None where nothing was searched.
    """
    metric = comparison.metric
    panels = [
        (
            block.title,
            [
                Line(row.method, [float(k + 1) for k in range(len(curve))], curve.tolist())
                for row in block.rows
                if (search := searched(comparison.grid, row.outcome)) is not None
                for curve in [search.best_so_far]
            ],
        )
        for block in comparison.blocks
    ]
    caption = (
        f"Best validation {metric.title} after each number of trials. A curve that still rises at "
        "the end says that more trials would have found a better configuration; test data have no "
        "part in it."
    )
    axes = Axis("trial", whole=True), Axis(metric.on("Validation"), metric.form)
    looks = looks_of(comparison.grid.methods)
    return line_figure("What the search found", caption, panels, looks, axes, shared=False)


def edges(comparison: Comparison) -> dict[tuple[str, str], list[str]]:
    """Return chosen settings at an end of their range, beyond which the best may lie.

    By title of data set and fusion and by method, the dotted paths; those without any are left
    out.
    """
    searches = {
        (block.title, row.method): searched(comparison.grid, row.outcome)
        for block in comparison.blocks
        for row in block.rows
    }
    return {key: s.at_edge for key, s in searches.items() if s is not None and s.at_edge}
