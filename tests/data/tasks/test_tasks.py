"""Tasks: what they count, guess and refuse, against formulae worked by hand."""

import re
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from counterpoise.data import (
    Classification,
    MetricForm,
    MultiLabel,
    MultimodalDataset,
    Regression,
    Segments,
    Splits,
)
from counterpoise.methods.method import TASKS
from counterpoise.training import results

EVERY = (Classification(3), MultiLabel(5), Regression(2), Segments(4))


def drawn(task, num_samples=37, seed=0):
    """Outputs and a target for a task."""
    generator = torch.Generator().manual_seed(seed)
    places = (7,) if task.kind == "segments" else ()
    outputs = torch.randn(num_samples, task.num_outputs, *places, generator=generator)
    if task.kind in ("classification", "segments"):
        shape = (num_samples, *places)
        return outputs, torch.randint(task.num_outputs, shape, generator=generator)
    target = torch.randn(num_samples, task.num_outputs, generator=generator)
    return outputs, (target > 0.5).float() if task.kind == "multilabel" else target


def kinds(task):
    return task.kind


@pytest.mark.parametrize("task", EVERY, ids=kinds)
def test_the_criterion_is_the_mean_of_the_score(task):
    outputs, target = drawn(task)
    losses = task.score(outputs, target)
    assert losses.shape == (37,)
    torch.testing.assert_close(task.criterion(outputs, target), losses.mean())


@pytest.mark.parametrize("task", EVERY, ids=kinds)
def test_metrics_do_not_depend_on_how_samples_are_batched(task):
    outputs, target = drawn(task)
    for name in task.forms:
        whole, parts = task.metric(name), task.metric(name)
        whole.update(outputs, target)
        for rows in torch.arange(37).split(11):
            parts.update(outputs[rows], target[rows])
        torch.testing.assert_close(whole.compute(), parts.compute())


@pytest.mark.parametrize("task", EVERY, ids=kinds)
def test_additive_metrics_are_means_over_samples(task):
    outputs, target = drawn(task)
    for name, form in task.forms.items():
        if form.additive:
            single = []
            for i in range(37):
                metric = task.metric(name)
                metric.update(outputs[i : i + 1], target[i : i + 1])
                single.append(metric.compute())
            metric = task.metric(name)
            metric.update(outputs, target)
            torch.testing.assert_close(torch.stack(single).mean(), metric.compute())


@pytest.mark.parametrize("task", EVERY, ids=kinds)
def test_values_of_samples_are_those_whose_mean_is_the_headline(task):
    outputs, target = drawn(task)
    for name, form in task.forms.items():
        asked = replace(task, headline=name)
        values, metric = asked.sample_values(outputs, target), asked.metric(name)
        if values is None:  # what is ignored of a segment has no part in the metric
            assert not form.additive or task.kind == "segments"
            continue
        assert form.additive
        assert values.shape == (37,)
        metric.update(outputs, target)
        torch.testing.assert_close(values.float().mean(), metric.compute())


@pytest.mark.parametrize("task", EVERY, ids=kinds)
def test_perfect_outputs_are_the_best_there_are(task):
    _, target = drawn(task)
    if task.kind in ("classification", "segments"):
        perfect = 9 * F.one_hot(target, task.num_outputs).float().movedim(-1, 1)
    else:
        perfect = 9 * (2 * target - 1) if task.kind == "multilabel" else target
    best = {"mae": 0.0, "rmse": 0.0}
    for name in task.forms:
        metric = task.metric(name)
        metric.update(perfect, target)
        assert metric.compute().item() == pytest.approx(best.get(name, 1.0), abs=1e-6)


def test_logits_within_zero_and_one_are_taken_for_logits():
    task = MultiLabel(1)
    logits, target = torch.tensor([[0.1], [0.2]]), torch.tensor([[1.0], [1.0]])
    for name in ("accuracy", "macro_f1"):
        metric = task.metric(name)
        metric.update(logits, target)
        assert metric.compute() == 1.0  # a logit above 0 is a probability above a half


def test_the_average_precision_by_hand():
    metric = MultiLabel(2).metric("map")
    outputs = torch.tensor([[3.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
    metric.update(outputs, torch.tensor([[1, 0], [0, 0], [1, 1]]))
    # Label 0: precision 1 at the first, 2/3 at the third; label 1: the one that there is is first.
    assert metric.compute().item() == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)


def test_the_correlation_is_the_mean_over_targets():
    task = Regression(2, headline="correlation")
    metric = task.metric("correlation")
    x = torch.arange(11.0)
    metric.update(torch.stack([x, x], 1), torch.stack([3 * x + 1, -x], 1))
    assert metric.compute().item() == pytest.approx(0.0, abs=1e-6)
    single = Regression().metric("correlation")
    single.update(x.unsqueeze(1), -x.unsqueeze(1))
    assert single.compute().item() == pytest.approx(-1.0)


def test_outputs_that_do_not_vary_correlate_with_nothing():
    metric = Regression().metric("correlation")
    metric.update(torch.ones(11, 1), torch.arange(11.0).unsqueeze(1))
    assert metric.compute() == 0.0


def test_ignored_segments_count_nowhere():
    task = Segments(2, ignore_index=7)
    logits = torch.tensor([[[3.0, 0.0, 0.0], [0.0, 3.0, 3.0]]])
    target = torch.tensor([[0, 0, 7]])
    task.check_target("train", target)
    metric = task.metric("accuracy")
    metric.update(logits, target)
    assert metric.compute() == 0.5
    wanted = F.cross_entropy(logits[..., :2], target[:, :2])
    torch.testing.assert_close(task.score(logits, target), wanted.unsqueeze(0))


# -- guessing --------------------------------------------------------------------------------


def test_samples_without_a_label_count_nowhere():
    logits, target = torch.eye(3)[[0, 1, 1, 2]], torch.tensor([0, 1, 2, -100])
    for task in (Classification(3), Classification(3, headline="macro_f1")):
        metric, labelled = task.metric(task.headline), task.metric(task.headline)
        metric.update(logits, target)
        labelled.update(logits[:3], target[:3])
        assert metric.compute() == labelled.compute() < 1
    assert Classification(3).sample_values(logits, target).tolist() == [True, True, False]


def test_who_guesses_a_class_is_as_often_right_as_the_commonest_is_there():
    known, asked = torch.tensor([0, 1, 1, 2]), torch.tensor([1, 1, 1, 0, 2])
    assert Classification(3).guess(known, asked) == pytest.approx(3 / 5)


def test_who_guesses_labels_reaches_the_mean_of_their_shares():
    target = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 0]]).float()
    assert MultiLabel(2).guess(target, target) == pytest.approx((3 / 4 + 1 / 4) / 2)
    accuracy = MultiLabel(2, headline="accuracy")
    assert accuracy.guess(target, target) == pytest.approx(3 / 4)


def test_who_guesses_numbers_takes_the_median_for_absolute_and_the_mean_for_squared_errors():
    known = torch.tensor([[0.0], [1.0], [8.0]])
    assert Regression().guess(known, known) == pytest.approx(8 / 3)
    squared = Regression(headline="rmse").guess(known, known)
    assert squared == pytest.approx(known.std(correction=0).item())
    assert Regression(headline="correlation").guess(known, known) == 0.0


def test_who_guesses_segments_takes_the_commonest_class():
    known = torch.tensor([[0, 0, 1], [0, 1, -100]])
    asked = torch.tensor([[0, 1, 1], [0, 0, -100]])
    assert Segments(2).guess(known, asked) == pytest.approx(3 / 5)


def test_a_guess_is_the_same_in_parts(monkeypatch):
    task = Segments(4)
    _, known = drawn(task)
    _, asked = drawn(task, seed=1)
    whole = task.guess(known, asked)
    monkeypatch.setattr("counterpoise.data.tasks.task._CHUNK", 11)
    assert task.guess(known, asked) == pytest.approx(whole)


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "target", "message"),
    [
        (
            MultiLabel(3),
            torch.ones(5, 2),
            "`train` should have 0 or 1 for each of 3 labels as target, shape (N, 3); found "
            "torch.float32 of shape (5, 2). Give each sample a row.",
        ),
        (MultiLabel(1), torch.full((5, 1), 2), "`train` should have targets of 0 and 1; found 2."),
        (
            Regression(),
            torch.ones(5),
            "`train` should have numbers as target, floating point of shape (N, 1); found "
            "torch.float32 of shape (5,). Convert it by `.float()`, or make a column of it",
        ),
        (Regression(), torch.ones(5, 1).long(), "found torch.int64 of shape (5, 1)."),
        (
            Regression(),
            torch.tensor([[0.0], [float("nan")]]),
            "`train` should have finite targets; found nan. Leave these samples out.",
        ),
        (
            Segments(3),
            torch.ones(5).long(),
            "`train` should have a class for each segment as target, int64 of shape (N, T) or (N, "
            "height, width); found torch.int64 of shape (5,).",
        ),
        (Segments(3), torch.full((5, 2), 3), "in [0, 3); found 3 to 3. Renumber the classes"),
    ],
)
def test_targets_that_do_not_suit_are_refused(task, target, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        task.check_target("train", target)


@pytest.mark.parametrize("task", EVERY, ids=kinds)
def test_an_unknown_headline_is_refused_with_the_nearest_name(task):
    near = task.headline + "s"
    with pytest.raises(ValueError, match=f"found {near!r}. Did you mean {task.headline!r}"):
        replace(task, headline=near)


def test_a_loss_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="`loss` should be one of 'squared', 'absolute'; found"):
        Regression(loss="huber")


def test_the_kinds_are_those_that_methods_know():
    assert {task.kind for task in EVERY} == set(TASKS)


# -- how results are written -----------------------------------------------------------------


def test_a_form_is_read_as_it_was_described():
    for task in EVERY:
        for form in task.forms.values():
            assert MetricForm.read(form.describe()) == form


def test_errors_become_merits_by_their_reciprocal():
    form = Regression().form
    merits = form.merit(torch.tensor([0.0, 0.5, 2.0]))
    assert merits[1:].tolist() == [2.0, 0.5]
    assert merits[0].isfinite()
    assert form.is_better(0.5, than=2.0)
    assert not form.is_better(2.0, than=2.0)
    assert Classification(2).form.is_better(0.9, than=0.5)


def test_tasks_describe_themselves_for_a_record():
    for task in EVERY:
        described = task.describe()
        assert described["kind"] in TASKS
        assert results.headline({"task": described}) == task.form


def test_results_are_found_by_the_headline():
    record = {
        "task": Regression().describe() | {"guess": 0.8},
        "data": {"modalities": ["a"]},
        "test": {"loss": 0.3, "mae": 0.4, "response/a/mae": 0.6},
        "epochs": [{"epoch": 0, "validation/mae": 0.5}, {"epoch": 1, "validation/mae": None}],
    }
    assert (results.tested(record), results.tested_responses(record)) == (0.4, {"a": 0.6})
    assert results.validated(record) == {0: 0.5, 1: None}
    assert results.guessed(record) == 0.8
    untested = {**record, "test": None}
    assert results.tested(untested) is results.tested_responses(untested) is None


def test_a_number_is_short_for_so_many_classes():
    part = MultimodalDataset({"a": torch.rand(5, 2)}, torch.arange(5) % 3)
    splits = Splits("toy", part, part, part, 3)
    assert splits.task == Classification(3)
    assert splits.num_outputs == splits.num_classes == 3
    assert splits.guess == pytest.approx(2 / 5)


@pytest.mark.parametrize("turns", [False, True])
def test_the_error_of_guessing_is_that_of_a_share_in_whatever_order(turns):
    """sqrt(p (1 - p) / N), whether classes take turns or come one after the other."""
    target = torch.arange(900) % 10 if turns else torch.arange(900) // 90
    expected = (0.1 * 0.9 / 900) ** 0.5
    found = Classification(10).guess_error(torch.tensor([3, 3, 1]), target)
    assert found == pytest.approx(expected, rel=0.5)  # 20 groups tell it to a sixth or so


def test_the_error_of_guessing_a_number_is_that_of_a_mean():
    target = torch.randn(800, 1, generator=torch.Generator().manual_seed(5))
    errors = (target - target.median()).abs()
    found = Regression().guess_error(target, target)
    assert found == pytest.approx(float(errors.std() / 800**0.5), rel=0.5)
