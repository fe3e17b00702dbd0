"""OGM and OGM-GE: worked examples, the noise, what is scaled, and an attention model of four."""

from copy import deepcopy
from math import tanh

import pytest
import torch

import counterpoise as cp
from counterpoise.models import LeNet, MaxOut, MultimodalNetwork
from support.harness import Run, network, wrap
from support.oracle import response_weights
from support.wrapping import gradients, plain_step, wrap_parts


def coefficients(method, *probabilities):
    return method.coefficient(torch.tensor(probabilities, dtype=torch.float64)).tolist()


def test_worked_example_of_two_modalities():
    """alpha = 0.5, two samples; probabilities of the labels (0.9, 0.7) and (0.5, 0.3).

    s = (1.6, 0.8), rho = (2, 0.5): k = (1 - tanh(0.5 * 2), 1) = (0.238406, 1).
    """
    logits = torch.tensor([[0.9, 0.7], [0.5, 0.3]]).logit()
    two_classes = torch.stack([torch.zeros(2, 2), logits], dim=2)
    signals = cp.Signals(None, torch.tensor([1, 1]), unimodal_logits=two_classes)
    k = cp.OGM(alpha=0.5).encoder_factors(signals)
    assert k.tolist() == pytest.approx([0.238406, 1], rel=1e-5)


def test_worked_example_of_three_modalities():
    """alpha = 0.3, s = (0.8, 0.5, 0.2), each over the mean of the others:

    rho = (0.8 / 0.35, 0.5 / 0.5, 0.2 / 0.65) = (2.285714, 1, 0.307692), so that
    k = (1 - tanh(0.685714), 1, 1) = (0.404778, 1, 1).
    """
    expected = [1 - tanh(0.3 * 0.8 / 0.35), 1, 1]
    assert expected[0] == pytest.approx(0.404778, rel=1e-5)
    assert coefficients(cp.OGM(alpha=0.3), 0.8, 0.5, 0.2) == pytest.approx(expected, rel=1e-9)


def test_worked_example_of_the_noise():
    """alpha = 0.5, s = (0.8, 0.4): rho = (2, 0.5), k = (1 - tanh(0.5 * 2), 1) = (0.238406, 1).

    A gradient (1, 2, 3, 4) has the mean 2.5 and the deviation sqrt((2.25 + 0.25 + 0.25 + 2.25) / 3)
    = sqrt(5 / 3) = 1.290994: the first encoder gets 0.238406 (1, 2, 3, 4) = (0.238406, 0.476812,
    0.715217, 0.953623) and 1.290994 times four standard normal numbers, the second (1, 2, 3, 4)
    and as much noise.
    """
    method = cp.OGMGE(alpha=0.5)
    k = method.coefficient(torch.tensor([0.8, 0.4]))
    assert k.tolist() == pytest.approx([0.238406, 1], rel=1e-5)
    for factor, slowed in zip(
        k, ([0.238406, 0.476812, 0.715217, 0.953623], [1, 2, 3, 4]), strict=True
    ):
        torch.manual_seed(0)
        found = method.encoder_gradient(torch.tensor([1.0, 2, 3, 4]), factor, None)
        torch.manual_seed(0)
        noise = 1.290994 * torch.randn(4)
        assert found.tolist() == pytest.approx((torch.tensor(slowed) + noise).tolist(), rel=1e-5)


@pytest.mark.parametrize("sure", [0.0, 1e-8, 0.5, 1.0])
@pytest.mark.parametrize("num_modalities", [2, 3])
def test_equally_sure_modalities_are_left_alone(num_modalities, sure):
    assert coefficients(cp.OGM(alpha=1.0), *[sure] * num_modalities) == [1] * num_modalities


class Convolutional(MultimodalNetwork):
    """Two LeNets on small images, which have weights of two and of four dimensions."""

    def __init__(self):
        encoders = {n: LeNet(1, (2, 3), 5, output="vector") for n in ("eye", "hand")}
        super().__init__(encoders, MaxOut((5, 5), 4, 7))


def images():
    generator = torch.Generator().manual_seed(0)
    inputs = {n: torch.randn(11, 1, 8, 8, generator=generator) for n in ("eye", "hand")}
    return inputs, torch.randint(4, (11,), generator=generator)


@pytest.mark.parametrize("convolutions_only", [False, True])
@pytest.mark.parametrize("method", [cp.OGM, cp.OGMGE])
def test_which_parameters_are_scaled(method, convolutions_only):
    torch.manual_seed(5)
    model = Convolutional()
    plain, (inputs, target) = deepcopy(model), images()
    balanced = wrap_parts(
        model,
        model.modalities,
        method(alpha=0.5, convolutions_only=convolutions_only),
        encoders=model.encoder_paths,
    )
    out = balanced(**inputs, target=target)
    out.loss.backward()
    plain_step(plain, inputs, target)
    assert sorted(out.coefficients.lt(1).tolist()) == [False, True]
    braked = model.modalities[int(out.coefficients.argmin())]
    for name, expected in gradients(plain).items():
        encoder = name.startswith("encoders.")
        scaled = encoder and (expected.dim() == 4 or not convolutions_only)
        if method is cp.OGM:
            scaled = scaled and name.startswith(f"encoders.{braked}.")
        same = torch.allclose(gradients(model)[name], expected, rtol=1e-5, atol=1e-7)
        assert same != scaled, name


def test_the_noise_has_the_deviation_of_each_tensor():
    method = cp.OGMGE(alpha=0.5)
    torch.manual_seed(0)
    for scale in (1e-6, 1.0, 1e6):
        gradient = scale * torch.randn(101, 103)
        noisy = method.encoder_gradient(gradient, torch.tensor(0.25), None)
        noise = noisy - 0.25 * gradient
        assert float(noise.std() / gradient.std()) == pytest.approx(1, rel=0.02)
        assert abs(float(noise.mean())) < 0.05 * scale


def test_a_tensor_of_one_element_gets_no_noise():
    gradient = torch.tensor([3.0])
    found = cp.OGMGE().encoder_gradient(gradient, torch.tensor(0.25), None)
    assert torch.equal(found, torch.tensor([0.75]))


@pytest.mark.parametrize("method", [cp.OGM, cp.OGMGE])
def test_outside_the_window_training_is_joint_at_the_price_of_joint(method):
    model = network(dropout=0.3)
    joint = Run(wrap(deepcopy(model), cp.Joint())).epochs(2)
    run = Run(wrap(model, cp.Windowed(method(alpha=0.5), 2, 3))).epochs(2)
    for name, expected in joint.weights.items():
        assert torch.equal(run.weights[name], expected), name
    assert run.outs[-1].responses is None
    run.epochs(1)
    assert run.outs[-1].coefficients.lt(1).any()
    run.epochs(1)
    assert run.outs[-1].responses is None


def confidences_by_hand(model, inputs, target):
    """Sum the probabilities of the labels under the responses, in loops over whole passes.

    A modality is absent by a feature of zero.
    """
    model.eval()
    sums = []
    for weights in response_weights(len(model.names)):
        response = 0
        for coalition, weight in weights.items():
            absent = [name for i, name in enumerate(inputs) if i not in coalition]
            encoders = [model.get_submodule(model.encoders[name]) for name in absent]
            hooks = [e.register_forward_hook(lambda m, a, out: 0 * out) for e in encoders]
            response = response + weight * model(**inputs)
            for hook in hooks:
                hook.remove()
        rows = zip(response.softmax(dim=1), target, strict=True)
        sums.append(sum(p[label].item() for p, label in rows))
    model.train()
    return sums


@pytest.mark.parametrize("level", ["inputs", "features", "shared"])
def test_ogm_ge_on_an_attention_model_of_four_modalities(level):
    model = network("attention", 4, norm=False)
    twin, run = deepcopy(model), Run(wrap(model, cp.OGMGE(alpha=0.4), level), momentum=0.0)
    inputs, target = run.data(0)
    s = confidences_by_hand(twin, inputs, target)
    rho = [own / (sum(s[j] for j in range(4) if j != m) / 3) for m, own in enumerate(s)]
    k = [1 - tanh(0.4 * r) if r > 1 else 1 for r in rho]
    assert 0 < sum(each < 1 for each in k) < 4
    out = run.forward()
    assert out.coefficients.tolist() == pytest.approx(k, rel=1e-9)
    plain_step(twin, inputs, target)
    draws = []
    for seed in range(150):
        run.balanced.zero_grad()
        torch.manual_seed(seed)
        run.forward().loss.backward()
        draws.append(gradients(model))
    for name, g in gradients(twin).items():
        drawn = torch.stack([each[name] for each in draws])
        if not name.startswith(model.names):
            assert torch.equal(drawn[0], drawn[1]), name
            torch.testing.assert_close(drawn[0], g, rtol=1e-9, atol=1e-12)
            continue
        factor = k[model.names.index(name.split(".")[0])]
        error = (drawn.mean(dim=0) - factor * g).abs().max() / g.std()
        assert error < 5 / 150**0.5, name  # five standard errors
        assert float(drawn.std(dim=0).mean() / g.std()) == pytest.approx(1, rel=0.07), name


def test_a_wholly_frozen_encoder_is_an_error():
    model = network()
    model.eye.requires_grad_(False)
    message = (
        r"The encoder of modality 'eye', 'eye', should have a parameter that is trained, since OGM "
        r"scales its gradient; found it wholly frozen\. Unfreeze it, or use a method that acts"
    )
    with pytest.raises(ValueError, match=message):
        wrap(model, cp.OGM(alpha=0.5))


def test_without_encoders_there_is_nothing_to_scale():
    message = (
        r"`modalities` should name encoders for OGMGE, which acts on them; found none for ear, "
        r"eye\. Pass \{'ear': 'path\.of\.its\.encoder', \.\.\.\}\."
    )
    with pytest.raises(ValueError, match=message):
        cp.Balanced(network("late", 2), ("ear", "eye"), cp.OGMGE())


@pytest.mark.parametrize("method", [cp.OGM, cp.OGMGE])
@pytest.mark.parametrize(
    ("options", "message"),
    [({"alpha": -0.1}, r"`alpha` should be finite, at least 0; found -0\.1\. Choose")],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(method, options, message):
    with pytest.raises(ValueError, match=message):
        method(**options)


@pytest.mark.parametrize("make", [cp.OGM, cp.OGMGE])
def test_a_flag_is_true_or_false(make):
    with pytest.raises(TypeError, match="`convolutions_only` should be True or False; found 1"):
        make(convolutions_only=1)
