"""Losses of the modalities and the joint one, weighed by how they generalise and overfit."""

from copy import deepcopy
from io import BytesIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.methods.gblend import GBlend, blend_weights
from support.additive import additive
from support.blending import ROWS, blending, train, work
from support.networks import MaxOut, batch
from support.two_processes import run_in_two
from support.wrapping import assert_same, gradients, plain_step, wrap

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
INF, NAN = float("inf"), float("nan")


def bound(num_modalities=2, **options):
    method = GBlend(**options)
    method.bind([f"m{i}" for i in range(num_modalities)], torch.float64)
    return method


def step(method, losses, num_samples=5):
    """One training step in which the modalities and the joint loss come to ``losses``."""
    *unimodal, joint = torch.tensor(losses, dtype=torch.float64)
    logits = torch.stack(unimodal).reshape(-1, 1, 1).expand(-1, num_samples, 1)
    signals = cp.Signals(
        logits[0], None, unimodal_logits=logits, criterion=lambda each, _: each.mean()
    )
    return method.loss(joint, signals)


def epoch(method, number, training, validation):
    """An epoch of one step, and its validation; return the weights then."""
    step(method, training)
    *unimodal, joint = validation
    unimodal = torch.tensor(unimodal, dtype=torch.float64)
    method.on_validation(cp.Evaluation(number, joint, 0.5, unimodal, unimodal), [])
    return method.blend.tolist()


def test_golden_by_hand():
    """Two modalities and the joint loss, two checkpoints.

    Training 1.0, 1.0, 0.9 and validation 1.1, 1.2, 1.0 first: gaps 0.1, 0.2, 0.1. Then training
    0.6, 0.5, 0.3 and validation 0.9, 0.8, 0.8: gaps 0.3, 0.3, 0.5. G = 0.2, 0.4, 0.2 and
    O = 0.2, 0.1, 0.4, so G / O^2 = 5, 40, 1.25 and w = 5, 40, 1.25 over 46.25.
    """
    method = bound(super_epoch=1)
    assert method.blend.tolist() == pytest.approx([1 / 3] * 3)
    loss = step(method, [3.0, 6.0, 12.0])
    assert loss.item() == pytest.approx(7.0)
    method = bound(super_epoch=1)
    epoch(method, 0, [1.0, 1.0, 0.9], [1.1, 1.2, 1.0])
    found = epoch(method, 1, [0.6, 0.5, 0.3], [0.9, 0.8, 0.8])
    assert found == pytest.approx([5 / 46.25, 40 / 46.25, 1.25 / 46.25])
    assert step(method, [46.25, 92.5, 0.0]).item() == pytest.approx(5 + 80)


LOSSES = [
    (
        [1.0 - 0.1 * e, 1.0 - 0.08 * e, 1.0 - 0.12 * e],
        [1.0 - 0.05 * e, 1.0 - 0.06 * e, 1 - 0.07 * e],
    )
    for e in range(9)
]


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"mode": "offline", "super_epoch": 3}, [3]),
        ({"mode": "online", "super_epoch": 3, "later": 2}, [3, 5, 7]),
        ({"mode": "online", "super_epoch": 1, "later": 4}, [1, 5]),
        ({"mode": "online", "super_epoch": 9}, []),
        ({"weights": [0.2, 0.3, 0.5]}, []),
    ],
)
def test_weights_change_at_the_end_of_a_super_epoch_only(options, changes):
    method = bound(**options)
    found, last = [], method.blend.tolist()
    for number, (training, validation) in enumerate(LOSSES):
        # Bends, so that no two measurements agree.
        blend = epoch(method, number, training, [v - 0.003 * number**2 for v in validation])
        if blend != last:
            found.append(number)
        last = blend
    assert found == changes
    assert method.num_measured == len(changes)


def test_the_training_loss_is_the_mean_over_samples_since_the_last_validation():
    method = bound()
    epoch(method, 0, [9.0, 9.0, 9.0], [1.0, 1.0, 1.0])
    step(method, [1.0, 2.0, 3.0], num_samples=6)
    step(method, [4.0, 8.0, 6.0], num_samples=3)
    torch.testing.assert_close(
        method.loss_sums / method.num_samples, torch.tensor([2.0, 4.0, 4.0]).double(), **CLOSE
    )


def test_a_validation_before_training_is_no_checkpoint():
    method, other = bound(mode="offline", super_epoch=1), bound(mode="offline", super_epoch=1)
    before = torch.ones(2, dtype=torch.float64)
    method.on_validation(cp.Evaluation(0, 1.0, 0.5, before, before), [])
    for number, losses in enumerate(LOSSES[:3]):
        assert epoch(method, number, *losses) == epoch(other, number, *losses)
    assert method.num_measured == 1
    assert len(set(method.blend.tolist())) == 3


def test_an_empty_batch_leaves_the_training_loss_alone():
    method = bound()
    step(method, [1.0, 2.0, 3.0])
    before = method.loss_sums.clone()
    step(method, [NAN, NAN, NAN], num_samples=0)
    assert torch.equal(method.loss_sums, before)


@given(
    st.sampled_from([2, 3, 5]),
    st.sampled_from([0.0, 1e-3, 1.0, 1e15]),
    st.integers(0, 2**32 - 1),
)
def test_weights_are_shares_whatever_the_losses(m, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    before, after = torch.rand(2, 2, m + 1, generator=generator) * scale
    found = blend_weights(before, after)
    fell = after[1] < before[1]
    if found is None:
        assert not fell.any()
        return
    assert found.isfinite().all()
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))
    assert torch.equal(found > 0, fell & (found > 0))
    assert not found[~fell].any()
    order = torch.randperm(m + 1, generator=generator)
    permuted = blend_weights(before[:, order], after[:, order])
    torch.testing.assert_close(permuted, found[order])


def test_generalising_gains_weight_and_overfitting_loses_it():
    before = torch.ones(2, 3)
    after = torch.tensor([[0.5, 0.3, 0.3], [0.7, 0.5, 0.7]])  # G .3 .5 .3, O .2 .2 .4
    alike, generalises, overfits = blend_weights(before, after)
    assert generalises > alike > overfits


def test_equal_losses_share_equally():
    found = blend_weights(torch.ones(2, 4), torch.full((2, 4), 0.5))
    torch.testing.assert_close(found, torch.full((4,), 0.25))


def test_losses_that_fell_from_very_far_share_without_overflow():
    far = 2e34  # over 0.01 squared 2e38 for each: their sum is beyond float32
    before, after = torch.tensor([[0.0] * 2, [far] * 2]), torch.tensor([[-far] * 2, [0.0] * 2])
    assert blend_weights(before, after).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("bad", [INF, -INF, NAN, 3e38])
def test_weights_stay_when_a_loss_is_not_finite_or_none_fell(bad):
    before, after = torch.ones(2, 3), torch.full((2, 3), 0.5)
    after[1, 1] = bad
    if bad == 3e38:
        assert blend_weights(before, after).isfinite().all()
        return
    assert blend_weights(before, after) is None
    assert blend_weights(after, before) is None
    assert blend_weights(before, torch.full((2, 3), 1.5)) is None
    method = bound(super_epoch=1)
    epoch(method, 0, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    assert epoch(method, 1, [0.5, bad, 0.5], [0.8, 0.8, 0.8]) == pytest.approx([1 / 3] * 3)
    epoch(method, 2, [0.5, 0.5, 0.5], [0.8, 0.8, 0.8])
    assert method.blend.isfinite().all()


def test_joint_weight_alone_is_joint_training_bit_for_bit():
    torch.manual_seed(5)
    plain = MaxOut(3, dropout=0.3).double()
    balanced = wrap(deepcopy(plain), "features", GBlend(weights=[0, 0, 0, 1]))
    inputs, target = batch(3, 7)
    balanced.validate(**inputs)
    assert balanced.method.needs() == cp.Needs()
    torch.manual_seed(1)
    plain_step(plain, inputs, target)
    torch.manual_seed(1)
    balanced(**inputs, target=target).loss.backward()
    assert_same(gradients(balanced.model), gradients(plain))


def blended(source, weights):
    torch.manual_seed(5)
    if source == "heads":
        return additive(method=GBlend(weights=weights), norm=False).double()
    model = MaxOut(3, norm=False).double()
    heads = {n: nn.Linear(6, 4).double() for n in model.names} if source == "own heads" else None
    return wrap(model, "features", GBlend(weights=weights, heads=heads))


@pytest.mark.parametrize("source", ["heads", "own heads", "responses"])
def test_the_blended_gradient_is_that_of_the_weighted_losses(source):
    weights, (inputs, target) = [0.125, 0.25, 0.375, 0.5], batch(3, 7)
    parts = []
    for index in range(4):  # one loss at a time
        one = blended(source, [float(i == index) for i in range(4)])
        one(**inputs, target=target).loss.backward()
        parts.append(gradients(one))
    balanced = blended(source, weights)
    balanced(**inputs, target=target).loss.backward()
    for name, found in gradients(balanced).items():
        given = [(w, part[name]) for w, part in zip(weights, parts, strict=True)]
        if name.startswith("method.heads."):  # elsewhere it learns beside the model
            given = [given[balanced.modalities.index(name.split(".")[2])]]
        expected = sum(w * g for w, g in given if g is not None)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_a_modality_s_loss_trains_its_own_branch_alone():
    balanced = additive(method=GBlend(weights=[1, 0, 0, 0]), norm=False).double()
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target).loss.backward()
    for name, gradient in gradients(balanced.model).items():
        assert gradient.any() == name.startswith(("ear.", "heads.0.")), name


def test_a_loaded_state_goes_on_bit_identically():
    method = bound(super_epoch=2, later=1)
    for number, losses in enumerate(LOSSES[:4]):
        epoch(method, number, *losses)
    step(method, [1.0, 2.0, 3.0])  # in the middle of an epoch
    file = BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    resumed = bound(super_epoch=2, later=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for number, losses in enumerate(LOSSES[4:], start=4):
        assert epoch(resumed, number, *losses) == epoch(method, number, *losses)
    assert_same(resumed.state_dict(), method.state_dict())


def test_processes_sum_their_losses_and_agree_on_weights(tmp_path):
    run_in_two(work, str(tmp_path))
    ours, theirs = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    balanced = blending()
    joined = train(balanced, balanced, [slice(None)] * 3)
    for one, two, both in zip(ours, theirs, joined, strict=True):
        assert_same(one, two)
        for key, expected in both.items():
            torch.testing.assert_close(one[key], expected, rtol=1e-10, atol=1e-12)
    assert balanced.method.num_measured * 7 == ROWS
    assert not torch.allclose(balanced.method.blend, torch.full((3,), 1 / 3).double())


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"mode": "on"}, ValueError, r"`mode` should be one of 'offline', 'online'; found 'on'\."),
        ({"super_epoch": 0}, ValueError, r"`super_epoch` should be at least 1; found 0\."),
        ({"later": 1.5}, TypeError, r"`later` should be an integer; found 1\.5\."),
        ({"least_overfitting": 0.0}, ValueError, r"`least_overfitting` should be finite, above 0;"),
        ({"weights": [0.5, -0.5, 1.0]}, ValueError, r"`weights` should be finite, at least 0;"),
        (
            {"weights": [0.5, 0.5]},
            ValueError,
            r"`weights` should have a number for each of m0, m1 and one for the joint loss; "
            r"found 2\. Give 3\.",
        ),
        ({"heads": {"m0": nn.Identity()}}, ValueError, r"`heads` should have a head for each of"),
    ],
)
def test_errors_name_the_argument(options, kind, message):
    with pytest.raises(kind, match=message):
        bound(**options)


def test_the_joint_loss_is_the_models_own():
    balanced = additive(2, method=GBlend(weights=[0, 0, 2.5]), norm=False).double()
    inputs, target = batch(2, 7)
    out = balanced(**inputs, target=target)
    torch.testing.assert_close(out.loss, 2.5 * F.cross_entropy(out.logits, target), **CLOSE)


@pytest.mark.parametrize("num_samples", [0, 5])
def test_a_batch_without_a_loss_does_not_count(num_samples):
    """That of no label is NaN, and its gradient zero: blending goes on."""
    plain, interrupted = bound(super_epoch=1), bound(super_epoch=1)
    for method in (plain, interrupted):
        epoch(method, 0, (1.0, 1.0, 0.9), (1.1, 1.2, 1.0))
    step(interrupted, (NAN, NAN, NAN), num_samples)
    expected, found = (
        epoch(method, 1, (0.6, 0.5, 0.3), (0.9, 0.8, 0.8)) for method in (plain, interrupted)
    )
    assert found == expected
    assert found == pytest.approx([5 / 46.25, 40 / 46.25, 1.25 / 46.25])
