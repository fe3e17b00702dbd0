"""Linear heads of a method's own, which learn their sizes from the first batch."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

import counterpoise as cp
from counterpoise.methods.shared.heads import LinearHead
from support.networks import Late, batch
from support.wrapping import LEVELS, gradients, wrap, wrap_parts

METHODS = (cp.UnimodalLoss, cp.GBlend, cp.MSES, cp.MLB, cp.MMPareto, cp.CGGM)


def model_and_batch(num_modalities=3):
    torch.manual_seed(5)
    return Late(num_modalities, norm=False).double(), batch(num_modalities, 7)


@pytest.mark.parametrize("level", LEVELS)
def test_they_do_what_linear_modules_do_that_the_user_makes(level):
    model, (inputs, target) = model_and_batch()
    twin = deepcopy(model)
    options = {"encoders": model.encoders, "coalitions": level}
    balanced = wrap_parts(model, model.names, cp.UnimodalLoss(heads="linear"), **options)
    balanced.validate(**inputs)
    own = {name: nn.Linear(model.width, model.num_classes).double() for name in model.names}
    for name, head in own.items():
        head.load_state_dict(balanced.method.heads[name].state_dict())
    by_hand = wrap_parts(twin, twin.names, cp.UnimodalLoss(heads=own), **options)
    for each in (balanced, by_hand):
        each(**inputs, target=target).loss.backward()
    for found, expected in ((model, twin), (balanced.method.heads, nn.ModuleDict(own))):
        for name, gradient in gradients(expected).items():
            assert gradient.abs().sum() > 0
            assert torch.equal(gradients(found)[name], gradient)


def test_all_values_of_a_map_are_read():
    head, feature = LinearHead("image", torch.float64), torch.randn(4, 2, 3, 3).double()
    found = head(feature, torch.zeros(4, 5))
    assert torch.equal(found, F.linear(feature.reshape(4, 18), head.weight, head.bias))
    assert found.dtype == torch.float64
    for parameter in head.parameters():
        assert 0 < parameter.abs().max() <= 18**-0.5


def test_an_optimiser_that_was_made_before_the_first_batch_trains_them():
    model, (inputs, target) = model_and_batch()
    balanced = wrap(model, "shared", cp.UnimodalLoss(heads="linear"))
    optimiser = torch.optim.Adam(balanced.parameter_groups())
    balanced(**inputs, target=target).loss.backward()
    before = deepcopy(balanced.method.state_dict())
    optimiser.step()
    after = balanced.method.state_dict()
    assert set(after) == {f"heads.{n}.{kind}" for n in model.names for kind in ("weight", "bias")}
    assert all(not torch.equal(after[name], before[name]) for name in after)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_that_has_heads_can_have_them(method):
    model, (inputs, target) = model_and_batch()
    balanced = wrap(model, "features", method(heads="linear"))
    balanced.method.learning_rates()  # as a loop does, which some methods need
    balanced(**inputs, target=target).loss.backward()
    own = balanced.eval().respond(**inputs, target=target).unimodal_logits
    heads = balanced.method.heads
    expected = [
        F.linear(f, heads[n].weight, heads[n].bias)
        for n, f in zip(model.names, model.features(inputs), strict=True)
    ]
    assert torch.equal(own, torch.stack(expected).detach())
    assert balanced.method.settings()["heads"] == "linear"


IDLE = {  # own losses that train some encoders not: method with heads, weights of own losses
    "UnimodalLoss": (lambda heads: cp.UnimodalLoss(weights=0.0, heads=heads), (0, 0)),
    "UnimodalLoss of one": (
        lambda heads: cp.UnimodalLoss(weights=[0.0, 0.7], heads=heads),
        (0, 0.7),
    ),
    "MSES": (lambda heads: cp.MSES(heads=heads), (0, 0)),
    "MSES of one": (lambda heads: cp.MSES(weights=[0.7, 0.0], heads=heads), (0.7, 0)),
    "MLB": (lambda heads: cp.MLB(alpha=0.0, weight=0.0, heads=heads), (0, 0)),
    "MMPareto": (lambda heads: cp.MMPareto(gamma=1.0, weight=0.0, heads=heads), (0, 0)),
    "GBlend": (lambda heads: cp.GBlend(weights=[0.0, 0.0, 1.0], heads=heads), (0, 0)),
    "GBlend of one": (lambda heads: cp.GBlend(weights=[0.0, 0.7, 1.0], heads=heads), (0, 0.7)),
    "CGGM": (lambda heads: cp.CGGM(rho=2.0, direction=0.0, heads=heads), (0, 0)),
}


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("make", "weights"), IDLE.values(), ids=IDLE)
def test_heads_whose_loss_does_not_train_the_encoder_learn_beside_it(make, weights, linear):
    """Else they would tell how they were drawn, and decide by it who stops or is slowed."""
    model, (inputs, target) = model_and_batch(2)
    twin = deepcopy(model)
    own = {n: nn.Linear(model.width, model.num_classes).double() for n in model.names}
    balanced = wrap(model, "features", make("linear" if linear else own))
    balanced.method.learning_rates()  # as a loop does, which some methods need
    out = balanced(**inputs, target=target)
    out.loss.backward()
    heads = balanced.method.heads
    expected = F.cross_entropy(twin(**inputs), target)
    for (name, head), weight in zip(heads.items(), weights, strict=True):
        feature = getattr(twin, name)(inputs[name])
        loss = F.cross_entropy(F.linear(feature, head.weight, head.bias), target)
        (of_head,) = torch.autograd.grad((weight or 1) * loss, head.weight, retain_graph=True)
        assert of_head.any()
        torch.testing.assert_close(head.weight.grad, of_head)
        expected = expected + weight * loss if weight else expected
    expected.backward()
    for name, gradient in gradients(twin).items():
        if isinstance(balanced.method, cp.CGGM) and name.startswith(model.names):
            gradient = gradient * out.coefficients[model.names.index(name.split(".")[0])]
        if any(weights):
            torch.testing.assert_close(gradients(model)[name], gradient)
        else:
            assert torch.equal(gradients(model)[name], gradient), name


def test_state_is_saved_and_loaded_before_and_after_the_first_batch():
    model, (inputs, _) = model_and_batch()
    first = wrap(deepcopy(model), "features", cp.UnimodalLoss(heads="linear"))
    unsized = first.state_dict()
    assert not any("heads" in name for name in unsized if name.startswith("method."))
    first.validate(**inputs)
    second = wrap(deepcopy(model), "features", cp.UnimodalLoss(heads="linear"))
    second.load_state_dict(unsized)
    assert all(map(is_lazy, second.method.parameters()))
    second.load_state_dict(first.state_dict())
    for name, parameter in first.method.named_parameters():
        assert torch.equal(parameter, second.method.get_parameter(name))


def test_validation_sizes_them_and_leaves_the_model_as_it_was():
    model, (inputs, _) = model_and_batch()
    model.eye.eval()
    before = deepcopy(model.state_dict())
    balanced = wrap_parts(model, model.names, cp.MLB(heads="linear"), encoders=model.encoders)
    modes = [each.training for each in balanced.modules()]
    balanced.validate(**inputs)
    assert not any(map(is_lazy, balanced.parameters()))
    assert [each.training for each in balanced.modules()] == modes
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


def test_they_can_be_trained_after_an_evaluation_in_inference_mode():
    model, (inputs, target) = model_and_batch()
    balanced = wrap(model, "shared", cp.UnimodalLoss(heads="linear"))
    with torch.inference_mode():
        balanced.eval().respond(**inputs)
    balanced.train()(**inputs, target=target).loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in balanced.method.parameters())


class Nested(nn.Module):
    """Encoders return what they are given."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye = nn.Identity(), nn.Identity()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, ear, eye):
        heard, seen = self.ear(ear), self.eye(eye)
        heard = heard["x"] if isinstance(heard, dict) else heard
        return self.scale * (heard.flatten(1)[:, :2] + seen.flatten(1)[:, :2])


@pytest.mark.parametrize(
    ("ear", "message"),
    [
        (
            {"x": torch.ones(3, 4)},
            r"The encoder of 'ear' should return a tensor \(B, ...\) for a linear head; found a "
            r"dict\. Pass `heads` of your own",
        ),
        (
            torch.ones(3, 5),
            r"The feature of 'ear' should always have 4 values for a linear head, as in the first "
            r"batch; found 5\. Pass",
        ),
    ],
)
def test_features_that_do_not_suit_are_errors(ear, message):
    encoders = {"ear": "ear", "eye": "eye"}
    method = cp.UnimodalLoss(heads="linear")
    balanced = wrap_parts(Nested(), ("ear", "eye"), method, encoders=encoders)
    if isinstance(ear, torch.Tensor):
        balanced.validate(ear=torch.ones(3, 4), eye=torch.ones(3, 4))
    with pytest.raises(ValueError, match=message):
        balanced(ear=ear, eye=torch.ones(3, 4), target=torch.tensor([0, 1, 0]))


def test_logits_that_do_not_suit_are_an_error():
    message = r"Logits should be of shape \(B, C\) for linear heads; found \(4, 2, 6\)\. Pass"
    with pytest.raises(ValueError, match=message):
        LinearHead("ear", torch.float32)(torch.ones(4, 3), torch.ones(4, 2, 6))


def test_another_name_is_an_error():
    with pytest.raises(ValueError, match=r"`heads` should be .*linear.*; found 'linaer'"):
        cp.UnimodalLoss(heads="linaer")


def test_linear_heads_are_drawn_as_linear_layers_are():
    torch.manual_seed(0)
    head = LinearHead("ear", torch.float64)
    head(torch.zeros(1, 64), torch.zeros(1, 500))
    for parameter in (head.weight, head.bias):
        assert parameter.abs().max() <= 1 / 8
        assert parameter.min() < -0.1 < 0.1 < parameter.max()


def test_losses_weigh_the_same_where_no_weights_are_given():
    method = cp.UnimodalLoss()
    method.bind(("ear", "eye"))
    assert method.weights_M.tolist() == [1, 1]
