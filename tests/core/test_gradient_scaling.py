"""Scaled gradients of encoders: each step by its own factors, in whatever order they go back."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import counterpoise as cp
from counterpoise.core.gradient_scaling import GradientScaling
from support.networks import MaxOut, batch
from support.wrapping import assert_same, gradients, plain_step, wrap, wrap_parts


class Turns(cp.Method):
    """Scales the first encoder by 2, 3, 4, ... from step to step, and the second by nothing."""

    acts_on = "encoders"
    num_steps = 0

    def __init__(self, *, window=float("inf")):
        super().__init__()
        self.window = window

    def encoder_factors(self, signals):
        self.num_steps += 1
        if self.num_steps > self.window:
            return None
        return torch.tensor([1.0 + self.num_steps, 1.0])


def made(method):
    torch.manual_seed(5)
    return wrap(MaxOut(2, norm=False), "shared", method)


def losses(balanced, num_steps=2):
    return [
        balanced(**inputs, target=target).loss
        for inputs, target in (batch(2, 7, seed=s, dtype=torch.float32) for s in range(num_steps))
    ]


def plain(model, inputs, target):
    model.zero_grad()
    plain_step(model, inputs, target)
    return gradients(model)


def after(balanced, loss):
    balanced.zero_grad()
    loss.backward()
    return gradients(balanced)


@pytest.mark.parametrize("method", [Turns, cp.OGM, cp.CGGM, cp.MLB])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_each_step_is_scaled_by_its_own_factors_in_any_order(method, order):
    in_turn, together = made(method()), made(method())
    expected = []
    for seed in range(3):
        inputs, target = batch(2, 7, seed=seed, dtype=torch.float32)
        expected.append(after(in_turn, in_turn(**inputs, target=target).loss))
    waiting = losses(together, 3)
    for step in order:
        assert_same(after(together, waiting[step]), expected[step])


def test_the_factors_are_those_that_the_method_gave():
    balanced, joint = made(Turns()), made(cp.Joint())
    for step, (loss, plain) in enumerate(zip(losses(balanced), losses(joint), strict=True)):
        found, unscaled = after(balanced, loss), after(joint, plain)
        for name, gradient in unscaled.items():
            factor = step + 2 if name.startswith("model.ear.") else 1
            torch.testing.assert_close(found[name], factor * gradient)


def test_a_step_may_go_back_twice():
    balanced = made(Turns())
    first, _ = losses(balanced)
    balanced.zero_grad()
    first.backward(retain_graph=True)
    once = gradients(balanced)
    first.backward()
    assert_same(gradients(balanced), {name: 2 * gradient for name, gradient in once.items()})


@pytest.mark.parametrize("window", [float("inf"), 1])
def test_error_for_a_backward_pass_through_two_steps(window):
    balanced = made(Turns(window=window))
    message = (
        r"A backward pass should go through one training step where the method scales the "
        r"gradients of encoders; found two steps in one\. Call `loss\.backward\(\)` for each: "
        r"their gradients add up\."
    )
    total = sum(losses(balanced))
    with pytest.raises(RuntimeError, match=message):
        total.backward()
    after(balanced, losses(balanced)[0])  # the next pass is none the worse


def test_two_steps_may_share_a_backward_pass_where_neither_is_scaled():
    balanced, joint = made(Turns(window=0)), made(cp.Joint())
    assert_same(after(balanced, sum(losses(balanced))), after(joint, sum(losses(joint))))


@pytest.mark.parametrize("method", [cp.OGM, cp.OGMGE, cp.CGGM, cp.MLB])
def test_after_a_step_gradients_of_the_model_are_its_own_again(method):
    balanced = made(method())
    twin = deepcopy(balanced.model)
    inputs, target = batch(2, 7, dtype=torch.float32)
    scaled = after(balanced, balanced(**inputs, target=target).loss)
    expected = plain(twin, inputs, target)
    assert any(not torch.equal(scaled[f"model.{name}"], expected[name]) for name in expected)
    assert_same(plain(balanced.model, inputs, target), expected)
    again = cp.Balanced(balanced.model, balanced.modalities, cp.Joint())
    del balanced
    again.zero_grad()
    again(**inputs, target=target).loss.backward()
    assert_same(gradients(again.model), expected)


def test_a_pass_that_failed_leaves_nothing_behind():
    balanced = made(Turns())
    first, second = losses(balanced)
    with pytest.raises(RuntimeError, match="one training step"):
        (first + second).backward()
    inputs, target = batch(2, 7, dtype=torch.float32)
    twin = deepcopy(balanced.model)
    assert_same(plain(balanced.model, inputs, target), plain(twin, inputs, target))


@pytest.mark.parametrize("where", ["ear", "eye"])
def test_a_pass_that_was_broken_off_leaves_nothing_behind(where):
    """As by an interrupt, whose traceback a notebook keeps."""
    balanced = made(Turns())
    (loss,) = losses(balanced, 1)

    def interrupt(gradient):
        raise KeyboardInterrupt

    hook = next(balanced.model.get_submodule(where).parameters()).register_hook(interrupt)
    with pytest.raises(KeyboardInterrupt) as kept:
        loss.backward()
    hook.remove()
    inputs, target = batch(2, 7, dtype=torch.float32)
    twin = deepcopy(balanced.model)
    assert_same(plain(balanced.model, inputs, target), plain(twin, inputs, target))
    assert kept.value.__traceback__ is not None


@pytest.mark.parametrize("reentrant", [False, True])
def test_encoders_that_are_checkpointed_are_scaled(reentrant):
    """Reentrant checkpoints go backward in passes of their own, within that of the step."""

    class Checkpointed(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            if not self.training:
                return self.inner(x)
            return checkpoint(self.inner, x.requires_grad_(), use_reentrant=reentrant)

    kept, saving = made(Turns()), made(Turns())
    names = list(kept.modalities)
    for name in names:
        setattr(saving.model, name, Checkpointed(getattr(saving.model, name)))
    saving = wrap_parts(saving.model, names, Turns(), encoders={n: n for n in names})
    inputs, target = batch(2, 7, dtype=torch.float32)
    for each in (kept, saving):
        each(**inputs, target=target).loss.backward()
    found = {k.replace(".inner", ""): v for k, v in gradients(saving.model).items()}
    for name, gradient in gradients(kept.model).items():
        torch.testing.assert_close(found[name], gradient)


def test_a_copy_scales_its_own_gradients_alone():
    balanced = made(Turns())
    first = losses(balanced, 1)[0]
    copy = deepcopy(balanced)
    theirs = losses(copy, 1)[0]
    found, copied = after(balanced, first), after(copy, theirs)
    for name, gradient in copied.items():
        own, its = (2, 3) if name.startswith("model.ear.") else (1, 1)
        torch.testing.assert_close(gradient / its, found[name] / own)


def test_whether_any_parameter_is_hooked_is_told():
    scaling, layer = GradientScaling(), nn.Linear(2, 2)
    assert not scaling.attached
    scaling.attach([list(layer.requires_grad_(False).parameters())])
    assert not scaling.attached
    scaling.attach([list(layer.requires_grad_().parameters())])
    assert scaling.attached
    assert not deepcopy(scaling).attached
