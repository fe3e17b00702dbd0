"""Numbers that come out wrong without a word."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.core.modulation import modulate
from support.networks import Late, MaxOut, batch
from support.wrapping import LEVELS, assert_same, gradients, plain_step, wrap


@pytest.mark.parametrize("score", [cp.scores.SquaredError(), cp.scores.AbsoluteError()])
@pytest.mark.parametrize("shapes", [((7, 1), (7,)), ((7,), (7, 1))])
def test_regression_on_shapes_that_only_broadcast_is_an_error(score, shapes):
    """(7, 1) against (7,) makes 49 differences where seven were meant."""
    prediction, target = (torch.linspace(0, 1, 7).view(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"`target` should have the shape of .*; found"):
        score(prediction, target)


def test_samples_without_a_label_do_not_water_down_the_scores():
    """The score is to be the mean over labelled samples, as the criterion is."""
    torch.manual_seed(5)
    balanced = wrap(Late(2, norm=False))
    inputs, target = batch(2, 7, dtype=torch.float32)
    unlabelled = target.clone()
    unlabelled[4:] = -100
    out = balanced(**inputs, target=unlabelled)
    expected = [F.cross_entropy(phi, unlabelled) for phi in out.responses]
    torch.testing.assert_close(out.scores, torch.stack(expected).detach())


class DividedByMask(nn.Module):
    """NaN where a mask is all zeros, which the default absent value makes of it."""

    def __init__(self):
        super().__init__()
        self.text, self.image = nn.Embedding(11, 6), nn.Linear(5, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, text, image):
        kept = text["mask"].float().unsqueeze(-1)
        read = (self.text(text["ids"]) * kept).sum(dim=1) / kept.sum(dim=1)
        return self.head(torch.tanh(read + self.image(image)))


def test_an_absent_value_that_breaks_the_model_is_an_error_up_front():
    """Else every step trains on NaN gradients although model, loss and data are finite."""
    torch.manual_seed(5)
    balanced = cp.Balanced(DividedByMask(), ("text", "image"))
    inputs = {
        "text": {"ids": torch.randint(11, (7, 4)), "mask": torch.ones(7, 4, dtype=torch.bool)},
        "image": torch.randn(7, 5),
    }
    with pytest.raises(ValueError, match=r"`absent` for modality 'text' should .*finite"):
        balanced(**inputs, target=torch.randint(4, (7,)))


def test_of_three_the_one_whose_absence_breaks_the_model_is_blamed_alone():
    class Divided(Late):
        def forward(self, **inputs):
            return super().forward(**inputs) / inputs["ear"].abs().sum(dim=1, keepdim=True)

    torch.manual_seed(5)
    inputs, target = batch(3, 7, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"`absent` for modality 'ear' should .*finite"):
        wrap(Divided(3, norm=False))(**inputs, target=target)


@pytest.mark.parametrize("level", LEVELS)
def test_two_forward_passes_before_one_backward_under_batch_norm(level):
    """The second pass moves running statistics that the first one's backward still reads."""
    torch.manual_seed(5)
    apart, together = (wrap(MaxOut(3).double(), level) for _ in range(2))
    together.model.load_state_dict(apart.model.state_dict())
    batches = [batch(3, 7, seed=seed) for seed in range(2)]
    for inputs, target in batches:
        apart(**inputs, target=target).loss.backward()
    sum(together(**inputs, target=target).loss for inputs, target in batches).backward()
    for name, expected in gradients(apart).items():
        torch.testing.assert_close(gradients(together)[name], expected, rtol=1e-11, atol=1e-12)


def test_factors_are_not_rounded_to_the_logits_type():
    """kappa = 1.001 on bfloat16 logits: the full pass gets 1.001 g, rounded once, not 1.0 g."""
    full = torch.zeros(1000, dtype=torch.bfloat16, requires_grad=True)
    partial = torch.zeros(1, 1000, dtype=torch.bfloat16, requires_grad=True)
    g = torch.linspace(1, 2, 1000).bfloat16()
    modulate(full, partial, torch.tensor([0.0, 1.003])).backward(g)
    expected = (1.003 * g.float()).bfloat16()
    assert torch.equal(full.grad, expected)


@pytest.mark.parametrize("level", LEVELS)
def test_after_a_window_in_steps_a_step_is_the_plain_one_bit_for_bit(level):
    torch.manual_seed(5)
    model = MaxOut(3, norm=False)
    balanced = wrap(model, level, cp.Windowed(cp.AGM(), 0, 1, "steps"))
    inputs, target = batch(3, 7, dtype=torch.float32)
    for _ in range(2):
        balanced.zero_grad()
        balanced(**inputs, target=target).loss.backward()
    found = gradients(model)
    model.zero_grad()
    plain_step(model, inputs, target)
    assert_same(found, gradients(model))
