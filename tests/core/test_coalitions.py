"""Coalitions and the weights of their values: the axioms of the Shapley value, and golden ones."""

from fractions import Fraction
from itertools import permutations
from math import factorial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.core.coalitions import (
    coalitions,
    exact_plan,
    separable_plan,
)
from support.oracle import response_weights

CLOSE = {"rtol": 1e-12, "atol": 1e-9}


@st.composite
def games(draw, *, count=1):
    """A number of players, and for each of ``count`` games a value for each coalition."""
    num_players = draw(st.integers(2, 6))
    number = st.floats(-1e3, 1e3, allow_subnormal=False)
    size = 2**num_players - 1
    values = [draw(st.lists(number, min_size=size, max_size=size)) for _ in range(count)]
    return (num_players, *(torch.tensor(v, dtype=torch.float64) for v in values))


def as_table(num_players, values):
    return dict(zip(coalitions(num_players), values.tolist(), strict=True))


def as_values(num_players, table):
    return torch.tensor([table[s] for s in coalitions(num_players)], dtype=torch.float64)


def relabelled(coalition, labels):
    return tuple(sorted(labels[m] for m in coalition))


def test_coalitions_come_by_size_then_lexicographically_with_all_last():
    assert coalitions(1) == ((0,),)
    assert coalitions(4) == (
        *((0,), (1,), (2,), (3,)),
        *((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)),
        *((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)),
        (0, 1, 2, 3),
    )


def test_golden_weights_of_two_modalities():
    half = 0.5
    expected = torch.tensor([[half, -half, half], [-half, half, half]], dtype=torch.float64)
    assert torch.equal(cp.shapley_weights(2), expected)


def test_golden_weights_of_three_modalities():
    # Li et al.'s formula with |S|! (M-|S|-1)! / M! = 1/3, 1/6, 1/3 for |S| = 0, 1, 2.
    expected = torch.tensor(
        [
            [2, -1, -1, 1, 1, -2, 2],
            [-1, 2, -1, 1, -2, 1, 2],
            [-1, -1, 2, -2, 1, 1, 2],
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(cp.shapley_weights(3) * 6, expected, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("num_modalities", [2, 3, 4, 5, 6])
def test_weights_equal_the_formula(num_modalities):
    weights = cp.shapley_weights(num_modalities)
    for m, expected in enumerate(response_weights(num_modalities)):
        found = as_table(num_modalities, weights[m])
        assert expected.pop(()) == pytest.approx(0, abs=1e-15)
        assert found == pytest.approx(expected, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("num_modalities", [3, 7, 11])
def test_weights_are_the_nearest_doubles_to_the_exact_fractions(num_modalities):
    weights, m = cp.shapley_weights(num_modalities), num_modalities - 1
    for coalition, weight in zip(coalitions(num_modalities), weights[m].tolist(), strict=True):
        before = len(coalition) - (m in coalition)
        exact = Fraction(
            factorial(before) * factorial(num_modalities - before - 1), factorial(num_modalities)
        )
        assert weight == float(exact if m in coalition else -exact)


@pytest.mark.parametrize("num_modalities", [1, 2, 5, 8])
def test_columns_sum_to_zero_but_the_last(num_modalities):
    sums = cp.shapley_weights(num_modalities).sum(dim=0)
    expected = torch.zeros_like(sums)
    expected[-1] = 1
    torch.testing.assert_close(sums, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_come_in_the_type_asked_for(dtype):
    assert cp.shapley_weights(3, dtype=dtype).dtype == dtype


@given(games())
def test_efficiency(game):
    num_players, values = game
    shares = cp.shapley_weights(num_players) @ values
    torch.testing.assert_close(shares.sum(), values[-1], **CLOSE)


@given(games(), st.data())
def test_exchangeable_players_get_equal_shares(game, data):
    num_players, values = game
    i, j = data.draw(st.permutations(range(num_players)))[:2]
    labels = {**{m: m for m in range(num_players)}, i: j, j: i}
    table = as_table(num_players, values)
    symmetric = {s: v + table[relabelled(s, labels)] for s, v in table.items()}
    shares = cp.shapley_weights(num_players) @ as_values(num_players, symmetric)
    torch.testing.assert_close(shares[i], shares[j], **CLOSE)


@given(games(), st.floats(-10, 10), st.data())
def test_a_null_player_gets_its_part_of_the_empty_coalition_alone(game, empty, data):
    num_players, values = game
    null = data.draw(st.integers(0, num_players - 1))
    table = {(): empty, **as_table(num_players, values)}
    without = {s: table[tuple(m for m in s if m != null)] for s in coalitions(num_players)}
    shares = cp.shapley_weights(num_players) @ as_values(num_players, without)
    assert shares[null].item() == pytest.approx(empty / num_players, rel=1e-12, abs=1e-9)


@given(games(count=2), st.floats(-10, 10), st.floats(-10, 10))
def test_linearity(game, a, b):
    num_players, u, v = game
    weights = cp.shapley_weights(num_players)
    torch.testing.assert_close(weights @ (a * u + b * v), a * (weights @ u) + b * (weights @ v))


@given(games(), st.data())
def test_relabelling_the_players_relabels_the_shares(game, data):
    num_players, values = game
    labels = data.draw(st.permutations(range(num_players)))
    table = as_table(num_players, values)
    renamed = {relabelled(s, labels): v for s, v in table.items()}
    shares = cp.shapley_weights(num_players) @ values
    found = cp.shapley_weights(num_players) @ as_values(num_players, renamed)
    torch.testing.assert_close(found[list(labels)], shares, **CLOSE)


@given(games())
def test_shares_are_the_mean_gain_over_all_orderings(game):
    num_players, values = game
    if num_players > 5:
        return  # 720 orderings tell no more than 120
    table = {(): 0.0, **as_table(num_players, values)}
    gains = torch.zeros(num_players, dtype=torch.float64)
    for ordering in permutations(range(num_players)):
        for position, m in enumerate(ordering):
            before = tuple(sorted(ordering[:position]))
            gains[m] += table[tuple(sorted((*before, m)))] - table[before]
    shares = cp.shapley_weights(num_players) @ values
    torch.testing.assert_close(shares, gains / factorial(num_players), **CLOSE)


@given(games())
def test_leave_one_out_and_alone_pick_the_right_values(game):
    num_players, values = game
    table = as_table(num_players, values)
    everyone = tuple(range(num_players))
    left_out, alone = (
        plan.weights
        @ torch.tensor([table[s] for s in (*plan.partial, everyone)], dtype=torch.float64)
        for plan in (exact_plan(num_players, name) for name in ("leave_one_out", "alone"))
    )
    for m in everyone:
        rest = tuple(j for j in everyone if j != m)
        assert left_out[m].item() == pytest.approx(table[everyone] - table[rest])
        assert alone[m].item() == table[(m,)]


@pytest.mark.parametrize(
    ("attribution", "partial"),
    [
        ("shapley", ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2))),
        ("leave_one_out", ((0, 1), (0, 2), (1, 2))),
        ("alone", ((0,), (1,), (2,))),
    ],
)
def test_exact_plan_evaluates_only_coalitions_that_carry_a_weight(attribution, partial):
    plan = exact_plan(3, attribution)
    assert plan.partial == partial
    assert plan.weights.shape == (3, len(partial) + 1)
    assert plan.weights[:, :-1].ne(0).any(dim=0).all()
    assert plan.groups is None


@pytest.mark.parametrize("attribution", ["shapley", "leave_one_out", "alone"])
@pytest.mark.parametrize("num_modalities", [2, 3, 5])
def test_membership_says_who_is_in_each_coalition_and_everyone_in_the_last(
    attribution, num_modalities
):
    plan = exact_plan(num_modalities, attribution)
    assert plan.members.shape == plan.weights.shape
    for column, coalition in enumerate(plan.partial):
        assert plan.members[:, column].nonzero().flatten().tolist() == list(coalition)
    assert plan.members[:, -1].all()


@pytest.mark.parametrize("make", [cp.shapley_weights, coalitions])
def test_no_modality_is_an_error(make):
    with pytest.raises(ValueError, match=r"`num_modalities` should be at least 1; found 0\."):
        make(0)


def test_one_modality_alone_is_no_sum():
    with pytest.raises(ValueError, match=r"`num_modalities` should be at least 2; found 1\."):
        separable_plan(1)


@pytest.mark.parametrize("number", [2.0, "2", True, None])
def test_a_number_of_modalities_that_is_no_integer_is_an_error(number):
    with pytest.raises(TypeError, match="`num_modalities` should be an integer; found"):
        cp.shapley_weights(number)
