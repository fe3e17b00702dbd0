"""Tasks beside one label a sample: a label a pixel, several labels, regression, own losses."""

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.networks import Late, batch
from support.wrapping import LEVELS, wrap

ROWS = 7


class Pixels(nn.Module):
    """Labels each pixel of an image from it and a vector."""

    names = ("image", "hint")
    encoders: ClassVar = {"image": "image", "hint": "hint"}

    def __init__(self):
        super().__init__()
        self.image, self.hint = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(5, 6)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, image, hint):
        return self.head(torch.relu(self.image(image) + self.hint(hint)[:, :, None, None]))


def pixels_batch():
    inputs = {"image": torch.randn(ROWS, 2, 11, 13), "hint": torch.randn(ROWS, 5)}
    return inputs, torch.randint(3, (ROWS, 11, 13))


@pytest.mark.parametrize("level", LEVELS)
def test_each_pixel_may_be_labelled(level):
    torch.manual_seed(2)
    balanced = wrap(Pixels(), level, score=cp.scores.CrossEntropy(ignore_index=2))
    inputs, target = pixels_batch()
    out = balanced(**inputs, target=target)
    out.loss.backward()
    assert out.responses.shape == (2, ROWS, 3, 11, 13)
    torch.testing.assert_close(out.responses.sum(dim=0), out.logits)
    for score, phi in zip(out.scores, out.responses, strict=True):
        means = [
            F.cross_entropy(p[None], t[None], ignore_index=2)
            for p, t in zip(phi, target, strict=True)
        ]
        torch.testing.assert_close(score, torch.stack(means).mean().detach())


@pytest.mark.parametrize(
    ("score", "target", "loss"),
    [
        (
            cp.scores.BinaryCrossEntropy(),
            torch.randint(2, (ROWS, 4), generator=torch.Generator().manual_seed(0)),
            lambda phi, y: F.binary_cross_entropy_with_logits(phi, y.float()),
        ),
        (cp.scores.SquaredError(), torch.linspace(-1, 1, ROWS * 4).view(ROWS, 4), F.mse_loss),
        (cp.scores.AbsoluteError(), torch.linspace(-1, 1, ROWS * 4).view(ROWS, 4), F.l1_loss),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_other_tasks_are_scored_and_trained_by_their_own_loss(level, score, target, loss):
    torch.manual_seed(2)
    balanced = wrap(Late(2), level, score=score)
    inputs, _ = batch(2, ROWS, dtype=torch.float32)
    out = balanced(**inputs, target=target)
    torch.testing.assert_close(out.loss, loss(out.logits, target))
    expected = torch.stack([loss(phi, target) for phi in out.responses])
    torch.testing.assert_close(out.scores, expected.detach())
    assert out.coefficients.ne(1).all()


class Single(Late):
    """One number a sample, without an axis for it."""

    num_classes = 1

    def forward(self, **inputs):
        return super().forward(**inputs).squeeze(1)


@pytest.mark.parametrize("level", LEVELS)
def test_logits_may_be_one_number_a_sample(level):
    torch.manual_seed(2)
    balanced = wrap(Single(3, norm=False), level, score=cp.scores.BinaryCrossEntropy())
    inputs, labels = batch(3, ROWS, dtype=torch.float32)
    target = labels.gt(1).float()
    for _ in range(2):
        out = balanced(**inputs, target=target)
        out.loss.backward()
    assert out.logits.shape == (ROWS,)
    assert out.responses.shape == (3, ROWS)
    torch.testing.assert_close(out.responses.sum(dim=0), out.logits)
    own = [F.binary_cross_entropy_with_logits(phi, target) for phi in out.responses]
    torch.testing.assert_close(out.scores, torch.stack(own).detach())


def test_a_score_and_a_criterion_may_be_functions():
    def margin(logits, target):
        return F.multi_margin_loss(logits, target, reduction="none")

    def smoothed(logits, target):
        return F.cross_entropy(logits, target, label_smoothing=0.1)

    torch.manual_seed(2)
    inputs, target = batch(2, ROWS, dtype=torch.float32)
    for criterion, expected in ((None, F.multi_margin_loss), (smoothed, smoothed)):
        out = wrap(Late(2), score=margin, criterion=criterion)(**inputs, target=target)
        torch.testing.assert_close(out.loss, expected(out.logits, target))
        own = torch.stack([F.multi_margin_loss(phi, target) for phi in out.responses])
        torch.testing.assert_close(out.scores, own.detach())


def test_a_score_may_have_parameters_that_are_trained():
    """Its scores are detached, so that a step leaves no graph in the running reference."""

    class Weighted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, logits, target):
            return self.weight * F.cross_entropy(logits, target, reduction="none")

    torch.manual_seed(5)
    balanced = wrap(Late(2, norm=False), "shared", cp.AGM(), score=Weighted())
    inputs, target = batch(2, 7, dtype=torch.float32)
    for _ in range(2):
        out = balanced(**inputs, target=target)
        assert not out.scores.requires_grad
        out.loss.backward()


def of_one_column(prediction, target):
    """A loss that is one number, in shape (1,)."""
    return (prediction - target).square().mean(dim=0)


@pytest.mark.parametrize("method", [cp.UnimodalLoss, cp.GBlend, cp.MMPareto, cp.MLB, cp.CGGM])
def test_a_criterion_may_return_its_number_in_a_list_of_one(method):
    """Losses of the modalities, (M, 1) then, were weighed by (M,) and M times too large."""
    runs = []
    for criterion in (of_one_column, F.mse_loss):
        torch.manual_seed(5)
        model = Late(2, norm=False)
        model.head = nn.Linear(model.head.in_features, 1)
        score = cp.scores.SquaredError()
        encoders = dict(model.encoders)
        balanced = cp.Balanced(model, encoders, method(), score=score, criterion=criterion)
        inputs, _ = batch(2, 7, dtype=torch.float32)
        target = torch.arange(7.0).unsqueeze(1)
        out = balanced(**inputs, target=target)
        out.loss.backward()
        evaluation = balanced.evaluate([{**inputs, "target": target}])
        gradients = [p.grad for p in model.parameters()]
        runs.append([out.loss, evaluation.unimodal_loss, *gradients])
    torch.testing.assert_close(*runs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", [cp.UnimodalLoss, cp.CML, cp.MMPareto, cp.CGGM])
def test_a_criterion_that_is_not_reduced_is_an_error_whatever_the_method(method):
    model = Late(2, norm=False)
    balanced = cp.Balanced(
        model, dict(model.encoders), method(), criterion=nn.CrossEntropyLoss(reduction="none")
    )
    inputs, target = batch(2, 7, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"should be one number; found shape \(7,\)\. Reduce it"):
        balanced(**inputs, target=target)


@pytest.mark.parametrize("method", [cp.UnimodalLoss, cp.CML, cp.DGL, cp.CGGM, cp.MCR])
def test_weights_of_a_criterion_in_half_precision_meet_logits_of_their_type(method):
    """Responses are in single precision, and PyTorch's losses take weights of one type alone."""
    torch.manual_seed(5)
    model = Late(2, norm=False)
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0]))
    balanced = cp.Balanced(model, dict(model.encoders), method(), criterion=weighted)
    inputs, target = batch(2, 7, dtype=torch.float32)
    torch.manual_seed(0)
    expected = balanced(**inputs, target=target).loss
    torch.manual_seed(0)
    halved = {name: x.bfloat16() for name, x in inputs.items()}
    out = balanced.bfloat16()(**halved, target=target)
    out.loss.backward()
    torch.testing.assert_close(out.loss.float(), expected, rtol=0.02, atol=0.02)
