"""The first batch is inspected: a wrong level is an error before any step, and leaves no trace."""

from copy import deepcopy

import pytest
import torch

import counterpoise as cp
from counterpoise.engine.inspection import _replay_differs
from support.networks import FUSIONS, Late, MaxOut, batch
from support.wrapping import LEVELS, assert_same, wrap


def made(fusion=Late, num_modalities=2, **options):
    torch.manual_seed(5)
    return fusion(num_modalities, **options)


def data(num_modalities=2, rows=7):
    return batch(num_modalities, rows, dtype=torch.float32)


class Uncalled(Late):
    """Computes an encoder's output without calling it."""

    def features(self, inputs):
        return [self.ear(inputs["ear"]), self.eye.layers(inputs["eye"])]


class Repeated(Late):
    """Calls an encoder twice."""

    def features(self, inputs):
        return [self.ear(inputs["ear"]), self.eye(inputs["eye"]) + self.eye(-inputs["eye"])]


class Peeking(Late):
    """Gives an encoder what is also made of the other modality."""

    def features(self, inputs):
        seen = self.eye(inputs["eye"] + inputs["ear"].mean())
        return [self.ear(inputs["ear"]), seen]


class Leaking(Late):
    """Takes another way around an encoder."""

    def forward(self, **inputs):
        return super().forward(**inputs) + inputs["eye"].mean() * self.eye.layers[0].weight.sum()


class Restless(Late):
    """Is random in eval mode too."""

    def forward(self, **inputs):
        return super().forward(**inputs) + torch.randn(())


class Carrying(Late):
    """Carries a state over from one call to the next, in a layer that takes its type alone."""

    state = None

    def forward(self, **inputs):
        logits = super().forward(**inputs)
        if self.state is not None:
            logits = logits + self.state @ self.head.weight[:, :1].T
        self.state = logits.detach()[:, :1]
        return logits


class Hooked(Late):
    """Fuses what hooks collect inside the encoders."""

    def features(self, inputs):
        collected = {}
        handles = [
            getattr(self, name)
            .layers[-1]
            .register_forward_hook(
                lambda module, args, output, name=name: collected.update({name: output})
            )
            for name in inputs
        ]
        _ = super().features(inputs)
        for handle in handles:
            handle.remove()
        return [collected[name] for name in inputs]


CALLED = (
    r"The encoder of modality 'eye', 'eye', should be called exactly once in a forward pass of the "
    r"model"
)


@pytest.mark.parametrize(
    ("network", "kind", "message"),
    [
        (Uncalled, RuntimeError, CALLED + r"; found none\. Name a module that is called once"),
        (
            Repeated,
            RuntimeError,
            CALLED + r"; found a second call\. .*, or use coalitions=\"inputs\"\.$",
        ),
        (
            Peeking,
            ValueError,
            r"The encoder of modality 'eye', 'eye', should see that modality alone; found that its "
            r"input changes when another modality is absent\. Name a module that runs before",
        ),
        (
            Restless,
            ValueError,
            r"`coalitions` = \"(features|shared)\" should give the values of whole-model passes; "
            r"found a difference of .* in eval mode\. The rest of the model may be random",
        ),
        (Carrying, ValueError, r"found a difference of .* keep state between calls"),
        (
            Hooked,
            RuntimeError,
            r"The rest of the model should run on what its encoders have returned; found that it "
            r"raised KeyError: '(ear|eye)'\. It may use what is computed inside an encoder, ",
        ),
    ],
)
@pytest.mark.parametrize("level", ["features", "shared"])
def test_a_level_that_is_wrong_for_the_model_is_said_before_the_first_step(
    level, network, kind, message
):
    balanced = wrap(made(network), level)
    before = deepcopy(balanced.state_dict())
    inputs, target = data()
    for call in (balanced.validate, balanced):
        with pytest.raises(kind, match=message):
            call(**inputs, target=target)
    assert_same(balanced.state_dict(), before)
    assert not any("forward" in vars(m) for m in balanced.modules())


@pytest.mark.parametrize("network", [Uncalled, Repeated, Peeking, Leaking, Restless])
def test_at_the_level_of_inputs_any_model_will_do(network):
    balanced = wrap(made(network))
    inputs, target = data()
    balanced.validate(**inputs, target=target)
    balanced(**inputs, target=target).loss.backward()


@pytest.mark.parametrize("level", ["features", "shared"])
def test_the_rest_may_look_at_inputs_but_then_runs_coalition_by_coalition(level):
    balanced = wrap(made(Leaking, norm=False).double(), level)
    whole = wrap(deepcopy(balanced.model))
    inputs, target = batch(2, 7)
    found = balanced(**inputs, target=target)
    assert not balanced.runner.facts.batched
    torch.testing.assert_close(found.responses, whole(**inputs, target=target).responses)


class Deciding(Late):
    """Goes another way for the whole batch by a number that is far from deciding today."""

    def __init__(self, *args, by, **options):
        super().__init__(*args, **options)
        self.by = by

    def forward(self, **inputs):
        features = self.features(inputs)
        told = {"constant": self.head.bias, "input": inputs["ear"], "feature": features[0]}
        told["both"] = told["input"].mean() + told["feature"].mean()
        early = told[self.by].abs().max() > 1e6
        return self.head(torch.cat(features, dim=1)) * (2.0 if early else 1.0)


@pytest.mark.parametrize("by", ["constant", "input", "feature", "both"])
def test_what_decides_by_features_runs_coalition_by_coalition(by):
    balanced = wrap(made(Deciding, norm=False, by=by).double(), "shared")
    balanced.validate(**batch(2, 7)[0])
    assert balanced.runner.facts.batched == (by in ("constant", "input"))


class Crosswise(Late):
    """Lets rows of the batch see each other."""

    def forward(self, **inputs):
        features = torch.cat(self.features(inputs), dim=1)
        return self.head(features - features.mean(dim=0))


class Fixed(Late):
    """Objects to a batch of any other size."""

    def forward(self, **inputs):
        return self.head(torch.cat(self.features(inputs), dim=1).view(7, -1))


@pytest.mark.parametrize("network", [Crosswise, Fixed])
@pytest.mark.parametrize("level", ["features", "shared"])
def test_rows_that_are_not_independent_run_coalition_by_coalition(level, network):
    balanced = wrap(made(network, norm=False).double(), level)
    whole = wrap(deepcopy(balanced.model))
    inputs, target = batch(2, 7)
    found = balanced(**inputs, target=target)
    assert not balanced.runner.facts.batched
    torch.testing.assert_close(found.responses, whole(**inputs, target=target).responses)


class Skipping(Late):
    """Leaves an encoder out now and then, as layer dropping does."""

    skip = False

    def features(self, inputs):
        seen = inputs["eye"][:, :1].expand(-1, 6) if self.skip else self.eye(inputs["eye"])
        return [self.ear(inputs["ear"]), seen]


@pytest.mark.parametrize("level", ["features", "shared"])
def test_an_encoder_that_is_left_out_later_is_an_error_too(level):
    balanced = wrap(made(Skipping), level)
    inputs, target = data()
    balanced(**inputs, target=target)
    balanced.model.skip = True
    with pytest.raises(RuntimeError, match=CALLED + "; found none"):
        balanced(**inputs, target=target)
    assert all(m.training for m in balanced.modules())
    assert not any("forward" in vars(m) for m in balanced.modules())


# -- no trace --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_validation_leaves_no_trace(level, fusion):
    balanced = wrap(made(fusion, 3, dropout=0.3), level, absent=cp.absence.Noise())
    balanced.model.ear.eval()
    inputs, target = data(3)
    given = {name: x.clone() for name, x in inputs.items()}
    state, random_state = deepcopy(balanced.state_dict()), torch.get_rng_state()
    identities = [(id(p), p.data_ptr()) for p in balanced.parameters()]
    flags = [m.training for m in balanced.modules()]
    attributes = [set(vars(m)) for m in balanced.model.modules()]
    balanced.validate(**inputs, target=target)
    assert_same(balanced.state_dict(), state)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [(id(p), p.data_ptr()) for p in balanced.parameters()] == identities
    assert [m.training for m in balanced.modules()] == flags
    assert [set(vars(m)) for m in balanced.model.modules()] == attributes
    assert all(p.grad is None for p in balanced.parameters())
    assert_same(inputs, given)


@pytest.mark.parametrize("level", LEVELS)
def test_validating_beforehand_changes_no_step(level):
    inputs, target = data(3)
    outs = []
    for beforehand in (True, False):
        balanced = wrap(made(MaxOut, 3, dropout=0.3), level)
        torch.manual_seed(0)
        if beforehand:
            balanced.validate(**inputs, target=target)
        outs.append(balanced(**inputs, target=target))
    assert torch.equal(outs[0].logits, outs[1].logits)
    assert torch.equal(outs[0].responses, outs[1].responses)


@pytest.mark.parametrize("level", ["features", "shared"])
def test_the_engine_looks_again_at_steps_that_are_powers_of_two(level):
    balanced, calls = wrap(made(MaxOut, 3, norm=False), level), []
    balanced.model.register_forward_pre_hook(lambda module, args: calls.append(module.training))
    inputs, target = data(3)
    counts = []
    for _ in range(9):
        calls.clear()
        balanced(**inputs, target=target)
        counts.append(len(calls))
    ordinary = counts[2]
    looked = [step for step, count in enumerate(counts, start=1) if count > ordinary]
    assert looked == [1, 2, 4, 8]
    assert counts.count(ordinary) == 5


@pytest.mark.parametrize("level", LEVELS)
def test_joint_training_inspects_nothing(level):
    balanced, calls = wrap(made(MaxOut, 3, norm=False), level, cp.Joint()), []
    balanced.model.register_forward_pre_hook(lambda module, args: calls.append(module.training))
    inputs, target = data(3)
    for _ in range(4):
        balanced(**inputs, target=target)
    assert calls == [True] * 4


class Turning(MaxOut):
    """Multiplies by a matrix that no cast of the model reaches."""

    def features(self, inputs):
        turned = torch.linspace(-1, 1, self.width**2).view(self.width, self.width)
        return [feature @ turned.to(torch.float32) for feature in super().features(inputs)]


def test_a_model_that_cannot_be_run_in_double_precision_is_looked_at_under_autocast():
    torch.manual_seed(5)
    balanced = wrap(Turning(3, norm=False), "shared")
    inputs, target = batch(3, 7, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        balanced(**inputs, target=target)
    assert balanced.runner.concluded
    assert balanced.runner.facts.batched


def test_the_largest_difference_is_told():
    setup = wrap(made(), "shared").runner.setup
    values, truth = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.5, 3.0]])
    assert "found a difference of 0.5 in eval mode" in _replay_differs(setup, values, truth)
