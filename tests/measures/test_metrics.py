"""Metrics over coalitions, and the one pass over a data set that feeds them all."""

import pickle
import re
from copy import deepcopy
from itertools import combinations

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.measures import (
    CoalitionPerformance,
    Contribution,
    ResponsePerformance,
    coalition_logits,
    contributions,
    cooperation,
    every_coalition,
    measure,
    modality_metrics,
    robustness,
)
from counterpoise.measures.metrics import PROBABILITIES
from measures import processes
from support.networks import FUSIONS, Late, MaxOut, batch
from support.oracle import response_weights
from support.two_processes import run_in_two
from support.wrapping import LEVELS, Calls, assert_same, gradients, wrap, wrap_parts

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
PARTS = (slice(0, 7), slice(7, 7), slice(7, 18))  # of 18 rows; unequal, and one empty


def made(fusion=MaxOut, M=3, **options):
    torch.manual_seed(5)
    model = fusion(M, **options).double()
    model.train()
    model(**batch(M, 13, seed=9)[0])  # statistics of batch-norm other than those it starts with
    return model


def batches(M=3):
    inputs, target = batch(M, 18, seed=1)
    return [{**{n: x[part] for n, x in inputs.items()}, "target": target[part]} for part in PARTS]


def whole_passes(model, inputs, M):
    """Logits of every coalition by a pass of the whole model each."""
    model = deepcopy(model).eval()
    names = model.names
    rows = []
    with torch.no_grad():
        for size in range(M + 1):
            for s in combinations(range(M), size):
                given = {
                    n: inputs[n] if i in s else torch.zeros_like(inputs[n])
                    for i, n in enumerate(names)
                }
                rows.append(model(**given))
    return torch.stack(rows)


# -- the pass ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("M", [2, 3])
def test_coalition_logits_are_those_of_whole_passes_in_eval_mode(fusion, level, M):
    model = made(fusion, M, dropout=0.3)
    inputs, target = batch(M, 7)
    balanced = wrap(model, level)
    expected = whole_passes(model, inputs, M)
    for _ in range(2):  # before and after the engine knows what may be batched
        found = coalition_logits(balanced, {**inputs, "target": target})
        torch.testing.assert_close(found, expected, **CLOSE)
        balanced.validate(**inputs)
    assert len(found) == len(every_coalition(M))


@pytest.mark.parametrize("level", LEVELS)
def test_the_pass_leaves_no_trace(level):
    balanced = wrap(made(dropout=0.3), level)
    inputs, target = batch(3, 7)
    balanced(**inputs, target=target).loss.backward()
    balanced.model.head.eval()
    state, grads = deepcopy(balanced.state_dict()), gradients(balanced)
    flags, random_state = [m.training for m in balanced.modules()], torch.get_rng_state()
    found = coalition_logits(balanced, inputs)
    assert not found.requires_grad
    assert_same(balanced.state_dict(), state)
    assert_same(gradients(balanced), grads)
    assert [m.training for m in balanced.modules()] == flags
    assert torch.equal(torch.get_rng_state(), random_state)


def test_one_pass_serves_all_metrics_and_runs_each_encoder_once_a_batch():
    balanced = wrap(made(), "shared")
    data = batches()
    balanced.validate(**{n: x for n, x in data[0].items() if n != "target"})
    measure(balanced, data[:1], modality_metrics(3))
    with Calls(balanced.model.ear.layers[0]) as notes:
        for each in data:
            coalition_logits(balanced, each)
    # The batch and one absent sample, three times; there is none in an empty batch.
    assert notes == [(rows, "eval") for rows in (7, 1, 0, 0, 11, 1)]


def test_other_keywords_of_the_model_pass_through():
    class Scaled(Late):
        def forward(self, factor, **inputs):
            return factor * super().forward(**inputs)

    model = Scaled(2).double().eval()
    inputs, _ = batch(2, 5)
    found = coalition_logits(wrap(model), {**inputs, "factor": 3.0})
    plain = Late(2).double().eval()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(found, 3 * whole_passes(plain, inputs, 2), **CLOSE)


# -- what the metrics come to --------------------------------------------------------------------


@pytest.mark.parametrize("score", [None, cp.scores.CrossEntropy()], ids=["accuracy", "loss"])
def test_metrics_over_batches_are_the_functions_of_performances_on_the_whole(score):
    model = made()
    found = measure(wrap(model, "features"), batches(), modality_metrics(3, score, (0.0, 0.3)))
    inputs, target = batch(3, 18, seed=1)
    logits = whole_passes(model, inputs, 3)
    if score is None:
        v = torch.stack([(row.argmax(1) == target).double().mean() for row in logits])
    else:
        v = torch.stack([-F.cross_entropy(row, target) for row in logits])
    torch.testing.assert_close(found["performance"], v, **CLOSE)
    torch.testing.assert_close(found["contribution"], contributions(v), **CLOSE)
    torch.testing.assert_close(found["cooperation"], cooperation(v), **CLOSE)
    torch.testing.assert_close(found["alone"], v[1:4], **CLOSE)
    torch.testing.assert_close(
        found["robustness"], robustness(v, torch.tensor([0.0, 0.3])), **CLOSE
    )
    coalitions = every_coalition(3)
    for m, weights in enumerate(response_weights(3)):
        phi = sum(w * logits[coalitions.index(s)] for s, w in weights.items())
        expected = (
            (phi.argmax(1) == target).double().mean()
            if score is None
            else -F.cross_entropy(phi, target)
        )
        torch.testing.assert_close(found["response"][m], expected, **CLOSE)


def test_a_modality_that_the_model_ignores_contributes_nothing():
    model = made(Late, norm=False)
    with torch.no_grad():
        model.head.weight[:, model.width : 2 * model.width] = 0
    metric = Contribution(3, cp.scores.CrossEntropy())
    found = measure(wrap(model), batches(), metric)
    assert found[1].abs() < 1e-12
    assert found[0].abs() > 1e-3


def test_sequences_count_by_their_entries_and_negative_labels_not_at_all():
    logits = torch.zeros(4, 2, 3, 5)
    logits[1:, :, 2] = 1.0  # predicts class 2 throughout; the empty coalition predicts class 0
    target = torch.tensor([[2, 2, -1, 0, 2], [-1, -1, -1, -1, 0]])
    metric = CoalitionPerformance(2)
    metric.update(logits, target)
    assert metric.compute().tolist() == pytest.approx([2 / 5, 3 / 5, 3 / 5, 3 / 5])


def test_samples_without_a_label_do_not_water_down_the_performance():
    torch.manual_seed(0)
    logits, target = torch.randn(4, 5, 3), torch.tensor([0, -100, 2, -100, 1])
    metric = CoalitionPerformance(2, cp.scores.CrossEntropy())
    metric.update(logits, target)
    metric.update(logits, torch.full((5,), -100))
    expected = torch.stack([-F.cross_entropy(z, target) for z in logits])
    torch.testing.assert_close(metric.compute(), expected.double(), rtol=1e-5, atol=0)


def test_half_precision_logits_are_scored_in_single():
    logits, target = torch.randn(4, 7, 5), torch.arange(7) % 5
    for kind in (CoalitionPerformance, ResponsePerformance):
        whole, half = (kind(2, cp.scores.CrossEntropy()) for _ in range(2))
        whole.update(logits.bfloat16().float(), target)
        half.update(logits.bfloat16(), target)
        assert torch.equal(whole.compute(), half.compute())


def test_metrics_reset_clone_and_pickle():
    balanced, data = wrap(made()), batches()
    metrics = modality_metrics(3)
    first = measure(balanced, data, metrics)
    copied = pickle.loads(pickle.dumps(metrics)).compute()
    again = measure(balanced, data, metrics.clone())
    reset = measure(balanced, data, metrics)
    for name, value in first.items():
        for other in (copied, again, reset):
            assert torch.equal(other[name], value), name


def test_each_measurement_is_of_its_own_data_and_validates_once(monkeypatch):
    data, balanced, metrics = batches(), wrap(made()), modality_metrics(3)
    validated = []
    monkeypatch.setattr(type(balanced), "validate", lambda self, **batch: validated.append(batch))
    measure(balanced, data, metrics)
    assert len(validated) == 1
    each = next(iter(metrics.values()))
    assert (each.is_differentiable, each.higher_is_better, each.full_state_update) == (0, 1, 0)
    one = {name: rows[:1] for name, rows in data[2].items()}
    again, fresh = (measure(balanced, [one], each) for each in (metrics, modality_metrics(3)))
    for name, value in fresh.items():
        torch.testing.assert_close(again[name], value)
    assert set(measure(balanced, [one], modality_metrics(3))["alone"].tolist()) <= {0.0, 1.0}


def test_measuring_under_autocast_leaves_weights_with_their_gradient():
    balanced = wrap(made().float())
    inputs = {name: rows.float() for name, rows in batches()[0].items() if name != "target"}
    with torch.autocast("cpu", torch.bfloat16):
        coalition_logits(balanced, inputs)
        balanced.model(**inputs).float().sum().backward()
    assert all(parameter.grad is not None for parameter in balanced.model.parameters())


def test_as_many_modalities_as_are_exact_are_measured():
    class Sum(torch.nn.Module):
        def forward(self, **inputs):
            return sum(inputs.values())

    names = [f"m{i}" for i in range(8)]
    balanced = cp.Balanced(Sum(), names, cp.Joint())
    logits = coalition_logits(
        balanced, {n: torch.full((1, 2), 2.0**i) for i, n in enumerate(names)}
    )
    assert logits.shape == (256, 1, 2)
    assert sorted(logits[:, 0, 0].tolist()) == list(range(256))


def test_two_processes_add_up_to_one(tmp_path):
    run_in_two(processes.work, str(tmp_path))
    ours, theirs = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    expected = processes.metrics()
    processes.update(expected, slice(None))
    for name, value in expected.compute().items():
        assert torch.equal(ours[name], theirs[name])
        torch.testing.assert_close(ours[name], value, **CLOSE)


# -- bad input -----------------------------------------------------------------------------------


def test_too_many_modalities_are_an_error():
    class Sum(torch.nn.Module):
        def forward(self, **inputs):
            return sum(inputs.values())

    names = [f"m{i}" for i in range(9)]
    balanced = wrap_parts(Sum(), names, cp.Joint(), sampling=cp.Sampling(num_passes=50))
    with pytest.raises(ValueError, match=r"`balanced` should have at most 8 modalities.* found 9"):
        coalition_logits(balanced, dict.fromkeys(names, torch.zeros(2, 3)))


def test_a_missing_modality_or_target_is_an_error():
    inputs, _ = batch(3, 7)
    balanced = wrap(made())
    with pytest.raises(TypeError, match=r"Modality 'hand' should be given as a keyword"):
        coalition_logits(balanced, {n: x for n, x in inputs.items() if n != "hand"})
    with pytest.raises(TypeError, match=r"Each batch should hold a 'target'; found ear, eye, hand"):
        measure(balanced, [inputs], modality_metrics(3))


def test_a_model_that_is_not_wrapped_is_an_error():
    inputs, target = batch(3, 7)
    message = (
        r"`balanced` should be a model wrapped by counterpoise.Balanced.* found a MaxOut\. Wrap"
    )
    with pytest.raises(TypeError, match=message):
        measure(made(), [{**inputs, "target": target}], modality_metrics(3))
    with pytest.raises(TypeError, match=message):
        coalition_logits(made(), inputs)


def test_a_batch_that_names_nothing_is_an_error():
    inputs, target = batch(3, 7)
    message = r"Each batch should be a mapping of names to tensors; found a tuple\. Name what"
    with pytest.raises(TypeError, match=message):
        measure(wrap(made()), [(*inputs.values(), target)], modality_metrics(3))
    with pytest.raises(TypeError, match=message):
        coalition_logits(wrap(made()), tuple(inputs.values()))


def test_no_data_is_an_error():
    balanced = wrap(made())
    with pytest.raises(ValueError, match=r"`batches` should hold at least one batch; found none"):
        measure(balanced, [], modality_metrics(3))
    with pytest.raises(ValueError, match=r"`Contribution` should see at least one sample"):
        measure(balanced, batches()[1:2], Contribution(3))


@pytest.mark.parametrize("kind", [CoalitionPerformance, ResponsePerformance])
@pytest.mark.parametrize("shape", [(3, 7, 5), (8, 7, 5), (4, 7)])
def test_logits_of_another_number_of_coalitions_are_an_error(kind, shape):
    with pytest.raises(
        ValueError, match=r"`logits` should have shape \(2\^M, B, C, ...\) with 2\^M"
    ):
        kind(2).update(torch.zeros(shape), torch.zeros(7, dtype=torch.long))


def test_unequal_counts_of_samples_are_an_error():
    with pytest.raises(ValueError, match=r"`target` should have a row for each of 7 .* \(6,\)"):
        CoalitionPerformance(2).update(torch.zeros(4, 7, 5), torch.zeros(6, dtype=torch.long))


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        (torch.zeros(4, 7, 5), torch.zeros(7)),
        (torch.zeros(4, 7, 1), torch.zeros(7, dtype=torch.long)),  # of one, the largest is the 0th
        (torch.zeros(4, 4, 5), torch.zeros(4, 1, dtype=torch.long)),  # which would broadcast
    ],
)
def test_accuracy_of_a_target_that_is_no_class_is_an_error(logits, target):
    shape = re.escape(str(tuple(logits.shape)))
    message = rf"`target` should be class indices.* found a Tensor of .* for logits {shape}\. Pass"
    with pytest.raises(TypeError, match=message):
        CoalitionPerformance(2).update(logits, target)


@pytest.mark.parametrize("kind", [CoalitionPerformance, ResponsePerformance])
def test_one_modality_is_an_error(kind):
    with pytest.raises(ValueError, match=r"`num_modalities` should be at least 2; found 1"):
        kind(1)


def test_robustness_is_asked_for_in_tenths():
    assert modality_metrics(3)
    assert pytest.approx([k / 10 for k in range(11)]) == PROBABILITIES
