"""Per-sample losses against PyTorch's own, their floors, and what is averaged."""

import re
from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.core import scores as module
from counterpoise.core.scores import criterion_of, mean_over_processes, score_responses

SHAPES = [(), (5,), (3, 2)]


def logits_and_labels(extra, seed=0, rows=7, classes=4):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, *extra, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (rows, *extra), generator=generator)


@pytest.mark.parametrize("extra", SHAPES)
def test_cross_entropy_is_pytorchs_averaged_over_each_sample(extra):
    logits, labels = logits_and_labels(extra)
    expected = F.cross_entropy(logits, labels, reduction="none").view(7, -1).mean(dim=1)
    torch.testing.assert_close(cp.scores.CrossEntropy()(logits, labels), expected)


@pytest.mark.parametrize("extra", SHAPES)
def test_cross_entropy_takes_probabilities_for_labels(extra):
    logits, labels = logits_and_labels(extra)
    shares = torch.randn(logits.shape, dtype=torch.float64).softmax(dim=1)
    expected = F.cross_entropy(logits, shares, reduction="none").view(7, -1).mean(dim=1)
    torch.testing.assert_close(cp.scores.CrossEntropy()(logits, shares), expected)
    hot = F.one_hot(labels, 4).movedim(-1, 1).double()
    score = cp.scores.CrossEntropy()
    torch.testing.assert_close(score(logits, hot), score(logits, labels))


def test_ignored_entries_do_not_count():
    logits, labels = logits_and_labels((5,))
    labels[:, 1:3] = -1
    expected = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none").sum(1) / 3
    score = cp.scores.CrossEntropy(ignore_index=-1)
    torch.testing.assert_close(score(logits, labels), expected)
    torch.testing.assert_close(
        score.criterion(logits, labels), F.cross_entropy(logits, labels, ignore_index=-1)
    )


def test_a_sample_of_ignored_entries_alone_costs_nothing_and_one_of_a_single_label_that():
    logits, labels = logits_and_labels((5,))
    labels[3] = labels[2, 1:] = -100
    losses = cp.scores.CrossEntropy()(logits, labels)
    assert losses[3] == 0
    torch.testing.assert_close(losses[2], F.cross_entropy(logits[2, :, 0], labels[2, 0]))
    assert losses.isfinite().all()


@pytest.mark.parametrize("floor", [1e-8, 1e-3])
def test_a_probability_is_floored(floor):
    logits = torch.tensor([[0.0, 1e6], [1e6, 0.0]])
    labels = torch.tensor([0, 0])
    assert cp.scores.CrossEntropy(floor)(logits, labels).tolist() == pytest.approx([-log(floor), 0])
    score = cp.scores.BinaryCrossEntropy(floor)
    assert score(torch.tensor([[-1e6]]), torch.ones(1, 1)).item() == pytest.approx(-log(floor))
    assert score.criterion(torch.tensor([[-1e6]]), torch.ones(1, 1)) == 1e6


def test_without_a_word_probabilities_are_floored_at_1e_8():
    for score, logits, target in (
        (cp.scores.CrossEntropy(), torch.tensor([[0.0, 1e6]]), torch.tensor([0])),
        (cp.scores.BinaryCrossEntropy(), torch.tensor([[-1e6]]), torch.ones(1, 1)),
    ):
        assert score(logits, target).item() == pytest.approx(-log(1e-8))


def test_a_sample_counts_if_any_of_its_entries_is_labelled():
    _, labels = logits_and_labels((5,))
    labels[1, 1:3] = -100
    labels[3] = -100
    score = cp.scores.CrossEntropy()
    assert score.counted(labels).tolist() == [True, True, True, False, True, True, True]
    assert score.counted(labels[:, 1]).tolist() == [True, False, True, False, True, True, True]
    assert score.counted(torch.rand(7, 4, 5)).tolist() == [True] * 7


@pytest.mark.parametrize(
    ("score", "loss"),
    [
        (cp.scores.BinaryCrossEntropy(), F.binary_cross_entropy_with_logits),
        (cp.scores.SquaredError(), F.mse_loss),
        (cp.scores.AbsoluteError(), F.l1_loss),
    ],
)
@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3), (7, 2, 5)])
def test_other_scores_are_pytorchs_averaged_over_each_sample(score, loss, shape):
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.randint(2, shape, generator=generator)
    expected = loss(prediction, target.double(), reduction="none").view(7, -1).mean(dim=1)
    torch.testing.assert_close(score(prediction, target), expected)
    torch.testing.assert_close(
        score.criterion(prediction, target), loss(prediction, target.double())
    )


@given(st.integers(2, 5), st.integers(0, 7), st.sampled_from([(), (3,)]))
def test_responses_are_scored_as_one_by_one(num_modalities, rows, extra):
    torch.manual_seed(num_modalities + 10 * rows)
    responses = torch.randn(num_modalities, rows, 4, *extra)
    target = torch.randint(4, (rows, *extra))
    found = score_responses(cp.scores.CrossEntropy(), responses, target)
    assert found.shape == (num_modalities, rows)
    for scores, phi in zip(found, responses, strict=True):
        torch.testing.assert_close(scores, cp.scores.CrossEntropy()(phi, target))


def test_a_score_that_compares_samples_sees_those_of_one_response():
    def contrast(pairs, target):
        similar = pairs[:, 0] @ pairs[:, 1].T
        return F.cross_entropy(similar, torch.arange(len(pairs)), reduction="none")

    torch.manual_seed(3)
    responses = torch.randn(3, 7, 2, 5)
    found = score_responses(contrast, responses, torch.zeros(7))
    for scores, phi in zip(found, responses, strict=True):
        torch.testing.assert_close(scores, contrast(phi, None))


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.bfloat16])
def test_losses_of_any_type_are_averaged_in_single_precision(kind):
    def wrong(logits, target):
        return logits.argmax(dim=1).ne(target).to(kind)

    target = torch.arange(301) % 3
    responses = torch.stack([F.one_hot(0 * target, 3), F.one_hot(target, 3)])
    losses = score_responses(wrong, responses.float(), target)
    means, num_samples = mean_over_processes(losses)
    assert means.tolist() == pytest.approx([200 / 301, 0.0])
    assert num_samples == 301


def test_a_target_may_be_a_nest():
    def weighted(logits, target):
        return target["weight"] * F.cross_entropy(logits, target["label"], reduction="none")

    logits, labels = logits_and_labels(())
    target = {"label": labels, "weight": torch.linspace(0, 1, 7, dtype=torch.float64)}
    found = score_responses(weighted, torch.stack([logits, 2 * logits]), target)
    torch.testing.assert_close(found[1], weighted(2 * logits, target))


@pytest.mark.parametrize(
    ("score", "shape"), [(F.cross_entropy, r"\(\)"), (lambda logits, target: logits, r"\(7, 4\)")]
)
def test_a_score_that_is_not_one_loss_a_sample_is_an_error(score, shape):
    logits, labels = logits_and_labels(())
    message = rf"`score` should return one loss a sample, shape \(7,\) here; found shape {shape}\."
    with pytest.raises(ValueError, match=message):
        score_responses(score, torch.stack([logits, logits]), labels)


def test_the_mean_is_over_samples_and_says_of_how_many():
    means, num_samples = mean_over_processes(torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]))
    assert means.tolist() == [3, 1]
    assert num_samples == 3


def test_samples_that_do_not_count_are_in_neither_the_mean_nor_the_number():
    losses = torch.tensor([[1.0, float("nan"), 6.0], [0.0, 8.0, 3.0]])
    counted = torch.tensor([True, False, True])
    means, num_samples = mean_over_processes(losses, counted_B=counted)
    assert means.tolist() == [3.5, 1.5]
    assert num_samples == 2


def test_the_mean_over_no_sample_is_nan():
    means, num_samples = mean_over_processes(torch.zeros(2, 0))
    assert means.isnan().all()
    assert num_samples == 0


def test_the_criterion_of_a_plain_function_is_its_mean():
    logits, labels = logits_and_labels(())
    criterion = criterion_of(lambda z, y: F.cross_entropy(z, y, reduction="none"))
    torch.testing.assert_close(criterion(logits, labels), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("make", [cp.scores.CrossEntropy, cp.scores.BinaryCrossEntropy])
@pytest.mark.parametrize("floor", [0.0, -1e-8, 1.5, float("nan")])
def test_a_floor_that_is_no_probability_is_an_error(make, floor):
    with pytest.raises(ValueError, match=r"`floor` should be finite, above 0 and at most 1; found"):
        make(floor=floor)


def test_sums_are_over_the_processes_of_the_group(monkeypatch):
    asked = []

    def all_reduce(tensor, group=None):
        asked.append(group)
        tensor.mul_(3)  # as three processes with the same would

    monkeypatch.setattr(module, "is_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    assert module.sum_over_processes(torch.tensor([1.0, 2.0]), "ours").tolist() == [3.0, 6.0]
    mean, count = module.mean_over_processes(torch.tensor([[1.0, 2.0], [3.0, 5.0]]), "ours")
    assert (mean.tolist(), count.item()) == ([1.5, 4.0], 6)
    assert asked == ["ours", "ours"]


CLASSES, NUMBERS = torch.zeros(3, 2), torch.zeros(3)
LABELS, NONE = torch.tensor([0, 1, 1]), torch.full((3, 1), -100)
OF_NUMBERS = [cp.scores.SquaredError(), cp.scores.AbsoluteError(), cp.scores.BinaryCrossEntropy()]


@pytest.mark.parametrize(
    ("logits", "target", "rule"),
    [
        (torch.zeros(3), LABELS, "Logits should be (N, C, ...) of two classes or more"),
        (
            torch.zeros(3, 1),
            LABELS,
            "two classes or more for the cross-entropy; found (3, 1). Pass",
        ),
        (CLASSES, [0, 1, 1], "`target` should be a tensor for the cross-entropy; found a list."),
        (CLASSES, NUMBERS, "`target` should hold class indices, or probabilities in the shape of"),
        (CLASSES, torch.full((3, 2), 0.4955), None),
        (
            CLASSES,
            torch.full((3, 2), 0.4925),
            "that sum to one; found torch",
        ),
        (CLASSES, torch.tensor([[1.5, -0.5]] * 3), "that sum to one; found torch.float32 of shape"),
        (
            CLASSES,
            LABELS.int(),
            "`target` should hold class indices of type int64; found torch.int",
        ),
        (CLASSES, LABELS + 1, "from 0 to 1 in the shape (3,); found 1 to 2 in the shape (3,)."),
        (CLASSES, LABELS - 1, "from 0 to 1 in the shape (3,); found -1 to 0 in the shape (3,)."),
        (CLASSES, NONE, "in the shape (3,); found 0 to 0 in the shape (3, 1)."),
        (CLASSES, NONE[:, 0], None),
        (torch.zeros(3, 2, 5), LABELS, "in the shape (3, 5); found 0 to 1 in the shape (3,)."),
    ],
)
def test_targets_of_classes_are_looked_at(logits, target, rule):
    check = cp.scores.CrossEntropy().check
    if rule is None:
        return check(logits, target)
    with pytest.raises(ValueError, match=re.escape(rule)):
        check(logits, target)
    return None


@pytest.mark.parametrize("score", OF_NUMBERS, ids=lambda score: type(score).__name__)
def test_targets_of_numbers_are_looked_at(score):
    binary = isinstance(score, cp.scores.BinaryCrossEntropy)
    prediction, target = torch.zeros(3, 2), torch.eye(3, 2)
    score.check(prediction, target)
    for wrong in ("abc", target.to(torch.complex64)):
        with pytest.raises(
            TypeError, match=r"`target` should be a tensor of numbers; found .*Conv"
        ):
            score.check(prediction, wrong)
    for call in (score.check, score):
        with pytest.raises(ValueError, match=r"shape of the prediction, \(3, 2\); found \(3,\)\."):
            call(prediction, target[:, 0])
    rule = "between 0 and 1" if binary else "finite"
    with pytest.raises(ValueError, match=rf"`target` should be {rule}; found nan\. Mend or leave"):
        score.check(prediction, target * float("nan"))
    for value in (-0.1, 1.1):
        odd = torch.full((3, 2), value)
        if binary:
            with pytest.raises(ValueError, match=rf"between 0 and 1; found {value}\. Mend"):
                score.check(prediction, odd)
        else:
            score.check(prediction, odd)


@pytest.mark.parametrize("index", [True, 1.0])
def test_the_label_that_is_ignored_is_an_integer(index):
    with pytest.raises(TypeError, match=rf"`ignore_index` should be an integer; found {index}\."):
        cp.scores.CrossEntropy(ignore_index=index)


def test_a_score_of_ones_own_says_its_criterion_and_a_class_is_none():
    score = cp.scores.SquaredError()
    assert criterion_of(score) == score.criterion
    for call in (
        criterion_of,
        lambda s: score_responses(s, torch.zeros(2, 3, 2), torch.zeros(3, 2)),
    ):
        for wrong in (None, cp.scores.SquaredError):
            with pytest.raises(
                TypeError, match="`score` should be a function of logits and target"
            ):
                call(wrong)


@pytest.mark.parametrize("number", [float("inf"), -float("inf"), float("nan")])
def test_what_is_not_finite_is_found(number):
    for values in (torch.tensor([1.0, number, 2.0]), torch.tensor(number)):
        assert not module.are_finite(values)
        assert not module.known_finite(values)
    assert module.are_finite(torch.ones(3))
    assert module.known_finite(torch.ones(3)) is module.known_finite(torch.tensor(1.0)) is True
    assert module.known_finite(torch.ones(3, device="meta")) is False
