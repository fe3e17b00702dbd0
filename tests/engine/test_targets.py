"""A target that does not suit the score would train on nonsense: it is an error at once."""

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.engine.targets import TargetChecks
from support.networks import Late, batch
from support.wrapping import wrap_parts

LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2])
ONE_HOT = F.one_hot(LABELS, 4).float()
OTHER = r"Pass `score=` for another task: BinaryCrossEntropy\(\) for several labels"


def step(target, method=None, *, num_outputs=None, **options):
    torch.manual_seed(5)
    model = Late(2, norm=False)
    select = (lambda raw: raw) if num_outputs is None else (lambda raw: raw[:, :num_outputs])
    method = cp.AGM() if method is None else method
    balanced = wrap_parts(model, model.names, method, select=select, **options)
    inputs, _ = batch(2, 7, dtype=torch.float32)
    out = balanced(**inputs, target=target)
    out.loss.backward()
    return balanced, inputs


@pytest.mark.parametrize(
    "target", [LABELS, ONE_HOT, 0.9 * ONE_HOT + 0.025, LABELS.where(LABELS > 0, -100)]
)
def test_targets_of_classes_pass(target):
    step(target)


@pytest.mark.parametrize(
    ("target", "num_outputs", "message"),
    [
        (
            torch.randn(7, 1),
            1,
            r"Logits should be \(N, C, ...\) of two classes or more .* \(7, 1\)",
        ),
        (torch.ones(7, 4), None, r"probabilities .* that sum to one; found torch.float32 of shape"),
        (torch.randn(7), None, r"`target` should hold class indices, or probabilities in the sha"),
        (LABELS + 1, None, r"class indices from 0 to 3 in the shape \(7,\); found 1 to 4 in the"),
        (LABELS.unsqueeze(1), None, r"in the shape \(7,\); found 0 to 3 in the shape \(7, 1\)"),
    ],
)
def test_targets_of_other_tasks_are_errors_that_name_their_scores(target, num_outputs, message):
    for method in (cp.AGM(), cp.Joint()):
        with pytest.raises(ValueError, match=message + ".*" + OTHER):
            step(target, method, num_outputs=num_outputs)


def test_a_criterion_alone_does_not_make_another_task():
    """Responses would be scored by the cross-entropy of one column, which is zero."""
    with pytest.raises(ValueError, match=OTHER):
        step(torch.randn(7, 1), num_outputs=1, criterion=F.mse_loss)
    step(torch.randn(7, 1), cp.Joint(), num_outputs=1, criterion=F.mse_loss)  # nothing is scored
    score = cp.scores.SquaredError()
    step(torch.randn(7, 1), num_outputs=1, criterion=F.l1_loss, score=score)


@pytest.mark.parametrize("method", [cp.OGM, cp.MLB, cp.CGGM])
def test_methods_that_scale_encoders_go_by_the_score_whatever_their_heads(method):
    own = method(heads="linear") if method is not cp.OGM else method()
    with pytest.raises(ValueError, match=OTHER):
        step(torch.randn(7, 1), own, num_outputs=1, criterion=F.mse_loss, encoders=Late(2).encoders)


def test_the_first_training_batch_is_looked_at_also_after_validation():
    torch.manual_seed(5)
    balanced = cp.Balanced(Late(2, norm=False), ("ear", "eye"))
    inputs, _ = batch(2, 7, dtype=torch.float32)
    balanced.validate(**inputs)
    balanced.respond(**inputs)
    with pytest.raises(ValueError, match=OTHER):
        balanced(**inputs, target=torch.randn(7))


def test_labels_of_another_type_are_an_error():
    message = r"`target` should hold class indices of type int64; found torch.int32\. Pass `targ"
    with pytest.raises(ValueError, match=message):
        step(LABELS.int())


def test_a_target_of_another_length_is_an_error():
    message = r"`target` should have a row for each of the 7 rows of logits; found shape \(6,\)"
    with pytest.raises(ValueError, match=message):
        step(LABELS[:6], score=lambda logits, target: logits.sum(dim=1))


def test_later_batches_are_looked_at_where_nothing_has_to_wait():
    """Those of another kind; on the CPU also values beyond those that were right."""
    balanced, inputs = step(LABELS)
    with pytest.raises(ValueError, match="`target` should hold class indices, or probabilities"):
        balanced(**inputs, target=ONE_HOT * 2)
    with pytest.raises(ValueError, match=r"`target` should hold class indices from 0 to 3 .*"):
        balanced(**inputs, target=LABELS + 4)
    balanced(**inputs, target=LABELS.flip(0))
    balanced(**inputs, target=ONE_HOT)
    with pytest.raises(ValueError, match="that sum to one"):
        balanced(**inputs, target=ONE_HOT * float("nan"))


def test_a_label_beyond_those_of_a_head_with_fewer_classes_is_an_error():
    checks, target = TargetChecks(), torch.tensor([0, 3, 1])
    checks(cp.scores.CrossEntropy(), torch.zeros(3, 4), target)
    with pytest.raises(ValueError, match="class indices from 0 to 2"):
        checks(cp.scores.CrossEntropy(), torch.zeros(3, 3), target)


class Recorded:
    """A score that counts how often it is asked about targets."""

    def __init__(self):
        self.num_asked, self.refuses = 0, False

    def check(self, logits, target):
        self.num_asked += 1
        if self.refuses:
            raise ValueError("no")


def asked(*batches, score=None, checks=None, **options):
    """Which of the batches the score is asked about."""
    score, checks = score or Recorded(), checks or TargetChecks()
    found = []
    for logits, target in batches:
        before = score.num_asked
        checks(score, logits, target, **options)
        found.append(score.num_asked > before)
    return found


def of_labels(*labels):
    return torch.zeros(3, 4), torch.tensor(labels)


def of_numbers(*shape, low=-5.0, high=9.0):
    target = torch.full(shape, low)
    target.flatten()[-1] = high
    return torch.zeros(shape), target


def test_a_score_is_asked_about_values_beyond_those_that_were_right():
    given = [(1, 2, 1), (1, 2, 2), (0, 1, 2), (0, 2, 2), (0, 3, 1), (0, 3, 3), (1, 2, 1)]
    found = asked(*(of_labels(*labels) for labels in given))
    assert found == [True, False, True, False, True, False, False]


def test_a_score_is_asked_about_each_kind_of_target_anew():
    ones, fewer, more = of_labels(1, 1, 1), of_labels(0, 1, 1), of_labels(1, 2, 1)
    numbers = of_numbers(3, 4)
    assert asked(numbers, numbers, ones, fewer, fewer) == [True, False, True, True, False]
    assert asked(numbers, ones, more, more) == [True, True, True, False]


@pytest.mark.parametrize("in_shape_of_logits", [True, False])
def test_segments_of_another_length_are_of_the_same_kind(in_shape_of_logits):
    batches = []
    for size in (5, 6):
        shape = (3, 4, size) if in_shape_of_logits else (3, size)
        batches.append((torch.zeros(3, 4, size), torch.ones(shape)))
    assert asked(*batches) == [True, False]
    other = (torch.zeros(3, 4, 5), torch.ones(3, 7))
    assert asked(batches[0], other, other) == [True, True, False]


def test_what_has_no_range_is_asked_about_once():
    for target in ({"labels": LABELS[:3]}, torch.zeros(3, 0), torch.ones(3, dtype=torch.complex64)):
        assert asked(*[(torch.zeros(3, 4), target)] * 2) == [True, False]


def test_a_score_is_not_asked_where_nothing_is_scored_and_again_after_an_error():
    batch = of_labels(0, 1, 2)
    assert asked(batch, values=False) == [False]
    assert asked((torch.zeros(0, 4), LABELS[:0])) == [False]
    score, checks = Recorded(), TargetChecks()
    score.refuses = True
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            asked(batch, score=score, checks=checks)
    assert score.num_asked == 2
    with pytest.raises(ValueError, match="row for each of the 3 rows"):
        asked((batch[0], {"labels": LABELS[:3], "weight": torch.ones(2)}), values=False)
    TargetChecks()(lambda logits, target: logits, *batch)
