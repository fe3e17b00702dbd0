"""What surrounds a step: labels that do not count, evaluation, logits that are changed."""

import warnings
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from zoo.judging import KINDS
from zoo.kinds import head, vectors
from zoo.refusals import CLOSE, LEVELS, attempt, made, wrap

UNCOUNTED = {"of a class": 2, "of no class": -1}


@pytest.mark.parametrize("ignored", UNCOUNTED.values(), ids=UNCOUNTED.keys())
@pytest.mark.parametrize("level", LEVELS)
def test_a_criterion_and_a_score_that_ignore_different_labels_are_not_mixed(level, ignored):
    """The criterion ignores a label that the default score would go by."""
    criterion = nn.CrossEntropyLoss(ignore_index=ignored)
    inputs, _, _ = vectors()(0)
    target = torch.tensor([0, 1, ignored, 0, 1, ignored, 0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out, refusal = attempt(
            lambda: wrap(made(head), level, criterion=criterion)(**inputs, target=target)
        )
    said = [refusal or "", *(str(w.message) for w in caught)]
    if any("ignore_index" in words for words in said):
        return
    counted = target != ignored
    for phi, score in zip(out.responses, out.scores, strict=True):
        expected = F.cross_entropy(phi[counted], target[counted])
        torch.testing.assert_close(score, expected.detach(), **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
def test_evaluation_needs_no_encoder_to_be_called_once(level):
    kind = KINDS["encoder-twice-in-eval"]
    model = kind.make()
    balanced = wrap(model, level, encoders=dict(kind.encoders)).eval()
    inputs, target, _ = kind.batch(0)
    with torch.no_grad():
        assert torch.equal(balanced(**inputs, target=target).logits, model(**inputs))


@pytest.mark.parametrize("level", LEVELS)
def test_logits_changed_in_place_are_right_or_an_error(level):
    model = made(head)
    twin = wrap(deepcopy(model), level)
    balanced = wrap(model, level)
    inputs, target, _ = vectors()(0)
    out, expected = (b(**inputs, target=target) for b in (balanced, twin))
    try:
        F.cross_entropy(out.logits.mul_(2.0), target).backward()
    except RuntimeError as error:  # PyTorch's own, which says what to do
        return assert_names_the_change(error)
    F.cross_entropy(2.0 * expected.logits, target).backward()
    torch.testing.assert_close(out.responses, expected.responses, **CLOSE)
    theirs = dict(twin.model.named_parameters())
    for name, parameter in balanced.model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, **CLOSE)
    return None


def assert_names_the_change(error):
    assert "in-place" in str(error) or "inplace" in str(error)
