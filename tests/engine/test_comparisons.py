"""When the inspection takes the values of coalitions for the same, and when it can tell nothing."""

import pytest
import torch

import counterpoise as cp
from counterpoise.engine.agreement import are_probabilities, compare, equal
from counterpoise.engine.signals import scored

INF, NAN = float("inf"), float("nan")
TRUTH = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def changed(place, value):
    """The truth with another entry."""
    found = TRUTH.clone()
    found[place] = value
    return found


def test_values_that_differ_by_rounding_are_the_same():
    assert compare(TRUTH, TRUTH) == "same"
    assert compare(TRUTH * (1 + 1e-14), TRUTH) == "same"
    assert compare(TRUTH.float() * (1 + 1e-6), TRUTH.float()) == "same"


@pytest.mark.parametrize("size", [1e-6, -1e-6, 1.0, -1e9, NAN, INF])
@pytest.mark.parametrize("place", [(0, 0, 0), (2, 6, 4)])
def test_a_single_other_entry_is_a_difference(place, size):
    assert compare(changed(place, TRUTH[place] + size), TRUTH) == "different"


@pytest.mark.parametrize("shape", [(3, 7, 1), (3, 1, 5), (1, 7, 5), (3, 35)])
def test_values_of_another_shape_are_different_also_where_they_would_broadcast(shape):
    truth = torch.ones(3, 7, 5)
    assert compare(torch.ones(shape), truth) == "different"


def test_what_is_the_same_for_all_coalitions_tells_nothing():
    assert compare(TRUTH[:1].expand(3, 7, 5), TRUTH[:1].expand(3, 7, 5)) == "nothing"
    rounding = TRUTH[:1] * (1 + torch.tensor([0.0, 1e-15, -1e-15]).view(3, 1, 1))
    assert compare(rounding, rounding) == "nothing"
    assert compare(TRUTH[:, :0], TRUTH[:, :0]) == "nothing"


def test_a_difference_tells_also_where_coalitions_are_the_same():
    alike = TRUTH[:1].expand(3, 7, 5)
    assert compare(alike + 1e-6, alike) == "different"


@pytest.mark.parametrize("mask", [-1e9, -INF])
def test_masked_entries_hide_no_others(mask):
    truth = TRUTH.clone()
    truth[:, :, 2] = mask
    assert compare(truth, truth) == "same"
    for off in (0, 1e-6):
        found = truth.clone()
        found[1, 3, 4] += off
        assert compare(found, truth) == ("different" if off else "same")


def test_where_the_truth_is_not_finite_for_one_coalition_nothing_is_compared():
    truth = changed((1, 3, 2), NAN)
    found = truth.clone()
    found[:, 3, 2] = 8.0
    assert compare(found, truth) == "same"
    assert compare(torch.full_like(TRUTH, NAN), torch.full_like(TRUTH, NAN)) == "nothing"


@pytest.mark.parametrize("extra", [(), (5,)])
def test_probabilities_are_told_from_logits(extra):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, *extra, generator=generator)
    shares = logits.softmax(dim=1)
    assert are_probabilities(shares)
    assert are_probabilities(shares[:, :2] / shares[:, :2].sum(dim=1, keepdim=True))
    assert not are_probabilities(logits)
    assert not are_probabilities(shares + 1e-3)
    assert are_probabilities(shares * 1.00005)
    assert not are_probabilities(shares * 1.00015)
    assert not are_probabilities(shares - torch.tensor([2.0, -2.0, 0.0]).view(3, *[1] * len(extra)))
    assert not are_probabilities(torch.ones(7, 1, *extra))
    assert not are_probabilities(torch.ones(7))


@pytest.mark.parametrize("over_processes", [False, True])
def test_samples_whose_labels_are_ignored_are_in_no_score(over_processes):
    responses = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, -100, 2, -100, 1, 0])
    score = cp.scores.CrossEntropy()
    scores, num_samples = scored(score, responses, target, over_processes=over_processes)
    known = target.ge(0)
    expected = torch.stack([score(phi[known], target[known]).mean() for phi in responses])
    torch.testing.assert_close(scores, expected)
    assert num_samples == 5
    plain, _ = scored(lambda z, y: z[:, 0], responses, target, over_processes=over_processes)
    torch.testing.assert_close(plain, responses[:, :, 0].mean(dim=1))


@pytest.mark.parametrize(
    ("tree", "same"),
    [
        (TRUTH, True),
        (TRUTH * (1 + 1e-14), True),
        (TRUTH * (1 + 1e-9), False),
        (TRUTH + 1e-9, False),
        (TRUTH[:2], False),
        (TRUTH[0], False),
        ([TRUTH, TRUTH], False),
        ([], False),
    ],
)
def test_trees_are_equal_but_for_rounding(tree, same):
    assert equal(tree, TRUTH) is same
    assert equal({"a": tree, "b": [torch.arange(3)]}, {"a": TRUTH, "b": [torch.arange(3)]}) is same


def test_one_row_stands_for_all_and_integers_are_equal_or_not():
    row = TRUTH[:1]
    assert equal(row, row.expand(3, -1, -1))
    assert not equal(row, TRUTH)
    assert equal(torch.tensor([4]), torch.tensor([4, 4]))
    assert not equal(torch.tensor([4]), torch.tensor([4, 5]))
    assert equal(torch.zeros(0, 5), torch.zeros(0, 5))
    one = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert equal(one + torch.tensor([0.0, 1e-14]), one)  # beside the largest entry
    assert not equal(one + torch.tensor([0.0, 1e-12]), one)
