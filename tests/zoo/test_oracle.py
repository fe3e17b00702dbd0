"""The oracle itself: against closed forms, and against the published implementation's training."""

import math
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from zoo.kinds import CLASSES, ROWS, WIDTH, Concat, Wired, head, mlp, towers, vectors
from zoo.oracle import Oracle, score, shapley

PARITY = [parent / "shared" / "parity" for parent in Path(__file__).resolve().parents]
NAMES = ("ear", "eye")
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def batch(step=0):
    inputs, target, _ = vectors()(step)
    return {n: x.double() for n, x in inputs.items()}, target


def judged(model, *, steps=1, **options):
    oracle = Oracle(NAMES, alpha=0.7, **options)
    for step in range(steps):
        verdict = oracle.step(deepcopy(model), *batch(step), {})
        oracle.remember(verdict.scores)
    return verdict


def test_weights_are_those_of_the_formula_for_two():
    assert shapley(2, 0) == {(0,): 0.5, (1,): -0.5, (0, 1): 0.5}
    assert shapley(2, 1) == {(0,): -0.5, (1,): 0.5, (0, 1): 0.5}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_weights_give_each_modality_its_part_of_a_sum(count):
    part = [0.5, -2.0, 3.0, 7.0, 11.0][:count]
    for m in range(count):
        value = sum(w * (13.0 + sum(part[i] for i in s)) for s, w in shapley(count, m).items())
        assert value == pytest.approx(part[m] + 13.0 / count)


def test_responses_of_a_sum_of_linear_maps():
    torch.manual_seed(3)
    model = Wired(
        {"ear": nn.Linear(5, CLASSES, bias=False), "eye": nn.Linear(11, CLASSES, bias=False)}, Sum()
    ).double()
    inputs, target = batch()
    verdict = judged(model)
    for m, name in enumerate(NAMES):
        expected = inputs[name] @ model.encoders[name].weight.T
        torch.testing.assert_close(verdict.responses[m], expected, **CLOSE)
    # The gradient of each map is its own coefficient times that of joint training.
    nn.functional.cross_entropy(model(**inputs), target).backward()
    for kappa, name in zip(verdict.coefficients, NAMES, strict=True):
        assert abs(kappa - 1) > 0.01
        own = model.encoders[name].weight.grad
        found = verdict.gradients[f"encoders.{name}.weight"]
        torch.testing.assert_close(found, kappa * own, **CLOSE)


class Sum(nn.Module):
    def forward(self, a, b):
        return a + b


class Product(nn.Module):
    """(B, 1) times (B, 1), as the first of two logits."""

    def forward(self, a, b):
        return torch.cat([a * b, torch.zeros_like(a)], dim=1)


def test_batch_norm_in_coalitions_uses_the_moments_of_the_full_pass_and_their_gradient():
    """logit = u v with u = (p - mean p) / std p; absent: (0 - mean p) / std p, same moments."""
    norm = {"affine": False, "eps": 1e-3}
    towers = {
        "ear": nn.Sequential(nn.Linear(5, 1), nn.BatchNorm1d(1, **norm)),
        "eye": nn.Linear(11, 1),
    }
    torch.manual_seed(3)
    model = Wired(towers, Product()).double()
    inputs, _ = batch()
    target = torch.randint(2, (ROWS,), generator=torch.Generator().manual_seed(5))
    verdict = Oracle(NAMES, alpha=0.7).step(deepcopy(model), inputs, target, {})
    p = towers["ear"][0](inputs["ear"])
    std = (p.var(unbiased=False) + 1e-3).sqrt()
    present, absent = (p - p.mean()) / std, (towers["ear"][0].bias - p.mean()) / std
    seen, unseen = towers["eye"](inputs["eye"]), towers["eye"].bias
    full, heard_only, seen_only = present * seen, present * unseen, absent * seen
    phi = [(full - seen_only + heard_only) / 2, (full - heard_only + seen_only) / 2]
    for m in range(2):
        torch.testing.assert_close(verdict.responses[m][:, :1], phi[m].detach(), **CLOSE)
    both = torch.cat([full, torch.zeros_like(full)], dim=1)
    (g,) = torch.autograd.grad(nn.functional.cross_entropy(both, target), full, retain_graph=True)
    total = sum((k * g * r).sum() for k, r in zip(verdict.coefficients, phi, strict=True))
    weights = dict(model.named_parameters())
    expected = torch.autograd.grad(total, list(weights.values()))
    for name, gradient in zip(weights, expected, strict=True):
        torch.testing.assert_close(verdict.gradients[name], gradient, **CLOSE)


def test_statistics_matter_where_there_is_batch_norm_and_nowhere_else():
    torch.manual_seed(3)
    plain = Wired(towers(), head()).double()
    hidden = (nn.Linear(2 * WIDTH, 9), nn.BatchNorm1d(9), nn.Linear(9, CLASSES))
    normed = Wired(towers(), Concat(*hidden)).double()
    for model, same in ((plain, True), (normed, False)):
        found = [judged(model, statistics=s).responses for s in ("batch", "running")]
        assert torch.equal(*found) == same


def test_shared_features_are_those_of_the_full_pass_dropout_included():
    def dropping(size):
        return nn.Sequential(mlp(size), nn.Dropout(0.5))

    torch.manual_seed(3)
    model = Wired(towers(make=dropping), Concat(nn.Linear(2 * WIDTH, CLASSES))).double()
    paths = {n: f"encoders.{n}" for n in NAMES}
    torch.manual_seed(11)
    shared = judged(model, encoders=paths)
    torch.manual_seed(11)
    features = [model.encoders[n](x) for n, x in batch()[0].items()]
    absent = [mlp_at_zero(model, n) for n in NAMES]
    alone = model.rest(features[0], absent[1]), model.rest(absent[0], features[1])
    phi = (model.rest(*features) + alone[0] - alone[1]) / 2
    torch.testing.assert_close(shared.responses[0], phi.detach(), **CLOSE)
    torch.manual_seed(11)
    assert not torch.allclose(judged(model).responses, shared.responses)


def mlp_at_zero(model, name):
    return model.encoders[name][0](torch.zeros_like(batch()[0][name]))


def test_scores_are_floored_cross_entropies():
    phi = torch.tensor([[0.0, 0.0], [0.0, 1e9]])
    found = score(phi, torch.tensor([1, 0]))
    assert found == pytest.approx((math.log(2) - math.log(1e-8)) / 2)
    segments = torch.tensor([[[0.0, 5.0], [0.0, 5.0]]])  # (1, C, T)
    assert score(segments, torch.tensor([[0, 1]])) == pytest.approx(math.log(2))


def test_coefficients_compare_with_the_mean_of_past_scores():
    oracle = Oracle(NAMES, alpha=0.7, clamp=1.2)
    for scores in ([1.0, 2.0], [2.0, 2.0]):
        oracle.remember(scores)
    tau = math.exp(2.0 - 1.5)
    assert oracle._coefficients([1.0, 1.0])[0] == pytest.approx(math.exp(-0.7 * (1 - tau)))
    assert oracle._coefficients([0.0, 9.0])[0] == pytest.approx(math.exp(-0.7 * 1.2))
    oracle.bound = 1.5
    assert oracle._coefficients([0.0, 9.0])[0] == pytest.approx(1 / 1.5)
    assert oracle._coefficients([math.nan, 1.0]) == [1.0, 1.0]


@pytest.mark.parametrize("case", ["m2_late", "m2_fused", "m3_late", "m3_fused"])
def test_it_trains_as_the_published_implementation_did(case):
    folder = next((f for f in PARITY if f.exists()), None)
    if folder is None:
        pytest.skip("golden values are not beside the checkout")
    golden = dict(np.load(folder / f"{case}.npz"))
    names = [str(n) for n in golden["modalities"]]
    model = Golden(golden, names).double()
    model.load_state_dict(state(golden, "init"))
    momentum = {
        "momentum": float(golden["momentum"]),
        "weight_decay": float(golden["weight_decay"]),
    }
    optimiser = torch.optim.SGD(model.parameters(), lr=float(golden["lr"]), **momentum)
    oracle = Oracle(names, alpha=float(golden["alpha"]), statistics="running")
    labels = torch.from_numpy(golden["labels"])
    for step, target in enumerate(labels.flatten(0, 1)):
        at = divmod(step, labels.shape[1])
        inputs = {n: torch.from_numpy(golden[f"input/{n}"][at]) for n in names}
        verdict = oracle.step(deepcopy(model), inputs, target, {})
        oracle.remember(verdict.scores)
        assert verdict.coefficients == pytest.approx(golden["coefficients"][step], rel=1e-9)
        model(**inputs)  # moves the running statistics
        for name, parameter in model.named_parameters():
            parameter.grad = verdict.gradients[name]
        optimiser.step()
    for name, expected in state(golden, "final").items():
        torch.testing.assert_close(model.state_dict()[name], expected, rtol=1e-9, atol=1e-9)


def state(golden, when):
    """Return the state dict of the golden network at a time."""
    start = f"{when}/"
    found = {k.removeprefix(start): v for k, v in golden.items() if k.startswith(start)}
    return {name: torch.from_numpy(np.asarray(value)) for name, value in found.items()}


class Golden(nn.Module):
    """The network of the golden values."""

    def __init__(self, golden, names):
        super().__init__()
        self.names = names
        for name in names:
            size = golden[f"input/{name}"].shape[-1]
            layers = nn.Linear(size, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8)
            self.add_module(f"{name}_encoder", nn.Sequential(*layers))
        width = 8 * len(names)
        self.mm_encoder = None
        if bool(golden["early"]):
            fused = nn.Linear(width, 12), nn.BatchNorm1d(12), nn.ReLU()
            self.mm_encoder, width = nn.Sequential(*fused), 12
        self.head = nn.ModuleDict({"fc": nn.Linear(width, len(golden["init/head.fc.bias"]))})

    def forward(self, **inputs):
        encoded = [getattr(self, f"{n}_encoder")(inputs[n]) for n in self.names]
        fused = torch.cat(encoded, dim=1)
        return self.head["fc"](fused if self.mm_encoder is None else self.mm_encoder(fused))
