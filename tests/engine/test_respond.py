"""Responses for evaluation and monitoring: right numbers, without gradient or effect."""

from copy import deepcopy

import pytest
import torch

import counterpoise as cp
from counterpoise.core.coalitions import exact_plan
from counterpoise.engine.output import Output
from support.networks import FUSIONS, MaxOut, batch
from support.oracle import Oracle
from support.wrapping import LEVELS, assert_same, gradients, plain_step, wrap

CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def made(fusion=MaxOut, **options):
    torch.manual_seed(5)
    return fusion(3, **options).double()


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_responses_in_evaluation_equal_the_oracles(level, fusion):
    model = made(fusion, dropout=0.3)
    oracle = Oracle(deepcopy(model).eval(), model.names, alpha=1.7)
    inputs, target = batch(3, 7)
    balanced = wrap(model, level)
    balanced(**inputs, target=target)  # the inspection, and statistics of batch-norm
    oracle.model.load_state_dict(model.state_dict())
    out = balanced.eval().respond(**inputs, target=target)
    with torch.no_grad():  # PyTorch's attention takes another path where there is no gradient
        assert torch.equal(out.logits, oracle.model(**inputs))
    logits, phi, scores, _ = oracle.step(inputs, target)
    torch.testing.assert_close(out.responses, phi, **CLOSE)
    torch.testing.assert_close(out.scores, torch.tensor(scores, dtype=phi.dtype), **CLOSE)
    torch.testing.assert_close(out.loss, torch.nn.functional.cross_entropy(logits, target))


@pytest.mark.parametrize("level", LEVELS)
def test_responding_leaves_no_trace(level):
    balanced = wrap(made(dropout=0.3), level)
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target).loss.backward()
    state, grads = deepcopy(balanced.state_dict()), gradients(balanced)
    balanced.eval()
    balanced.model.head.train()
    flags, random_state = [m.training for m in balanced.modules()], torch.get_rng_state()
    out = balanced.respond(**inputs, target=target)
    assert not any(t is not None and t.requires_grad for t in (out.logits, out.responses, out.loss))
    assert_same(balanced.state_dict(), state)
    assert_same(gradients(balanced), grads)
    assert [m.training for m in balanced.modules()] == flags
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("level", LEVELS)
def test_responding_between_a_step_and_its_backward_pass_changes_no_gradient(level):
    inputs, target = batch(3, 7)
    found = []
    for asks in (False, True):
        balanced = wrap(made(), level)
        loss = balanced(**inputs, target=target).loss
        if asks:
            balanced.respond(**inputs, target=target)
        loss.backward()
        found.append(gradients(balanced))
    assert_same(*found)


def test_without_a_target_there_are_responses_alone():
    out = wrap(made()).eval().respond(**batch(3, 7)[0])
    assert out.responses.shape == (3, 7, 4)
    assert out.scores is None
    assert out.loss is None
    assert out.coefficients is None


def test_responding_in_training_mode_uses_that_mode_for_the_full_pass():
    balanced = wrap(made())
    plain = deepcopy(balanced.model)
    inputs, _ = batch(3, 7)
    out = balanced.respond(**inputs)
    assert torch.equal(out.logits, plain(**inputs))
    assert not torch.equal(out.logits, plain.eval()(**inputs))


@pytest.mark.parametrize("level", LEVELS)
def test_monitored_joint_training_shows_responses_and_stays_the_plain_step(level):
    model = made(dropout=0.3)
    plain = deepcopy(model)
    watched = wrap(model, level, cp.Joint(), monitor=True)
    agm = wrap(deepcopy(plain), level)
    inputs, target = batch(3, 7)
    torch.manual_seed(0)
    out = watched(**inputs, target=target)
    torch.manual_seed(0)
    expected = agm(**inputs, target=target)
    assert torch.equal(out.responses, expected.responses)
    assert torch.equal(out.scores, expected.scores)
    assert not out.responses.requires_grad
    assert torch.equal(out.coefficients, torch.ones(3))
    out.loss.backward()
    torch.manual_seed(0)
    plain_step(plain, inputs, target)
    assert_same(gradients(model), gradients(plain))


def test_monitoring_costs_nothing_in_evaluation():
    balanced = wrap(made(), "inputs", cp.Joint(), monitor=True).eval()
    assert balanced(**batch(3, 7)[0]).responses is None


def test_an_output_shows_shapes_and_names_what_is_one_a_modality():
    out = Output(
        torch.zeros(7, 4),
        raw="anything",
        loss=torch.tensor(1.25),
        scores=torch.tensor([0.5, 2.0]),
        diagnostics={"ratio": torch.tensor([1.0, 3.0]), "bound": torch.tensor(True)},
        modalities=("ear", "eye"),
    )
    assert repr(out).splitlines() == [
        "Output(",
        "  logits: (7, 4) float32",
        "  loss: 1.25",
        "  scores: ear 0.5, eye 2",
        "  ratio: ear 1, eye 3",
        "  bound: 1",
        ")",
    ]


class Seeing(cp.Method):
    """Asks for responses, for unimodal logits of passes of their own, and for values."""

    def needs(self):
        return cp.Needs(responses="gradients", unimodal_logits="values", values=True)

    def coefficients(self, signals):
        self.seen = signals
        return torch.ones(3)


def test_a_method_that_asks_for_both_sees_the_values_that_responses_are_made_of():
    balanced = wrap(made(), "shared", Seeing())
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target)
    seen = balanced.method.seen
    plan = exact_plan(3, "shapley")
    assert seen.coalitions == (*plan.partial, (0, 1, 2))
    made_of = torch.einsum("ms,sbc->mbc", plan.weights, seen.values)
    torch.testing.assert_close(made_of, seen.responses, **CLOSE)
    assert not torch.allclose(seen.unimodal_logits, seen.responses)
