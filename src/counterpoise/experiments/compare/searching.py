"""Running searches: the trials of all of them side by side, those of each one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from counterpoise.experiments.compare.cells import GridRun, Runs
from counterpoise.experiments.compare.grid import Grid
from counterpoise.experiments.compare.outcomes import Trial
from counterpoise.experiments.compare.search import Search, search_of
from counterpoise.experiments.session import OtherPartsError, Session
from counterpoise.experiments.store import Result, Store

Finish = Callable[[Sequence[GridRun]], dict[str, Result]]
"""Maps runs to their results by key, as far as there are any."""


def run_searches(grid: Grid, runs: Runs, session: Session) -> list[Search]:
    """Finish the searches of all methods in all places.

    Of several parts each runs whole searches, whose trials wait for each other.

    Returns:
        The searches, in the order of the places.

    Raises:
        OtherPartsError: If only a part is to be run, and searches of others are not finished.
        DiskFullError: If there is no more room.
    """
    searches = [search_of(grid, place) for place in grid.places]
    store, execution = session.store, session.execution
    whole = Session(store, replace(execution, part=None), session.observer)
    advance(execution.mine(searches), runs, whole.finish)
    advance([search for search in searches if not search.is_done], runs, results_in(store))
    left = [search for search in searches if not search.is_done]
    if left:
        raise OtherPartsError(
            f"Part {execution.part} of the searches is done; of other parts {len(left)} of "
            f"{len(searches)} are not finished, such as that of {' '.join(left[0].place)!r}. When "
            "all parts have ended, start them again, or once without a part, to go on from there."
        )
    return searches


def advance(searches: Sequence[Search], runs: Runs, finish: Finish) -> list[GridRun]:
    """Let searches go on for as long as their trials have results.

    Args:
        searches: Those that are to go on, none of which has been asked before.
        runs: Makes their runs.
        finish: Finds or makes results.

    Returns:
        All runs that they asked for.
    """
    asked, going = [], list(searches)
    while going:
        trials = {id(search): _asked(search, runs) for search in going}
        new = [cell for groups in trials.values() for group in groups for cell in group]
        results = finish(new)
        asked += new
        for search in going:
            groups = trials[id(search)]
            if all(cell.key in results for group in groups for cell in group):
                search.tell([_trial(group, results) for group in groups])
            else:
                trials.pop(id(search))
        going = [search for search in going if id(search) in trials and not search.is_done]
    return asked


def results_in(store: Store) -> Finish:
    """Return a function that finds results in a store, and computes none."""

    def find(cells: Sequence[GridRun]) -> dict[str, Result]:
        results = {cell.key: store.read(cell.key) for cell in cells}
        return {key: result for key, result in results.items() if result is not None}

    return find


def _asked(search: Search, runs: Runs) -> list[list[GridRun]]:
    """Return the runs of each configuration that a search asks for."""
    return [runs.all([candidate], search.grid.choosing_seeds) for candidate in search.ask()]


def _trial(cells: Sequence[GridRun], results: dict[str, Result]) -> Trial:
    by_seed = {cell.seed: results[cell.key] for cell in cells}
    return Trial(cells[0].candidate, by_seed, list(by_seed))
