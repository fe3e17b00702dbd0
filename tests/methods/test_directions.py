"""Each method acts in the direction of its paper, where that is no matter of step sizes.

On unequal modalities: the first one tells the labels, the others know nothing. Two and three of
them. What shows in how far a step moves the encoders is in the contract's table.
"""

from copy import deepcopy

import pytest
import torch

import counterpoise as cp
from counterpoise.measures import coalition_logits
from counterpoise.methods.method import Features
from counterpoise.methods.shared.losses import divergence
from support.harness import Run, network, wrap
from support.methods import NAMES, SharedHead, wrapped
from support.networks import batch

both = pytest.mark.parametrize("num_modalities", [2, 3])


def telling(num_modalities, rows=23):
    """Batches whose labels the first modality tells."""

    def data(seed):
        inputs, _ = batch(num_modalities, rows, seed=seed)
        generator = torch.Generator().manual_seed(3)
        teller = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        return inputs, (inputs["ear"] @ teller).argmax(dim=1)

    return data


def trained(method, num_modalities, *, fusion="additive", epochs=4, steps=10, lr=0.3):
    model = network(fusion, num_modalities, norm=False)
    run = Run(wrap(model, method), telling(num_modalities), lr=lr, momentum=0.0)
    return run.epochs(epochs, steps=steps)


def features_of(run, seed=7):
    inputs, _ = run.data(seed)
    with torch.no_grad():
        return [getattr(run.balanced.model, n)(inputs[n]) for n in run.balanced.modalities]


@both
def test_umt_draws_every_feature_to_its_teachers(num_modalities):
    taught = trained(cp.Joint(), num_modalities)
    names = taught.balanced.modalities
    distances = []
    for weight in (0.0, 3.0):
        teachers = {n: deepcopy(getattr(taught.balanced.model, n)) for n in names}
        with torch.no_grad():
            for teacher in teachers.values():
                teacher.layers[-1].bias += 0.5
        run = trained(cp.UMT(teachers, weight=weight), num_modalities)
        inputs, _ = run.data(7)
        frozen = run.balanced.method.teachers
        pairs = [(f, frozen[n](inputs[n])) for n, f in zip(names, features_of(run), strict=True)]
        distances.append([float((f - t).square().mean()) for f, t in pairs])
    for free, drawn in zip(*distances, strict=True):
        assert drawn < 0.5 * free, distances


@both
def test_cml_lowers_the_excess_of_confidence_of_smaller_subsets(num_modalities):
    excess = []
    for weight in (0.0, 5.0):
        run = trained(cp.CML(weight), num_modalities, fusion="late")
        values = coalition_logits(run.balanced.eval(), run.data(7)[0])[1:]
        values = values.softmax(dim=2).amax(dim=2)
        excess.append(float((values[:-1] - values[-1]).clamp_min(0).mean()))
    assert excess[1] < 0.8 * excess[0], excess


@both
def test_inforeg_keeps_the_leader_near_to_where_the_epoch_began(num_modalities):
    moved = []
    for strength in (0.0, 0.95):
        run = trained(cp.InfoReg(strength, weight=0.0), num_modalities, epochs=1)
        run.start_epoch()
        before = run.weights
        run.steps(10)
        moved.append(
            [
                sum(
                    float((w - before[key]).square().sum())
                    for key, w in run.weights.items()
                    if key.startswith(f"{name}.")
                )
                for name in run.balanced.modalities
            ]
        )
    free, held = moved
    assert held[0] < 0.8 * free[0], moved
    for m in range(1, num_modalities):  # nobody else is held
        assert held[m] > 0.9 * free[m], moved


@both
def test_mcr_lets_each_modality_raise_what_depends_on_it_above_what_depends_on_others(
    num_modalities,
):
    """A step from equal weights, by what the game adds to each encoder alone."""
    joint = trained(cp.Joint(), num_modalities, fusion="late")
    stepped = []
    for weight in (0.0, 2.0):
        model = deepcopy(joint.balanced.model)
        run = Run(wrap(model, cp.MCR(weight, contrast=0.0)), joint.data, lr=0.01, momentum=0.0)
        run.steps(1)
        stepped.append(model)
    inputs, _ = joint.data(0)
    torch.manual_seed(0)  # of that step
    orders = [torch.randperm(23) for _ in range(num_modalities)]

    def standing(model, m):
        with torch.no_grad():
            features = [getattr(model, name)(inputs[name]) for name in model.names]
            plain = model.head(torch.cat(features, 1))
            shuffled = [[f[order] if j == p else f for j, f in enumerate(features)]
                        for p, order in enumerate(orders)]  # fmt: skip
            found = [divergence(model.head(torch.cat(each, 1)), plain) for each in shuffled]
        others = sum(found) - found[m]
        return float(found[m] - others / (num_modalities - 1))

    for m, name in enumerate(joint.balanced.modalities):
        moved = deepcopy(stepped[0])
        getattr(moved, name).load_state_dict(getattr(stepped[1], name).state_dict())
        assert standing(moved, m) > standing(stepped[0], m), name


@both
def test_mla_moves_the_head_less_where_the_modality_before_has_used_it(num_modalities):
    inputs, target = telling(num_modalities)(0)
    used = []
    for project in (False, True):
        model = SharedHead(num_modalities)
        method = cp.MLA(num_batches=5)
        if not project:
            method.rest_gradient = lambda gradient, parameter: gradient
        balanced = wrapped(model, method)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        method.set_epoch(0)
        shares, last = [], None
        for turn, out in enumerate(balanced.steps(**inputs, target=target)):
            optimiser.zero_grad()
            out.loss.backward()
            if last is not None:
                gradient = model.head.weight.grad
                shares.append(float((gradient @ last).norm() / gradient.norm() / last.norm()))
            last = getattr(model, NAMES[turn])(inputs[NAMES[turn]]).mean(dim=0).detach()
            optimiser.step()
        used.append(shares)
    for free, projected in zip(*used, strict=True):
        assert projected < 0.8 * free, used


@both
def test_remix_shows_the_modalities_that_know_less(num_modalities):
    run = trained(cp.Remix(warm_up=99), num_modalities, epochs=3)
    method, counts = run.balanced.method, torch.zeros(num_modalities)
    method.set_epoch(99)
    for seed in range(5):
        inputs, target = run.data(seed)
        for out in run.balanced.steps(**inputs, target=target):
            counts[method._turn] += len(out.logits)
    assert counts[0] < 0.5 * counts[1:].min(), counts


@both
def test_relearning_sets_back_who_has_memorised(num_modalities):
    """The first one's training features part the classes, and those of validation do not."""
    model = network("late", num_modalities, norm=False)
    method = cp.Relearning(every=1)
    run = Run(wrap(model, method), telling(num_modalities))
    start = run.weights
    run.start_epoch()
    run.steps(3)
    target = torch.arange(20) % 2
    noise = torch.randn(20, 2, generator=torch.Generator().manual_seed(5))
    parted = noise + 20 * target.unsqueeze(1)
    train = [parted] + [noise] * (num_modalities - 1)
    found = Features(train, target, [noise] * num_modalities, target)
    before = run.weights
    encoders = [getattr(model, name) for name in model.names]
    method.on_epoch(encoders, lambda: found)
    assert method.gaps[0] > 0.2
    for key, weight in run.weights.items():
        if key.startswith("ear."):
            nearer = (weight - start[key]).norm() < 0.8 * (before[key] - start[key]).norm()
            assert nearer or torch.equal(before[key], start[key]), key
        else:
            assert torch.equal(weight, before[key]), key
