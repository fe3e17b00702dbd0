"""Contribution, cooperation and robustness as functions of the performances of coalitions."""

from itertools import permutations, product
from math import factorial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.measures import (
    alone,
    contributions,
    cooperation,
    every_coalition,
    robustness,
)

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
counts = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)


def draw(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def game(M, value):
    """The performances of a game, given by the value of a set of modalities."""
    return torch.tensor([value(set(s)) for s in every_coalition(M)], dtype=torch.float64)


def by_orderings(performances, M):
    """Shapley values by their definition: the mean gain of joining, over all orderings."""
    index = {s: i for i, s in enumerate(every_coalition(M))}
    gains = torch.zeros(M, dtype=torch.float64)
    for ordering in permutations(range(M)):
        for position, m in enumerate(ordering):
            before = tuple(sorted(ordering[:position]))
            after = tuple(sorted(ordering[: position + 1]))
            gains[m] += performances[index[after]] - performances[index[before]]
    return gains / factorial(M)


# -- contribution --------------------------------------------------------------------------------


@given(seed=seeds, M=counts)
def test_contributions_are_the_mean_gain_over_all_orderings(seed, M):
    v = draw(seed, 2**M)
    torch.testing.assert_close(contributions(v), by_orderings(v, M), **CLOSE)


@given(seed=seeds, M=counts)
def test_contributions_share_out_what_is_beyond_chance(seed, M):
    v = draw(seed, 2**M, 3)
    torch.testing.assert_close(contributions(v).sum(dim=0), v[-1] - v[0], **CLOSE)
    torch.testing.assert_close(contributions(v + 0.5), contributions(v), **CLOSE)


@given(seed=seeds, M=counts)
def test_a_modality_that_adds_nothing_contributes_nothing_and_equals_contribute_equally(seed, M):
    worth = draw(seed, M).tolist()
    worth[0] = 0.0
    v = game(M, lambda s: 0.2 + sum(worth[m] for m in s) ** 2)
    assert contributions(v)[0].abs() < 1e-12
    by_size = game(M, lambda s: 0.1 + len(s) ** 3)
    torch.testing.assert_close(
        contributions(by_size), contributions(by_size)[:1].expand(M), **CLOSE
    )


def test_a_hand_worked_contribution():
    """M = 2: phi_1 = (v(1) - v(none) + v(12) - v(2)) / 2 = (0.8 + 0.7) / 2; phi_2 = 0.15."""
    v = torch.tensor([0.1, 0.9, 0.3, 1.0], dtype=torch.float64)
    expected = torch.tensor([0.75, 0.15], dtype=torch.float64)
    torch.testing.assert_close(contributions(v), expected, **CLOSE)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.int32])
def test_counts_are_measured_like_other_numbers(dtype):
    counts, p = torch.tensor([1, 9, 3, 10], dtype=dtype), torch.tensor([0.0, 0.25, 1.0])
    torch.testing.assert_close(contributions(counts), contributions(counts.double()), **CLOSE)
    torch.testing.assert_close(robustness(counts, p), robustness(counts.double(), p), **CLOSE)
    assert cooperation(counts) == cooperation(counts.double())


# -- cooperation ---------------------------------------------------------------------------------


@given(seed=seeds, M=counts)
def test_modalities_that_add_up_do_not_cooperate(seed, M):
    worth = draw(seed, M).tolist()
    v = game(M, lambda s: 0.3 + sum(worth[m] for m in s))
    assert cooperation(v).abs() < 1e-12
    torch.testing.assert_close(contributions(v), torch.tensor(worth, dtype=torch.float64), **CLOSE)


@given(seed=seeds, M=st.integers(2, 6))
def test_cooperation_is_positive_for_synergy_and_negative_for_repetition(seed, M):
    gain = float(draw(seed, 1)) + 0.01
    synergy = game(M, lambda s: 0.1 + gain * (len(s) == M))
    repetition = game(M, lambda s: 0.1 + gain * (len(s) > 0))
    assert float(cooperation(synergy)) == pytest.approx(gain)
    assert float(cooperation(repetition)) == pytest.approx(-(M - 1) * gain)


def test_alone_is_one_performance_a_modality():
    v = torch.arange(8.0)
    assert alone(v).tolist() == [1.0, 2.0, 3.0]


# -- robustness ----------------------------------------------------------------------------------


@given(seed=seeds, M=counts, each=st.booleans())
def test_robustness_is_the_mean_over_which_modalities_are_there(seed, M, each):
    v, p = draw(seed, 2**M), draw(seed + 1, 3, M) if each else draw(seed + 1, 3)
    index = {s: i for i, s in enumerate(every_coalition(M))}
    p_PM = p if each else p.unsqueeze(1).expand(-1, M)
    expected = torch.zeros(3, dtype=torch.float64)
    for here in product((False, True), repeat=M):
        chance = torch.ones(3, dtype=torch.float64)
        for m in range(M):
            chance *= 1 - p_PM[:, m] if here[m] else p_PM[:, m]
        expected += chance * v[index[tuple(m for m in range(M) if here[m])]]
    torch.testing.assert_close(robustness(v, p), expected, **CLOSE)


@given(seed=seeds, M=counts)
def test_robustness_begins_with_the_whole_and_ends_with_nothing(seed, M):
    v = draw(seed, 2**M)
    ends = robustness(v, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(ends, torch.stack([v[-1], v[0]]), **CLOSE)


def test_the_performance_without_one_modality_for_sure():
    v = torch.arange(8.0)  # coalitions: none, 0, 1, 2, 01, 02, 12, all
    assert robustness(v, torch.tensor([[0.0, 1.0, 0.0]])).tolist() == [5.0]


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [contributions, cooperation, alone])
@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (7, 2)])
def test_a_number_of_coalitions_that_no_modalities_have_is_an_error(function, shape):
    with pytest.raises(ValueError, match=r"`performances` should hold 2\^M .* found shape "):
        function(torch.zeros(shape))


def test_a_performance_that_is_not_finite_is_an_error_that_names_the_coalition():
    v = torch.tensor([0.1, 0.9, float("nan"), 1.0])
    with pytest.raises(ValueError, match=r"found nan for the coalition of modalities \(1,\)\."):
        contributions(v)
    with pytest.raises(ValueError, match=r"`performances` should be finite"):
        robustness(v, torch.tensor([0.5]))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_probability_out_of_range_is_an_error(value):
    with pytest.raises(ValueError, match=rf"`probabilities` should be in \[0, 1\]; found {value}"):
        robustness(torch.arange(4.0), torch.tensor([0.5, value]))


@pytest.mark.parametrize("shape", [(), (2, 3), (2, 2, 2)])
def test_probabilities_of_another_shape_are_an_error(shape):
    with pytest.raises(ValueError, match=r"`probabilities` should have shape \(P,\) or \(P, 2\)"):
        robustness(torch.arange(4.0), torch.zeros(shape))
