"""Searches: the same whenever they are made again, judged by seeds that judge nothing else."""

import csv
import json
import math
import re

import pytest

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.experiments.compare.cells import Runs
from counterpoise.experiments.compare.declaration import declare, later_additions
from counterpoise.experiments.compare.estimate import MEASUREMENT, Estimate, Kind, estimate
from counterpoise.experiments.compare.outcomes import Outcome, Trial
from counterpoise.experiments.compare.search import search_of, searched, write_search
from counterpoise.experiments.compare.searching import advance
from counterpoise.experiments.computing import compute_cell
from counterpoise.experiments.execution import pools
from counterpoise.experiments.execution.settings import Execution
from counterpoise.experiments.session import Counting, OtherPartsError
from counterpoise.experiments.store import Store
from experiments.compare import made

RATE, ALPHA = "optimizer.learning_rate", "method.alpha"
SEARCH = {RATE: {"low": 0.003, "high": 0.3, "log": True}}
METHODS = {
    "Joint": None,
    "AGM": {"search": {ALPHA: {"low": 0.1, "high": 5.0, "log": True}}},
    "OGM": {"search": {ALPHA: [0.1, 0.5, 1.0]}},
}
PLACE = ("blobs", "", "AGM")


def grid(**changes):
    given = {"methods": METHODS, "search": SEARCH, "trials": 7, "seeds": 2}
    return made.grid(**(given | changes))


def trial(candidate, merit):
    """A trial that came to a validation accuracy; one that failed for None."""
    cell = made.run(candidate, 1000)
    record = None if merit is None else made.record(cell, 0.5, merit, {"left": 0.5})
    found = made.result(cell, record, error="no" if merit is None else None)
    return Trial(candidate, {1000: found}, [1000])


def searching(given, merit, place=PLACE):
    """A search to its end, whose trials come to what a function of their changes says."""
    search = search_of(given, place)
    while not search.is_done:
        search.tell([trial(candidate, merit(candidate.changes)) for candidate in search.ask()])
    return search


def changes(search):
    return [each.candidate.changes for each in search.trials]


def near(changes):
    return 1 - abs(math.log10(changes[RATE] / 0.05)) / 3


def test_a_search_is_the_same_to_the_bit_and_goes_by_its_results():
    ours, again = searching(grid(), near), searching(grid(), near)
    assert changes(ours) == changes(again)
    other = searching(grid(), lambda tried: 1 - near(tried))
    assert changes(ours)[:3] == changes(other)[:3]  # drawn at random
    assert changes(ours)[4:] != changes(other)[4:]  # by what came out
    assert len({json.dumps(each) for each in changes(ours)}) == 7
    for number, each in enumerate(changes(ours)):
        assert 0.003 <= each[RATE] <= 0.3
        assert 0.1 <= each[ALPHA] <= 5.0
        assert ours.trials[number].candidate.number == number
        assert ours.trials[number].candidate.recipe.method.alpha == each[ALPHA]


def test_the_first_trial_is_what_the_layers_say_where_it_lies_in_the_space():
    first = changes(searching(grid(), near))[0]
    assert first == {RATE: made.BASE[RATE], ALPHA: 1.0}
    fine = {**made.BASE, RATE: 0.0123456}
    assert changes(searching(grid(base=fine), near))[0][RATE] == 0.0123456
    beyond = {"Joint": None, "AGM": {"method.alpha": 7.0, **METHODS["AGM"]}}
    first = changes(searching(grid(methods=beyond), near))[0]
    assert first[RATE] == made.BASE[RATE]
    assert first[ALPHA] <= 5.0
    assert changes(searching(grid(), near, ("blobs", "", "OGM")))[0][ALPHA] in (0.1, 0.5, 1.0)


def test_a_search_among_methods_keeps_their_label(tmp_path):
    choices = {"method": ["AGM", "OGM"]}
    methods = {
        "Joint": {"search": {RATE: [0.1, 0.2]}},
        "best": {"method": "AGM", "search": choices},
    }
    given = made.grid(methods=methods)
    found = made.comparison(given, tmp_path, lambda cell: trial(cell.candidate, 0.5).results[1000])
    write_search(found, tmp_path)
    rows = list(csv.DictReader((tmp_path / "search.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["Joint", "Joint", "best", "best"]
    assert [row["method.class_path"] for row in rows] == ["", "", "AGM", "OGM"]


@pytest.mark.parametrize("missing", [None, 0.0])
def test_trials_that_failed_or_diverged_end_no_search(missing):
    def merit(tried):
        return missing if tried[RATE] > 0.02 else near(tried)

    assert changes(searching(grid(), merit)) == changes(searching(grid(), merit))
    nothing = searching(grid(), lambda tried: None)
    assert len(nothing.trials) == 7
    assert Outcome(nothing.trials).chosen is None
    assert searched(grid(), Outcome(nothing.trials)) is None


def test_budget_curves_rise_and_choices_at_an_edge_are_told():
    given = grid()
    search = searching(given, lambda tried: tried[RATE])
    outcome = Outcome(search.trials)
    found = searched(given, outcome)
    merits = [each.merit for each in outcome.trials]
    assert found.best_so_far.tolist() == [max(merits[: k + 1]) for k in range(7)]
    best = max(merits)
    assert outcome.chosen.candidate.changes[RATE] == pytest.approx(best)
    assert (RATE in found.at_edge) == (best > 0.3 / 100**0.05)
    tried = [{RATE: rate, ALPHA: 0.5} for rate in (0.05, 0.299, 0.1)]
    trials = [trial(given.candidate(PLACE, k, each), each[RATE]) for k, each in enumerate(tried)]
    assert searched(given, Outcome(trials)).at_edge == [RATE]
    failed = [trial(given.candidate(PLACE, 0, tried[0]), None), *trials[1:]]
    curve = searched(given, Outcome(failed)).best_so_far
    assert math.isnan(curve[0])
    assert curve[1:].tolist() == [0.299, 0.299]
    lists = made.grid()  # of two values each is an end
    assert searched(lists, Outcome(searching(lists, lambda _: 0.5).trials)).at_edge == []


def test_searches_go_on_side_by_side_and_stop_where_a_result_is_missing():
    given = grid(trials=5)
    runs = Runs(redraw=True, fingerprints={})
    kept = {}

    def make(cells):
        for cell in cells:
            merit = near(cell.candidate.changes)
            kept[cell.key] = made.result(cell, made.record(cell, 0.5, merit, {"left": 0.5}))
        return {cell.key: kept[cell.key] for cell in cells}

    def find(cells):
        return {cell.key: kept[cell.key] for cell in cells if cell.key in kept}

    whole = [search_of(given, place) for place in given.places]
    asked = advance(whole, runs, make)
    assert [cell.candidate[2:4] for cell in asked[:6]] == [
        *((method, 0) for method in METHODS),
        *((method, 1) for method in METHODS),
    ]
    assert {cell.seed for cell in asked} == {1000}
    again = [search_of(given, place) for place in given.places]
    advance(again, runs, find)
    assert [changes(each) for each in again] == [changes(each) for each in whole]
    for cell in asked:
        if cell.candidate[2:4] == ("AGM", 2):
            del kept[cell.key]
    part = [search_of(given, place) for place in given.places]
    advance(part, runs, find)
    assert [len(each.trials) for each in part] == [5, 2, 5]


# -- with runs -----------------------------------------------------------------------------------

TINY = {"Joint": None, "AGM": METHODS["AGM"]}


def tiny(**changes):
    base = {**made.BASE, "trainer.max_epochs": 1}
    return grid(**({"methods": TINY, "trials": 3, "base": base} | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole comparison, and the titles of its cells in the order that they were run."""
    folder, titles = tmp_path_factory.mktemp("finished"), []

    def noted(cell, path, **options):
        assert (folder / "grid.json").is_file()  # before the first run
        titles.append(cell.title)
        return compute_cell(cell, path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "compute_cell", noted)
        found = made.compared(tiny(), folder)
    return found, titles, folder


def numbers(comparison):
    """What was tried, chosen and found, of all methods."""
    return [
        (
            [each.candidate.changes for each in outcome.trials],
            outcome.chosen.candidate.changes,
            outcome.accuracies,
        )
        for outcome in comparison.outcomes
    ]


def test_a_comparison_searches_and_then_judges_by_other_seeds(finished):
    found, titles, folder = finished
    given = tiny()
    assert len(titles) == len(set(titles)) == given.num_cells == 2 * (3 + 2)
    assert [title.endswith("seed 1000") for title in titles] == [True] * 6 + [False] * 4
    assert not set(given.choosing_seeds) & set(given.all_seeds)
    rows = list(csv.DictReader((folder / "search.csv").read_text().splitlines()))
    assert [(row["method"], row["trial"]) for row in rows] == [
        (method, str(number)) for method in TINY for number in range(3)
    ]
    for outcome in found.outcomes:
        mine = [row for row in rows if row["method"] == outcome.place[2]]
        best = [float(row["best_so_far"]) for row in mine]
        assert best == sorted(best)
        (chosen,) = (row for row in mine if row["chosen"] == "True")
        assert float(chosen["validation"]) == best[-1] == outcome.chosen.validation
        assert float(chosen[RATE]) == outcome.chosen.candidate.changes[RATE]
        assert set(outcome.accuracies) == {0, 1}


class Stop(BaseException):
    """Ends a comparison as a kill would."""


def test_killed_and_started_again_it_tries_and_chooses_the_same(finished, tmp_path, monkeypatch):
    left = 4

    def killed(cell, path, **options):
        nonlocal left
        if not left:
            raise Stop
        left -= 1
        return compute_cell(cell, path, **options)

    monkeypatch.setattr(pools, "compute_cell", killed)
    with pytest.raises(Stop):
        made.compared(tiny(), tmp_path)
    left = 99
    found = made.compared(tiny(), tmp_path, report=False)
    assert left == 99 - (tiny().num_cells - 4)
    assert numbers(found) == numbers(finished[0])


def test_parts_search_apart_and_choose_the_same(finished, tmp_path):
    for number in (1, 2):
        with pytest.raises(OtherPartsError, match="not finished" if number == 1 else "no result"):
            made.compared(tiny(), tmp_path, part=f"{number}/2")
    whole = made.compared(tiny(), tmp_path, part="1/1", report=False)
    assert numbers(whole) == numbers(finished[0])


# -- the estimate --------------------------------------------------------------------------------


def test_no_phase_is_shorter_than_its_longest_cell_nor_than_its_work_divided():
    slow, fast = Kind("a", "AGM"), Kind("a", "Joint")
    phases = [{slow: 2, fast: 3}, {}, {fast: 5}]
    found = Estimate({slow: 7.0, fast: 2.0}, {slow: 5, fast: 11}, {slow: 3, fast: 3}, phases)
    assert found.num_left == 10
    assert found.seconds_left(1) == 20.0 + 10.0
    assert found.seconds_left(2) == 10.0 + 5.0
    assert found.seconds_left(1000) == 7.0 + 2.0


def estimated(given, path):
    told = []
    counting = Counting(lambda *each: told.append(each[2]))
    found = estimate(given, Store(path), Execution("threading"), counting)
    return found, [text for text in told if text.startswith(("trained", "measured"))]


def test_an_estimate_measures_one_run_of_each_kind_that_the_comparison_needs(tmp_path):
    given = tiny(fusions=None)
    found, trained = estimated(given, tmp_path)
    assert len(trained) == 2
    assert all("seed 1000" in text for text in trained)
    joint, agm = (Kind("blobs", method) for method in TINY)
    assert found.total == {joint: 5, agm: 5}
    assert found.done == {joint: 1, agm: 1}
    assert found.phases == [{joint: 1, agm: 1}, {joint: 1, agm: 1}, {}, {joint: 2, agm: 2}, {}]
    assert all(seconds > 0 for seconds in found.seconds.values())
    again, trained = estimated(given, tmp_path)
    assert (again, trained) == (found, [])


def test_methods_are_measured_on_the_quickest_data_and_scaled_to_the_others(tmp_path, monkeypatch):
    def seconds(result):  # as if they were the same on every machine
        return len(result.record["epochs"]) * {"AGM": 3.0, "Joint": 2.0}[method_of(result)]

    def method_of(result):
        return result.record["method"]["name"]

    monkeypatch.setattr("counterpoise.experiments.compare.estimate._seconds", seconds)
    data = {
        "long": {**made.DATA["blobs"], "trainer.max_epochs": 5},
        "short": {**made.DATA["blobs"], "trainer.max_epochs": 1},
    }
    found, trained = estimated(tiny(fusions=None, data=data), tmp_path)
    assert [re.match(r"trained (\w+): (\w+)", text).groups() for text in trained] == [
        ("long", "Joint"),
        ("short", "Joint"),
        ("short", "AGM"),
    ]
    long, short = ({m: found.seconds[Kind(name, m)] for m in TINY} for name in data)
    assert (short, long) == ({"Joint": 2.0, "AGM": 3.0}, {"Joint": 10.0, "AGM": 15.0})
    assert found.num_left == 4 * 5 - 3


def test_runs_that_fail_tell_nothing_of_how_long_others_take(tmp_path):
    failing = {"method": "experiments.compare.made.Fails"}
    found, trained = estimated(tiny(fusions=None, methods={**TINY, "bad": failing}), tmp_path)
    assert len(trained) == 3
    joint = found.seconds[Kind("blobs", "Joint")]
    assert found.seconds[Kind("blobs", "bad")] == pytest.approx(joint)  # sums in another order
    with pytest.raises(ValueError, match=r"baseline that can be trained.*bad fails on blobs\."):
        estimated(tiny(fusions=None, methods={**TINY, "bad": failing}, baseline="bad"), tmp_path)


def test_what_is_done_is_not_estimated(finished):
    found, trained = estimated(tiny(), finished[2])
    assert (trained, found.num_left, found.seconds_left(1)) == ([], 0, 0)
    more, trained = estimated(tiny(seeds=5), finished[2])
    assert (trained, more.num_left) == ([], 2 * 3)
    others, trained = estimated(tiny(redraw=False, methods={"Joint": None}), finished[2])
    assert (len(trained), others.num_left) == (0, 0)  # blobs can be divided in one way alone


def test_measurements_are_estimated_too(tmp_path):
    paths = {"fused": "head:input", "concept": "encoders.left"}
    given = tiny(methods={"Joint": None}, competition=paths)
    found, trained = estimated(given, tmp_path)
    kinds = [Kind("blobs", what) for what in ("Joint", "left alone", "right alone", MEASUREMENT)]
    assert [found.total[kind] for kind in kinds] == [5, 2, 2, 2]
    assert [found.done.get(kind, 0) for kind in kinds[:3]] == [1, 1, 1]
    assert set(found.seconds) == set(kinds)
    assert trained[-1] == "measured blobs: Joint, seed 0, competition"


# -- the declaration -----------------------------------------------------------------------------


def declared(given, path, fingerprints=None):
    declare(given, fingerprints or {"blobs": "f" * 64}, path, Store(path))
    return json.loads((path / "grid.json").read_text())


def test_a_grid_is_declared_with_its_hypotheses_and_a_digest(finished, tmp_path):
    written = json.loads((finished[2] / "grid.json").read_text())
    assert written["results_in_store"] == 0
    assert written["num_runs"] == 10
    assert written["hypotheses"]["of"] == ["AGM"]
    assert written["grid"]["trials"] == 3
    assert later_additions(finished[2]) == []
    assert later_additions(tmp_path) == []  # where nothing was declared
    first = declared(tiny(), tmp_path)
    assert first["grid_digest"] == declared(tiny(name="other"), tmp_path)["grid_digest"]
    assert re.fullmatch("[0-9a-f]{64}", first["grid_digest"])


def test_what_is_added_or_changed_later_shows_as_such(tmp_path):
    first = declared(tiny(), tmp_path)
    more = {**TINY, "OGM": METHODS["OGM"]}
    declared(tiny(methods=more, seeds=3), tmp_path)
    declared(tiny(methods=more, seeds=3), tmp_path)
    altered = {**more, "AGM": {**METHODS["AGM"], "method.alpha": 2.0}}
    last = declared(tiny(methods=altered, seeds=3, trials=5), tmp_path, {"blobs": "0" * 64})
    added, changed = later_additions(tmp_path)
    assert (added.added, added.removed, added.changed) == (
        {"methods": ["OGM"], "seeds": [2]},
        {},
        [],
    )
    assert changed.added == changed.removed == {}
    assert changed.changed == ["methods.AGM", "trials", "content of blobs"]
    assert last["grid_digest"] == first["grid_digest"]
    assert len({first["grid_digest"], added.grid_digest, changed.grid_digest}) == 3
    declared(tiny(seeds=3), tmp_path)
    assert later_additions(tmp_path)[-1].removed == {"methods": ["OGM"]}


def test_the_same_grid_in_another_order_is_no_later_one(tmp_path):
    fusions = ["additive", "gated"]
    declared(grid(fusions=fusions, seeds=[0, 1]), tmp_path)
    declared(grid(fusions=fusions[::-1], seeds=[1, 0]), tmp_path)
    assert later_additions(tmp_path) == []
    declared(grid(fusions=["gated"], seeds=[1, 0]), tmp_path)
    assert [later.removed for later in later_additions(tmp_path)] == [{"fusions": ["additive"]}]


def test_a_damaged_declaration_is_named(tmp_path):
    declared(tiny(), tmp_path)
    path = tmp_path / "grid.json"
    path.write_text(path.read_text().replace('"trials": 3', '"trials": 4'))
    with pytest.raises(CorruptFileError, match=re.escape(f"`{path}` should be a file as it was")):
        declared(tiny(), tmp_path)
