"""Each modality stops when its own validation loss does, and goes back to its best weights."""

import logging
from copy import deepcopy
from io import BytesIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.methods.mses import MSES
from counterpoise.methods.shared.snapshots import Snapshots
from support.additive import additive
from support.networks import Late, batch
from support.wrapping import assert_same

NAN, INF = float("nan"), float("inf")


def evaluation(epoch, losses, dtype=torch.float64):
    losses = torch.tensor(losses, dtype=dtype)
    return cp.Evaluation(epoch, 1.0, 0.5, losses, torch.full_like(losses, 0.5))


def layers(num_modalities):
    """One small module a branch, all tensors different."""
    torch.manual_seed(3)
    return [[nn.BatchNorm1d(m + 2), nn.Linear(m + 2, 3)] for m in range(num_modalities)]


def shake(modules):
    """Move every tensor of the modules, as training would."""
    with torch.no_grad():
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.add_(1)


def contents(modules):
    return {f"{i}.{k}": t.clone() for i, m in enumerate(modules) for k, t in m.state_dict().items()}


def bound(num_modalities=2, **options):
    method = MSES(**options)
    method.bind([f"m{i}" for i in range(num_modalities)], torch.float64)
    return method


def validate(method, losses, branches=None, first=0):
    """Hand epochs of losses to a method, moving the branches before each; return the stops."""
    branches = branches or layers(len(method.modalities))
    stops = []
    for epoch, row in enumerate(losses, start=first):
        for index, modules in enumerate(branches):
            if not method.stopped[index]:
                shake(modules)
        method.on_validation(evaluation(epoch, row), branches)
        stops.append(method.stopped.tolist())
    return stops


def test_golden_by_hand():
    """Smoothing 0.6, patience 2, losses of two modalities over five epochs.

    m0: 1.0, 0.5, 0.6, 0.7, 0.7. Smoothed 1.0; 0.6 + 0.2 = 0.8; 0.3 + 0.24 = 0.54;
    0.36 + 0.28 = 0.64; 0.42 + 0.28 = 0.70. The minimum is epoch 2, and after epoch 4, two
    without a new one, it stops.
    m1: 0.9, 0.8, 0.7, 0.6, 0.5 falls all the time: smoothed 0.9, 0.86, 0.76, 0.66, 0.56.
    """
    method, branches = bound(patience=2, smoothing=0.6), layers(2)
    kept = []
    rows = [(1.0, 0.9), (0.5, 0.8), (0.6, 0.7), (0.7, 0.6), (0.7, 0.5)]
    for epoch, row in enumerate(rows):
        for modules in branches:
            shake(modules)
        kept.append([contents(modules) for modules in branches])
        method.on_validation(evaluation(epoch, row), branches)
        assert method.stopped.tolist() == [epoch == 4, False]
    torch.testing.assert_close(method.best, torch.tensor([0.54, 0.56], dtype=torch.float64))
    assert method.best_epoch.tolist() == [2, 4]
    assert method.learning_rates().tolist() == [0.0, 1.0]
    assert not method.finished()
    assert_same(contents(branches[0]), kept[2][0])  # back at its minimum, buffers and all
    assert_same(contents(branches[1]), kept[4][1])  # untouched


def reference(losses, patience, smoothing):
    """One modality's stop and best epoch, by a loop straight from the definition."""
    best, best_epoch, last = INF, 0, None
    for epoch, loss in enumerate(losses):
        smoothed = loss if last is None else smoothing * last + (1 - smoothing) * loss
        last = loss
        if smoothed < best:
            best, best_epoch = smoothed, epoch
        if epoch - best_epoch >= patience:
            return epoch, best_epoch
    return None, best_epoch


@given(
    st.sampled_from([2, 3, 5]),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.25, 0.5]),
    st.sampled_from([1e-3, 1.0, 1e15]),
    st.data(),
)
def test_stops_and_best_epochs_are_those_of_the_definition(m, patience, smoothing, scale, data):
    # Multiples of 1/8 and such smoothings add up without rounding.
    row = st.tuples(*[st.integers(0, 8).map(lambda k: k * scale / 8)] * m)
    losses = data.draw(st.lists(row, min_size=1, max_size=12))
    method = bound(m, patience=patience, smoothing=smoothing)
    stops = validate(method, losses)
    for index in range(m):
        series = [row[index] for row in losses]
        stop, best_epoch = reference(series, patience, smoothing)
        assert [each[index] for each in stops] == [
            stop is not None and epoch >= stop for epoch in range(len(losses))
        ]
        assert method.best_epoch[index] == best_epoch
    assert method.finished() == all(stops[-1])


def test_modalities_are_judged_alone_in_whatever_order():
    losses = [(1.0, 0.9, 0.3), (0.8, 1.0, 0.4), (0.9, 1.1, 0.2), (1.0, 0.7, 0.3)]
    order = [2, 0, 1]
    stops = validate(bound(3, patience=1), losses)
    permuted = validate(bound(3, patience=1), [[row[i] for i in order] for row in losses])
    assert permuted == [[row[i] for i in order] for row in stops]


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_nonfinite_loss_is_an_epoch_without_improvement(bad):
    method = bound(patience=3)
    stops = validate(method, [(1.0, 1.0), (0.9, 0.9), (0.8, bad), (0.7, 0.8), (0.6, 0.6)])
    # Epoch 3 starts afresh: 0.8 is a minimum, and so is 0.6 x 0.8 + 0.4 x 0.6 after it.
    assert stops[-1] == [False, False]
    assert method.best_epoch.tolist() == [4, 4]


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_loss_that_is_never_finite_stops_with_the_first_weights(bad):
    method, branches = bound(patience=2), layers(2)
    for modules in branches:
        shake(modules)
    first = contents(branches[1])
    method.on_validation(evaluation(0, (1.0, bad)), branches)
    validate(method, [(0.9, bad), (0.8, bad)], branches, first=1)
    assert method.stopped.tolist() == [False, True]
    assert_same(contents(branches[1]), first)


def saved(method):
    file = BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


LOSSES = [(1.0, 1.0, 0.5), (0.8, 0.9, 0.6), (0.9, 0.7, 0.7), (1.0, 0.8, 0.8), (1.1, 0.9, 0.9)]


@pytest.mark.parametrize("cut", range(1, len(LOSSES)))
def test_a_loaded_state_goes_on_bit_identically(cut):
    method, branches = bound(3, patience=2), layers(3)
    validate(method, LOSSES[:cut], branches)
    resumed, its_branches = bound(3, patience=2), deepcopy(branches)
    resumed.load_state_dict(saved(method))
    stops = validate(method, LOSSES[cut:], branches, first=cut)
    assert validate(resumed, LOSSES[cut:], its_branches, first=cut) == stops
    assert_same(resumed.state_dict(), method.state_dict())
    for ours, theirs in zip(its_branches, branches, strict=True):
        assert_same(contents(ours), contents(theirs))
    assert method.stopped.any()


def test_a_state_from_before_any_validation_forgets_the_copies():
    method = bound()
    fresh = saved(method)
    validate(method, [(1.0, 1.0)])
    assert len(method.state_dict()) > len(fresh)
    method.load_state_dict(fresh)
    assert_same(method.state_dict(), fresh)


def test_copies_put_back_what_is_shared_once_and_keep_tensors_the_same_objects():
    first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    second.weight = nn.Parameter(first.weight.data.t().clone())
    first.weight = nn.Parameter(second.weight.data.t().clone())
    shared = nn.ModuleList([first, first, second])
    snapshots, before = Snapshots(), [id(p) for p in shared.parameters()]
    snapshots.keep("all", shared)
    kept = contents(shared)
    shake([first, second])
    assert not torch.equal(first.bias, kept["0.bias"])
    snapshots.restore("all", shared)
    assert_same(contents(shared), kept)
    assert [id(p) for p in shared.parameters()] == before
    assert len(snapshots.state_dict()) == 4


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter:UserWarning")
def test_copies_are_loaded_to_where_the_module_is():
    first, second = Snapshots(), Snapshots().to("meta")
    first.keep("all", [nn.Linear(2, 3)])
    second.load_state_dict(first.state_dict())
    assert second.state_dict().keys() == first.state_dict().keys()
    assert {tensor.device.type for tensor in second.state_dict().values()} == {"meta"}


def test_until_a_modality_stops_training_is_joint_bit_for_bit():
    inputs, target = batch(3, 7, dtype=torch.float32)
    gradients = []
    for method in (cp.Joint(), MSES()):
        balanced = additive(method=method)
        balanced.method.learning_rates()  # as a loop does
        balanced(**inputs, target=target).loss.backward()
        gradients.append({n: p.grad for n, p in balanced.model.named_parameters()})
    assert_same(*gradients)
    assert balanced.method.learning_rates().tolist() == [1.0, 1.0, 1.0]


def test_the_branches_of_a_wrapped_model_go_back_and_nothing_else_does():
    balanced = additive(2, method=MSES(patience=1, smoothing=0.0))
    balanced.model.extra = nn.Linear(2, 2)
    balanced.on_validation(evaluation(0, (0.5, 0.5)))
    kept = deepcopy(balanced.model.state_dict())
    shake([balanced.model])
    moved = deepcopy(balanced.model.state_dict())
    balanced.on_validation(evaluation(1, (0.6, 0.4)))
    for name, tensor in balanced.model.state_dict().items():
        expected = kept if name.startswith(("ear.", "heads.0.")) else moved
        assert torch.equal(tensor, expected[name]), name


def test_losses_of_stopped_modalities_no_longer_count():
    """Multi-task weights 2: joint 1.5 and losses log 3 each; the first has stopped."""
    method = bound(patience=1, smoothing=0.0, weights=2.0)
    logits = torch.zeros(2, 1, 3, dtype=torch.float64, requires_grad=True)
    signals = cp.Signals(None, torch.tensor([0]), unimodal_logits=logits, criterion=F.cross_entropy)
    joint, log3 = torch.tensor(1.5, dtype=torch.float64), torch.tensor(3.0).double().log()
    assert method.needs() == cp.Needs(unimodal_logits="gradients", owns="branches")
    torch.testing.assert_close(method.loss(joint, signals), joint + 4 * log3)
    validate(method, [(0.5, 0.5), (0.6, 0.4)])
    loss = method.loss(joint, signals)
    torch.testing.assert_close(loss, joint + 2 * log3)
    loss.backward()
    assert not logits.grad[0].any()
    assert logits.grad[1].any()


def test_a_stop_is_reported(caplog):
    with caplog.at_level(logging.INFO, "counterpoise.methods.mses"):
        validate(bound(patience=1, smoothing=0.0), [(0.5, 0.5), (0.6, 0.4)])
    assert caplog.messages == [
        "Modality 'm0' stopped after epoch 1; its branch is that of epoch 0."
    ]


def test_branches_are_needed():
    model = Late(2)
    message = (
        r"`modalities` should name branches for MSES, which acts on them; found none for ear, eye\."
    )
    with pytest.raises(ValueError, match=message):
        cp.Balanced(model, model.names, MSES())


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"patience": 0}, ValueError, r"`patience` should be at least 1; found 0\."),
        ({"patience": 1.5}, TypeError, r"`patience` should be an integer; found 1\.5\."),
        ({"smoothing": 1.0}, ValueError, r"`smoothing` should be finite, at least 0 and below 1"),
        ({"smoothing": -0.1}, ValueError, r"`smoothing` should be finite, at least 0 .*found -0"),
        ({"weights": [1.0]}, ValueError, r"`weights` should have a number for each of m0, m1;"),
        ({"heads": {"m0": nn.Identity()}}, ValueError, r"`heads` should have a head for each of"),
    ],
)
def test_errors_name_the_argument(options, kind, message):
    with pytest.raises(kind, match=message):
        bound(**options)
