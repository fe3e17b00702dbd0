"""Small, empty and broken batches, and operations in place."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.networks import Late, MaxOut, batch
from support.oracle import Oracle
from support.wrapping import LEVELS, gradients, wrap

CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def made(fusion=MaxOut, num_modalities=3, **options):
    torch.manual_seed(5)
    return fusion(num_modalities, **options).double()


def twin_of(model, **options):
    """An oracle on a copy that is rebuilt, so that nothing of the wrapping comes along."""
    twin = type(model)(len(model.names), **options).double()
    twin.load_state_dict(model.state_dict())
    return Oracle(twin, twin.names, alpha=1.7)


def assert_step_equals(balanced, oracle, inputs, target):
    balanced.zero_grad()
    oracle.model.zero_grad()
    out = balanced(**inputs, target=target)
    out.loss.backward()
    logits, phi, _, kappa = oracle.step(inputs, target)
    torch.testing.assert_close(out.logits, logits, **CLOSE)
    torch.testing.assert_close(out.responses, phi, **CLOSE)
    torch.testing.assert_close(out.coefficients, torch.tensor(kappa, dtype=phi.dtype), **CLOSE)
    for name, expected in gradients(oracle.model).items():
        torch.testing.assert_close(gradients(balanced.model)[name], expected, **CLOSE)


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_batch_of_one_is_like_any_other(level):
    model = made(norm=False)
    balanced, oracle = wrap(model, level), twin_of(model, norm=False)
    for rows in (1, 7, 1):
        assert_step_equals(balanced, oracle, *batch(3, rows, seed=rows))


@pytest.mark.parametrize("level", LEVELS)
def test_a_batch_of_one_under_batch_norm_is_pytorchs_own_error(level):
    balanced = wrap(made(), level)
    flags = [m.training for m in balanced.modules()]
    inputs, target = batch(3, 1)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        balanced(**inputs, target=target)
    assert [m.training for m in balanced.modules()] == flags


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("level", LEVELS)
def test_an_empty_batch_changes_nothing(level, first):
    balanced = wrap(made(norm=False), level)
    if not first:
        inputs, target = batch(3, 7)
        balanced(**inputs, target=target)
    before = balanced.method.running_scores.clone()
    inputs, target = batch(3, 0)
    out = balanced(**inputs, target=target)
    out.logits.sum().backward()
    assert out.logits.shape == (0, 4)
    assert out.responses.shape == (3, 0, 4)
    assert torch.equal(out.coefficients, torch.ones(3, dtype=torch.float64))
    assert torch.equal(balanced.method.running_scores, before)
    assert all(g is None or not g.any() for g in gradients(balanced.model).values())
    balanced.method.check()


@pytest.mark.parametrize("level", LEVELS)
def test_the_inspection_waits_for_a_batch_that_tells_something(level):
    model = made(norm=False)
    balanced, oracle = wrap(model, level), twin_of(model, norm=False)
    inputs, target = batch(3, 0)
    balanced(**inputs, target=target)
    assert not balanced.runner.facts.batched
    assert_step_equals(balanced, oracle, *batch(3, 7))
    assert balanced.runner.facts.batched == (level != "inputs")


@pytest.mark.parametrize("level", LEVELS)
def test_a_shorter_last_batch_is_like_any_other(level):
    model = made(norm=False)
    balanced, oracle = wrap(model, level), twin_of(model, norm=False)
    for rows in (7, 3):
        assert_step_equals(balanced, oracle, *batch(3, rows, seed=rows))


# -- broken numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["ear", "eye", "hand"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_broken_modality_is_named_with_its_step(level, name, bad):
    balanced = wrap(made(norm=False), level)
    for seed in range(2):
        inputs, target = batch(3, 7, seed=seed)
        balanced(**inputs, target=target)
    before = balanced.method.running_scores.clone()
    inputs[name] = inputs[name].clone()
    inputs[name][3, 1] = bad
    out = balanced(**inputs, target=target)
    assert torch.equal(out.coefficients, torch.ones(3, dtype=torch.float64))
    assert torch.equal(balanced.method.running_scores, before)
    message = f"The score of modality '{name}' should be finite; found inf or NaN at step 2"
    with pytest.raises(FloatingPointError, match=message):
        balanced.method.check()


# -- in place --------------------------------------------------------------------------------------


class InPlace(Late):
    """Changes its features in place, each in another way."""

    def forward(self, **inputs):
        features = self.features(inputs)
        F.relu_(features[0])
        features[1].mul_(2).add_(1)
        return self.head(torch.cat(features, dim=1).tanh_())


@pytest.mark.parametrize("level", LEVELS)
def test_features_may_be_changed_in_place(level):
    model = made(InPlace, norm=False)
    balanced, oracle = wrap(model, level), twin_of(model, norm=False)
    for seed in range(2):
        assert_step_equals(balanced, oracle, *batch(3, 7, seed=seed))


@pytest.mark.parametrize("level", LEVELS)
def test_inputs_changed_in_place_are_an_error(level):
    class Spoiling(Late):
        def forward(self, **inputs):
            inputs["eye"].mul_(2)
            return super().forward(**inputs)

    balanced = wrap(made(Spoiling), level)
    inputs, target = batch(3, 7)
    before = inputs["eye"].clone()
    message = (
        r"The model should leave its inputs as they are; found modality 'eye' changed in place\. "
        r"Replace the in-place operation"
    )
    with pytest.raises(RuntimeError, match=message):
        balanced(**inputs, target=target)
    assert torch.equal(inputs["eye"], before)


def test_encoders_in_place_modules_are_no_hindrance():
    class Rectified(Late):
        def build(self, num_modalities, norm):
            super().build(num_modalities, norm)
            for name in self.names:
                getattr(self, name).layers[2] = nn.ReLU(inplace=True)

    model = made(Rectified, norm=False)
    for level in LEVELS:
        oracle = twin_of(model, norm=False)
        assert_step_equals(wrap(model, level, cp.AGM(alpha=1.7, clamp=10.0)), oracle, *batch(3, 7))
