"""Linear probes: what they find, what they are indifferent to, and bad input."""

import numpy as np
import pytest
import torch
from sklearn import linear_model

from counterpoise.data import Synthetic
from counterpoise.measures import Batches, linear_probe, probe_encoders
from counterpoise.measures.probes import PENALTIES, PROBES, standardised
from counterpoise.models import build

SIZES = {"train": 211, "validation": 83, "test": 157}
DIMENSIONS, CLASSES = 7, 3


def splits(seed=0, *, signal=1.0):
    """Features of which the first dimensions tell the class, as far as the signal goes."""
    generator = np.random.default_rng(seed)
    made = []
    for size in SIZES.values():
        target = generator.integers(CLASSES, size=size)
        features = generator.normal(size=(size, DIMENSIONS))
        features[:, :CLASSES] += signal * np.eye(CLASSES)[target]
        made.append((features, target))
    return made


@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_finds_what_is_there_and_nothing_where_nothing_is(kind):
    clear = linear_probe(*splits(signal=20.0), kind=kind)
    assert (clear.accuracy, clear.validation_accuracy) == (1.0, 1.0)
    nothing = linear_probe(*splits(signal=0.0), kind=kind)
    assert nothing.accuracy == pytest.approx(1 / CLASSES, abs=0.12)  # 3 standard errors
    assert nothing.accuracy < linear_probe(*splits(signal=1.5), kind=kind).accuracy < 1.0


@pytest.mark.parametrize("kind", PROBES)
def test_the_scale_and_place_of_features_are_of_no_consequence(kind):
    generator = np.random.default_rng(7)
    scale, shift = 10.0 ** generator.uniform(-6, 6, DIMENSIONS), generator.normal(size=DIMENSIONS)
    plain = splits()
    moved = [((x + shift) * scale, y) for x, y in plain]
    found, expected = (linear_probe(*each, kind=kind) for each in (moved, plain))
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_penalty_is_chosen_on_validation_and_the_highest_of_equals():
    # 23 samples in 7 dimensions, nearly all noise: what is fitted freely is fitted wrongly.
    train, validation, test = splits(3, signal=1.0)
    train = (train[0][:23], train[1][:23])
    penalties = (1e-3, 30.0, 1e6)
    each = {p: linear_probe(train, validation, test, penalties=(p,)) for p in penalties}
    chosen = linear_probe(train, validation, test, penalties=penalties)
    best = max(each.values(), key=lambda probe: (probe.validation_accuracy, probe.penalty))
    assert len({probe.validation_accuracy for probe in each.values()}) > 1
    assert chosen == best
    equal = linear_probe(*splits(signal=20.0), penalties=(0.1, 10.0, 1.0))
    assert equal.penalty == 10.0


def test_test_data_have_no_say():
    train, validation, test = splits()
    one = linear_probe(train, validation, test)
    other = linear_probe(train, validation, (test[0] * 3 + 1, test[1]))
    assert one[1:] == other[1:]


def test_a_dimension_that_is_constant_in_training_is_ignored():
    plain = splits()
    wider = [(np.hstack([x, np.full((len(x), 1), 0.1 * i)]), y) for i, (x, y) in enumerate(plain)]
    assert linear_probe(*wider) == linear_probe(*plain)


def test_tensors_and_arrays_are_alike():
    plain = splits()
    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in plain]
    assert linear_probe(*tensors) == linear_probe(*plain)


def test_encoders_are_probed_by_what_they_see():
    data = Synthetic(
        unique=(0.8, 0.0), redundancy=0.0, synergy=0.0, num_train=400, num_validation=200
    ).load()
    torch.manual_seed(5)
    model = build(data.sample_shapes, data.num_classes, num_features=32)
    parts = (data.train, data.validation, data.test)
    found = probe_encoders(
        model, model.encoder_paths, *(Batches(part) for part in parts), kind="ridge"
    )
    assert list(found) == ["m1", "m2"]
    assert found["m1"].accuracy > 0.75  # at most 0.8 and a fifth of the rest
    assert found["m2"].accuracy == pytest.approx(0.2, abs=0.05)


# -- bad input -----------------------------------------------------------------------------------


def test_unequal_counts_of_samples_are_an_error():
    train, validation, test = splits()
    with pytest.raises(ValueError, match=r"`test` and `target` .* found 157 and 156"):
        linear_probe(train, validation, (test[0], test[1][:-1]))


def test_unequal_dimensions_are_an_error():
    train, validation, test = splits()
    with pytest.raises(ValueError, match=r"`train` and `validation` .* found 7 and 6"):
        linear_probe(train, (validation[0][:, :6], validation[1]), test)


def test_features_that_are_not_finite_are_an_error():
    train, validation, test = splits()
    validation[0][3, 2] = np.nan
    with pytest.raises(ValueError, match=r"`validation` should be finite; found nan in sample 3"):
        linear_probe(train, validation, test)


def test_a_split_too_small_is_an_error():
    train, validation, test = splits()
    with pytest.raises(ValueError, match=r"`validation` should have at least 2 samples.* found 1"):
        linear_probe(train, (validation[0][:1], validation[1][:1]), test)


def test_a_single_class_is_an_error():
    train, validation, test = splits()
    with pytest.raises(ValueError, match=r"target of `train` should have two classes.* only 0"):
        linear_probe((train[0], 0 * train[1]), validation, test)


def test_a_target_that_is_no_class_index_is_an_error():
    real = [(features, target * 1.0) for features, target in splits()]
    with pytest.raises(ValueError, match=r"target of `train` should be class indices .* float64"):
        linear_probe(*real)


def test_options_out_of_range_are_an_error():
    with pytest.raises(ValueError, match=r"`kind` should be one of 'logistic', 'ridge'; found 'r"):
        linear_probe(*splits(), kind="ridges")
    with pytest.raises(ValueError, match=r"`penalties` should hold at least one; found none"):
        linear_probe(*splits(), penalties=())
    with pytest.raises(ValueError, match=r"`penalties` should be finite, above 0; found 0"):
        linear_probe(*splits(), penalties=(1.0, 0))


def test_batches_without_target_are_an_error():
    data = Synthetic(num_train=11, num_validation=7, num_test=5).load()
    model = build(data.sample_shapes, data.num_classes, num_features=3)
    parts = [list(Batches(part)) for part in (data.train, data.validation, data.test)]
    del parts[2][0]["target"]
    with pytest.raises(
        ValueError, match=r"`test` should hold a 'target' in each batch; found none"
    ):
        probe_encoders(model, model.encoder_paths, *parts)


@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_is_the_classifier_that_it_is_called(kind):
    train, validation, test = splits(2, signal=0.9)
    mean, std = train[0].mean(axis=0), train[0].std(axis=0)
    classifier = {
        "ridge": linear_model.RidgeClassifier(alpha=30.0),
        "logistic": linear_model.LogisticRegression(C=1 / 30.0, max_iter=10_000),
    }[kind]
    classifier.fit((train[0] - mean) / std, train[1])
    found = linear_probe(train, validation, test, kind=kind, penalties=(30.0,))
    assert found.accuracy == classifier.score((test[0] - mean) / std, test[1])
    other = next(other for other in PROBES if other != kind)
    assert found.accuracy != linear_probe(*splits(2, signal=0.9), kind=other).accuracy


def test_penalties_unless_told_otherwise():
    """With classes far apart all are as right, and the highest is taken."""
    assert PENALTIES == (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    assert linear_probe(*splits(signal=100.0), kind="ridge").penalty in (100.0, 1000.0)


def test_a_dimension_of_rounding_is_constant_and_a_small_one_is_not():
    base = np.array([[1.0, 5.0, 0.0], [1.0, 5.0, 2.0]])
    train = base + np.array([[0, 0, 0], [1e-11, 6e-12, 0]])
    found = standardised({"train": train, "test": train})["test"]
    assert np.abs(found[:, [0, 2]]).tolist() == pytest.approx(np.ones((2, 2)), rel=1e-4)
    assert not found[:, 1].any()
