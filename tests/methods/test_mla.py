"""MLA: by hand, its inference, and what it refuses."""

from copy import deepcopy
from math import exp, log

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.methods import SharedHead, close, logits_of, wrapped
from support.networks import batch


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_mla_by_hand(num_modalities):
    """Two batches, plain descent, in a loop over modalities with the projection written out."""
    model = SharedHead(num_modalities)
    twin = deepcopy(model)
    balanced = wrapped(model, cp.MLA(num_batches=2))
    optimiser = torch.optim.SGD(balanced.parameters(), lr=0.3)
    balanced.method.set_epoch(0)
    projection = torch.eye(4).double()
    by_hand, first = torch.optim.SGD(twin.parameters(), lr=0.3), True
    for number in range(2):
        inputs, target = batch(num_modalities, 7, seed=number)
        for out in balanced.steps(**inputs, target=target):
            optimiser.zero_grad()
            out.loss.backward()
            optimiser.step()
        for name in twin.names:
            by_hand.zero_grad()
            feature = getattr(twin, name)(inputs[name])
            F.cross_entropy(twin.head(feature), target).backward()
            if not first:
                twin.head.weight.grad = twin.head.weight.grad @ projection.T
            by_hand.step()
            first = False
            r = feature.detach().mean(dim=0)
            k = projection @ r
            a = 0.1 ** (1 + number / 2)
            projection = projection - torch.outer(k, k) / (a + r @ k)
            projection = projection / projection.norm()
    for name, weight in twin.named_parameters():
        close(model.get_parameter(name).detach(), weight.detach())
    close(balanced.method.projection, projection)
    assert not balanced.method.projection.requires_grad
    assert int(balanced.method.batch_number) == 2
    balanced.method.set_epoch(1)
    assert int(balanced.method.batch_number) == 0


def used(feature=((1.0, 2.0), (3.0, 5.0)), **kept):
    """MLA after the first modality's turn at a feature."""
    method = cp.MLA(num_batches=2)
    method.bind(("ear", "eye"), torch.float32)
    if kept:
        method.load_state_dict(kept)
    method._turn = 0
    method.loss(torch.zeros(()), cp.Signals(None, None, features=(torch.tensor(feature),) * 2))
    return method


def test_mla_counts_batches_anew_in_each_epoch_and_goes_on_when_it_is_resumed():
    cp.MLA(3).set_epoch(5)  # not bound yet
    method = cp.MLA(3)
    method.bind(("ear", "eye"))
    for epoch, left in ((0, 2), (1, 0), (1, 2), (3, 0)):
        method.batch_number = torch.tensor(2)
        method.set_epoch(epoch)
        assert int(method.batch_number) == left


def test_mla_learns_of_a_single_sample_too():
    r = torch.tensor([1.0, 2.0])
    moved = torch.eye(2) - torch.outer(r, r) / (0.1 + r @ r)
    torch.testing.assert_close(used([r.tolist()]).projection, moved / moved.norm())


def test_mla_goes_on_from_a_saved_state_of_any_size():
    fresh = cp.MLA(2)
    fresh.bind(("ear", "eye"), torch.float32)
    assert fresh.projection.shape == (0, 0)
    saved = used().state_dict()
    fresh.load_state_dict(saved)
    assert torch.equal(fresh.projection, saved["projection"])
    again = used(**saved)
    gradient = torch.ones(3, 2)
    torch.testing.assert_close(
        again.rest_gradient(gradient, None), gradient @ saved["projection"].T
    )
    empty = cp.MLA(2)
    empty.bind(("ear", "eye"), torch.float32)
    again.load_state_dict(empty.state_dict())
    again.loss(torch.zeros(()), cp.Signals(None, None, features=(torch.ones(5, 2),) * 2))
    assert again.rest_gradient(gradient, None) is gradient  # nothing was there to be kept


def test_mla_projects_gradients_in_their_own_type_under_autocast():
    method, gradient = used(**used().state_dict()), torch.full((3, 2), 1 + 2**-9)
    plain = method.rest_gradient(gradient, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(method.rest_gradient(gradient, None), plain)
    for other in (torch.ones(2), torch.ones(3, 5), torch.ones(1, 2, 2)):
        assert method.rest_gradient(other, None) is other


def test_mla_fuses_by_entropy():
    """Entropies of 0.9 and 0.5: 0.325083, 0.693147; weights 1 to e^-0.368064 = 0.692072."""
    logits = logits_of(0.9, 0.5)
    fused = cp.MLA(num_batches=1).fuse(logits)
    share = 1 / (1 + exp(0.325083 - 0.693147))
    assert fused[0, 1].item() == pytest.approx(share * log(9), rel=1e-5)


@pytest.mark.parametrize("make", [lambda: cp.MLA(3), lambda: cp.Remix(warm_up=0)])
def test_a_plain_call_of_a_method_of_several_steps_is_an_error(make):
    inputs, target = batch(2, 7)
    balanced = wrapped(SharedHead(), make())
    balanced.method.set_epoch(0)
    for _ in range(2):  # also after steps that were made as they should be
        with pytest.raises(RuntimeError, match=r"`balanced.steps\(...\)` should make the steps of"):
            balanced(**inputs, target=target)
        for out in balanced.steps(**inputs, target=target):
            out.loss.backward()
    for _ in balanced.steps(**inputs, target=target):
        break  # and after some that were broken off
    with pytest.raises(RuntimeError, match=r"`balanced.steps\(...\)` should make the steps of"):
        balanced(**inputs, target=target)


def test_features_that_mla_cannot_share_a_head_for_are_an_error():
    class Uneven(SharedHead):
        def __init__(self):
            super().__init__()
            self.eye = nn.Linear(5, 2).double()

        def forward(self, ear, eye):
            return self.head(self.ear(ear)) + self.eye(eye).repeat(1, 2)

    inputs, target = batch(2, 7)
    message = r"The encoder of 'eye' should return a tensor \(B, D\) for MLA.*found \(7, 2\)\. Use"
    with pytest.raises(ValueError, match=message):
        list(wrapped(Uneven(), cp.MLA(1)).steps(**inputs, target=target))
