"""Models whose logits are sums over modalities are found out, and only those."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.core.coalitions import exact_plan
from counterpoise.engine.precision import precise_type
from support.networks import CrossAttention, FiLM, Fused, Late, MaxOut, batch
from support.wrapping import wrap_parts


class NormedHead(Late):
    """Additive in eval mode, and not the same function in train mode."""

    def build(self, num_modalities, norm):
        size = num_modalities * self.width
        self.head = nn.Sequential(nn.BatchNorm1d(size), nn.Linear(size, self.num_classes))


class SumOfTowers(Fused):
    """A non-linear tower for each modality, summed."""

    def build(self, num_modalities, norm):
        self.towers = nn.ModuleList(
            nn.Sequential(nn.Linear(self.width, 5), nn.Tanh(), nn.Linear(5, self.num_classes))
            for _ in range(num_modalities)
        )

    def forward(self, **inputs):
        return sum(t(f) for t, f in zip(self.towers, self.features(inputs), strict=True))


class Chosen(Late):
    """A sum that takes columns by places that it makes anew."""

    def forward(self, **inputs):
        joined = torch.cat(self.features(inputs), dim=1)
        places = torch.zeros(joined.shape[1], dtype=torch.int64)
        return self.head(joined[:, places.add(1).cumsum(0).sub(1)])


class Peeking(Late):
    """A sum that is doubled where a number that it looks at is large."""

    def forward(self, **inputs):
        joined = torch.cat(self.features(inputs), dim=1)
        return self.head(joined * 2 if joined.max().item() > 1e9 else joined)


class Layered(Late):
    """A non-linear head on concatenated features."""

    def build(self, num_modalities, norm):
        size = num_modalities * self.width
        self.head = nn.Sequential(nn.Linear(size, 9), nn.Softplus(), nn.Linear(9, self.num_classes))


def wrapped(model, level="shared"):
    balanced = wrap_parts(model, model.names, cp.AGM(), encoders=model.encoders, coalitions=level)
    inputs, _ = batch(len(model.names), 7, dtype=next(model.parameters()).dtype)
    balanced.validate(**inputs)
    return balanced


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", ["features", "shared"])
@pytest.mark.parametrize("fusion", [Late, NormedHead, SumOfTowers, Chosen])
def test_sums_over_modalities_are_found(fusion, level, dtype):
    torch.manual_seed(0)
    assert wrapped(fusion(3).to(dtype), level).runner.facts.separable


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fusion", [MaxOut, FiLM, CrossAttention, Layered, Peeking])
def test_other_fusions_are_not_taken_for_sums(fusion, dtype):
    torch.manual_seed(0)
    assert not wrapped(fusion(3).to(dtype)).runner.facts.separable


@pytest.mark.parametrize("constant", [0.0, 1e-12])
def test_a_head_that_starts_at_zero_is_not_taken_for_a_sum(constant):
    model = Layered(3).double()
    nn.init.constant_(model.head[2].weight, constant)
    assert not wrapped(model).runner.facts.separable


def test_a_nonlinearity_that_starts_in_its_linear_regime_is_not_taken_for_a_sum():
    model = Layered(3).double()
    nn.init.constant_(model.head[0].bias, 1e6)  # softplus is the identity there
    assert not wrapped(model).runner.facts.separable


@pytest.mark.parametrize("level", ["features", "shared"])
@pytest.mark.parametrize("fusion", [Late, NormedHead, SumOfTowers, Chosen])
def test_alone_tells_what_all_coalitions_tell(fusion, level):
    torch.manual_seed(0)
    model = fusion(4).double()
    few, many = wrapped(deepcopy(model), level), wrapped(model, level)
    many.runner._exact, many.runner._placed = exact_plan(4), None
    inputs, target = batch(4, 11)
    outs = [b(**inputs, target=target) for b in (few, many)]
    for out in outs:
        out.loss.backward()
    assert len(few.runner._exact.partial) == 4
    plans = [few.runner.plan(few.runner.facts, outs[0].logits) for _ in range(2)]
    assert plans[0] is plans[1]
    assert len(plans[0].partial) == 4
    torch.testing.assert_close(outs[0].responses, outs[1].responses, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(outs[0].coefficients, outs[1].coefficients)
    for p, q in zip(few.model.parameters(), many.model.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-10, atol=1e-12)


def test_looking_leaves_the_weights_as_they_were():
    model = NormedHead(3)
    before = deepcopy(model.state_dict())
    storages = {name: p.data_ptr() for name, p in model.named_parameters()}
    wrapped(model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert storages == {name: p.data_ptr() for name, p in model.named_parameters()}


def test_sampling_that_was_asked_for_stays():
    model = Late(4).double()
    balanced = wrap_parts(
        model, model.names, encoders=model.encoders, sampling=cp.Sampling(num_passes=14)
    )
    inputs, target = batch(4, 7)
    assert balanced(**inputs, target=target).sampling_error is not None


@pytest.mark.parametrize(("size", "dtype"), [(2**27, torch.float64), (2**27 + 1, torch.float32)])
def test_models_too_large_to_copy_are_looked_at_in_single_precision(size, dtype):
    model = nn.Module()
    model.weight = nn.Parameter(torch.empty(size, device="meta"))
    assert precise_type(model, {"a": torch.zeros(2)}) == dtype


@pytest.mark.parametrize("level", ["inputs", "shared"])
def test_hooks_on_the_accumulation_of_gradients_outlive_every_look(level):
    """DDP averages gradients in such hooks."""
    model = MaxOut(3, norm=False)
    parameters = list(model.parameters())
    calls = dict.fromkeys(range(len(parameters)), 0)
    kept = []
    for place, parameter in enumerate(parameters):
        node = parameter.view_as(parameter).grad_fn.next_functions[0][0]

        def count(*_, place=place):
            calls[place] += 1

        node.register_hook(count)
        kept.append(node)
    balanced = wrapped(model, level)
    for _ in range(3):  # the engine looks again at steps 1 and 2
        inputs, target = batch(3, 7, dtype=torch.float32)
        balanced(**inputs, target=target).loss.backward()
    assert set(calls.values()) == {3}


class ByNumbers(Late):
    """Adds to a sum a product of modalities that is computed where PyTorch cannot see it."""

    outside = staticmethod(lambda tensor: torch.from_numpy(tensor.detach().numpy()))

    def forward(self, **inputs):
        features = self.features(inputs)
        seen = [self.outside(feature) for feature in features]
        return self.head(torch.cat(features, dim=1)) + self.gate * seen[0][:, :4] * seen[1][:, :4]


WAYS_OUT = {
    "numpy": lambda tensor: torch.from_numpy(tensor.detach().numpy()),
    "list": lambda tensor: torch.tensor(tensor.tolist(), dtype=tensor.dtype),
    "array": lambda tensor: torch.as_tensor(np.asarray(tensor.detach())),
    "buffer": lambda tensor: torch.from_dlpack(tensor.detach()),
}


@pytest.mark.parametrize("gate", [0.0, 1.0])
@pytest.mark.parametrize("outside", WAYS_OUT.values(), ids=WAYS_OUT.keys())
def test_numbers_that_leave_pytorch_are_not_taken_for_constants(outside, gate):
    torch.manual_seed(5)
    model = ByNumbers(3, norm=False)
    model.outside, model.gate = outside, gate
    balanced = cp.Balanced(model, model.encoders, cp.AGM())
    balanced(**batch(3, 7, dtype=torch.float32)[0], target=torch.tensor([0, 1, 2, 3, 0, 1, 2]))
    assert not balanced.runner.facts.separable
