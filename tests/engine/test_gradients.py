"""The modulated gradient: equal to joint where nothing is modulated, else what it should be."""

from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.core.coalitions import ATTRIBUTIONS, coalitions
from support.networks import FUSIONS, Late, MaxOut, batch
from support.oracle import Oracle
from support.wrapping import LEVELS, assert_same, gradients, plain_step, wrap, wrap_parts

CLOSE = {"rtol": 1e-11, "atol": 1e-12}


class Given(cp.Method):
    """Scales the responses by fixed coefficients."""

    def __init__(self, *coefficients):
        super().__init__()
        self.given = torch.tensor(coefficients, dtype=torch.float64)

    def needs(self):
        return cp.Needs(responses="gradients")

    def coefficients(self, signals):
        return self.given


def made(fusion=MaxOut, num_modalities=3, **options):
    torch.manual_seed(5)
    return fusion(num_modalities, **options).double()


def train(balanced, num_steps=3, *, max_norm=None, dtype=torch.float64):
    optimiser = torch.optim.SGD(balanced.parameters(), lr=0.3, momentum=0.9)
    for seed in range(num_steps):
        inputs, target = batch(len(balanced.modalities), 7, seed=seed, dtype=dtype)
        optimiser.zero_grad()
        torch.manual_seed(seed)
        balanced(**inputs, target=target).loss.backward()
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(balanced.parameters(), max_norm)
        optimiser.step()
    return balanced.model.state_dict()


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_no_strength_trains_as_joint_bit_for_bit(level, fusion, attribution):
    model = made(fusion, dropout=0.3).float()
    joint = wrap(deepcopy(model), level, cp.Joint())
    still = wrap(model, level, cp.AGM(alpha=0.0), attribution=attribution)
    assert_same(train(still, dtype=torch.float32), train(joint, dtype=torch.float32))


@pytest.mark.parametrize("level", LEVELS)
def test_the_gradient_without_strength_is_the_models_own(level):
    model = made(dropout=0.3)
    plain, balanced = deepcopy(model), wrap(model, level, cp.AGM(alpha=0.0))
    inputs, target = batch(3, 7)
    balanced.validate(**inputs)
    torch.manual_seed(0)
    balanced(**inputs, target=target).loss.backward()
    torch.manual_seed(0)
    plain_step(plain, inputs, target)
    assert_same(gradients(model), gradients(plain))


def by_hand(model, names, weights, coefficients, inputs, target):
    """The gradient of v(all) + sum (kappa_m - 1) phi_m, with values from whole-model passes."""

    def value(coalition):
        given = {
            n: x if m in coalition else torch.zeros_like(x)
            for m, (n, x) in enumerate(inputs.items())
        }
        return model(**given)

    values = torch.stack([value(s) for s in coalitions(len(names))])
    responses = torch.tensordot(weights, values, dims=1)
    full = values[-1]
    (g,) = torch.autograd.grad(F.cross_entropy(full, target), full, retain_graph=True)
    excess = ((coefficients - 1).view(-1, 1, 1) * responses).sum(dim=0)
    ((full + excess) * g).sum().backward()
    return responses.detach()


# Of three modalities: columns alone, in pairs (0, 1), (0, 2), (1, 2), all together.
WEIGHTS = {
    "shapley": cp.shapley_weights(3),
    "leave_one_out": torch.tensor(
        [[0, 0, 0, 0, 0, -1, 1], [0, 0, 0, 0, -1, 0, 1], [0, 0, 0, -1, 0, 0, 1]]
    ).double(),
    "alone": torch.eye(3, 7).double(),
}


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_given_coefficients_scale_the_gradients_of_responses(level, fusion, attribution):
    model = made(fusion, norm=False)
    twin, inputs = deepcopy(model), batch(3, 7)[0]
    target = batch(3, 7)[1]
    method = Given(0.25, 1.0, 3.5)
    out = wrap(model, level, method, attribution=attribution)(**inputs, target=target)
    out.loss.backward()
    weights = WEIGHTS[attribution]
    responses = by_hand(twin, twin.names, weights, method.given, inputs, target)
    torch.testing.assert_close(out.responses, responses, **CLOSE)
    for name, expected in gradients(twin).items():
        torch.testing.assert_close(dict(model.named_parameters())[name].grad, expected, **CLOSE)


def test_two_modalities_share_the_gradient_as_published():
    """(k1+k2)/2 on the full pass, (k1-k2)/2 on the first alone, (k2-k1)/2 on the second alone."""
    model = made(Late, 2, norm=False)
    inputs, target = batch(2, 7)
    balanced, passes = wrap(model, method=Given(0.5, 2.0)), []
    balanced.validate(**inputs)
    model.head.register_forward_hook(lambda module, args, output: passes.append(output))
    out = balanced(**inputs, target=target)
    for logits in passes:
        logits.retain_grad()
    out.logits.retain_grad()
    out.loss.backward()
    g = out.logits.grad
    for logits, factor in zip(passes, (1.25, -0.75, 0.75), strict=True):
        torch.testing.assert_close(logits.grad, factor * g, **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
def test_accumulated_micro_batches_give_the_sum_of_their_gradients(level):
    model = made()
    apart, together = wrap(deepcopy(model), level), wrap(model, level)
    batches = [batch(3, 7, seed=seed) for seed in range(2)]
    total = None
    for inputs, target in batches:
        apart.zero_grad()
        apart(**inputs, target=target).loss.backward()
        own = gradients(apart)
        total = own if total is None else {name: total[name] + own[name] for name in own}
        together(**inputs, target=target).loss.backward()
    assert_same(gradients(together), total)


@pytest.mark.parametrize("level", LEVELS)
def test_two_forward_passes_may_share_one_backward_pass(level):
    model = made(norm=False)
    apart, together = wrap(deepcopy(model), level), wrap(model, level)
    batches = [batch(3, 7, seed=seed) for seed in range(2)]
    for inputs, target in batches:
        apart(**inputs, target=target).loss.backward()
    sum(together(**inputs, target=target).loss for inputs, target in batches).backward()
    for name, expected in gradients(apart).items():
        torch.testing.assert_close(gradients(together)[name], expected, **CLOSE)


@pytest.mark.parametrize("level", ["inputs", "features"])
def test_clipped_training_equals_the_oracles(level):
    model = made()
    oracle = Oracle(deepcopy(model), model.names, alpha=1.7)
    found = train(wrap(model, level), max_norm=0.1)
    optimiser = torch.optim.SGD(oracle.model.parameters(), lr=0.3, momentum=0.9)
    for seed in range(3):
        optimiser.zero_grad()
        oracle.step(*batch(3, 7, seed=seed))
        norm = torch.nn.utils.clip_grad_norm_(oracle.model.parameters(), 0.1)
        assert norm > 0.1
        optimiser.step()
    for name, value in oracle.model.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("level", LEVELS)
def test_under_bf16_autocast_what_is_compared_stays_float32(level):
    model = made(norm=False).float()
    exact, rounded = wrap(deepcopy(model), level), wrap(model, level)
    inputs, target = batch(3, 23, dtype=torch.float32)
    right = exact(**inputs, target=target)
    right.loss.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = rounded(**inputs, target=target)
    out.loss.backward()
    assert out.logits.dtype == torch.bfloat16
    assert out.responses.dtype == out.scores.dtype == out.coefficients.dtype == torch.float32
    assert rounded.method.running_scores.dtype == torch.float32
    close = {"rtol": 2e-2, "atol": 2e-2}
    torch.testing.assert_close(out.responses, right.responses, **close)
    torch.testing.assert_close(out.scores, right.scores, **close)
    torch.testing.assert_close(out.coefficients, right.coefficients, **close)
    # The scores are those of the responses, to float32's precision and not to bfloat16's.
    own = [F.cross_entropy(phi, target) for phi in out.responses]
    torch.testing.assert_close(out.scores, torch.stack(own).detach())
    for name, expected in gradients(exact).items():
        torch.testing.assert_close(gradients(rounded)[name], expected, rtol=0.1, atol=1e-2)


@pytest.mark.parametrize("looks_first", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_a_learned_absent_value_gets_the_gradient_of_the_responses(level, looks_first):
    model = made(Late, 2, norm=False)
    learned = cp.absence.Learned((3,)).double()
    torch.nn.init.normal_(learned.value)
    method = Given(0.4, 1.9)
    if looks_first:  # without gradient, at what the heads of the method will be given
        method.heads = torch.nn.LazyLinear(2)
    balanced = wrap(model, level, method, absent={"ear": learned})
    inputs, target = batch(2, 7)
    out = balanced(**inputs, target=target)
    out.loss.backward()
    ear, eye = inputs["ear"], inputs["eye"]
    absent_ear = learned.value.detach().clone().requires_grad_()
    full = model(ear=ear, eye=eye)
    alone = model(ear=ear, eye=torch.zeros_like(eye))
    other = model(ear=absent_ear.expand_as(ear), eye=eye)
    (g,) = torch.autograd.grad(F.cross_entropy(full, target), full, retain_graph=True)
    surrogate = 0.4 * (full + alone - other) / 2 + 1.9 * (full + other - alone) / 2
    (expected,) = torch.autograd.grad((surrogate * g).sum(), absent_ear)
    assert expected.abs().min() > 0
    torch.testing.assert_close(learned.value.grad, expected, **CLOSE)
    assert "absent.leaves.0.0.value" in dict(balanced.named_parameters())
    assert model.state_dict().keys() == Late(2, norm=False).state_dict().keys()


class OfFeatures(cp.Method):
    """Adds what the rest of the model makes of the features."""

    def needs(self):
        return cp.Needs(features=True)

    def loss(self, joint, signals):
        return joint + signals.rest(signals.features).square().sum()


@pytest.mark.parametrize("level", LEVELS)
def test_a_loss_of_the_rest_of_the_model_trains_encoders_and_the_rest(level):
    model = made(MaxOut, norm=False)
    twin = deepcopy(model)
    inputs, target = batch(3, 7)
    balanced = wrap_parts(
        model, model.names, OfFeatures(), encoders=model.encoders, coalitions=level
    )
    balanced(**inputs, target=target).loss.backward()
    logits = twin(**inputs)
    (F.cross_entropy(logits, target) + logits.square().sum()).backward()
    for name, expected in gradients(twin).items():
        torch.testing.assert_close(gradients(model)[name], expected, **CLOSE)
