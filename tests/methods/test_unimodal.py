"""Joint training with a loss on each modality's own logits, from heads or from responses."""

from copy import deepcopy
from math import log

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.methods.unimodal import UnimodalLoss
from support.additive import additive
from support.networks import FUSIONS, Late, batch
from support.oracle import response_weights
from support.wrapping import LEVELS, Calls, assert_same, gradients, plain_step, wrap, wrap_parts

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def bound(**options):
    method = UnimodalLoss(**options)
    method.bind(("ear", "eye", "hand"), torch.float64)
    return method


def own_heads(names):
    torch.manual_seed(7)
    return {name: nn.Linear(Late.width, Late.num_classes).double() for name in names}


def step(balanced, *, seed=0, dtype=torch.float64):
    inputs, target = batch(len(balanced.modalities), 7, seed=seed, dtype=dtype)
    balanced.zero_grad()
    out = balanced(**inputs, target=target)
    out.loss.backward()
    return out


def test_golden_by_hand():
    """L + 0.5 L_1 + 2 L_2, label 0 of 2 classes.

    Logits of modality 1: (log 3, 0), so p = 3/4 and L_1 = log(4/3). Of modality 2: (0, 0), so
    L_2 = log 2. They sum to (log 3, 0), so L = log(4/3). Together 1.5 log(4/3) + 2 log 2.
    """
    method = UnimodalLoss(weights=[0.5, 2.0])
    method.bind(("ear", "eye"), torch.float64)
    logits = torch.tensor([[[log(3), 0.0]], [[0.0, 0.0]]], dtype=torch.float64)
    target = torch.tensor([0])
    joint = F.cross_entropy(logits.sum(dim=0), target)
    signals = cp.Signals(
        logits.sum(dim=0), target, unimodal_logits=logits, criterion=F.cross_entropy
    )
    expected = torch.tensor(1.5 * log(4 / 3) + 2 * log(2), dtype=torch.float64)
    torch.testing.assert_close(method.loss(joint, signals), expected, **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
def test_additive_heads_are_trained_without_a_second_pass(level):
    balanced = additive(method=UnimodalLoss(weights=[0.5, 1.0, 3.0]), level=level).double()
    model, (inputs, target) = deepcopy(balanced.model), batch(3, 7)
    step(balanced)  # the first step inspects
    balanced.model.load_state_dict(model.state_dict())
    with Calls(balanced.model.ear) as notes:
        step(balanced)
    assert notes == [(7, "train")]
    features = model.features(inputs)
    logits = [head(f) for head, f in zip(model.heads, features, strict=True)]
    losses = [F.cross_entropy(each, target) for each in (sum(logits), *logits)]
    (losses[0] + 0.5 * losses[1] + losses[2] + 3 * losses[3]).backward()
    for name, gradient in gradients(balanced.model).items():
        torch.testing.assert_close(gradient, gradients(model)[name], **CLOSE)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_without_heads_the_responses_are_trained(level, fusion):
    torch.manual_seed(5)
    model = fusion(3, norm=False).double()  # equal in train and eval mode, so loops are plain
    twin, (inputs, target) = deepcopy(model), batch(3, 7)
    step(wrap(model, level, UnimodalLoss(weights=2.0)))

    def value(coalition):
        """Without known encoders inputs are absent, else their features are zero."""
        absent = [name for i, name in enumerate(inputs) if i not in coalition]
        if level == "inputs":
            return twin(**{n: torch.zeros_like(x) if n in absent else x for n, x in inputs.items()})
        encoders = [twin.get_submodule(twin.encoders[name]) for name in absent]
        hooks = [e.register_forward_hook(lambda m, a, out: 0 * out.detach()) for e in encoders]
        logits = twin(**inputs)
        for hook in hooks:
            hook.remove()
        return logits

    responses = [sum(w * value(s) for s, w in part.items()) for part in response_weights(3)]
    unimodal = sum(F.cross_entropy(each, target) for each in responses)
    (F.cross_entropy(value((0, 1, 2)), target) + 2 * unimodal).backward()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, gradients(twin)[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("level", LEVELS)
def test_own_heads_are_trained_on_features_and_cost_no_second_pass(level):
    torch.manual_seed(5)
    model = Late(3, norm=False).double()
    twin, (inputs, target) = deepcopy(model), batch(3, 7)
    method = UnimodalLoss(heads=own_heads(model.names))
    heads = deepcopy(method.heads)
    balanced = wrap_parts(model, model.names, method, encoders=model.encoders, coalitions=level)
    step(balanced)
    with Calls(model.ear) as notes:
        step(balanced)
    assert notes == [(7, "train")]
    loss = F.cross_entropy(twin(**inputs), target)
    for name, feature in zip(twin.names, twin.features(inputs), strict=True):
        loss = loss + F.cross_entropy(heads[name](feature), target)
    loss.backward()
    for found, expected in ((model, twin), (method.heads, heads)):
        for name, gradient in gradients(found).items():
            torch.testing.assert_close(gradient, gradients(expected)[name], **CLOSE)
    trained = balanced.parameter_groups()[-1]
    assert trained["modality"] is None
    assert all(any(p is q for q in trained["params"]) for p in method.heads.parameters())


def test_evaluation_sees_the_logits_that_are_trained():
    inputs, target = batch(3, 7)
    torch.manual_seed(5)
    model = Late(3).double().eval()
    with_own = wrap(model, "features", UnimodalLoss(heads=own_heads(model.names))).eval()
    out = with_own.respond(**inputs, target=target)
    heads = with_own.method.heads
    expected = [heads[n](f) for n, f in zip(model.names, model.features(inputs), strict=True)]
    assert torch.equal(out.unimodal_logits, torch.stack(expected).detach())

    with_heads = additive(method=cp.Joint()).double().eval()
    out = with_heads.respond(**inputs, target=target)
    features = with_heads.model.features(inputs)
    expected = [h(f) for h, f in zip(with_heads.model.heads, features, strict=True)]
    assert torch.equal(out.unimodal_logits, torch.stack(expected).detach())
    assert not torch.allclose(out.unimodal_logits, out.responses)

    out = wrap(Late(3).double(), "shared", cp.Joint()).eval().respond(**inputs)
    assert out.unimodal_logits is out.responses


class Drops(cp.Method):
    def needs(self):
        return cp.Needs(features=True)

    def feature(self, index, feature):
        return torch.zeros_like(feature)


def test_evaluation_lets_no_method_act_on_features():
    inputs, _ = batch(3, 7)
    balanced = wrap(Late(3).double(), "features", Drops()).eval()
    logits = balanced.respond(**inputs).logits
    assert torch.equal(logits, balanced.model(**inputs).detach())


@pytest.mark.parametrize("source", ["heads", "own heads", "responses"])
def test_no_weight_is_joint_training_bit_for_bit(source):
    torch.manual_seed(5)
    plain = Late(3, dropout=0.3).double()
    if source == "heads":
        balanced = additive(method=UnimodalLoss(weights=0.0), dropout=0.3).double()
        plain = deepcopy(balanced.model)
    else:
        heads = own_heads(plain.names) if source == "own heads" else None
        balanced = wrap(deepcopy(plain), "features", UnimodalLoss(weights=0.0, heads=heads))
    inputs, target = batch(3, 7)
    balanced.validate(**inputs)
    torch.manual_seed(1)
    plain_step(plain, inputs, target)
    torch.manual_seed(1)
    step(balanced)
    assert_same(gradients(balanced.model), gradients(plain))


@pytest.mark.parametrize("num_modalities", [2, 3, 5])
def test_equal_weights_treat_modalities_alike(num_modalities):
    logits = torch.randn(num_modalities, 7, 4, dtype=torch.float64, requires_grad=True)
    target = torch.randint(4, (7,))
    order = torch.randperm(num_modalities)

    def loss(logits):
        method = UnimodalLoss()
        method.bind([f"m{i}" for i in range(num_modalities)], torch.float64)
        joint = F.cross_entropy(logits.sum(dim=0), target)
        signals = cp.Signals(None, target, unimodal_logits=logits, criterion=F.cross_entropy)
        return method.loss(joint, signals)

    torch.testing.assert_close(loss(logits), loss(logits[order]), **CLOSE)


def test_weights_by_name_are_in_order_of_modality():
    named = bound(weights={"hand": 3.0, "ear": 1.0, "eye": 2.0})
    assert named.weights_M.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e15])
def test_finite_for_all_right_and_all_wrong(scale):
    target = torch.tensor([0, 1])
    right = scale * F.one_hot(target, 3).float()
    logits = torch.stack([right, -right, 0 * right]).requires_grad_()
    signals = cp.Signals(None, target, unimodal_logits=logits, criterion=F.cross_entropy)
    method = UnimodalLoss()
    method.bind(("ear", "eye", "hand"))
    loss = method.loss(F.cross_entropy(logits.sum(dim=0), target), signals)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weights": [1.0, 2.0]},
            r"`weights` should have a number for each of ear, eye, hand; found 2\. Give 3, or one",
        ),
        (
            {"weights": {"ear": 1.0, "eyes": 1.0, "hand": 1.0}},
            r"`weights` should have a number for each of ear, eye, hand; found ear, eyes, hand\. "
            r"Did you mean 'eye'\? Name each once\.",
        ),
        ({"weights": -1.0}, r"`weights` should be finite, at least 0; found -1\.0\."),
        ({"weights": float("nan")}, r"`weights` should be finite, at least 0; found nan\."),
        (
            {"heads": {"ear": nn.Identity(), "hand": nn.Identity()}},
            r"`heads` should have a head for each of ear, eye, hand; found ear, hand\.",
        ),
        (
            {"heads": {n: nn.Identity() for n in ("ear", "eye", "hand", "nos")}},
            r"`heads` should have a head for each of ear, eye, hand; found ear, eye, hand, nos\.",
        ),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        bound(**options)


def test_own_heads_need_encoders():
    model = Late(2)
    method = UnimodalLoss(heads={name: nn.Identity() for name in model.names})
    message = r"`modalities` should name encoders for UnimodalLoss, which acts on them; found none"
    with pytest.raises(ValueError, match=message):
        cp.Balanced(model, model.names, method)


def test_settings_say_what_it_was_made_with():
    method = UnimodalLoss(weights=[1.0, 2.0], heads={"ear": nn.Identity(), "eye": nn.ReLU()})
    assert method.settings() == {
        "weights": [1.0, 2.0],
        "heads": {"ear": "Identity()", "eye": "ReLU()"},
    }
    assert UnimodalLoss().settings() == {"weights": None, "heads": None}
