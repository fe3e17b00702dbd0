"""MCR: the game and the contrast, by hand."""

from math import exp, log

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.methods.mcr import contrast
from counterpoise.methods.shared.losses import divergence
from support.methods import close, concatenation, grads, wrapped
from support.networks import batch


def test_worked_example_of_the_contrast():
    """Two classes of two: cosines 1 within and 0 across, t = 0.5: log(e^2 + 2) - 2 = 0.239545."""
    vectors = torch.tensor([[1.0, 0], [3.0, 0], [0, 2.0], [0, 1.0]], dtype=torch.float64)
    found = contrast(vectors, torch.tensor([0, 0, 1, 1]), 0.5)
    assert float(found) == pytest.approx(log(exp(2) + 2) - 2)
    assert log(exp(2) + 2) - 2 == pytest.approx(0.239545, rel=1e-5)
    assert float(contrast(vectors, torch.tensor([0, 1, 2, 3]), 0.5)) == 0


def test_the_contrast_is_a_mean_over_pairs_each_beside_all_of_other_classes():
    """In a loop; classes of different size, one of which has no pair."""
    torch.manual_seed(0)
    vectors, labels = torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1, 2, 0])
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    similarity = (unit @ unit.T / 0.7).tolist()
    losses = []
    for i in range(7):
        others = sum(exp(similarity[i][k]) for k in range(7) if labels[k] != labels[i])
        own = [similarity[i][j] for j in range(7) if i != j and labels[i] == labels[j]]
        losses += [log(exp(cosine) + others) - cosine for cosine in own]
    assert len(losses) == 12
    assert float(contrast(vectors, labels, 0.7)) == pytest.approx(sum(losses) / 12)


@pytest.mark.parametrize("ignored", [-100, 255])
def test_samples_without_a_label_are_no_class(ignored):
    torch.manual_seed(0)
    vectors, labels = torch.randn(7, 3), torch.tensor([0, 1, -100, 1, -100, 0, -100])
    known = labels >= 0
    found = contrast(vectors, labels, 0.7)
    torch.testing.assert_close(found, contrast(vectors[known], labels[known], 0.7))
    model, score = concatenation(2), cp.scores.CrossEntropy(ignore_index=ignored)
    inputs, _ = batch(2, 7)
    losses = []
    for factor in (0.0, 1.0):
        method = cp.MCR(weight=0, contrast=factor, temperature=0.7)
        balanced = wrapped(model, method, score=score)
        losses.append(balanced(**inputs, target=labels.where(known, ignored)).loss)
    features = [getattr(model, name)(inputs[name])[known] for name in model.names]
    expected = sum(contrast(f, labels[known], 0.7) for f in features)
    close(losses[1] - losses[0], expected)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_contrast_of_all_modalities_is_added_to_the_loss(weight):
    model = concatenation(2)
    inputs, target = batch(2, 7)
    losses = []
    for factor in (0.0, 0.2):
        torch.manual_seed(3)
        method = cp.MCR(weight=weight, contrast=factor, temperature=0.7)
        losses.append(wrapped(model, method)(**inputs, target=target).loss)
    features = [getattr(model, name)(inputs[name]) for name in model.names]
    expected = sum(contrast(f, target, 0.7) for f in features)
    close(losses[1] - losses[0], 0.2 * expected)


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_mcr_by_hand(num_modalities):
    """Loops over who is shuffled and whose gradient counts, on a concatenation."""
    model = concatenation(num_modalities)
    inputs, target = batch(num_modalities, 7)
    method = cp.MCR(weight=0.3, contrast=0.0, heads="linear")
    balanced = wrapped(model, method)
    balanced.validate(**inputs)
    torch.manual_seed(3)
    out = balanced(**inputs, target=target)
    torch.manual_seed(3)
    orders = [torch.randperm(7) for _ in range(num_modalities)]
    features = [getattr(model, name)(inputs[name]) for name in model.names]
    value = 0
    for m in range(num_modalities):
        seen = [f if j == m else f.detach() for j, f in enumerate(features)]
        for p in range(num_modalities):
            shuffled = [f[orders[p]] if j == p else f for j, f in enumerate(seen)]
            between = divergence(*(model.head(torch.cat(fs, 1)) for fs in (shuffled, seen)))
            value = value + (-between if p == m else between / (num_modalities - 1))
    own = method.unimodal_logits(features, model(**inputs))
    losses = sum(F.cross_entropy(each, target) for each in own)
    expected = F.cross_entropy(model(**inputs), target) + losses + 0.3 * value
    close(out.loss, expected)
    model.zero_grad()
    out.loss.backward()
    found = grads(model)
    model.zero_grad()
    expected.backward()
    for name, gradient in grads(model).items():
        close(found[name], gradient)
