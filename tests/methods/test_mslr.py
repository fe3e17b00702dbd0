"""Each modality's branch has a learning rate of its own."""

import warnings
from io import BytesIO
from math import nan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.methods.mslr import MSLR
from support.additive import additive
from support.networks import Late, batch
from support.wrapping import assert_same, gradients

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def bound(num_modalities=2, **options):
    method = MSLR(**options)
    method.bind([f"m{i}" for i in range(num_modalities)], torch.float64)
    return method


def validate(method, accuracies, first=0):
    """Hand epochs of accuracies to a method; return the rates after each."""
    rates = []
    for epoch, row in enumerate(accuracies, start=first):
        row = torch.tensor(row, dtype=torch.float64)
        method.on_validation(cp.Evaluation(epoch, 1.0, 0.5, 1 - row, row), [])
        rates.append(method.learning_rates())
    return torch.stack(rates)


def rates(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_golden_dynamic_by_hand():
    """Factors 0.9 and 1.1, window 2.

    Accuracies of m0: 0.4, 0.6, 0.75, 0.54; of m1: 0.5, 0.5, 0.5, 0.2. The window is full after
    two epochs. Third: 0.75 / 0.5 = 1.5 and 0.5 / 0.5 = 1, so rates 1.35 and 1.1. Fourth:
    0.54 / ((0.6 + 0.75) / 2) = 0.8 and 0.2 / 0.5 = 0.4, so rates 0.72 and 0.44.
    """
    method = bound(factors=[0.9, 1.1], window=2)
    found = validate(method, [(0.4, 0.5), (0.6, 0.5), (0.75, 0.5), (0.54, 0.2)])
    expected = rates((0.9, 1.1), (0.9, 1.1), (1.35, 1.1), (0.72, 0.44))
    torch.testing.assert_close(found, expected, **CLOSE)


def test_golden_smooth_and_keep_by_hand():
    """Factors 0.9, 1.4, 0.7 have mean 1.0; halfway there are 0.95, 1.2, 0.85."""
    factors = {"m2": 0.7, "m0": 0.9, "m1": 1.4}
    smooth = bound(3, mode="smooth", factors=factors).learning_rates()
    torch.testing.assert_close(smooth, rates(0.95, 1.2, 0.85), **CLOSE)
    keep = bound(3, mode="keep", factors=factors).learning_rates()
    assert keep.tolist() == [0.9, 1.4, 0.7]


def test_smooth_goes_from_each_its_own_to_one_for_all():
    factors = [0.9, 1.4, 0.7]
    assert bound(3, mode="smooth", factors=factors, shift=0.0).learning_rates().tolist() == factors
    together = bound(3, mode="smooth", factors=factors, shift=1.0).learning_rates()
    torch.testing.assert_close(together, rates(1.0, 1.0, 1.0), **CLOSE)


@pytest.mark.parametrize("mode", ["keep", "smooth"])
def test_only_dynamic_heeds_accuracies(mode):
    method = bound(mode=mode, factors=[0.5, 2.0], window=1)
    found = validate(method, [(0.1, 0.9), (0.9, 0.1), (0.5, 0.5)])
    assert found.unique(dim=0).shape == (1, 2)


@given(st.sampled_from([2, 3, 5]), st.integers(1, 4), st.data())
def test_dynamic_is_accuracy_over_the_mean_of_the_window_before(m, window, data):
    unit = st.floats(0.2, 1.0)
    rows = data.draw(st.lists(st.tuples(*[unit] * m), min_size=1, max_size=9))
    factors = data.draw(st.tuples(*[st.floats(0, 3)] * m))
    found = validate(bound(m, factors=factors, window=window), rows)
    for epoch, row in enumerate(rows):
        for index, accuracy in enumerate(row):
            past = [rows[e][index] for e in range(epoch - window, epoch)] if epoch >= window else []
            ratio = accuracy / (sum(past) / window) if past else 1.0
            assert found[epoch, index].item() == pytest.approx(factors[index] * ratio, rel=1e-9)


@given(st.permutations(range(3)))
def test_permuting_modalities_permutes_rates(order):
    rows = [(0.3, 0.5, 0.4), (0.6, 0.5, 0.2), (0.5, 0.6, 0.9)]
    factors = (0.9, 1.4, 0.7)
    plain = validate(bound(3, factors=factors, window=1), rows)
    moved = bound(3, factors=[factors[i] for i in order], window=1)
    permuted = validate(moved, [[row[i] for i in order] for row in rows])
    assert torch.equal(permuted, plain[:, list(order)])


def test_rising_accuracy_speeds_up_and_falling_slows_down():
    found = validate(bound(window=3), [(0.5, 0.5)] * 3 + [(0.6, 0.4)])[-1]
    assert found[0] > 1 > found[1]


@pytest.mark.parametrize(
    ("past", "now", "ratio"),
    [(0.0, 0.0, 1.0), (0.0, 1.0, 10.0), (1.0, 0.0, 0.1), (1e-15, 1.0, 10.0), (1.0, 1.0, 1.0)],
)
def test_extreme_accuracies_give_bounded_rates(past, now, ratio):
    found = validate(bound(window=2), [(past, 0.5), (past, 0.5), (now, 0.5)])[-1]
    torch.testing.assert_close(found, rates(ratio, 1.0), **CLOSE)


def test_an_accuracy_that_is_no_number_leaves_the_rate_until_it_has_left_the_window():
    found = validate(bound(window=1), [(0.5, 0.5), (nan, 0.5), (0.6, 0.5), (0.9, 0.5)])
    torch.testing.assert_close(found[:, 0], rates(1.0, 1.0, 1.0, 1.5), **CLOSE)


@pytest.mark.parametrize("rows", [(nan, nan), (-0.4, -0.5)])
def test_what_is_no_accuracy_leaves_rates_alone_and_is_told_once(rows):
    """An error with the sign turned is higher when better, and its ratio falls when it does."""
    method = bound(window=1)
    with pytest.warns(UserWarning, match=r"unimodal_accuracy` should be numbers of at least 0 for"):
        found = validate(method, [rows])
    found = validate(method, [tuple(0.8 * value for value in rows), (0.5, 0.5)])
    torch.testing.assert_close(found, torch.ones_like(found), **CLOSE)


def test_a_loaded_state_goes_on_bit_identically():
    rows = [(0.3, 0.5), (0.6, 0.5), (0.5, 0.6), (0.4, 0.9), (0.8, 0.3)]
    method = bound(window=2)
    validate(method, rows[:3])
    file = BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    resumed = bound(window=2)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(resumed.learning_rates(), method.learning_rates())
    assert torch.equal(validate(resumed, rows[3:], 3), validate(method, rows[3:], 3))
    assert_same(resumed.state_dict(), method.state_dict())


def test_gradients_are_those_of_joint_bit_for_bit():
    inputs, target = batch(3, 7, dtype=torch.float32)
    found = []
    for method in (cp.Joint(), MSLR(mode="keep", factors=[0.1, 1.0, 10.0])):
        balanced = additive(method=method)
        balanced.method.learning_rates()  # as a loop does
        balanced(**inputs, target=target).loss.backward()
        found.append(gradients(balanced.model))
    assert_same(*found)


def test_branches_are_needed():
    model = Late(2)
    message = (
        r"`modalities` should name branches for MSLR, which acts on them; found none for ear, eye\."
    )
    with pytest.raises(ValueError, match=message):
        cp.Balanced(model, model.names, MSLR())


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"mode": "dynamc"}, ValueError, r"`mode` should be one of 'keep', .* mean 'dynamic'\?"),
        ({"window": 0}, ValueError, r"`window` should be at least 1; found 0\."),
        ({"window": 2.5}, TypeError, r"`window` should be an integer; found 2\.5\."),
        ({"shift": 1.5}, ValueError, r"`shift` should be finite, at least 0 and at most 1; found"),
        ({"clamp": 0.5}, ValueError, r"`clamp` should be finite, at least 1; found 0\.5\."),
        ({"factors": [1.0]}, ValueError, r"`factors` should have a number for each of m0, m1;"),
        ({"factors": [1.0, -1.0]}, ValueError, r"`factors` should be finite, at least 0; found"),
    ],
)
def test_errors_name_the_argument(options, kind, message):
    with pytest.raises(kind, match=message):
        bound(**options)


@pytest.mark.parametrize("make", [cp.MSLR, cp.MSES])
def test_a_loop_that_does_not_ask_for_rates_is_told_once(make):
    method = make()
    method.bind(("m0", "m1"))
    message = r"`method.learning_rates\(\)` should be asked for before the first step with MS"
    with pytest.warns(UserWarning, match=message):
        method.advance()
    method.advance()  # warnings are errors here
    asked = make()
    asked.bind(("m0", "m1"))
    asked.learning_rates()
    asked.advance()


@pytest.mark.parametrize(
    ("make", "warns"),
    [
        (cp.MSES, True),
        (cp.MSLR, True),
        (lambda: cp.MSLR("keep", factors=[0.5, 1.0]), False),
        (cp.GBlend, True),
        (lambda: cp.GBlend(weights=[0.2, 0.3, 0.5]), False),
    ],
)
def test_epochs_without_validation_are_told_once_where_a_method_goes_by_it(make, warns):
    method = make()
    method.bind(["ear", "eye"])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for epoch in range(30):
            method.set_epoch(epoch)
    assert [str(w.message).startswith("`balanced.on_validation(") for w in told] == [True] * warns


def test_a_validation_now_and_then_is_enough():
    method = cp.MSLR()
    method.bind(["ear", "eye"])
    losses = torch.tensor([0.5, 0.7])
    for epoch in range(30):
        method.set_epoch(epoch)
        if epoch == 9:
            method.on_validation(cp.Evaluation(epoch, 0.6, 0.5, losses, 1 - losses), [])
