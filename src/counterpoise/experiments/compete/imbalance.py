"""How unequal the modalities are by the measures of other papers, in a table beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from counterpoise.experiments.compete.results import Competition, Outcome
from counterpoise.measures.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from counterpoise.report import Column, Table

IMBALANCE_TERMS: Final = (
    "Conditional utilisation rate",
    "Discrepancy ratio \N{GREEK SMALL LETTER RHO}",
    "Gap",
)


def gap_of(outcome: Outcome) -> float | None:
    """Return the best probe's accuracy less the worst's; None where encoders are not known."""
    probes = outcome.probe.values()
    return max(probes) - min(probes) if probes else None


def imbalance_table(competition: Competition) -> Table | None:
    """A row for each method and modality; None where nothing of it was measured."""
    from counterpoise.report import Column, Table
    from counterpoise.report.formats import PERCENT, decimals

    columns = [
        Column("method", "Method", numeric=False),
        Column("modality", "Modality", numeric=False),
        *_with_ends("utilisation", "Conditional utilisation rate, %", PERCENT),
        *_with_ends("discrepancy", "Discrepancy ratio \N{GREEK SMALL LETTER RHO}", decimals(2)),
        *_with_ends("gap", "Gap of probes, points", PERCENT),
    ]
    rows = []
    for method, outcomes in competition.methods.items():
        gaps = [gap for gap in map(gap_of, outcomes) if gap is not None]
        gap = mean_interval(gaps) if gaps else None
        for name in competition.modalities:
            known = [
                mean_interval([getattr(outcome, what)[name] for outcome in outcomes])
                if all(name in getattr(outcome, what) for outcome in outcomes)
                else None
                for what in ("utilisation", "discrepancy")
            ]
            rows.append((method, name, *(v for interval in (*known, gap) for v in _ends(interval))))
    if all(value is None for row in rows for value in row[2:]):
        return None
    caption = (
        "On test data, means over seeds with their 95% intervals. The gap is one number for all "
        "modalities. A dash: not measured, or no interval of a single seed."
    )
    return Table(caption, columns, rows)


def _with_ends(name: str, group: str, show: Callable[[Any], str]) -> list[Column]:
    from counterpoise.report import Column

    return [
        Column(name, "mean", group, show),
        Column(f"{name}_low", "from", group, show),
        Column(f"{name}_high", "to", group, show),
    ]


def _ends(interval: Interval | None) -> tuple[float | None, ...]:
    return (None, None, None) if interval is None else (interval.mean, interval.low, interval.high)
