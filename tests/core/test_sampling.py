"""Sampled Shapley values: cost, bias, exact cases, and whether the stated error is true."""

from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import counterpoise as cp
from counterpoise.core.coalitions import coalitions

sizes = st.tuples(st.integers(2, 7), st.integers(0, 30))


def random_game(num_players, seed=0, entries=1):
    """Values of all coalitions, the empty one included, none of them related."""
    generator = torch.Generator().manual_seed(seed)
    return {
        s: torch.randn(entries, generator=generator, dtype=torch.float64)
        for s in ((), *coalitions(num_players))
    }


def polynomial_game(num_players, degree, seed=0):
    """A constant, a term for each player and, for degree 2, one for each pair."""
    generator = torch.Generator().manual_seed(seed)
    singles = torch.randn(num_players, generator=generator, dtype=torch.float64)
    pairs = torch.randn(num_players, num_players, generator=generator, dtype=torch.float64)

    def value(s):
        total = 0.7 + singles[list(s)].sum()
        if degree == 2:
            total = total + sum(pairs[i, j] for i in s for j in s if i < j)
        return total.reshape(1)

    return {s: value(s) for s in ((), *coalitions(num_players))}


def evaluated(plan, game):
    num_players = len(plan.weights)
    return torch.stack([game[s] for s in (*plan.partial, tuple(range(num_players)))])


def exact_shares(num_players, game):
    values = torch.stack([game[s] for s in coalitions(num_players)])
    return cp.shapley_weights(num_players) @ values


def draws(num_players, num_passes, num_draws):
    torch.manual_seed(11)
    sampling = cp.Sampling(num_passes)
    return [sampling.plan(num_players) for _ in range(num_draws)]


@given(sizes)
def test_a_draw_costs_the_documented_passes_and_never_more_than_asked(size):
    num_modalities, spare = size
    least = cp.Sampling.minimum_passes(num_modalities)
    sampling = cp.Sampling(least + spare)
    torch.manual_seed(spare)
    plan = sampling.plan(num_modalities)
    pairs = sampling.num_pairs(num_modalities)
    assert pairs >= 2
    assert len(plan.partial) + 1 == 2 + pairs * 2 * (num_modalities - 1)
    assert len(plan.partial) + 1 <= least + spare < len(plan.partial) + 1 + 2 * (num_modalities - 1)
    assert plan.partial.count(()) == 1
    assert tuple(range(num_modalities)) not in plan.partial
    assert plan.groups.shape == (pairs, *plan.weights.shape)


@given(sizes)
def test_every_draw_is_efficient(size):
    num_players, seed = size
    torch.manual_seed(seed)
    plan = cp.Sampling(cp.Sampling.minimum_passes(num_players) + seed).plan(num_players)
    game = random_game(num_players, seed)
    shares = plan.weights @ evaluated(plan, game)
    torch.testing.assert_close(shares.sum(dim=0), game[tuple(range(num_players))])


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("num_players", [2, 3, 5, 7])
def test_one_draw_is_exact_for_additive_and_quadratic_games(num_players, degree):
    game = polynomial_game(num_players, degree)
    (plan,) = draws(num_players, cp.Sampling.minimum_passes(num_players), 1)
    values = evaluated(plan, game)
    torch.testing.assert_close(plan.weights @ values, exact_shares(num_players, game))
    error = cp.Sampling.error(plan, values)
    torch.testing.assert_close(error, torch.zeros_like(error), rtol=0, atol=1e-14)


@pytest.mark.parametrize("num_players", [3, 4, 6])
def test_the_mean_over_draws_is_the_exact_share(num_players):
    game = random_game(num_players)
    plans = draws(num_players, cp.Sampling.minimum_passes(num_players), 1500)
    estimates = torch.stack([plan.weights @ evaluated(plan, game) for plan in plans]).squeeze(-1)
    error = estimates.std(dim=0) / sqrt(len(plans))
    assert error.gt(0).all()
    deviation = (estimates.mean(dim=0) - exact_shares(num_players, game).squeeze(-1)) / error
    assert deviation.abs().max() < 4


@pytest.mark.parametrize(("num_players", "num_passes"), [(4, 26), (5, 66), (9, 130)])
def test_the_reported_error_is_the_size_of_the_actual_one(num_players, num_passes):
    game = random_game(num_players, entries=13)
    exact = exact_shares(num_players, game)
    actual, reported = [], []
    for plan in draws(num_players, num_passes, 150):
        values = evaluated(plan, game)
        actual.append((plan.weights @ values - exact).square().mean())
        reported.append(cp.Sampling.error(plan, values).square().mean())
    ratio = (sum(actual) / sum(reported)).sqrt().item()
    assert 0.8 < ratio < 1.25


def test_the_error_is_per_modality_detached_and_in_the_units_of_the_values():
    game = random_game(4, entries=7)
    (plan,) = draws(4, 26, 1)
    values = evaluated(plan, game).requires_grad_()
    error = cp.Sampling.error(plan, values)
    assert error.shape == (4,)
    assert not error.requires_grad
    torch.testing.assert_close(cp.Sampling.error(plan, 3 * values), 3 * error)


def test_more_passes_shrink_the_error_by_the_square_root():
    game, sizes = random_game(5, entries=17), {}
    for num_passes in (2 + 8 * 8, 2 + 8 * 32):
        errors = [
            cp.Sampling.error(plan, evaluated(plan, game)).square().mean()
            for plan in draws(5, num_passes, 60)
        ]
        sizes[num_passes] = (sum(errors) / len(errors)).sqrt().item()
    assert sizes[66] / sizes[258] == pytest.approx(2, rel=0.1)


def test_draws_follow_the_global_seed_and_differ_from_each_other():
    first, second = draws(6, 42, 2)
    again = draws(6, 42, 1)[0]
    assert first.partial == again.partial
    assert torch.equal(first.weights, again.weights)
    assert first.partial != second.partial


def test_too_few_passes_are_an_error_that_says_how_many_are_needed():
    with pytest.raises(ValueError, match=r"`num_passes` should be at least 34; found 33\. Pass 34"):
        cp.Sampling(33).plan(9)


def test_a_number_of_passes_that_is_no_integer_is_an_error():
    with pytest.raises(TypeError, match=r"`num_passes` should be an integer; found 50\.0\."):
        cp.Sampling(50.0).plan(9)
