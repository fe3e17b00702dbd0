import math

import pytest

from counterpoise.data import Regression
from counterpoise.experiments.compare.answers import answers
from counterpoise.experiments.compare.listings import choice_table
from counterpoise.experiments.compare.tables import summary_table
from counterpoise.measures.statistics import (
    DIVERGED,
    judge,
    mean_differences,
    mean_interval,
    paired_difference,
    rank,
)
from experiments.compare import made

AGM = [0.02, 0.021, 0.019, 0.022, 0.02]
OGM = [0.01, -0.01, 0.02, -0.02, 0.0]
SHIFTS = {"Joint": [0.0] * 5, "AGM": AGM, "OGM": OGM}
SEEDS = [0.90, 0.91, 0.89, 0.92, 0.9]
STEP = 1 / 400  # test samples of made-up records
METHODS = {"Joint": None, "AGM": None, "OGM": None}


def steady(cell):
    """AGM is ahead of Joint by the same for every seed; OGM is now ahead and now behind."""
    shift = SHIFTS[cell.candidate.method][cell.seed % 1000]
    cost = {"Joint": 0.01, "AGM": 0.025, "OGM": 0.02}[cell.candidate.method]
    responses = {"left": 0.5 + shift, "right": 0.25}
    return made.result(
        cell, made.record(cell, SEEDS[cell.seed % 1000] + shift, 0.9, responses, seconds=cost)
    )


def compared(make=steady, **changes):
    given = {"methods": METHODS, "seeds": 5, "base": {}} | changes
    return made.comparison(made.grid(**given), None, make)


def test_rows_hold_what_the_statistics_say():
    found = compared()
    (block,) = found.blocks
    joint, agm, ogm = block.rows
    assert (block.title, block.modalities) == ("blobs", ["left", "right"])
    assert joint.accuracy == mean_interval(SEEDS, step=STEP)
    assert joint.difference is None
    shifted = [[s + x for s, x in zip(SEEDS, shifts, strict=True)] for shifts in (AGM, OGM)]
    estimates = [paired_difference(values, SEEDS, step=STEP) for values in shifted]
    assert [agm.difference, ogm.difference] == judge(estimates, bounds=(-1, 1))
    assert (agm.difference.verdict, ogm.difference.verdict) == ("higher", "undecided")
    assert ogm.difference.detectable > 0.02
    assert agm.responses["left"].mean == pytest.approx(0.5204)
    assert [row.cost for row in block.rows] == [1.0, 2.5, 2.0]
    assert (found.overall, found.ranks) == ({}, None)  # one data set


def test_all_that_is_told_is_one_family():
    found = compared(
        data={"a": made.DATA["blobs"], "b": made.DATA["blobs"]}, pairs=[["AGM", "OGM"]]
    )
    rows = [row.difference for block in found.blocks for row in block.rows if row.difference]
    told = [*rows, *(pair.difference for pair in found.pairs)]
    told += [each.difference for each in found.overall.values()]
    told += [each.difference for each in found.overall_pairs.values()]
    assert [pair.title for pair in found.pairs] == ["a", "b"]
    assert [*map(id, told)] == [*map(id, found.judgements)]
    assert told[:6] == judge([each.estimate for each in told], bounds=(-1, 1))[:6]
    # Those over two data sets are not tested, and do not count.
    assert (len(told), found.num_compared) == (9, 6)
    assert told[-1].verdict == "too few data sets"
    assert rows[0].corrected > compared().blocks[0].rows[1].difference.corrected


def test_what_only_many_comparisons_explain_is_undecided():
    def close(cell):
        shift = [0.02, 0.021, 0.03, 0.015, 0.01][cell.seed % 1000]
        found = steady(cell)
        shift = shift if cell.candidate.method == "AGM" else 0.0
        found.record["test"]["accuracy"] = SEEDS[cell.seed % 1000] + shift
        return found

    alone = compared(close, methods={"Joint": None, "AGM": None})
    assert alone.blocks[0].rows[1].difference.verdict == "higher"
    many = compared(close, data={f"d{n}": made.DATA["blobs"] for n in range(7)})
    told = many.blocks[0].rows[1].difference
    assert told.verdict == "undecided"
    assert told.low < 0 < told.estimate.interval()[0]  # by itself it would not hold zero


def test_the_margin_of_the_grid_decides_what_is_equivalent():
    for margin, says in ((0.001, "undecided"), (0.2, "equivalent")):
        ogm = compared(margin=margin).blocks[0].rows[2].difference
        assert (ogm.margin, ogm.verdict) == (margin, says)


def test_over_data_sets_fusions_count_as_one():
    def make(cell):
        found = steady(cell)
        by_data = {"a": 0.01, "b": -0.02, "c": 0.03}[cell.candidate.data]
        by_fusion = {"additive": 0.005, "maxout": -0.005}[cell.candidate.fusion]
        if cell.candidate.method == "AGM":
            found.record["test"]["accuracy"] += by_data + by_fusion
        return found

    layer = {"data": "training.runs.Blobs", "model": "Network"}
    data = {
        name: {**layer, "batch_size": size} for name, size in {"a": 31, "b": 37, "c": 41}.items()
    }
    found = compared(make, data=data, fusions=["additive", "maxout"])
    expected = mean_differences(
        {
            "AGM": {"a": 0.0304, "b": 0.0004, "c": 0.0504},
            "OGM": {"a": 0.0, "b": 0.0, "c": 0.0},
        }
    )
    for method, told in found.overall.items():
        assert told.difference.mean == pytest.approx(expected[method].mean, abs=1e-12)
        assert told.difference.estimate.error == pytest.approx(expected[method].error)
        assert told.difference.estimate.num_values == told.improvement.num_values == 3
    assert found.overall["AGM"].improvement.mean > 0.6
    assert found.ranks is None


def test_ranks_are_told_from_8_data_sets_on():
    blobs = made.DATA["blobs"]
    assert compared(data={f"d{n}": blobs for n in range(7)}).ranks is None
    found = compared(data={f"d{n}": blobs for n in range(8)})
    means = {"Joint": [0.904] * 8, "AGM": [0.9244] * 8, "OGM": [0.904] * 8}
    assert found.ranks == rank(means)
    assert found.ranks.mean_ranks == {"Joint": 2.5, "AGM": 1.0, "OGM": 2.5}


@pytest.mark.parametrize("loss", [None, math.nan, math.inf])
def test_a_diverged_run_counts_as_guessing_and_is_told_beside_the_mean(loss):
    def make(cell):
        found = steady(cell)
        if (cell.candidate.method, cell.seed) == ("AGM", 2):
            found.record["test"]["loss"] = loss
        return found

    joint, agm, _ = compared(make).blocks[0].rows
    kept = [s + x for n, (s, x) in enumerate(zip(SEEDS, AGM, strict=True)) if n != 2]
    assert agm.accuracy == mean_interval([*kept, DIVERGED], step=STEP)
    assert (agm.accuracy.num_values, agm.accuracy.num_diverged) == (4, 1)
    counted = [*kept[:2], 1 / 3, *kept[2:]]
    expected = paired_difference(counted, SEEDS, step=STEP)
    assert agm.difference.estimate.mean == pytest.approx(expected.mean)
    assert agm.difference.verdict == "undecided"
    assert joint.accuracy.num_diverged == 0


def test_configurations_are_chosen_on_validation_whatever_the_test_says():
    def make(cell):
        number = cell.candidate.number
        validation = [0.8, 0.9, 0.9][number]
        test = [0.99, 0.5, 0.6][number]
        responses = {"left": 0.5, "right": 0.25}
        return made.result(cell, made.record(cell, test, validation, responses))

    search = {"search": {"optimizer.weight_decay": [0.0, 0.1, 0.2]}}
    found = compared(make, methods={"Joint": search})
    (row,) = found.blocks[0].rows
    assert row.outcome.chosen.candidate.number == 1  # of equal ones the first
    assert row.accuracy.mean == pytest.approx(0.5)


def test_a_seed_that_failed_is_not_paired_and_takes_no_other_with_it():
    def make(cell):
        if cell.candidate.method == "AGM" and cell.seed == 3 and cell.candidate.number == 0:
            return made.result(cell, None, error="RuntimeError: no")
        return steady(cell)

    once = compared(make)
    _, agm, _ = once.blocks[0].rows
    assert agm.accuracy.num_values == agm.difference.estimate.num_values == 4  # but for seed 3
    assert agm.difference.verdict == "too few seeds"
    assert agm.accuracy.mean == pytest.approx(0.92)
    assert choice_table(once).rows[1][-1] == "as it is: 1 of 5 failed"
    assert [(seed, result.error) for _, seed, result in agm.outcome.failures] == [
        (3, "RuntimeError: no")
    ]
    lost = compared(lambda c: made.result(c, None, "no") if "AGM" in c.candidate else steady(c))
    _, agm, _ = lost.blocks[0].rows
    assert (agm.accuracy, agm.difference, agm.responses, agm.cost) == (None, None, {}, None)
    # Chosen with a seed of its own, which did not fail.
    search = {"search": {"optimizer.weight_decay": [0.0, 0.5]}}
    later = compared(make, methods=dict.fromkeys(("Joint", "AGM", "OGM"), search))
    assert later.blocks[0].rows[1].difference.estimate.num_values == 4
    assert later.blocks[0].rows[1].accuracy.num_values == 4


def test_where_guessing_comes_to_0_nothing_is_equivalent_and_all_is_told():
    task = Regression(headline="correlation")

    def make(cell):
        made_up = made.record(cell, 0.5, 0.9, {"left": 0.5})
        made_up["data"]["num_classes"] = None
        for entries in (made_up["test"], *made_up["epochs"]):
            renamed = {name.replace("accuracy", "correlation"): v for name, v in entries.items()}
            entries.clear()
            entries.update(renamed)
        return made.result(cell, made_up | {"task": {**task.describe(), "guess": 0.0}})

    found = compared(make, seeds=5)
    told = [row.difference for row in found.blocks[0].rows[1:]]
    assert [difference.margin for difference in told] == [None, None]
    assert "nothing is called equivalent" in summary_table(found).caption
    assert not [question for question in answers(found) if "equivalent" in question]


def test_costs_are_ratios_to_joint_even_where_it_is_not_the_baseline():
    found = compared(baseline="AGM")
    assert found.cost_reference == "Joint"
    assert [row.cost for row in found.blocks[0].rows] == [1.0, 2.5, 2.0]
    without = compared(baseline="AGM", methods={"AGM": None, "OGM": None})
    assert without.cost_reference == "AGM"
    assert [row.cost for row in without.blocks[0].rows] == pytest.approx([1.0, 0.8])


def test_costs_are_of_the_processor_unless_another_device_did_the_work():
    """On a loaded machine AGM's steps took 8 times as long as Joint's, at 2.5 times the work."""

    def loaded(cell, device):
        busy, wall = {"Joint": (0.01, 0.02), "AGM": (0.025, 0.16)}[cell.candidate.method]
        times = {"seconds": busy, "wall": wall, "device": device}
        return made.result(cell, made.record(cell, 0.9, 0.9, {"left": 0.5, "right": 0.25}, **times))

    for device, ratio in (("cpu", 2.5), ("NVIDIA H100", 8.0)):
        methods = {"Joint": None, "AGM": None}
        found = compared(lambda cell, device=device: loaded(cell, device), methods=methods)
        assert [row.cost for row in found.blocks[0].rows] == pytest.approx([1.0, ratio])


def test_intervals_lie_where_accuracies_can():
    def make(cell):
        test = {"Joint": [0.02, 0.0], "AGM": [0.97, 1.0]}[cell.candidate.method][cell.seed % 1000]
        return made.result(cell, made.record(cell, test, 0.9, {"left": test, "right": test}))

    found = compared(make, methods={"Joint": None, "AGM": None}, seeds=2)
    joint, agm = found.blocks[0].rows
    assert (joint.accuracy.low, agm.accuracy.high, agm.difference.high) == (0, 1, 1)
    assert (joint.responses["left"].low, agm.responses["right"].high) == (0, 1)
    free = mean_interval([0.97, 1.0], step=STEP)
    assert agm.accuracy == free._replace(high=1.0)  # the other end is left as it was
    assert free.high > 1


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_fewer_than_5_seeds_show_nothing(seeds):
    found = compared(seeds=seeds)
    told = found.blocks[0].rows[1].difference
    assert told.verdict == "too few seeds"
    assert math.isnan(told.corrected)
    assert math.isnan(told.low) == (seeds == 1)  # there is an interval all the same
    assert found.num_compared == 0
