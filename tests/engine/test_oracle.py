"""All levels of the engine against a slow, obviously right twin."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

import counterpoise as cp
from support.networks import FUSIONS, batch
from support.oracle import Oracle
from support.wrapping import wrap_parts


def wrapped(model, level, method=None, **options):
    encoders = None if level == "inputs" else model.encoders
    method = cp.AGM(alpha=1.7, clamp=10.0) if method is None else method
    return wrap_parts(model, model.names, method, encoders=encoders, coalitions=level, **options)


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters()}


def assert_steps_agree(balanced, oracle, *, num_steps=3, rows=9, tolerance=1e-11):
    """Train both for some steps and compare everything at each."""
    optimisers = [torch.optim.SGD(m.parameters(), lr=0.3) for m in (balanced, oracle.model)]
    for step in range(num_steps):
        inputs, target = batch(len(oracle.names), rows, seed=step)
        for optimiser in optimisers:
            optimiser.zero_grad()
        torch.manual_seed(step)  # dropout of the full pass draws the same in both
        out = balanced(**inputs, target=target)
        out.loss.backward()
        torch.manual_seed(step)
        logits, phi, scores, kappa = oracle.step(inputs, target)
        close = {"rtol": tolerance, "atol": tolerance}
        if step == 0:  # later the weights themselves differ in their last bits
            assert torch.equal(out.logits, logits)
        torch.testing.assert_close(out.logits, logits, **close)
        torch.testing.assert_close(out.responses, phi, **close)
        torch.testing.assert_close(
            out.scores, torch.tensor(scores, dtype=out.scores.dtype), **close
        )
        torch.testing.assert_close(
            out.coefficients, torch.tensor(kappa, dtype=out.coefficients.dtype), **close
        )
        theirs = gradients(oracle.model)
        for name, gradient in gradients(balanced.model).items():
            torch.testing.assert_close(
                gradient, theirs[name], **close, msg=lambda m, n=name: f"{n}: {m}"
            )
        for optimiser in optimisers:
            optimiser.step()
    for name, value in balanced.model.state_dict().items():
        torch.testing.assert_close(value, oracle.model.state_dict()[name], **close)


@pytest.mark.parametrize("num_modalities", [2, 3, 4, 5])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", ["inputs", "features"])
def test_published_levels_equal_the_oracle(fusion, num_modalities, level):
    torch.manual_seed(7)
    model = fusion(num_modalities, dropout=0.3).double()
    oracle = Oracle(deepcopy(model), model.names, alpha=1.7)
    assert_steps_agree(wrapped(model, level), oracle)


@pytest.mark.parametrize("num_modalities", [2, 3, 4, 5])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_shared_level_equals_the_oracle_where_encoders_ignore_their_mode(fusion, num_modalities):
    torch.manual_seed(7)
    model = fusion(num_modalities, norm=False).double()
    oracle = Oracle(deepcopy(model), model.names, alpha=1.7)
    assert_steps_agree(wrapped(model, "shared"), oracle)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_shared_level_equals_the_oracle_with_frozen_batch_norm(fusion):
    torch.manual_seed(7)
    model = fusion(3).double()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
    oracle = Oracle(deepcopy(model), model.names, alpha=1.7)
    for module in oracle.model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
    balanced = wrapped(model, "shared")
    assert_steps_agree(balanced, oracle)
    frozen = [m.training for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert not any(frozen)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", ["features", "shared"])
def test_coalitions_as_one_batch_equal_coalitions_one_by_one(fusion, level):
    torch.manual_seed(3)
    model = fusion(4).double()
    looped, together = wrapped(deepcopy(model), level), wrapped(model, level)
    inputs, target = batch(4, 7)
    together.validate(**inputs)
    looped.validate(**inputs)
    assert together.runner.facts.batched
    looped.runner.facts = replace(looped.runner.facts, batched=False)
    outs = [b(**inputs, target=target) for b in (looped, together)]
    for out in outs:
        out.loss.backward()
    torch.testing.assert_close(outs[0].responses, outs[1].responses, rtol=1e-12, atol=1e-12)
    theirs = gradients(together.model)
    for name, gradient in gradients(looped.model).items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-12, atol=1e-12)
