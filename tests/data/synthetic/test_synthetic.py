import math
import pickle
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoise.data import Shift, Synthetic

SMALL = {"num_train": 211, "num_validation": 53, "num_test": 101}


def test_shapes_types_and_names():
    source = Synthetic((0.2, 0.1, 0.3), modalities=("a", "b", "c"), num_features=13, **SMALL)
    splits = source.load()
    assert splits.sample_shapes == {"a": (13,), "b": (13,), "c": (13,)}
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [211, 53, 101]
    batch = splits.train.__getitems__([2, 3])
    assert batch["b"].dtype == torch.float32
    assert batch["target"].dtype == torch.int64
    assert Synthetic().modalities == ("m1", "m2")


def test_the_same_options_give_the_same_bytes_whatever_happened_before():
    first = Synthetic(**SMALL).load().fingerprint
    torch.manual_seed(3)
    torch.rand(5)
    torch.set_default_dtype(torch.float64)
    try:
        again = Synthetic(**SMALL).load().fingerprint
    finally:
        torch.set_default_dtype(torch.float32)
    assert first == again
    assert first != Synthetic(**SMALL, seed=1).load().fingerprint


def test_loading_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    Synthetic(**SMALL).load()
    assert torch.equal(torch.get_rng_state(), state)


def test_splits_share_codewords_and_no_sample():
    splits = Synthetic(feature_noise=0.0, **SMALL).load()
    words = [set(map(tuple, part.inputs["m1"].tolist())) for part in (splits.train, splits.test)]
    assert words[1] <= words[0]  # 211 samples show every symbol
    noisy = Synthetic(**SMALL).load()
    rows = [set(map(tuple, part.inputs["m1"].tolist())) for part in (noisy.train, noisy.test)]
    assert not rows[0] & rows[1]


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_nearest_codeword_is_the_symbol_that_was_drawn(noise):
    source = Synthetic(noise=noise, feature_noise=0.3, num_train=2003)
    train, codebook = source.load().train, source.codebook()
    symbols, target = source._symbols(0).sample(2003, source.seed, "train")
    assert torch.equal(train.target, target)
    for m, name in enumerate(train.modalities):
        nearest = torch.cdist(train.inputs[name], codebook[m]).argmin(dim=1)
        assert torch.equal(nearest, symbols[:, m])


def test_codewords_are_orthogonal_and_differ_between_modalities():
    codebook = Synthetic(num_classes=3, num_features=7).codebook().double()
    assert torch.allclose(
        codebook @ codebook.mT, 7 * torch.diag(torch.tensor([0.0] + [1.0] * 6)).double(), atol=1e-5
    )
    assert not torch.allclose(codebook[0], codebook[1])


def test_nothing_seen_is_zeros():
    train = Synthetic((0.0, 1.0), 0.0, 0.0, feature_noise=0.0, **SMALL).load().train
    assert not train.inputs["m1"].any()
    assert train.inputs["m2"].any(dim=1).all()


def test_features_have_the_noise_that_is_asked_for():
    clean = Synthetic(feature_noise=0.0, num_train=4001).load().train.inputs["m1"]
    noisy = Synthetic(feature_noise=0.25, num_train=4001).load().train.inputs["m1"]
    assert float((noisy - clean).std()) == pytest.approx(0.25, rel=0.01)


def test_shares_are_shares_of_the_samples():
    N = 40_000
    source = Synthetic((0.4, 0.1), 0.2, 0.1, feature_noise=0.0, num_train=N)
    symbols, target = source._symbols(0).sample(N, 0, "count")
    K = source.num_classes
    shows = (symbols >= 1) & (symbols <= K)
    seen = {
        (True, False): 0.4,
        (False, True): 0.1,
        (True, True): 0.2,
        (False, False): 0.3,
    }
    for pattern, share in seen.items():
        found = (shows == torch.tensor(pattern)).all(dim=1).double().mean()
        assert float(found) == pytest.approx(share, abs=4 * math.sqrt(share / N))
    adds = (symbols > K).all(dim=1)
    assert float(adds.double().mean()) == pytest.approx(0.1, abs=0.006)
    assert torch.equal((symbols[adds] - 1 - K).sum(dim=1) % K, target[adds])
    assert torch.equal(symbols[shows], (1 + target[:, None]).expand(-1, 2)[shows])


SHIFTING = Synthetic(
    unique=(0.6, 0.0),
    redundancy=0.2,
    synergy=0.0,
    shifts=(Shift(4, (0.0, 0.6), 0.2), Shift(6, (0.0, 0.2), 0.2, 0.4)),
    **SMALL,
)


@pytest.mark.parametrize(
    ("epoch", "unique", "redundancy", "synergy"),
    [
        (0, (0.6, 0.0), 0.2, 0.0),
        (1, (0.45, 0.15), 0.2, 0.0),
        (4, (0.0, 0.6), 0.2, 0.0),
        (5, (0.0, 0.4), 0.2, 0.2),
        (6, (0.0, 0.2), 0.2, 0.4),
        (99, (0.0, 0.2), 0.2, 0.4),
    ],
)
def test_strengths_move_linearly_from_shift_to_shift(epoch, unique, redundancy, synergy):
    now = SHIFTING.at(epoch)
    assert now.unique == pytest.approx(unique)
    assert (now.redundancy, now.synergy) == pytest.approx((redundancy, synergy))
    assert now.shifts == ()
    expected = [math.log(5) * (u + (redundancy + synergy) / 2) for u in unique]
    assert SHIFTING.truth(epoch).contributions.tolist() == pytest.approx(expected)


def test_training_data_shifts_and_judging_data_is_of_the_last_strengths():
    splits = SHIFTING.load()
    for epoch in (0, 1, 5, 6):
        expected = SHIFTING.at(epoch).load().train.fingerprint
        assert splits.training_set(epoch).fingerprint == expected
    assert splits.train.fingerprint == splits.training_set(0).fingerprint
    assert splits.test.fingerprint == SHIFTING.at(6).load().test.fingerprint
    assert splits.validation.fingerprint == SHIFTING.at(99).load().validation.fingerprint
    assert splits.training_set(7) is splits.training_set(6)


def test_a_shift_keeps_labels_and_most_samples():
    before, after = SHIFTING.at(1).load().train, SHIFTING.at(2).load().train
    assert torch.equal(before.target, after.target)
    moved = (before.inputs["m1"] != after.inputs["m1"]).any(dim=1).double().mean()
    assert 0.05 < float(moved) < 0.25  # a share of 0.15 moves from the first to the second


def test_without_shifts_every_epoch_has_the_same_set():
    splits = Synthetic(**SMALL).load()
    assert splits.training_set(5) is splits.train


def test_shifting_splits_can_be_sent_to_another_process():
    again = pickle.loads(pickle.dumps(SHIFTING.load()))
    assert again.training_set(3).fingerprint == SHIFTING.load().training_set(3).fingerprint


@given(st.integers(2, 4), st.integers(2, 7), st.floats(0, 0.5), st.integers(0, 2**40))
@settings(max_examples=25)
def test_any_number_of_modalities_and_classes_loads(num_modalities, num_classes, noise, seed):
    source = Synthetic(
        (0.1,) * num_modalities, noise=noise, num_classes=num_classes, seed=seed,
        num_features=24, num_train=7, num_validation=1, num_test=1,
    )  # fmt: skip
    splits = source.load()
    assert splits.num_classes == num_classes
    assert len(splits.modalities) == num_modalities
    assert all(torch.isfinite(x).all() for x in splits.train.inputs.values())


def test_a_linear_classifier_reaches_what_the_truth_says_for_an_additive_set():
    # Without synergy the class can be read off each modality, so that regression on the
    # features decides as the Bayes rule does.
    source = Synthetic((0.5, 0.1), 0.2, 0.0, feature_noise=0.1, num_train=5003, num_test=5003)
    splits = source.load()

    def features(part):
        return torch.cat([*part.inputs.values(), torch.ones(len(part), 1)], dim=1)

    onehot = torch.nn.functional.one_hot(splits.train.target, 5).float()
    weights = torch.linalg.lstsq(features(splits.train), onehot).solution
    predicted = (features(splits.test) @ weights).argmax(dim=1)
    accuracy = float((predicted == splits.test.target).double().mean())
    assert accuracy == pytest.approx(float(source.truth().accuracy[-1]), abs=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unique": (0.5,)}, "`unique` should have a share for each of at least 2 modalities"),
        ({"noise": (0.1, 0.1, 0.1)}, "`noise` should have one number for each of 2 modalities"),
        ({"modalities": ("a",)}, "`modalities` should be 2 names, as many as `unique` has"),
        ({"modalities": ("a", "a")}, "`modalities` should name each once; found 'a' several"),
        ({"num_train": 0}, "`num_train` should be at least 1; found 0."),
        ({"feature_noise": -1.0}, "`feature_noise` should be finite, at least 0; found -1.0."),
        ({"feature_noise": 2.0}, "`feature_noise` should leave symbols apart (confused in at most"),
        ({"feature_noise": 2.0}, "Lower it or raise `num_features`."),
        ({"num_features": 9}, "`num_features` should be at least 10; found 9."),
        (
            {"shifts": (Shift(5, (0.1, 0.1)), Shift(3, (0.1, 0.1)))},
            "`shifts` should be in order of epochs, one each; found epochs [5, 3].",
        ),
        (
            {"shifts": (Shift(5, (0.1, 0.1, 0.1)),)},
            "`shifts` should give each of 2 modalities a share; found 3 at epoch 5.",
        ),
    ],
)
def test_options_that_make_no_data_set_are_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Synthetic(**changes)


def test_shifts_at_no_epoch_or_of_no_shares_are_refused():
    with pytest.raises(ValueError, match="`epoch` should be at least 1; found 0"):
        Shift(0, (0.1, 0.1))
    with pytest.raises(ValueError, match="should sum to at most 1"):
        Shift(1, (0.6, 0.6))
    with pytest.raises(ValueError, match="`epoch` should be at least 0; found -1"):
        Synthetic().at(-1)
