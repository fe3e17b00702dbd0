"""How long a comparison will take, estimated from cells that were timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import NamedTuple

from counterpoise.experiments.cells import Cell
from counterpoise.experiments.compare.cells import GridRun, Measuring, Runs, plan_measuring
from counterpoise.experiments.compare.grid import Candidate, Grid, Place
from counterpoise.experiments.compare.outcomes import Outcome
from counterpoise.experiments.compare.planning import fingerprints
from counterpoise.experiments.compare.search import Search, search_of
from counterpoise.experiments.compare.searching import advance, results_in
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.session import Observer, Session
from counterpoise.experiments.store import Result, Store

MEASUREMENT = "measurement of competition"
"""What cells are called that measure competition."""


class Kind(NamedTuple):
    """A kind of cells, all of which take about equally long.

    Attributes:
        data: Label of the data set.
        what: Label of the method, "MODALITY alone", or :data:`MEASUREMENT`.
    """

    data: str
    what: str


@dataclass(frozen=True)
class Estimate:
    """How many cells a comparison takes, and how long.

    Attributes:
        seconds: Of one cell of each kind: the median of those that were measured, or derived.
        total: How many cells of each kind there are in all.
        done: How many of them have a result.
        phases: Cells that are left, by kind, in phases that wait for each other.

    Example:
        >>> run = Kind("digits", "AGM")
        >>> left = Estimate({run: 6.0}, {run: 7}, {run: 2}, [{run: 2}, {run: 3}])
        >>> left.seconds_left(1), left.seconds_left(2), left.seconds_left(100)
        (30.0, 15.0, 12.0)
    """

    seconds: Mapping[Kind, float]
    total: Mapping[Kind, int]
    done: Mapping[Kind, int]
    phases: Sequence[Mapping[Kind, int]]

    def seconds_left(self, num_workers: int) -> float:
        """Return how long the rest takes: no phase is shorter than its longest cell."""
        return sum(
            max(
                sum(count * self.seconds[kind] for kind, count in phase.items()) / num_workers,
                max(self.seconds[kind] for kind in phase),
            )
            for phase in self.phases
            if phase
        )

    @property
    def num_left(self) -> int:
        """How many cells have no result."""
        return sum(self.total.values()) - sum(self.done.values())


def estimate(grid: Grid, store: Store, execution: Execution, observer: Observer) -> Estimate:
    """Estimate how many cells a comparison will take, and how long.

    Of each data set one run of the baseline is made, and where that takes least time one of each
    method and, if competition is measured, of each modality alone and one measurement: all with
    the first fusion, and only what the comparison needs anyway and what is not in the store.
    What was not measured takes as many times a run of the baseline on the same data as it does
    there; a modality alone, or a method that fails there, as long as the baseline.

    Args:
        grid: What is to be compared.
        store: Where results are.
        execution: How the runs are made that are measured.
        observer: Follows them.

    Raises:
        ValueError: As :func:`counterpoise.experiments.compare.compare`; or if the baseline fails.
    """
    runs = Runs(redraw=grid.redraw, fingerprints=fingerprints(grid.candidates()))
    measuring = plan_measuring(grid, runs) if grid.competition else {}
    samples = _samples(grid, runs, measuring)
    planned = _planned(grid, runs, measuring, store)
    cells = [*planned, *samples.items()]
    session = Session(store, replace(execution, part=None), observer)

    def measured(kinds: Callable[[Kind], bool]) -> dict[Kind, float]:
        known = _measured(cells, store)
        wanted = [cell for kind, cell in samples.items() if kinds(kind) and kind not in known]
        session.finish(wanted)
        return _measured(cells, store)

    seconds = measured(lambda kind: kind.what == grid.baseline)
    for data in grid.data:
        if Kind(data, grid.baseline) not in seconds:
            raise ValueError(
                f"`grid` should have a baseline that can be trained, to estimate by; found that "
                f"{grid.baseline} fails on {data}. Compare it alone to see why."
            )
    baselines = {data: seconds[Kind(data, grid.baseline)] for data in grid.data}
    cheapest = min(baselines, key=baselines.__getitem__)
    seconds = measured(lambda kind: kind.data == cheapest)
    for kind in samples:
        there = seconds.get(Kind(cheapest, kind.what), baselines[cheapest])
        seconds.setdefault(kind, baselines[kind.data] * there / baselines[cheapest])
    return _counted(grid, runs, measuring, store, seconds)


def _measured(cells: Iterable[tuple[Kind, Cell]], store: Store) -> dict[Kind, float]:
    """Return how long a cell of each kind takes: the median of those that did not fail."""
    times: dict[Kind, dict[str, float]] = {}
    for kind, cell in cells:
        result = store.read(cell.key)
        if result is not None and result.state != "failed":  # which may end at once
            times.setdefault(kind, {})[cell.key] = _seconds(result)
    return {kind: median(taken.values()) for kind, taken in times.items()}


def _samples(
    grid: Grid, runs: Runs, measuring: Mapping[tuple[str, str], Measuring]
) -> dict[Kind, Cell]:
    """Return a cell of each kind that can be made before any other."""
    samples: dict[Kind, Cell] = {}
    seed = (grid.choosing_seeds or grid.all_seeds)[0]
    for place in grid.places:
        kind = Kind(place[0], place[2])
        if kind not in samples:
            samples[kind] = runs.of(search_of(grid, place).ask()[0], seed)
    for (data, fusion), plan in measuring.items():
        for name, run in plan.alone[grid.all_seeds[0]].items():
            samples.setdefault(Kind(data, f"{name} alone"), run)
        joint = grid.candidate((data, fusion, grid.baseline), 0, {})
        measured = plan.of(runs.of(joint, grid.all_seeds[0], "until measured"))
        samples.setdefault(Kind(data, MEASUREMENT), measured)
    return samples


def _planned(
    grid: Grid, runs: Runs, measuring: Mapping[tuple[str, str], Measuring], store: Store
) -> list[tuple[Kind, Cell]]:
    """Return all cells that are known from what there is, whether or not they have a result."""
    searches = [search_of(grid, place) for place in grid.places]
    cells = advance(searches, runs, results_in(store)) if grid.choosing_seeds else []
    for search in searches:
        best = _best(search)
        cells += [] if best is None else runs.all([best], grid.all_seeds)
    judging = [cell for cell in cells if cell.seed not in grid.choosing_seeds]
    planned: list[tuple[Kind, Cell]] = [(_kind(cell), cell) for cell in cells]
    for (data, _), plan in measuring.items():
        for by_name in plan.alone.values():
            planned += [(Kind(data, f"{name} alone"), run) for name, run in by_name.items()]
    for cell in judging if measuring else ():
        data, fusion = cell.candidate[:2]
        planned.append((Kind(data, MEASUREMENT), measuring[data, fusion].of(cell)))
    return planned


def _counted(
    grid: Grid,
    runs: Runs,
    measuring: Mapping[tuple[str, str], Measuring],
    store: Store,
    seconds: Mapping[Kind, float],
) -> Estimate:
    planned_cells = _planned(grid, runs, measuring, store)
    there = [(kind, cell) for kind, cell in planned_cells if store.read(cell.key) is not None]
    tried = Counter(place for _, cell in there if (place := _searched_at(grid, cell)))
    rounds: list[Counter[Kind]] = [Counter() for _ in range(grid.num_tries)]
    total: Counter[Kind] = Counter()
    num_seeds = len(grid.choosing_seeds)
    for place in grid.places:
        kind = Kind(place[0], place[2])
        total[kind] += grid.num_tries * num_seeds + len(grid.all_seeds)
        left = grid.num_tries * num_seeds - tried[place]
        for number in range(grid.num_tries if num_seeds else 0):
            taken = min(num_seeds, left) if grid.trials is not None else left
            rounds[number][kind] += taken
            left -= taken
    done = Counter(kind for kind, _ in there)
    for (data, _), planned in measuring.items():
        for by_name in planned.alone.values():
            total.update(Kind(data, f"{name} alone") for name in by_name)
        total[Kind(data, MEASUREMENT)] += len(grid.methods) * len(grid.all_seeds)
    judged = total - done
    for phase in rounds:
        judged -= phase
    measured = Counter({k: count for k, count in judged.items() if k.what == MEASUREMENT})
    phases = [*rounds, judged - measured, measured]
    return Estimate(seconds, dict(total), dict(done), [dict(+phase) for phase in phases])


def _searched_at(grid: Grid, cell: Cell) -> Place | None:
    """Return where a cell is a trial of a search; None if it is none."""
    if isinstance(cell, GridRun) and cell.seed in grid.choosing_seeds:
        return cell.candidate[:3]
    return None


def _best(search: Search) -> Candidate | None:
    """Return what is judged, if it is known: what was chosen, or the only configuration."""
    if not search.grid.choosing_seeds:
        return search.ask()[0]
    chosen = Outcome(search.trials).chosen if search.is_done else None
    return None if chosen is None else chosen.candidate


def _kind(cell: GridRun) -> Kind:
    return Kind(cell.candidate.data, cell.candidate.method)


def _seconds(result: Result) -> float:
    """Return how long a cell took; of one from before that was kept, how long it trained."""
    if result.seconds is not None:
        return result.seconds
    return float((result.record or {}).get("wall_time_seconds", 0.0))
