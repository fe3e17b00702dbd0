"""MMPareto: the combination against a search by hand, and the gradient that each parameter gets."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.methods import pareto_weights
from counterpoise.methods.mmpareto import _linear
from support.harness import network, wrap
from support.networks import batch
from support.wrapping import assert_same, gradients


def combined(joint, own):
    joint, own = (torch.as_tensor(v, dtype=torch.float64) for v in (joint, own))
    a, b = pareto_weights(joint @ joint, joint @ own, own @ own)
    return a * joint + b * own


def test_worked_example_of_a_conflict():
    """g_joint = (2, 0), g_uni = (-1, 3): <g_joint, g_uni> = -2 < 0.

    The shortest a g_joint + (1 - a) g_uni has a = (10 + 2) / (4 + 4 + 10) = 2/3:
    (4/3 - 1/3, 1) = (1, 1), of length sqrt(2). The sum (1, 3) has length sqrt(10), so that the
    encoder gets gamma sqrt(5) (1, 1) = 1.5 (2.236068, 2.236068).
    """
    found = combined([2.0, 0.0], [-1.0, 3.0])
    assert found.tolist() == pytest.approx([2.236068, 2.236068], rel=1e-6)


def test_worked_example_of_agreement():
    """g_joint = (2, 0), g_uni = (1, 3) agree: their sum (3, 3)."""
    assert combined([2.0, 0.0], [1.0, 3.0]).tolist() == [3, 3]


vectors = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=3, max_size=3)


@given(vectors, vectors)
def test_both_losses_fall_along_it_and_it_is_as_long_as_the_sum(joint, own):
    joint, own = (torch.tensor(v, dtype=torch.float64) for v in (joint, own))
    h, total = combined(joint, own), joint + own
    scale = float(joint.norm() * own.norm())
    if joint @ own < -1e-3 * scale and float(torch.linalg.cross(joint, own).norm()) > 1e-2 * scale:
        assert h @ joint >= -1e-9
        assert h @ own >= -1e-9
        assert float(h.norm()) == pytest.approx(float(total.norm()), rel=1e-6)
    elif joint @ own >= 0:
        torch.testing.assert_close(h, joint + own)


@given(vectors, vectors)
def test_the_direction_is_that_of_the_shortest_vector_between_them(joint, own):
    joint, own = (torch.tensor(v, dtype=torch.float64) for v in (joint, own))
    if joint @ own >= -1e-3:
        return
    shares = torch.linspace(0, 1, 20_001, dtype=torch.float64).unsqueeze(1)
    between = shares * joint + (1 - shares) * own
    shortest = between[between.norm(dim=1).argmin()]
    if shortest.norm() > 1e-2:
        assert float(F.cosine_similarity(combined(joint, own), shortest, dim=0)) > 1 - 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opposite_gradients_give_a_finite_one(dtype):
    joint = torch.tensor([1.0, -2.0], dtype=dtype)
    for factor in (-1.0, -0.3, -1e-8, 0.0):
        own = factor * joint
        a, b = pareto_weights(joint @ joint, joint @ own, own @ own)
        found = a * joint + b * own
        assert found.isfinite().all()
        assert found.norm() <= joint.norm()


def test_what_all_but_cancels_out_is_enlarged_10_000_times():
    """g_uni = -0.3 g_joint: the shortest combination, of share 0.3 / 1.3, is nothing."""
    for length in (1.0, 3.0):
        jj = torch.tensor(length**2, dtype=torch.float64)
        a, b = pareto_weights(jj, -0.3 * jj, 0.09 * jj)
        assert (a.item(), b.item()) == pytest.approx((1e4 * 0.3 / 1.3, 1e4 / 1.3), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_shares_of_gradients_do_not_depend_on_their_scale(scale):
    method = cp.MMPareto()
    joint, own = (scale * torch.tensor(v) for v in ([2.0, 0.0], [-1.0, 3.0]))
    a, b = method._shares(joint, own, None)
    length = (10 / 2) ** 0.5
    assert (a.item(), b.item()) == pytest.approx((2 / 3 * length, 1 / 3 * length), rel=1e-5)


def test_a_correction_that_is_not_finite_is_left_out():
    parameter, other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    given = torch.tensor([float("nan"), float("inf"), -float("inf"), 4.0, 5.0])
    found = _linear([parameter, other], given, {parameter, other})
    assert found == 0
    found.backward()
    assert parameter.grad.tolist() == [0, 0, 0]
    assert other.grad.tolist() == [4, 5]


def by_hand(model, heads, inputs, target, gamma):
    """Return the gradient of each parameter, from passes of their own."""
    names = model.names

    def backward(*which):
        twin, own = deepcopy(model), deepcopy(heads)
        losses = {"joint": F.cross_entropy(twin(**inputs), target)}
        for name in names:
            losses[name] = F.cross_entropy(own[name](getattr(twin, name)(inputs[name])), target)
        sum(losses[each] for each in which).backward()
        return {
            n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in twin.named_parameters()
        }

    expected = backward("joint", *names)
    joint = backward("joint")
    conflicts = []
    for name in names:
        own, keys = backward(name), [k for k in joint if k.startswith(f"{name}.")]
        flat = [torch.cat([g[k].flatten() for k in keys]) for g in (joint, own)]
        conflicts.append(bool(flat[0] @ flat[1] < 0))
        vector = gamma * combined(*flat)
        for key, piece in zip(keys, vector.split([joint[k].numel() for k in keys]), strict=True):
            expected[key] = piece.view_as(joint[key])
    return expected, conflicts


@pytest.mark.parametrize("level", ["inputs", "features", "shared"])
def test_every_parameter_gets_the_gradient_of_the_paper(level):
    model = network("maxout", 3, norm=False)
    torch.manual_seed(2)
    heads = nn.ModuleDict({name: nn.Linear(model.width, 4).double() for name in model.names})
    inputs, target = batch(3, 7)
    expected, conflicts = by_hand(model, heads, inputs, target, gamma=1.5)
    assert set(conflicts) == {True, False}
    balanced = wrap(model, cp.MMPareto(gamma=1.5, heads=heads), level)
    balanced(**inputs, target=target).loss.backward()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12)


def test_the_value_of_the_loss_is_the_sum_of_the_losses():
    model = network("additive", 2)
    inputs, target = batch(2, 7)
    out = wrap(model, cp.MMPareto(weight=0.5))(**inputs, target=target)
    features = [getattr(model, name)(inputs[name]) for name in model.names]
    own = [F.cross_entropy(h(f), target) for h, f in zip(model.heads, features, strict=True)]
    torch.testing.assert_close(out.loss, F.cross_entropy(out.logits, target) + 0.5 * sum(own))


def test_a_scaled_loss_has_scaled_gradients():
    """As loss scalers need: the linear term is scaled with the rest."""
    model = network("maxout", 2, norm=False)
    inputs, target = batch(2, 7)
    found = []
    for scale in (1.0, 1024.0):
        twin = deepcopy(model)
        loss = wrap(twin, cp.MMPareto())(**inputs, target=target).loss
        (scale * loss).backward()
        found.append({name: g / scale for name, g in gradients(twin).items()})
    assert_same(found[1], found[0])


def test_without_gradient_it_is_the_sum_of_the_losses():
    model = network("maxout", 2)
    inputs, target = batch(2, 7)
    with torch.no_grad():
        loss = wrap(model, cp.MMPareto())(**inputs, target=target).loss
    assert loss.isfinite()
    assert not loss.requires_grad


def test_parameters_that_no_loss_reaches_have_no_gradient():
    model = network("maxout", 2, norm=False)
    model.eye.spare = nn.Linear(3, 3).double()
    inputs, target = batch(2, 7)
    wrap(model, cp.MMPareto())(**inputs, target=target).loss.backward()
    for name, gradient in gradients(model).items():
        assert (gradient is None) == name.startswith("eye.spare"), name


@pytest.mark.parametrize("frozen", [("eye",), ("ear", "eye")])
def test_frozen_encoders_are_left_out(frozen):
    model = network("maxout", 2, norm=False)
    for name in frozen:
        getattr(model, name).requires_grad_(False)
    twin, (inputs, target) = deepcopy(model), batch(2, 7)
    wrap(model, cp.MMPareto())(**inputs, target=target).loss.backward()
    wrap(twin, cp.UnimodalLoss())(**inputs, target=target).loss.backward()
    for name, expected in gradients(twin).items():
        if name.startswith("ear") and "ear" not in frozen:
            assert gradients(model)[name].ne(expected).any()
        else:
            assert_same({name: gradients(model)[name]}, {name: expected})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.0}, r"`gamma` should be finite, above 0; found 0\.0"),
        ({"weight": -1.0}, r"`weight` should be finite, at least 0; found -1\.0"),
        ({"heads": {"ear": nn.Identity()}}, r"`heads` should have a head for each of ear, eye"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(options, message):
    with pytest.raises(ValueError, match=message):
        wrap(network("late", 2), cp.MMPareto(**options))
