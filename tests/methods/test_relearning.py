"""Relearning: purity, and by how much encoders are set back."""

from math import tanh

import pytest
import torch

import counterpoise as cp
from counterpoise.methods.relearning import purity
from support.harness import network
from support.methods import NAMES, close, wrapped
from support.networks import batch


def test_worked_example_of_purity():
    """Clusters of 3 and 2: majorities of 2 and 2 of 5."""
    points = torch.tensor([[0.0], [0.1], [0.2], [9.0], [9.1]])
    assert purity(points, torch.tensor([0, 0, 1, 1, 1]), seed=0) == pytest.approx(4 / 5)
    unlabelled = torch.tensor([0, -100, -100, 1, 1])
    assert purity(points, unlabelled, seed=0) == 1
    with pytest.raises(ValueError, match=r"`labels` should have some that are 0 or more .* none"):
        purity(points, torch.full((5,), -100), seed=0)
    with pytest.raises(ValueError, match=r"`labels` should be class labels \(N,\) for the purity"):
        purity(points, torch.zeros(5), seed=0)


def test_clusters_do_not_depend_on_units_and_features_may_all_be_alike():
    """What tells classes apart is small beside what does not, and less concentrated."""
    labels = torch.arange(20) % 2
    points = torch.stack(
        [1e-3 * labels, 1e3 * torch.linspace(0, 1, 20) ** 3, torch.full((20,), 5.0)], dim=1
    )
    assert purity(points, labels, seed=0) == 1
    assert purity(torch.ones(5, 2), torch.tensor([0, 0, 1, 1, 1]), seed=0) == 3 / 5


def loader(seeds, rows=12):
    found = []
    for seed in seeds:
        inputs, _ = batch(2, rows, seed=seed)
        found.append({**inputs, "target": (inputs["ear"][:, 0] > 0).long()})
    return found


def test_relearning_sets_encoders_back_by_the_gap_of_purities():
    model = network("late", 2)
    balanced = wrapped(model, cp.Relearning(every=2, times=1, strength=3.0))
    start = {n: v.clone() for n, v in model.state_dict().items()}
    optimiser = torch.optim.SGD(balanced.parameters(), lr=0.3)
    train, validation = loader(range(3)), loader(range(100, 102))
    gaps = []
    for epoch in range(4):
        balanced.method.set_epoch(epoch)
        for each in train:
            optimiser.zero_grad()
            balanced(**each).loss.backward()
            optimiser.step()
        before = {n: v.clone() for n, v in model.state_dict().items()}
        balanced.on_epoch(train, validation)
        after = model.state_dict()
        gaps.append(balanced.method.gaps.tolist())
        if epoch != 1:
            assert all(torch.equal(v, before[n]) for n, v in after.items())
            continue
        parameters = {n for n, _ in model.named_parameters()}
        for n, value in after.items():
            if n.startswith(model.names) and n in parameters:
                w = tanh(3 * gaps[-1][model.names.index(n.split(".")[0])])
                close(value, w * start[n] + (1 - w) * before[n])
            else:
                assert torch.equal(value, before[n]), n
    assert gaps[0] == [0, 0] != gaps[1] == gaps[2]
    assert balanced.training


def test_encoders_are_set_back_every_so_many_epochs_and_so_many_times():
    """With every=3 after epochs 2 and 5, which are the two times, and no more after that."""
    balanced = wrapped(network("late", 2), cp.Relearning(every=3, times=2))
    data = loader(range(1))
    counts = []
    for epoch in range(9):
        balanced.method.set_epoch(epoch)
        balanced(**data[0]).loss.backward()
        balanced.on_epoch(data, data)
        counts.append(int(balanced.method.num_relearned))
    assert counts == [0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_a_loop_that_hands_on_no_features_is_told_once():
    method = cp.Relearning(every=2)
    method.bind(NAMES)
    method.coefficients(cp.Signals(None, None))
    method.set_epoch(1)
    with pytest.warns(UserWarning, match=r"`balanced.on_epoch\(train_loader, validation_loader\)`"):
        method.set_epoch(2)
    method.set_epoch(3)  # warnings are errors here
    told = cp.Relearning(every=2)
    told.bind(NAMES)
    told.coefficients(cp.Signals(None, None))
    told.on_epoch([], lambda: None)
    told.set_epoch(2)


@pytest.mark.parametrize("windowed", [False, True])
def test_a_run_that_begins_later_is_told_after_as_many_epochs_of_its_own(windowed):
    """One that is resumed, or before whose window it is handed no features on."""
    relearning = cp.Relearning(every=2)
    method = cp.Windowed(relearning, 7, 20) if windowed else relearning
    method.bind(NAMES)
    method.load_state_dict(method.state_dict())
    for epoch in range(0 if windowed else 7, 9):
        method.set_epoch(epoch)  # warnings are errors here
        if method.phase() == "on":
            method.coefficients(cp.Signals(None, None))
    with pytest.warns(UserWarning, match="should be called when an epoch is over"):
        method.set_epoch(9)
