"""The measurement of competition as a table, a figure and a self-contained HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from counterpoise.experiments.compete.prose import definitions, facts, lead, notes, with_interval
from counterpoise.experiments.compete.results import Competition
from counterpoise.measures.statistics import Interval
from counterpoise.report import Column, Details, Figure, Page, Section, Table, Terms
from counterpoise.report.labels import label_width, shorten
from counterpoise.report.svg import drawing, inline_svg, new_figure, paint, tone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["competition_page", "strength_figure"]

# A panel's size in units, of which text is 11.5 high when a panel is shown at its own size.
_WIDTH: Final = 360.0
_ROW: Final = 34.0
_BOTTOM: Final = 36.0


def strength_figure(competition: Competition) -> Figure:
    """Draw the strengths: a panel for each modality, a row for each method.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed.
    """
    lines = competition.summary()
    seeds = [v for o in competition.outcomes for v in o.strength.values()]
    ends = [end for line in lines for end in line.strength[1:3] if end is not None]
    limits = min(0.0, *seeds, *ends), max(1.0, *seeds, *ends)
    panels = [
        (name, _panel(competition, index, name, limits))
        for index, name in enumerate(competition.modalities)
    ]
    caption = (
        "Dots: mean over seeds, with a 95% interval; rings: single seeds. 0: the joint model "
        "carries all that the modality alone would know; 1: no more than the mean. Further right "
        "is held back more."
    )
    return Figure("Competition strength", caption, panels)


def _panel(
    competition: Competition, index: int, modality: str, limits: tuple[float, float]
) -> Markup:
    methods = list(competition.methods)
    height = _BOTTOM + _ROW * len(methods)
    left = 10 + max(label_width(shorten(method)) for method in methods)
    words = []
    with drawing():
        figure = new_figure(_WIDTH, height)
        box = (left, _BOTTOM, _WIDTH - left - 12, height - _BOTTOM)
        axes = figure.add_axes((box[0] / _WIDTH, box[1] / height, box[2] / _WIDTH, box[3] / height))
        _style(axes, methods, limits)
        for row, method in enumerate(methods):
            mean = competition.mean(method, "strength", modality)
            seeds = competition.values(method, "strength", modality)
            _draw_row(axes, len(methods) - 1 - row, mean, seeds, paint(tone(index)))
            words.append(f"{method}: {with_interval(mean)}.")
        return inline_svg(
            figure,
            name=f"strength-{index}",
            title=f"Competition strength: {modality}",
            description=" ".join(words),
        )


def _style(axes: Axes, methods: list[str], limits: tuple[float, float]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.patch.set_visible(False)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set(color=paint("muted"), linewidth=0.8)
    margin = 0.03 * (limits[1] - limits[0])
    axes.set(xlim=(limits[0] - margin, limits[1] + margin), ylim=(-0.6, len(methods) - 0.4))
    axes.set_yticks(range(len(methods)), [shorten(m) for m in reversed(methods)], parse_math=False)
    axes.tick_params(length=0, labelcolor=paint("muted"), labelsize=11.5, pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="x", color=paint("rule"), linewidth=0.8)
    axes.set_axisbelow(True)
    axes.axvline(1, color=paint("muted"), linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlabel("competition strength", color=paint("muted"), fontsize=11.5, labelpad=4)


def _draw_row(axes: Axes, place: int, mean: Interval, seeds: list[float], color: str) -> None:
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "clip_on": False}
    if mean.low is not None and mean.high is not None:
        axes.plot([mean.low, mean.high], [place] * 2, color=color, linewidth=2.4, clip_on=False)
    axes.plot([mean.mean], [place], color=color, markersize=9, markeredgewidth=0, **dots)
    axes.plot(
        seeds,
        [place - 0.3] * len(seeds),
        markersize=5,
        markerfacecolor="none",
        markeredgecolor=color,
        markeredgewidth=1.2,
        **dots,
    )


def competition_page(competition: Competition) -> Page:
    """Compose the page.

    Raises:
        ModuleNotFoundError: Matplotlib is not installed.
    """
    entries = _flatten({"recipe": competition.recipe, "data": competition.data})
    entries += _flatten({"paths": competition.paths.describe()})
    record = Table(
        "Entries of the record; a dot leads into a group. A dash: none.",
        [Column("entry", "Entry", numeric=False), Column("value", "Value", numeric=False)],
        entries,
    )
    return Page(
        "Modality competition",
        lead(competition),
        [
            *notes(competition),
            Section("Results", [strength_figure(competition)]),
            Section("In numbers", [competition.table()]),
            Section("Terms", [Terms(definitions())]),
            Section("Configuration", [Details("The record of the measurement", [record])]),
        ],
        facts(competition),
    )


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [e for key, each in value.items() for e in _flatten(each, f"{prefix}.{key}")]
    shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return [(prefix.removeprefix("."), shown)]
