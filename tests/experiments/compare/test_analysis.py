import math

import pytest

from counterpoise.measures.bootstrap import summarize
from counterpoise.measures.statistics import holm, paired_difference
from experiments.compare import made

SHIFTS = {"Joint": [0.0, 0.0, 0.0, 0.0], "AGM": [0.02, 0.021, 0.019, 0.022]}
SEEDS = [0.90, 0.91, 0.89, 0.92]
METHODS = {"Joint": None, "AGM": None, "OGM": None}


def steady(cell):
    """AGM is ahead of Joint by the same for every seed; OGM is now ahead and now behind."""
    shift = {**SHIFTS, "OGM": [0.01, -0.01, 0.02, -0.02]}[cell.candidate.method][cell.seed]
    cost = {"Joint": 0.01, "AGM": 0.025, "OGM": 0.02}[cell.candidate.method]
    responses = {"left": 0.5 + shift, "right": 0.25}
    return made.result(
        cell, made.record(cell, SEEDS[cell.seed] + shift, 0.9, responses, seconds=cost)
    )


def compared(make=steady, **changes):
    given = {"methods": METHODS, "seeds": 4, "base": {}} | changes
    return made.comparison(made.grid(**given), None, make)


def test_rows_hold_what_the_statistics_say():
    found = compared()
    (block,) = found.blocks
    joint, agm, ogm = block.rows
    assert (block.title, block.modalities) == ("blobs", ["left", "right"])
    assert joint.accuracy.mean == pytest.approx(0.905)
    assert (joint.difference, joint.verdict) == (None, None)
    ahead = [value + shift for value, shift in zip(SEEDS, SHIFTS["AGM"], strict=True)]
    assert agm.difference == paired_difference(ahead, SEEDS)
    assert agm.verdict == "higher"
    assert ogm.verdict == "not distinguishable"
    assert agm.responses["left"].mean == pytest.approx(0.5205)
    assert [row.cost for row in block.rows] == [1.0, 2.5, 2.0]
    p_values = [row.difference.p_value for row in (agm, ogm)]
    assert [row.corrected for row in (agm, ogm)] == pytest.approx(holm(p_values).tolist())


def test_tests_are_corrected_over_all_data_sets():
    found = compared(data={"a": made.DATA["blobs"], "b": made.DATA["blobs"]})
    assert found.num_compared == 4
    rows = [row for block in found.blocks for row in block.rows if row.difference]
    corrected = holm([row.difference.p_value for row in rows])
    assert [row.corrected for row in rows] == pytest.approx(corrected.tolist())
    assert rows[0].corrected > compared().blocks[0].rows[1].corrected


def test_what_only_many_comparisons_explain_is_said_so():
    def close(cell):
        shift = [0.02, 0.021, 0.03, 0.015][cell.seed] if cell.candidate.method == "AGM" else 0.0
        found = steady(cell)
        found.record["test"]["accuracy"] = SEEDS[cell.seed] + shift + 0.001 * cell.seed * shift
        return found

    alone = compared(close, methods={"Joint": None, "AGM": None})
    assert alone.blocks[0].rows[1].verdict == "higher"
    many = compared(close, data={f"d{n}": made.DATA["blobs"] for n in range(20)})
    assert many.blocks[0].rows[1].verdict == "not distinguishable after correction"


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


def test_a_configuration_that_failed_is_not_chosen_and_its_seed_is_not_paired():
    def make(cell):
        if cell.candidate.method == "AGM" and cell.seed == 3 and cell.candidate.number == 0:
            return made.result(cell, None, error="RuntimeError: no")
        return steady(cell)

    once = compared(make)
    _, agm, _ = once.blocks[0].rows
    assert (agm.accuracy, agm.difference, agm.responses, agm.cost) == (None, None, {}, None)
    assert [(seed, result.error) for _, seed, result in agm.outcome.failures] == [
        (3, "RuntimeError: no")
    ]
    assert set(once.ranks) == {"Joint", "OGM"}
    # Chosen with the first three seeds, of which none failed.
    later = compared(make, selection_seeds=3)
    assert later.blocks[0].rows[1].difference.num_pairs == 3
    assert later.blocks[0].rows[1].accuracy.num_repeats == 3


def test_ranks_are_over_data_sets_by_seed():
    found = compared()
    # Seeds 0 and 2: AGM, OGM, Joint; seeds 1 and 3: AGM, Joint, OGM. In seed 2, OGM is ahead.
    assert found.ranks["AGM"].mean == pytest.approx((1 + 1 + 2 + 1) / 4)
    assert found.ranks["OGM"].mean == pytest.approx((2 + 3 + 1 + 3) / 4)
    for rank in found.ranks.values():
        assert 1 <= rank.low <= rank.mean <= rank.high <= 3


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
        test = {"Joint": [0.02, 0.0], "AGM": [0.97, 1.0]}[cell.candidate.method][cell.seed]
        return made.result(cell, made.record(cell, test, 0.9, {"left": test, "right": test}))

    found = compared(make, methods={"Joint": None, "AGM": None}, seeds=2)
    joint, agm = found.blocks[0].rows
    assert (joint.accuracy.low, agm.accuracy.high, agm.difference.high) == (0, 1, 1)
    assert (joint.responses["left"].low, agm.responses["right"].high) == (0, 1)
    free = summarize([0.97, 1.0])
    assert agm.accuracy == free._replace(high=1.0)  # the other end is left as it was
    assert free.high > 1


def test_one_seed_shows_nothing():
    found = compared(seeds=1)
    row = found.blocks[0].rows[1]
    assert row.verdict == "not tested"
    assert math.isnan(row.corrected)
