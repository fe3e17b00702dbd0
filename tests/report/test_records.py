import math

import pytest

from counterpoise.report.records import modalities_of, read_runs


def labels(records):
    return [run.label for run in read_runs(records)]


def test_methods_label_runs_where_they_tell_them_apart(make_record):
    assert labels([make_record("Joint"), make_record("AGM", alpha=1.0)]) == ["Joint", "AGM"]


def test_settings_tell_runs_of_one_method_apart(four_runs):
    assert labels(four_runs) == ["Joint", "AGM (alpha=1.0)", "AGM (alpha=4.0)", "OGM-GE"]


def test_shared_settings_are_not_part_of_a_label(make_record):
    runs = [make_record(alpha=alpha, clamp=10.0) for alpha in (1.0, 2.0)]
    assert labels(runs) == ["AGM (alpha=1.0)", "AGM (alpha=2.0)"]


def test_settings_are_told_apart_within_a_method(make_record):
    runs = [make_record("Joint"), *(make_record(alpha=alpha, clamp=10.0) for alpha in (1.0, 2.0))]
    assert labels(runs) == ["Joint", "AGM (alpha=1.0)", "AGM (alpha=2.0)"]


def test_settings_that_are_objects_read_as_calls(make_record):
    kinds = ({"class_path": "a.b.Fixed"}, {"class_path": "a.b.Mean", "init_args": {"decay": 0.9}})
    runs = [make_record(reference=kind) for kind in kinds]
    assert labels(runs) == ["AGM (reference=Fixed())", "AGM (reference=Mean(decay=0.9))"]


def test_seeds_tell_runs_of_equal_settings_apart(make_record):
    runs = [make_record(seed=seed) for seed in (3, 5)]
    assert labels(runs) == ["AGM (seed 3)", "AGM (seed 5)"]


def test_settings_and_seeds_together(make_record):
    runs = [make_record(alpha=alpha, seed=seed) for alpha in (1.0, 2.0) for seed in (3, 5)]
    assert labels(runs)[:2] == ["AGM (alpha=1.0) (seed 3)", "AGM (alpha=1.0) (seed 5)"]
    assert len(set(labels(runs))) == 4


def test_equal_runs_are_numbered(make_record):
    assert labels([make_record(), make_record()]) == ["AGM (run 1)", "AGM (run 2)"]


def test_runs_answer_with_the_records_numbers(make_record):
    record = make_record(modalities=("text", "audio", "video"))
    [run] = read_runs([record])
    assert run.result() == record["test"]["accuracy"]
    assert run.response_result("audio") == record["test"]["response/audio/accuracy"]
    assert run.seconds_per_step == record["seconds_per_step"]
    values = [v for row in record["steps"]["coefficients"].values() for v in row]
    assert run.coefficient_range == (min(values), max(values))
    epochs, accuracy = run.over_epochs(modality="video")
    assert epochs == [entry["epoch"] + 1 for entry in record["epochs"]]
    assert accuracy == [e["validation/response/video/accuracy"] for e in record["epochs"]]


def test_what_was_not_measured_is_none_or_nan(make_record):
    record = make_record(modulated=False, monitored=False)
    record["test"]["accuracy"] = record["seconds_per_step"] = None
    record["epochs"][0]["validation/accuracy"] = None
    [run] = read_runs([record])
    assert run.result() is None
    assert run.seconds_per_step is None
    assert run.response_result("audio") is None
    assert run.coefficient_range == (None, None)
    assert run.over_steps("scores") == {}
    assert math.isnan(run.over_epochs()[1][0])
    assert math.isnan(run.over_epochs(modality="audio")[1][0])


def test_values_that_are_not_finite_are_counted_and_outside_the_range(make_record):
    record = make_record(num_steps=5)
    record["steps"]["coefficients"]["audio"] = [0.5, None, math.nan, math.inf, 2.0]
    record["steps"]["coefficients"]["image"] = [1.0] * 5
    [run] = read_runs([record])
    assert run.num_non_finite == 3
    assert run.coefficient_range == (0.5, 2.0)


def test_modalities_keep_their_order_of_appearance(make_record):
    runs = read_runs([make_record(modalities=("b", "a")), make_record(modalities=("c", "a"))])
    assert modalities_of(runs) == ["b", "a", "c"]


def test_error_for_no_records():
    with pytest.raises(ValueError, match="`records` should hold at least one run; found none"):
        read_runs([])


def test_error_for_a_single_record(make_record):
    with pytest.raises(
        TypeError, match=r"`records` should be a sequence of mappings; found dict\. Put a single"
    ):
        read_runs(make_record())


def test_error_for_a_record_that_is_no_mapping(make_record):
    with pytest.raises(
        TypeError, match=r"`records\[1\]` should be a mapping; found str. Pass what"
    ):
        read_runs([make_record(), "record.json"])


@pytest.mark.parametrize(
    "key",
    ["seed", "method.name", "data.sizes.test", "test.accuracy", "steps.coefficients"],
)
def test_error_for_a_missing_key_names_it_and_the_record(make_record, key):
    record = make_record(seed=7)
    *places, last = key.split(".")
    place = record
    for part in places:
        place = place[part]
    del place[last]
    with pytest.raises(
        ValueError,
        match=rf"`records\[1\]` \(run 'digits-agm-seed7'\) should have the key '{key}'; found \[",
    ):
        read_runs([make_record(), record])


def test_error_for_a_group_that_is_none(make_record):
    record = make_record()
    record["steps"] = None
    with pytest.raises(ValueError, match=r"the key 'steps\.step'; found None where 'step' belongs"):
        read_runs([record])


def test_error_for_a_missing_key_of_an_epoch_names_the_epoch(make_record):
    record = make_record()
    del record["epochs"][2]["validation/accuracy"]
    with pytest.raises(ValueError, match=r"epochs\[2\], should have the key 'validation/accuracy'"):
        read_runs([record])


def test_error_for_a_record_without_a_name(make_record):
    record = make_record()
    del record["name"]
    with pytest.raises(ValueError, match=r"\(run 'without a name'\) should have the key 'name'"):
        read_runs([record])


def test_error_for_a_series_of_the_wrong_length(make_record):
    record = make_record(num_steps=11)
    del record["steps"]["scores"]["image"][-1]
    with pytest.raises(
        ValueError,
        match=r"a value of steps.scores.image for each of 11 recorded steps; found 10. Record them",
    ):
        read_runs([record])
