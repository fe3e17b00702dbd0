"""Worlds of known contributions."""

import math

import pytest
import torch

from counterpoise.data import Digits, Synthetic
from counterpoise.data.synthetic.synthetic import Shift
from counterpoise.experiments.study.synthetic_settings import (
    SETTINGS,
    SYNERGY,
    Rescaled,
    recipe_for,
    true_contributions,
    true_information,
)

ALL = {**SETTINGS, **SYNERGY}
SMALL = {"num_train": 7, "num_validation": 3, "num_test": 5}
SOURCE = Synthetic(unique=(0.3, 0.2, 0.1), redundancy=0.1, synergy=0.0, **SMALL)
QUIET = [name for name, data in ALL.items() if not any(data.noise)]


@pytest.mark.parametrize("setting", ALL)
def test_contributions_sum_to_what_all_know_together(setting):
    data = ALL[setting]
    together = data.truth().value(*data.modalities)
    assert sum(true_contributions(data).values()) == pytest.approx(together)
    assert list(true_contributions(data)) == list(true_information(data)) == list(data.modalities)


@pytest.mark.parametrize("setting", QUIET)
def test_without_noise_truths_are_the_parameters(setting):
    data = ALL[setting]
    nats, M = math.log(data.num_classes), len(data.unique)
    by_itself = [nats * (own + data.redundancy) for own in data.unique]
    shares = [nats * (own + (data.redundancy + data.synergy) / M) for own in data.unique]
    assert list(true_information(data).values()) == pytest.approx(by_itself)
    assert list(true_contributions(data).values()) == pytest.approx(shares)


def test_noise_takes_from_the_noisy_modality():
    (noisy, clean), data = true_information(SETTINGS["noisy"]).values(), SETTINGS["noisy"]
    nats = math.log(data.num_classes)
    assert noisy < nats * (data.unique[0] + data.redundancy) - 0.1
    assert clean == pytest.approx(nats * (data.unique[1] + data.redundancy))


def test_worlds_tell_the_two_truths_apart():
    contribution, by_itself = (
        f(SETTINGS["redundant"]) for f in (true_contributions, true_information)
    )
    assert all(by_itself[name] > 1.5 * contribution[name] for name in contribution)


def test_after_shifts_the_last_strengths_are_the_truth():
    data = Synthetic((0.5, 0.1), 0.2, 0.0, shifts=(Shift(2, (0.4, 0.2)), Shift(5, (0.1, 0.7), 0.1)))
    after = Synthetic((0.1, 0.7), 0.1, 0.0)
    assert true_contributions(data) == pytest.approx(true_contributions(after))
    assert true_information(data) == pytest.approx(true_information(after))


def test_rescaled_inputs_are_the_same_inputs_scaled():
    factors = (0.5, 1.0, 4.0)
    rescaled, plain = Rescaled(SOURCE, factors).load(), SOURCE.load()
    assert rescaled.name == "synthetic-rescaled"
    assert rescaled.fingerprint != plain.fingerprint
    for part in ("train", "validation", "test"):
        found, expected = getattr(rescaled, part), getattr(plain, part)
        assert torch.equal(found.target, expected.target)
        for factor, (name, x) in zip(factors, expected.inputs.items(), strict=True):
            assert torch.equal(found.inputs[name], factor * x)


def test_rescaled_truth_is_the_same_truth():
    rescaled = Rescaled(SOURCE, (0.1, 1.0, 3.0))
    assert true_contributions(rescaled) == true_contributions(SOURCE)
    assert true_information(rescaled) == true_information(SOURCE)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_factors_are_above_zero(factor):
    with pytest.raises(ValueError, match="`factors` should be finite, above 0; found"):
        Rescaled(SOURCE, (1.0, factor, 1.0))


def test_there_is_a_factor_for_each_modality():
    rule = "`factors` should hold one number for each of 3 modalities; found 2. Match them."
    with pytest.raises(ValueError, match=rule):
        Rescaled(SOURCE, (1.0, 2.0))


def test_a_seed_draws_other_data_and_other_weights():
    recipe = recipe_for(SOURCE, "gated", max_epochs=3, seed=11, num_train=13)
    assert (recipe.seed, recipe.data.seed, recipe.data.num_train) == (11, 11, 13)
    assert recipe.data.unique == SOURCE.unique
    assert recipe.trainer.max_epochs == 3
    assert recipe.model.fusion == "gated"
    assert recipe_for(SOURCE, "gated", max_epochs=3, seed=11).data.num_train == SOURCE.num_train


def test_data_that_are_not_drawn_stay_as_they_are():
    data = Digits()
    assert recipe_for(data, "additive", max_epochs=1, seed=5, num_train=13).data is data
