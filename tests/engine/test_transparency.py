"""The wrapped model stays what it was, and is called no more often than it must be."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

import counterpoise as cp
from support.networks import FUSIONS, Late, MaxOut, batch
from support.wrapping import LEVELS, Calls, assert_same, gradients, plain_step, wrap

ROWS = 7


def made(fusion=MaxOut, num_modalities=3, **options):
    torch.manual_seed(5)
    return fusion(num_modalities, **options)


def data(num_modalities=3, seed=0):
    return batch(num_modalities, ROWS, dtype=torch.float32, seed=seed)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_logits_equal_the_models_bit_for_bit(level, fusion, training):
    model = made(fusion, dropout=0.4).train(training)
    plain = deepcopy(model)
    balanced = wrap(model, level).train(training)
    inputs, target = data()
    for seed in range(2):
        torch.manual_seed(seed)
        expected = plain(**inputs)
        torch.manual_seed(seed)
        out = balanced(**inputs, target=target)
        assert torch.equal(out.logits, expected)
        assert torch.equal(out.raw, expected)


@pytest.mark.parametrize("level", LEVELS)
def test_responses_sum_to_the_logits(level):
    balanced = wrap(made(), level)
    inputs, target = data()
    out = balanced(**inputs, target=target)
    assert out.responses.shape == (3, ROWS, 4)
    torch.testing.assert_close(out.responses.sum(dim=0), out.logits)


def test_scores_and_coefficients_are_detached_and_the_loss_is_the_criterion():
    balanced = wrap(made())
    inputs, target = data()
    out = balanced(**inputs, target=target)
    assert out.scores.shape == out.coefficients.shape == (3,)
    assert not out.scores.requires_grad
    assert not out.coefficients.requires_grad
    assert out.sampling_error is None
    assert torch.equal(out.loss, torch.nn.functional.cross_entropy(out.logits, target))


@pytest.mark.parametrize("level", LEVELS)
def test_batch_norm_and_randomness_move_as_in_plain_training(level):
    model = made(dropout=0.4)
    plain = deepcopy(model)
    balanced = wrap(model, level)
    for seed in range(2):
        inputs, target = data(seed=seed)
        torch.manual_seed(seed)
        plain(**inputs)
        random_state = torch.get_rng_state()
        torch.manual_seed(seed)
        balanced(**inputs, target=target)
        assert torch.equal(torch.get_rng_state(), random_state)
    assert_same(dict(model.named_buffers()), dict(plain.named_buffers()))


# -- cost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [None, torch.zeros(ROWS, dtype=torch.long)])
@pytest.mark.parametrize("level", LEVELS)
def test_evaluation_is_one_pass(level, target):
    balanced = wrap(made(), level).eval()
    inputs, _ = data()
    with Calls(balanced.model) as calls:
        out = balanced(**inputs, target=target)
    assert calls == [(ROWS, "eval")]
    assert out.responses is None
    assert out.scores is None
    assert out.coefficients is None
    assert (out.loss is None) == (target is None)


@pytest.mark.parametrize("level", LEVELS)
def test_joint_training_is_one_pass_and_the_plain_step(level):
    model = made(dropout=0.4)
    plain = deepcopy(model)
    balanced = wrap(model, level, cp.Joint())
    inputs, target = data()
    balanced.validate(**inputs, target=target)
    torch.manual_seed(0)
    with Calls(model) as calls:
        out = balanced(**inputs, target=target)
    assert calls == [(ROWS, "train")]
    assert out.responses is None
    assert torch.equal(out.coefficients, torch.ones(3))
    out.loss.backward()
    torch.manual_seed(0)
    plain_step(plain, inputs, target)
    assert_same(gradients(model), gradients(plain))


ONCE, AGAIN, ABSENT = (ROWS, "train"), (ROWS, "eval"), (1, "eval")


@pytest.mark.parametrize(
    ("level", "absent", "batched", "encoder", "rest"),
    [
        # Seven coalitions of three modalities, the full one first.
        ("inputs", None, False, [ONCE, *[AGAIN] * 6], [ONCE, *[AGAIN] * 6]),
        ("features", None, False, [ONCE, AGAIN, ABSENT], [ONCE, *[AGAIN] * 6]),
        ("shared", None, False, [ONCE, ABSENT], [ONCE, *[AGAIN] * 6]),
        # As one batch, once each encoder's output is known.
        ("features", None, True, [ONCE, AGAIN, ABSENT], [ONCE, (6 * ROWS, "eval")]),
        ("shared", None, True, [ONCE, ABSENT], [ONCE, (6 * ROWS, "eval")]),
        # Noise differs from row to row, so that a single absent sample does not do.
        ("features", cp.absence.Noise(), False, [ONCE, AGAIN, AGAIN], [ONCE, *[AGAIN] * 6]),
        ("shared", cp.absence.Noise(), False, [ONCE, AGAIN], [ONCE, *[AGAIN] * 6]),
    ],
)
def test_how_often_encoders_and_the_rest_run_at_each_level(level, absent, batched, encoder, rest):
    model = made()
    balanced = wrap(model, level, absent=absent)
    inputs, target = data()
    balanced.validate(**inputs)
    if not batched:
        balanced.runner.facts = replace(balanced.runner.facts, batched=False)
    encoders = [Calls(getattr(model, name).layers) for name in model.names]
    with Calls(model.head) as heads, encoders[0] as ear, encoders[1] as eye, encoders[2] as hand:
        balanced(**inputs, target=target)
    assert heads == rest
    for seen in (ear, eye, hand):
        assert seen[0] == ONCE
        assert sorted(seen) == sorted(encoder)


# -- traces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_the_model_keeps_its_class_its_state_and_its_attributes(level):
    model = made()
    keys, types = list(model.state_dict()), [type(m) for m in model.modules()]
    attributes = [set(vars(m)) for m in model.modules()]
    balanced = wrap(model, level)
    inputs, target = data()
    balanced(**inputs, target=target).loss.backward()
    assert balanced.model is model
    assert list(model.state_dict()) == keys
    assert [type(m) for m in model.modules()] == types
    assert [set(vars(m)) for m in model.modules()] == attributes


@pytest.mark.parametrize("level", LEVELS)
def test_flags_come_back_as_they_were_with_parts_frozen_in_eval(level):
    model = made(dropout=0.4)
    balanced = wrap(model, level)
    model.ear.eval()
    model.shared[1].eval()
    frozen = deepcopy(model.ear.layers[1].state_dict())
    flags = [m.training for m in balanced.modules()]
    inputs, target = data()
    balanced(**inputs, target=target)
    assert [m.training for m in balanced.modules()] == flags
    assert_same(model.ear.layers[1].state_dict(), frozen)


class Watched(torch.nn.Identity):
    """Keeps its flag elsewhere than in its dictionary, as scripted modules do."""

    @property
    def training(self):
        return self.modes[-1]

    @training.setter
    def training(self, mode):
        self.modes = [*getattr(self, "modes", []), mode]


@pytest.mark.parametrize("level", LEVELS)
def test_a_flag_that_a_module_keeps_elsewhere_is_switched_too(level):
    model = made()
    model.shared.append(Watched())
    balanced = wrap(model, level)
    inputs, target = data()
    balanced.validate(**inputs)
    model.shared[-1].modes = [True]
    balanced(**inputs, target=target)
    assert model.shared[-1].modes == [True, False, True]


@pytest.mark.parametrize("place", ["head", "ear"])
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_left_behind_when_the_model_raises_between_passes(level, place):
    model = made()
    balanced = wrap(model, level)
    model.eye.eval()
    flags = [m.training for m in balanced.modules()]
    inputs, target = data()
    balanced.validate(**inputs)

    def fail(module, args):
        if not module.training:
            raise OverflowError("from within a coalition")

    broken = model.head if place == "head" else model.ear.layers
    handle = broken.register_forward_pre_hook(fail)
    with pytest.raises(OverflowError, match="from within a coalition"):
        balanced(**inputs, target=target)
    assert [m.training for m in balanced.modules()] == flags
    assert not any("forward" in vars(m) for m in model.modules())
    handle.remove()
    balanced(**inputs, target=target).loss.backward()


@pytest.mark.parametrize("level", ["features", "shared"])
def test_a_forward_that_was_shadowed_before_is_used_and_kept(level):
    model, inputs = made(Late), data()[0]
    own = model.ear.forward
    model.ear.forward = shadow = lambda x: 2 * own(x)
    whole, replayed = wrap(deepcopy(model)), wrap(model, level)
    whole.model.ear.forward = lambda x: 2 * type(model.ear).forward(whole.model.ear, x)
    found, expected = (b.eval().respond(**inputs).responses for b in (replayed, whole))
    torch.testing.assert_close(found, expected)
    assert model.ear.forward is shadow


@pytest.mark.parametrize("level", ["features", "shared"])
def test_hooks_on_an_encoder_see_what_is_replayed(level):
    model, (inputs, target) = made(norm=False), data()
    balanced = wrap(model, level)
    balanced.validate(**inputs)
    balanced.runner.facts = replace(balanced.runner.facts, batched=False)
    model.ear.register_forward_hook(lambda module, args, output: output + 1)
    shifted = balanced.eval().respond(**inputs, target=target).responses
    whole = wrap(deepcopy(model)).eval().respond(**inputs, target=target).responses
    torch.testing.assert_close(shifted, whole)
