"""PMR: worked examples of prototypes and coefficients, what is left out, and errors."""

from math import exp, log

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from support.harness import Run, network, wrap
from support.wrapping import gradients


def bound(num_modalities=2, **options):
    method = cp.PMR(**options)
    method.bind(("ear", "eye", "hand")[:num_modalities], torch.float64)
    return method


def signals(target, *features, num_classes=2):
    features = [torch.tensor(f, dtype=torch.float64, requires_grad=True) for f in features]
    logits = torch.zeros(len(target), num_classes, dtype=torch.float64)
    return cp.Signals(logits, torch.tensor(target), features=tuple(features))


def added(method, given):
    return method.loss(torch.tensor(0.0, dtype=torch.float64), given)


def lines(*positions):
    """Features of one dimension."""
    return [[p] for p in positions]


def test_worked_example_of_the_prototypes():
    """momentum = 0.25. Epoch 0: class 0 at 1, 3 and class 1 at 10: prototypes 2 and 10.

    Epoch 1: class 0 at 4 alone: 0.25 * 2 + 0.75 * 4 = 3.5; class 1, not seen, stays at 10.
    """
    method = bound(momentum=0.25)
    method.set_epoch(0)
    added(method, signals([0, 1], lines(1.0, 10.0), lines(0.0, 0.0)))
    added(method, signals([0], lines(3.0), lines(0.0)))
    assert not method.bank.seen.any()
    method.set_epoch(1)
    assert method.bank.prototypes[0].tolist() == [[2], [10]]
    added(method, signals([0], lines(4.0), lines(0.0)))
    method.set_epoch(2)
    assert method.bank.prototypes[0].tolist() == [[3.5], [10]]


def test_worked_example_of_the_loss():
    """Prototypes at 0 and 4 for both modalities; one sample of class 0; alpha = 0.5, mu = 0.1.

    Modality 1 at 1: distances (1, 3), p = 1 / (1 + e^-2) = 0.880797.
    Modality 2 at 2: distances (2, 2), p = 0.5. Modality 2 is behind:
    w_2 = clip(0.880797 / 0.5 - 1, 0, 1) = 0.761594, v_1 the same, w_1 = v_2 = 0.
    PCE_2 = ln 2; H_1 = -(0.880797 ln 0.880797 + 0.119203 ln 0.119203) = 0.365334.
    0.5 * 0.761594 * 0.693147 - 0.1 * 0.761594 * 0.365334 = 0.236125.
    """
    method = bound(alpha=0.5, entropy=0.1, entropy_epochs=2)
    added(method, signals([0, 1], lines(0.0, 4.0), lines(0.0, 4.0)))
    method.set_epoch(1)
    given = signals([0], lines(1.0), lines(2.0))
    p = 1 / (1 + exp(-2))
    lag, entropy = p / 0.5 - 1, -(p * log(p) + (1 - p) * log(1 - p))
    expected = 0.5 * lag * log(2) - 0.1 * lag * entropy
    assert expected == pytest.approx(0.236125, rel=1e-5)
    assert added(method, given).item() == pytest.approx(expected, rel=1e-9)


def test_a_sample_without_a_label_counts_in_the_mean_as_nothing():
    """As above, with a second sample that would be drawn as much."""
    found = []
    for target, x, y in (([0], [1.0], [2.0]), ([0, -100], [1.0, 1.0], [2.0, 2.0])):
        method = bound(alpha=0.5, entropy=0.1)
        added(method, signals([0, 1], lines(0.0, 4.0), lines(0.0, 4.0)))
        method.set_epoch(1)
        found.append(added(method, signals(target, lines(*x), lines(*y))).item())
    assert found[1] == pytest.approx(found[0] / 2)
    one = bound()
    added(one, signals([-100, 0], lines(1.0, 3.0), lines(1.0, 3.0), num_classes=1))
    assert one.bank.counts.tolist() == [1]


def test_without_an_epoch_nothing_is_flattened():
    told, fresh = bound(alpha=0.0), bound(alpha=0.0)
    added(told, signals([0, 1], lines(0.0, 4.0), lines(0.0, 4.0)))
    told.set_epoch(1)
    fresh.load_state_dict(told.state_dict())
    given = signals([0], lines(1.0), lines(2.0))
    assert added(told, given) < 0 == added(fresh, given)


def test_sums_are_exact_under_autocast():
    method = cp.PMR()
    method.bind(("ear", "eye"), torch.float32)
    features = (torch.full((1, 1), 1 + 2**-9),) * 2  # more digits than bfloat16 has
    given = cp.Signals(torch.zeros(1, 2), torch.tensor([0]), features=features)
    with torch.autocast("cpu", torch.bfloat16):
        method.loss(torch.tensor(0.0), given)
    assert method.bank.sums0[0].item() == 1 + 2**-9


def test_before_the_first_step_there_is_no_prototype():
    state = bound().state_dict()
    shapes = {key.removeprefix("bank."): tuple(value.shape) for key, value in state.items()}
    assert shapes == {
        "renewed": (),
        "counts": (0,),
        "seen": (0,),
        **{name + str(m): (0, 0) for name in ("sums", "prototypes") for m in range(2)},
    }


@pytest.mark.parametrize(
    ("s", "behind", "ahead"),
    [
        ((0.4, 0.5), (0.25, 0), (0, 0.25)),
        ((0.1, 0.9), (1, 0), (0, 1)),  # clipped
        ((0.5, 0.5, 0.5), (0, 0, 0), (0, 0, 0)),
        ((0.4, 0.5, 0.7), (0.5, 0.1, 0), (0, 0, 0.7 / 0.45 - 1)),
        ((0.0, 0.5), (1, 0), (0, 1)),
        ((float("nan"), 0.5), (0, 0), (0, 0)),
    ],
)
def test_who_is_behind_and_ahead_by_how_much(s, behind, ahead):
    """Two modalities: 1 / rho - 1 and rho - 1, clipped, as published; more: by the others' mean."""
    found = cp.PMR().lags(torch.tensor(s, dtype=torch.float64))
    assert found[0].tolist() == pytest.approx(behind, abs=1e-12)
    assert found[1].tolist() == pytest.approx(ahead, abs=1e-12)


def test_the_follower_is_drawn_to_the_prototype_of_its_class():
    method = bound(entropy=0.0)
    added(method, signals([0, 1], lines(0.0, 4.0), lines(0.0, 4.0)))
    method.set_epoch(1)
    given = signals([0], lines(1.0), lines(2.0))
    added(method, given).backward()
    assert given.features[0].grad.eq(0).all()
    assert given.features[1].grad > 0  # a step against it leads down, to the prototype at 0


def test_the_leaders_distribution_is_flattened_in_the_first_epochs_alone():
    method = bound(alpha=0.0, entropy=1.0, entropy_epochs=2)
    for epoch, drawn in ((1, True), (2, False)):
        added(method, signals([0, 1], lines(0.0, 4.0), lines(0.0, 4.0)))
        method.set_epoch(epoch)
        given = signals([0], lines(1.0), lines(2.0))
        loss = added(method, given)
        assert bool(loss.detach() < 0) == drawn
        loss.backward()
        assert bool(given.features[0].grad < 0) == drawn  # a step leads up, to the middle


def test_in_the_first_epoch_training_is_joint():
    model = network("maxout", 2)
    method = cp.PMR(alpha=5.0, entropy=1.0)
    run = Run(wrap(model, method))
    run.start_epoch()
    inputs, target = run.data(0)
    run.forward().loss.backward()
    found = gradients(model)
    model.zero_grad()
    F.cross_entropy(model(**inputs), target).backward()
    for name, expected in gradients(model).items():
        assert torch.equal(found[name], expected), name


def test_training_goes_on_after_a_step_in_inference_mode():
    method = bound()
    with torch.inference_mode():
        added(method, signals([0, 1], lines(1.0, 3.0), lines(0.0, 5.0)))
    for epoch in range(2):
        method.set_epoch(epoch)
        given = signals([0, 1], lines(1.0, 3.0), lines(0.0, 4.0))
        added(method, given).backward()
    assert method.bank.prototypes[1].tolist() == [[0], [4.5]]


def test_an_epoch_renews_once_however_often_it_is_told():
    """As on resuming: the training loop says the epoch again in the middle of it."""
    method = bound()
    added(method, signals([0, 1], lines(0.0, 4.0), lines(0.0, 4.0)))
    method.set_epoch(1)
    added(method, signals([0], lines(2.0), lines(2.0)))
    method.set_epoch(1)
    assert method.bank.counts.tolist() == [1, 0]
    assert method.bank.prototypes[0].tolist() == [[0], [4]]


def test_samples_without_a_label_or_of_classes_without_prototype_are_left_out():
    method = bound(entropy=0.0)
    added(method, signals([0, -100], lines(0.0, 7.0), lines(0.0, 7.0)))
    method.set_epoch(1)
    assert method.bank.seen.tolist() == [True, False]
    given = signals([1, -100], lines(1.0, 1.0), lines(2.0, 2.0))
    loss = added(method, given)
    assert loss == 0
    loss.backward()
    for feature in given.features:
        assert torch.equal(feature.grad, torch.zeros_like(feature))


def test_rows_that_are_not_finite_do_not_enter_the_prototypes():
    method = bound()
    broken = signals([0, 0], lines(1.0, float("nan")), lines(3.0, 5.0))
    added(method, broken)
    method.set_epoch(1)
    assert [p[0].tolist() for p in method.bank.prototypes] == [[1], [3]]


def test_state_loads_into_a_method_that_has_seen_nothing():
    method, fresh = bound(), bound()
    added(method, signals([0, 1], lines(0.0, 4.0), lines(0.0, 4.0)))
    method.set_epoch(1)
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(fresh.bank.prototypes[0], method.bank.prototypes[0])
    assert fresh.bank.seen.all()
    part = {key: value for key, value in method.state_dict().items() if key != "bank.seen"}
    assert bound().load_state_dict(part, strict=False).missing_keys == ["bank.seen"]


def test_a_function_may_make_vectors_of_features():
    method = bound(vector=lambda feature: feature["tokens"].mean(dim=1))
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    given = signals([0], lines(0.0), lines(0.0))._replace(features=({"tokens": tokens},) * 2)
    added(method, given)
    method.set_epoch(1)
    assert method.bank.prototypes[0][0].tolist() == [2, 3]


def test_maps_are_flattened():
    method = bound()
    given = signals([0], lines(0.0), lines(0.0))
    added(method, given._replace(features=(torch.ones(1, 2, 3, 5),) * 2))
    assert method.bank.prototypes[0].shape == (2, 30)


@pytest.mark.parametrize("target", [torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.long)])
def test_targets_that_are_no_labels_are_an_error(target):
    given = signals([0], lines(0.0), lines(0.0))._replace(target=target)
    message = r"`target` should be class labels \(B,\) for PMR.*found torch\.\w+ \(3, 2\)\. Use"
    with pytest.raises(ValueError, match=message):
        added(bound(), given)


def test_a_target_that_is_no_tensor_is_an_error():
    given = signals([0], lines(0.0), lines(0.0))._replace(target=[0])
    with pytest.raises(ValueError, match=r"found \[0\]\. Use another method"):
        added(bound(), given)


def test_a_feature_that_is_no_tensor_is_an_error():
    given = signals([0], lines(0.0), lines(0.0))
    broken = given._replace(features=(given.features[0], {"tokens": given.features[1]}))
    message = (
        r"The feature of modality 'eye' should be a tensor; found dict\. Pass `vector=`, a "
        r"function from it to vectors \(B, D\)\."
    )
    with pytest.raises(TypeError, match=message):
        added(bound(), broken)


def test_features_of_changing_length_are_an_error():
    method = bound()
    added(method, signals([0], lines(0.0), lines(0.0)))
    message = (
        r"The feature of modality 'eye' should have one length in all batches; found 2 after 1\. "
        r"Pass `vector=`, a function from the feature to vectors \(B, D\), such as the mean"
    )
    with pytest.raises(ValueError, match=message):
        added(method, signals([0], lines(0.0), [[0.0, 0.0]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, r"`alpha` should be finite, at least 0; found -1\.0"),
        ({"momentum": 1.0}, r"`momentum` should be finite, at least 0 and below 1; found 1\.0"),
        ({"entropy": -1.0}, r"`entropy` should be finite, at least 0; found -1\.0"),
        ({"entropy_epochs": -1}, r"`entropy_epochs` should be at least 0; found -1"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(options, message):
    with pytest.raises(ValueError, match=message):
        cp.PMR(**options)


def test_a_loop_that_does_not_tell_the_epoch_is_told_once():
    method = cp.PMR()
    method.bind(("ear", "eye"))
    message = r"`method.set_epoch\(epoch\)` should be called when an epoch starts.*joint training\."
    with pytest.warns(UserWarning, match=message):
        method.advance()
    method.advance()  # warnings are errors here
    told = cp.PMR()
    told.bind(("ear", "eye"))
    told.set_epoch(0)
    told.advance()
