"""CGGM: worked examples of both terms, its limits, and classifiers of its own."""

from copy import deepcopy
from math import log, sqrt

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.methods.cggm import _accuracies
from counterpoise.methods.shared.evidence import scaled_confidences
from support.harness import network, wrap
from support.networks import batch
from support.wrapping import gradients


def bound(num_modalities=2, **options):
    method = cp.CGGM(**options)
    method.bind(("ear", "eye", "hand")[:num_modalities], torch.float64)
    return method


def signals(target, *guesses, joint=None):
    """Logits that are sure of each modality's guesses, of three classes."""
    target = torch.tensor(target)
    guesses = torch.tensor(guesses)
    unimodal = 5 * F.one_hot(guesses, 3).double()
    logits = torch.zeros(len(target), 3).double() if joint is None else joint
    return cp.Signals(
        logits.requires_grad_(), target, unimodal_logits=unimodal, criterion=F.cross_entropy
    )


def step(method, given):
    joint = F.cross_entropy(given.logits, given.target)
    loss = method.loss(joint, given)
    return loss, method.encoder_factors(given)


def test_worked_example_of_the_magnitude():
    """rho = 1.3, four samples, three modalities.

    1. accuracies (3, 2, 1) / 4, before them zeros: d = (0.75, 0.5, 0.25), sum 1.5,
       B = (0.75, 1, 1.25) / 1.5 = (0.5, 0.666667, 0.833333), factors (0.65, 0.866667, 1.083333).
    2. accuracies (4, 4, 1) / 4: d = (0.25, 0.5, 0), sum 0.75, B = (0.666667, 0.333333, 1).
    """
    method = bound(3, direction=0.0)
    target = [0, 0, 1, 2]
    _, factors = step(method, signals(target, [0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]))
    assert method.accuracies.tolist() == pytest.approx([0.75, 0.5, 0.25], rel=1e-6)
    assert factors.tolist() == pytest.approx([0.65, 1.3 / 1.5, 1.3 * 1.25 / 1.5], rel=1e-6)
    _, factors = step(method, signals(target, target, target, [1, 1, 1, 1]))
    assert method.balance.tolist() == pytest.approx([2 / 3, 1 / 3, 1], rel=1e-6)


def test_worked_example_of_the_direction():
    """One sample of label 0, three classes, lambda = 0.2.

    Joint logits zero: g = softmax - onehot = (-2/3, 1/3, 1/3). Modality 1 has logits zero too:
    g_1 = g, cosine 1; the tie goes to class 0, so it is right. Modality 2 is sure of class 1:
    g_2 = (-1, 1, 0), cosine (2/3 + 1/3) / (sqrt(6)/3 * sqrt(2)) = sqrt(3)/2 = 0.866025.
    Accuracies (1, 0) before which were zeros: d = (1, 0), B = (0, 1), so that the term is
    0.2 ((0 - 0) + (1 - 0.866025)) / 2 = 0.0133975.
    """
    method = bound(2, direction=0.2)
    joint = torch.zeros(1, 3, dtype=torch.float64)
    unimodal = torch.tensor([[[0.0, 0, 0]], [[0.0, 100, -100]]], dtype=torch.float64)
    given = signals([0], [0], [1], joint=joint)._replace(unimodal_logits=unimodal)
    loss, _ = step(method, given)
    term = (loss - F.cross_entropy(given.logits, given.target)).item()
    assert term == pytest.approx(0.2 * (1 - sqrt(3) / 2) / 2, rel=1e-6)
    assert term == pytest.approx(0.0133975, rel=1e-5)


def test_the_direction_term_turns_the_joint_gradient_to_the_slower_modality():
    method = bound(2, direction=1.0)
    joint = torch.zeros(1, 3, dtype=torch.float64)
    unimodal = torch.tensor([[[0.0, 0, 0]], [[0.0, 100, -100]]], dtype=torch.float64)
    given = signals([0], [0], [1], joint=joint)._replace(unimodal_logits=unimodal)
    loss, _ = step(method, given)
    (gradient,) = torch.autograd.grad(loss, given.logits)
    moved = (given.logits - 0.1 * gradient).detach().requires_grad_()

    def cosine(logits):
        (g,) = torch.autograd.grad(F.cross_entropy(logits, given.target), logits)
        return F.cosine_similarity(g[0], torch.tensor([-1.0, 1, 0]).double(), dim=0)

    plain = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    (of_joint,) = torch.autograd.grad(F.cross_entropy(plain, given.target), plain)
    without = (plain - 0.1 * of_joint).detach().requires_grad_()
    assert cosine(moved) > cosine(without)


def test_where_accuracies_move_apart_the_terms_stay_within_their_limits():
    """d = (0.3, -0.2): the formula has (-2, 3), which would climb the loss of the first."""
    balance = cp.CGGM(clamp=2.0).balance_of(torch.tensor([0.3, -0.2]))
    assert balance.tolist() == [0, 2]


@pytest.mark.parametrize("gain", [0.0, 0.25, -0.25])
def test_equal_gains_are_at_par(gain):
    balance = cp.CGGM().balance_of(torch.full((4,), gain))
    assert balance.tolist() == pytest.approx([0.75] * 4)


def test_gains_that_cancel_out_are_at_par():
    assert cp.CGGM().balance_of(torch.tensor([0.5, -0.5])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("num_samples", [9, 30, 64])
def test_gains_that_cancel_out_but_for_rounding_are_at_par(num_samples):
    """In single precision 7/30 - 4/30 is not 9/30 - 6/30."""
    method = cp.CGGM(direction=0.0)
    method.bind(["ear", "eye"], torch.float32)
    target = torch.zeros(num_samples, dtype=torch.long)
    for ear, eye in ((4, 7), (7, 4), (5, 6), (2, 9)):
        wrong = torch.arange(num_samples) >= torch.tensor([[ear], [eye]])
        unimodal = F.one_hot(wrong.long(), 2).float()
        method.loss(torch.tensor(0.0), cp.Signals(None, target, unimodal_logits=unimodal))
        assert method.accuracies.tolist() == pytest.approx([ear / num_samples, eye / num_samples])
        first = (ear, eye) == (4, 7)
        assert method.balance.tolist() == pytest.approx([7 / 11, 4 / 11] if first else [0.5, 0.5])


def test_a_modality_with_nan_leaves_the_state_alone():
    method = bound(2, direction=0.0)
    step(method, signals([0, 1], [0, 1], [0, 0]))
    before = method.accuracies.clone(), method.balance.clone()
    broken = signals([0, 1], [0, 1], [0, 0])
    broken.unimodal_logits[1, 0, 0] = float("nan")
    step(method, broken)
    assert torch.equal(method.accuracies, before[0])
    assert torch.equal(method.balance, before[1])


def test_nan_in_one_process_reaches_the_mean_of_all(monkeypatch):
    given = []

    def mean(right_MB, *rest):
        given.append(right_MB)
        return right_MB.mean(dim=1), None

    monkeypatch.setattr("counterpoise.methods.cggm.mean_over_processes", mean)
    logits = torch.randn(2, 3, 4)
    logits[1, 2, 0] = float("nan")
    _accuracies(cp.Signals(None, torch.tensor([0, 1, 2]), unimodal_logits=logits))
    assert given[0].isnan().any(dim=1).tolist() == [False, True]


def test_accuracy_of_other_targets_is_the_mean_likelihood():
    method = bound(2, direction=0.0)
    probabilities = torch.tensor([[1.0, 0], [0, 1]]).double()
    unimodal = torch.zeros(2, 2, 2).double()
    unimodal[0] = 100 * probabilities
    given = cp.Signals(torch.zeros(2, 2), probabilities, unimodal_logits=unimodal)
    method.loss(torch.tensor(0.0), given)
    assert method.accuracies.tolist() == pytest.approx([1, 0.5])


def test_accuracy_of_segments_is_over_all_of_them():
    method = bound(2, direction=0.0)
    target = torch.tensor([[0, 1, 1], [1, 0, 0]])
    right = F.one_hot(target, 2).movedim(2, 1).double()  # (B, C, segments)
    given = cp.Signals(right, target, unimodal_logits=torch.stack([right, 1 - right]))
    method.loss(torch.tensor(0.0), given)
    assert method.accuracies.tolist() == [1, 0]


def test_ignored_labels_are_neither_right_nor_wrong():
    method = bound(2, direction=0.0)
    step(method, signals([0, -100, 2, -100], [0, 1, 2, 0], [0, 1, 0, 1]))
    assert method.accuracies.tolist() == [1, 0.5]
    before = method.balance.clone()
    step(method, signals([-100, -100], [0, 1], [1, 0]))  # nothing is known
    assert method.accuracies.tolist() == [1, 0.5]
    assert torch.equal(method.balance, before)


def test_ignored_segments_are_neither_right_nor_wrong():
    """Of the first sample one of two labels is right, of the second the one, of the third none."""
    method = bound(2, direction=0.0)
    target = torch.tensor([[0, -100, 1], [-100, 0, -100], [-100, -100, -100]])
    guesses = F.one_hot(torch.zeros(3, 3).long(), 2).movedim(2, 1).double()
    given = cp.Signals(guesses, target, unimodal_logits=torch.stack([guesses, 1 - guesses]))
    method.loss(torch.tensor(0.0), given)
    assert method.accuracies.tolist() == [0.75, 0.25]


def test_the_label_that_is_ignored_is_that_of_the_score():
    method = bound(2, direction=0.0)
    given = signals([0, 1, 2, 2], [0, 1, 0, 0], [0, 0, 2, 2])
    given = given._replace(score=cp.scores.CrossEntropy(ignore_index=2))
    method.loss(torch.tensor(0.0), given)
    assert method.accuracies.tolist() == [1, 0.5]


def test_an_empty_batch_leaves_the_state_alone():
    method = bound(2, direction=0.0)
    step(method, signals([0, 1], [0, 1], [0, 0]))
    empty = cp.Signals(None, torch.zeros(0).long(), unimodal_logits=torch.zeros(2, 0, 3))
    method.loss(torch.tensor(0.0), empty)
    assert method.accuracies.tolist() == [1, 0.5]


def test_classifiers_of_its_own_learn_from_detached_features():
    model = network("maxout", 2, norm=False)
    twin = deepcopy(model)
    torch.manual_seed(1)
    heads = {name: nn.Linear(model.width, 4).double() for name in model.names}
    balanced = wrap(model, cp.CGGM(rho=2.0, direction=0.0, heads=heads))
    inputs, target = batch(2, 13)
    out = balanced(**inputs, target=target)
    out.loss.backward()
    assert out.responses is None
    F.cross_entropy(twin(**inputs), target).backward()
    for name, expected in gradients(twin).items():
        encoder = name.split(".")[0]
        factor = out.coefficients[model.names.index(encoder)] if encoder in model.names else 1
        torch.testing.assert_close(gradients(model)[name], factor * expected)
    for name, head in heads.items():
        feature = getattr(twin, name)(inputs[name]).detach()
        expected = deepcopy(head)
        expected.zero_grad()
        F.cross_entropy(expected(feature), target).backward()
        torch.testing.assert_close(head.weight.grad, expected.weight.grad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": -1.0}, r"`rho` should be finite, at least 0; found -1\.0"),
        ({"direction": -0.1}, r"`direction` should be finite, at least 0; found -0\.1"),
        ({"clamp": 0.0}, r"`clamp` should be finite, above 0; found 0\.0"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(options, message):
    with pytest.raises(ValueError, match=message):
        cp.CGGM(**options)


def right_and_wrong(*shares, rows=20):
    """Signals of two classes in which each modality gets a share of the labels right."""
    right_MB = torch.arange(rows) < rows * torch.tensor(shares).unsqueeze(1)
    logits = torch.stack([~right_MB, right_MB], dim=2).double()
    return cp.Signals(None, torch.ones(rows, dtype=torch.long), unimodal_logits=logits)


def test_accuracies_averaged_over_steps_are_compared_with_the_average_before():
    """Three steps each: (0.2, 0.4) on average, then (0.5, 0.5): gains 0.3 and 0.1, so that

    B = (0.1 / 0.4, 0.3 / 0.4). Steps in between change nothing, nor does one that is not finite.
    """
    method = cp.CGGM(direction=0.0, every=3)
    method.bind(("ear", "eye"), torch.float64)
    joint = torch.zeros((), dtype=torch.float64)
    for shares in ((0.1, 0.4), (0.2, 0.4), (0.3, 0.4)):
        method.loss(joint, right_and_wrong(*shares))
    torch.testing.assert_close(method.accuracies, torch.tensor([0.2, 0.4]).double())
    first = method.balance.clone()
    torch.testing.assert_close(first, torch.tensor([2 / 3, 1 / 3]).double())
    for shares in ((0.9, 0.3), (0.1, 0.6)):
        method.loss(joint, right_and_wrong(*shares))
        assert torch.equal(method.balance, first)
    spoilt = right_and_wrong(0.5, 0.5)
    method.loss(joint, spoilt._replace(unimodal_logits=spoilt.unimodal_logits * float("nan")))
    assert torch.equal(method.balance, first)
    method.loss(joint, right_and_wrong(0.5, 0.6))
    torch.testing.assert_close(method.balance, torch.tensor([0.25, 0.75]).double())


def test_averages_of_likelihoods_too_small_to_write_down_are_compared_too():
    """Squared errors around 1,000, likelihoods e^-1000: twice as likely as before, or as likely."""
    method = cp.CGGM(direction=0.0, every=2)
    method.bind(("ear", "eye"), torch.float64)
    joint, log2 = torch.zeros((), dtype=torch.float64), torch.tensor(2.0).log()
    first, second = [(1000.0, 1000.0), (1004.0, 1004.0)], [(1000 - log2, 1e3), (1004 - log2, 1004)]
    for losses in (first, second):
        for pair in losses:
            guesses = torch.tensor(pair, dtype=torch.float64).sqrt().view(2, 1, 1)
            target, score = torch.zeros(1, 1).double(), cp.scores.SquaredError()
            method.loss(joint, cp.Signals(None, target, unimodal_logits=guesses, score=score))
    torch.testing.assert_close(method.balance, torch.tensor([0.0, 1.0]).double())


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_before_the_first_step_all_are_at_par(num_modalities):
    assert bound(num_modalities).balance.tolist() == pytest.approx(
        [1 - 1 / num_modalities] * num_modalities
    )
    assert not cp.CGGM().balance_of(torch.tensor([-1.0, 0.0])).signbit().any()


def of_errors(*losses):
    guesses = torch.tensor(losses, dtype=torch.float64).sqrt().view(-1, 1, 1)
    score = cp.scores.SquaredError()
    return cp.Signals(None, torch.zeros(1, 1).double(), unimodal_logits=guesses, score=score)


@pytest.mark.parametrize("order", [1, -1])
def test_likelihoods_of_very_different_scales_are_compared_and_averaged(order):
    """e^-1000 is nothing beside e^-100: of two modalities the second gains, or loses, half."""
    joint, few = torch.zeros((), dtype=torch.float64), (1000.0, 1000.0)
    many = (100.0, 100.0 + log(2))
    method = bound(2, direction=0.0)
    for losses in (few, many)[::order]:
        method.loss(joint, of_errors(*losses))
    assert method.balance.tolist() == pytest.approx([1 / 3, 2 / 3])
    method = bound(2, direction=0.0, every=2)
    for losses in (few, many)[::order]:
        method.loss(joint, of_errors(*losses))
    found = method.accuracies.log() - method.shift
    assert found.tolist() == pytest.approx([-100 + log(0.5), -100 + log(0.25)])


def test_several_labels_a_sample_are_no_classes():
    method = bound(2, direction=0.0)
    target, logits = torch.tensor([[1, 0], [0, 0]]), torch.zeros(2, 2, 2).double()
    score = cp.scores.BinaryCrossEntropy()
    method.loss(
        torch.zeros(()).double(), cp.Signals(None, target, unimodal_logits=logits, score=score)
    )
    assert method.accuracies.tolist() == pytest.approx([0.5, 0.5])


def test_segments_are_ignored_as_by_pytorch_under_a_score_of_ones_own():
    """Of the first sample one of two labels is right, of the second the one."""
    method = bound(2, direction=0.0)
    target = torch.tensor([[0, -100, 1], [-100, 0, -100]])
    guesses = F.one_hot(torch.zeros(2, 3).long(), 2).movedim(2, 1).double()
    given = cp.Signals(guesses, target, unimodal_logits=torch.stack([guesses, 1 - guesses]))
    own = given._replace(score=lambda z, y: F.cross_entropy(z, y, reduction="none").sum(dim=1))
    method.loss(torch.tensor(0.0), own)
    assert method.accuracies.tolist() == [0.75, 0.25]


def test_numbers_are_no_labels_whatever_their_shape():
    torch.manual_seed(0)
    signals = cp.Signals(
        None,
        torch.tensor([0.0, 1.0, 2.0]),
        unimodal_logits=torch.randn(2, 3, 5),
        score=lambda logits, target: (logits.mean(dim=1) - target).square(),
    )
    for found, expected in zip(_accuracies(signals), scaled_confidences(signals), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_one_output_a_sample_is_no_class_whatever_the_labels():
    """The largest of one is always the first: all modalities would be as right as each other."""

    def score(logits, target):
        one = logits.squeeze(1)
        return F.binary_cross_entropy_with_logits(one, target.to(one), reduction="none")

    unimodal, target = torch.randn(2, 5, 1), torch.tensor([0, 1, 1, 0, 1])
    given = cp.Signals(unimodal[0], target, unimodal_logits=unimodal, score=score)
    p = unimodal.squeeze(2).sigmoid()
    accuracies, _ = _accuracies(given)
    torch.testing.assert_close(accuracies, p.where(target.bool(), 1 - p).mean(dim=1))


def test_accuracies_are_as_exact_as_the_logits():
    """Of 13 samples 5 and 2: d_m / sum d = 5/7, 2/7, to the last digits of float64."""
    method, target = bound(direction=0.0), [0] * 13
    step(method, signals(target, [0] * 5 + [1] * 8, [0] * 2 + [1] * 11))
    assert method.balance.tolist() == pytest.approx([2 / 7, 5 / 7], rel=1e-12)
