"""``torch.compile`` takes a training step in one graph and changes no number."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounter

import counterpoise as cp
from support.networks import CrossAttention, MaxOut, batch
from support.wrapping import LEVELS, assert_same, gradients, wrap

# PyTorch's own tracer still names what PyTorch deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.*:DeprecationWarning"),
    pytest.mark.skipif(
        tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13),
        reason="older compilers break the graph where calls are intercepted, which is allowed",
    ),
]


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def made(fusion, level, method=cp.AGM, *, num_modalities=2, **options):
    torch.manual_seed(5)
    balanced = wrap(fusion(num_modalities), level, method(), **options)
    balanced.validate(**batch(num_modalities, 7, dtype=torch.float32)[0])
    return balanced


def train(balanced, step, num_steps=3):
    """Take steps; return what came out of each, and the gradients."""
    optimiser = torch.optim.SGD(balanced.parameters(), lr=0.3)
    record = []
    for seed in range(num_steps):
        inputs, target = batch(len(balanced.modalities), 7, seed=seed, dtype=torch.float32)
        optimiser.zero_grad()
        out = step(**inputs, target=target)
        out.loss.backward()
        tensors = {name: x for name, x in out._asdict().items() if isinstance(x, torch.Tensor)}
        record.append((tensors | dict(out.diagnostics), gradients(balanced)))
        optimiser.step()
    return record


def assert_compiled_equals_eager(balanced):
    eager = twin_of(balanced)
    expected = train(eager, eager)
    compiled = torch.compile(balanced, fullgraph=True, backend="aot_eager")
    found = train(balanced, compiled)
    for (out, grads), (its_out, its_grads) in zip(found, expected, strict=True):
        assert_same(out, its_out)
        assert_same(grads, its_grads)
    assert_same(balanced.state_dict(), eager.state_dict())
    assert not any("forward" in vars(m) for m in balanced.model.modules())
    assert all(m.training for m in balanced.modules())


def twin_of(balanced):
    """Wrap a copy of the model in the same way."""
    model, method = deepcopy(balanced.model), type(balanced.method)()
    twin = wrap(model, balanced.level, method, monitor=balanced.monitor)
    twin.validate(**batch(len(balanced.modalities), 7, dtype=torch.float32)[0])
    return twin


@pytest.mark.parametrize(
    ("level", "fusion"),
    [
        ("shared", MaxOut),
        pytest.param("features", CrossAttention, marks=pytest.mark.slow),
        *(
            pytest.param(level, MaxOut, marks=pytest.mark.slow)
            for level in LEVELS
            if level != "shared"
        ),
    ],
)
def test_a_compiled_step_equals_the_eager_one_bit_for_bit(level, fusion):
    assert_compiled_equals_eager(made(fusion, level, num_modalities=3))


@pytest.mark.slow
def test_coalitions_one_by_one_compile_too():
    balanced = made(MaxOut, "shared", num_modalities=3)
    balanced.runner.facts = replace(balanced.runner.facts, batched=False)
    compiled = torch.compile(balanced, fullgraph=True, backend="aot_eager")
    eager = twin_of(balanced)
    eager.runner.facts = replace(eager.runner.facts, batched=False)
    for (out, grads), (its_out, its_grads) in zip(
        train(balanced, compiled, 1), train(eager, eager, 1), strict=True
    ):
        assert_same(out, its_out)
        assert_same(grads, its_grads)


def test_a_window_in_steps_holds_in_one_graph_and_in_eager_steps_after_it():
    def in_steps():
        return cp.Windowed(cp.AGM(), 1, 4, "steps")

    balanced, eager = made(MaxOut, "shared", in_steps), made(MaxOut, "shared", in_steps)
    frames = CompileCounter()
    compiled = torch.compile(balanced, fullgraph=True, backend=frames)
    found = train(balanced, compiled, 2) + train(balanced, balanced, 3)
    expected = train(eager, eager, 2) + train(eager, eager, 3)
    for (out, _), (its_out, _) in zip(found, expected, strict=True):
        assert torch.equal(out["coefficients"], its_out["coefficients"])
    assert frames.frame_count <= 2  # the first step finds no state yet
    assert balanced.method.phase() == "off"
    assert_same(balanced.state_dict(), eager.state_dict())


def test_factors_of_encoders_hold_for_every_pass_until_the_next_step():
    balanced = made(MaxOut, "shared", cp.OGM)
    compiled = torch.compile(balanced, fullgraph=True, backend="aot_eager")
    inputs, target = batch(2, 7, dtype=torch.float32)
    loss = compiled(**inputs, target=target).loss
    loss.backward(retain_graph=True)
    first = gradients(balanced)
    balanced.zero_grad()
    loss.backward()
    assert_same(gradients(balanced), first)


@pytest.mark.parametrize("copied", [False, True])
def test_encoders_that_cannot_be_scaled_are_an_error_unless_the_model_was_validated(copied):
    validated = made(MaxOut, "shared", cp.OGM)
    balanced = deepcopy(validated) if copied else wrap(MaxOut(2), "shared", cp.OGM())
    compiled = torch.compile(balanced, fullgraph=True, backend="aot_eager")
    inputs, target = batch(2, 7, dtype=torch.float32)
    with pytest.raises(Exception, match=r"should have been validated, as should each copy of it"):
        compiled(**inputs, target=target)


def test_monitored_joint_training_compiles():
    assert_compiled_equals_eager(made(MaxOut, "shared", cp.Joint, monitor=True))


def test_evaluation_compiles():
    balanced = made(MaxOut, "features").eval()
    compiled = torch.compile(balanced, fullgraph=True, backend="aot_eager")
    inputs, target = batch(2, 7, dtype=torch.float32)
    assert torch.equal(compiled(**inputs, target=target).logits, balanced.model(**inputs))


@pytest.mark.parametrize("level", ["features", "shared"])
def test_an_encoder_that_is_compiled_in_place_is_one_that_is_not(level):
    expected, balanced = (made(MaxOut, level) for _ in range(2))
    path = balanced.model.encoders[balanced.modalities[0]]
    encoder, counter = balanced.model.get_submodule(path), CompileCounter()
    encoder.compile(backend=counter)
    compiled = encoder._compiled_call_impl
    for (out, grads), (its_out, its_grads) in zip(
        train(balanced, balanced), train(expected, expected), strict=True
    ):
        assert_same(out, its_out)
        assert_same(grads, its_grads)
    assert counter.frame_count
    assert encoder._compiled_call_impl is compiled
    assert "forward" not in vars(encoder)


class Inside(torch.nn.Module):
    """Has all of a model in a module of its own."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.names = inner, inner.names
        self.encoders = {name: f"inner.{path}" for name, path in inner.encoders.items()}

    def forward(self, **inputs):
        return self.inner(**inputs)


@pytest.mark.parametrize(("path", "shown"), [("", "model"), ("inner", "module 'inner'")])
def test_a_module_around_an_encoder_that_is_compiled_in_place_is_refused(path, shown):
    torch.manual_seed(5)
    balanced = wrap(Inside(MaxOut(2)), "shared")
    balanced.model.get_submodule(path).compile(backend="eager")
    inputs, target = batch(2, 7, dtype=torch.float32)
    with pytest.raises(ValueError, match=rf"found that the {shown}, in which 'inner\..*compiled"):
        balanced(**inputs, target=target)


@pytest.mark.parametrize("level", LEVELS)
def test_encoders_that_are_compiled_are_not_so_for_an_inspection(level):
    counter = CompileCounter()
    model = MaxOut(2)
    model.ear = torch.compile(model.ear, backend=counter)
    balanced = wrap(model, level)
    inputs, target = batch(2, 7, dtype=torch.float32)
    balanced.validate(**inputs)
    assert counter.frame_count == 0
    balanced(**inputs, target=target).loss.backward()
    assert counter.frame_count > 0


def test_a_model_that_is_compiled_in_place_trains_by_whole_passes_as_before():
    torch.manual_seed(5)
    model = MaxOut(2)
    twin = deepcopy(model)
    model.compile(backend="eager")
    inputs, target = batch(2, 7, dtype=torch.float32)
    record = []
    for own in (model, twin):
        balanced = wrap(own, "inputs")
        for _ in range(2):
            balanced.zero_grad()
            balanced(**inputs, target=target).loss.backward()
        record.append(gradients(balanced))
    assert_same(*record)
