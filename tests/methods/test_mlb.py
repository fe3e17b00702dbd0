"""MLB: worked examples, the range of its coefficient, and its losses."""

from copy import deepcopy
from math import tanh

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.harness import network, wrap
from support.wrapping import gradients


def coefficients(method, *probabilities):
    return method.coefficient(torch.tensor(probabilities, dtype=torch.float64)).tolist()


def test_worked_example_of_two_modalities():
    """alpha = 0.5, beta_max = 10, s = (0.6, 0.3): r = (0.3 / 0.6, 0.6 / 0.3) = (0.5, 2).

    k = (1 + (2 - 1) tanh(0.5 * -0.5), 1 + (10 - 1) tanh(0.5 * 1)) = (0.755081, 5.159054).
    """
    expected = [1 + tanh(-0.25), 1 + 9 * tanh(0.5)]
    assert expected == pytest.approx([0.755081, 5.159054], rel=1e-6)
    assert coefficients(cp.MLB(0.5, 10.0), 0.6, 0.3) == pytest.approx(expected, rel=1e-9)


def test_worked_example_of_three_modalities():
    """alpha = 1, beta_max = 3, s = (0.8, 0.5, 0.2): r = (0.35 / 0.8, 0.5 / 0.5, 0.65 / 0.2).

    r = (0.4375, 1, 3.25), k = (1 + tanh(-0.5625), 1, 1 + 2 tanh(2.25)) = (0.490170, 1, 2.956053).
    """
    expected = [1 + tanh(-0.5625), 1, 1 + 2 * tanh(2.25)]
    assert expected == pytest.approx([0.490170, 1, 2.956053], rel=1e-5)
    found = coefficients(cp.MLB(1.0, 3.0), 0.8, 0.5, 0.2)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 1e3])
@pytest.mark.parametrize("weak", [0.0, 1e-30, 1e-8, 0.1])
def test_the_coefficient_stays_between_its_limits(weak, alpha):
    ahead, behind = coefficients(cp.MLB(alpha, 5.0), 1.0, weak)
    assert 1 - tanh(alpha) - 1e-12 <= ahead < 1 < behind <= 5


def test_the_loss_is_the_joint_one_and_those_of_the_heads():
    model = network("additive", 2)
    balanced = wrap(model, cp.MLB(weight=0.5))
    data = Given(model)
    out = balanced(**data.inputs, target=data.target)
    features = [getattr(model, name)(data.inputs[name]) for name in model.names]
    own = sum(
        F.cross_entropy(head(f), data.target) for head, f in zip(model.heads, features, strict=True)
    )
    torch.testing.assert_close(out.loss, F.cross_entropy(out.logits, data.target) + 0.5 * own)


class Given:
    """A batch for a model."""

    def __init__(self, model):
        generator = torch.Generator().manual_seed(1)
        sizes = {"ear": 3, "eye": 5, "hand": 7}
        self.inputs = {
            n: torch.randn(13, sizes[n], generator=generator, dtype=torch.float64)
            for n in model.names
        }
        self.target = torch.randint(4, (13,), generator=generator)


def test_heads_of_its_own_are_the_classifiers_of_the_paper():
    """With them no coalition is evaluated, and their gradient is that of their loss alone."""
    model = network("maxout", 2)
    torch.manual_seed(1)
    heads = {name: nn.Linear(model.width, 4).double() for name in model.names}
    data, twins = Given(model), deepcopy(heads)
    features = [getattr(deepcopy(model), name)(data.inputs[name]) for name in model.names]
    balanced = wrap(model, cp.MLB(weight=0.5, heads=heads))
    out = balanced(**data.inputs, target=data.target)
    out.loss.backward()
    assert out.responses is None
    for name, feature in zip(model.names, features, strict=True):
        (0.5 * F.cross_entropy(twins[name](feature.detach()), data.target)).backward()
        torch.testing.assert_close(heads[name].weight.grad, twins[name].weight.grad)


def test_both_losses_are_scaled_in_the_encoders_and_neither_in_the_rest():
    model = network("additive", 2, norm=False)
    plain, data = deepcopy(model), Given(model)
    unscaled = wrap(plain, cp.UnimodalLoss())
    unscaled(**data.inputs, target=data.target).loss.backward()
    balanced = wrap(model, cp.MLB(alpha=1.0, beta_max=4.0))
    out = balanced(**data.inputs, target=data.target)
    out.loss.backward()
    for name, expected in gradients(plain).items():
        encoder = name.split(".")[0]
        factor = out.coefficients[model.names.index(encoder)] if encoder in model.names else 1
        torch.testing.assert_close(gradients(model)[name], factor * expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, r"`alpha` should be finite, at least 0; found -1\.0"),
        ({"beta_max": 0.5}, r"`beta_max` should be finite, at least 1; found 0\.5"),
        ({"weight": float("nan")}, r"`weight` should be finite, at least 0; found nan"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(options, message):
    with pytest.raises(ValueError, match=message):
        cp.MLB(**options)
