"""Modulation in a window of epochs or steps, and what it costs outside."""

from copy import deepcopy

import pytest
import torch

import counterpoise as cp
from support.networks import Late, MaxOut, batch
from support.wrapping import LEVELS, Calls, gradients, wrap

ONES = torch.ones(2, dtype=torch.float64)


def run(balanced, *, num_steps, epoch=None):
    """Take steps without changing weights; return each step's coefficients."""
    if epoch is not None:
        balanced.method.set_epoch(epoch)
    coefficients = []
    for seed in range(num_steps):
        inputs, target = batch(2, 7, seed=seed)
        coefficients.append(balanced(**inputs, target=target).coefficients)
    return coefficients


@pytest.mark.parametrize(
    ("window", "needs"),
    [
        (None, ["gradients"] * 5),
        ((0, 2), ["gradients", "gradients", "nothing", "nothing", "nothing"]),
        ((1, 3), ["values", "gradients", "gradients", "nothing", "nothing"]),
        ((2, float("inf")), ["values", "values", "gradients", "gradients", "gradients"]),
    ],
)
def test_what_a_window_in_epochs_needs(window, needs):
    method = cp.AGM(window=window)
    found = []
    for epoch in range(5):
        method.set_epoch(epoch)
        found.append(method.needs())
    assert found == needs


def test_a_window_in_epochs_modulates_inside_alone_and_learns_before():
    torch.manual_seed(0)
    model = Late(2).double()
    windowed = wrap(deepcopy(model), method=cp.AGM(window=(1, 2)))
    unlimited = wrap(model, method=cp.AGM())
    assert all(torch.equal(kappa, ONES) for kappa in run(windowed, num_steps=3, epoch=0))
    run(unlimited, num_steps=3)
    assert torch.equal(windowed.method.running_scores, unlimited.method.running_scores)
    inside, expected = run(windowed, num_steps=2, epoch=1), run(unlimited, num_steps=2)
    for kappa, right in zip(inside, expected, strict=True):
        assert torch.equal(kappa, right)
        assert not torch.equal(kappa, ONES)
    learnt = windowed.method.running_scores.clone()
    assert all(torch.equal(kappa, ONES) for kappa in run(windowed, num_steps=2, epoch=2))
    assert torch.equal(windowed.method.running_scores, learnt)


def test_a_window_in_steps_modulates_inside_alone_and_learns_up_to_its_end():
    torch.manual_seed(0)
    model = Late(2).double()
    windowed = wrap(deepcopy(model), method=cp.AGM(window=(2, 4), window_unit="steps"))
    unlimited = wrap(model, method=cp.AGM())
    found, right = run(windowed, num_steps=4), run(unlimited, num_steps=4)
    learnt = unlimited.method.running_scores.clone()
    found, right = found + run(windowed, num_steps=2), right + run(unlimited, num_steps=2)
    for step, (kappa, expected) in enumerate(zip(found, right, strict=True)):
        assert torch.equal(kappa, expected if 2 <= step < 4 else ONES)
    assert torch.equal(windowed.method.running_scores, learnt)


def in_steps():
    torch.manual_seed(0)
    return wrap(Late(2).double(), "shared", cp.AGM(window=(2, 4), window_unit="steps"))


def needed(balanced, *, num_steps):
    """Take steps; return what each needed of the coalitions."""
    needs = []
    for _ in range(num_steps):
        needs.append(balanced.method.needs())
        run(balanced, num_steps=1)
    return needs


IN_STEPS = ["values", "values", "gradients", "gradients", "nothing", "nothing"]


def test_what_a_window_in_steps_needs():
    assert needed(in_steps(), num_steps=6) == IN_STEPS


@pytest.mark.parametrize("num_steps", range(6))
@pytest.mark.parametrize("assign", [True, False])
def test_a_window_in_steps_goes_on_from_a_saved_state(num_steps, assign):
    balanced, resumed = in_steps(), in_steps()
    run(balanced, num_steps=num_steps)
    run(resumed, num_steps=1)  # what it knows of its own steps is to be forgotten
    state = {name: value.clone() for name, value in balanced.state_dict().items()}
    resumed.load_state_dict(state, assign=assign)
    assert needed(resumed, num_steps=6 - num_steps) == IN_STEPS[num_steps:]


def test_copies_of_a_window_in_steps_go_on_by_themselves():
    balanced = in_steps()
    run(balanced, num_steps=1)
    copy = deepcopy(balanced)
    assert needed(copy, num_steps=5) == IN_STEPS[1:]
    assert needed(balanced, num_steps=5) == IN_STEPS[1:]


def test_steps_of_a_window_are_counted_without_asking_the_device(monkeypatch):
    balanced = in_steps()
    run(balanced, num_steps=1)

    def asked(self):
        raise AssertionError("the device was asked")

    for name in ("__int__", "__bool__", "__float__", "item", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, asked)
    run(balanced, num_steps=5)


def test_before_a_window_in_steps_there_is_no_backward_pass_and_after_it_no_pass():
    balanced = in_steps()
    inputs, target = batch(2, 7)
    balanced.validate(**inputs)
    model, passes, with_graph = balanced.model, [], []
    for _ in range(6):
        with Calls(model) as calls:
            out = balanced(**inputs, target=target)
        passes.append(len(calls))
        with_graph.append(out.responses is not None and out.responses.requires_grad)
    assert with_graph == [False, False, True, True, False, False]
    assert passes[4:] == [1, 1]
    assert min(passes[:4]) > 1


def test_steps_that_are_skipped_as_non_finite_count_in_a_window():
    balanced = in_steps()
    inputs, target = batch(2, 7)
    balanced.validate(**inputs)
    balanced(**{name: value * float("nan") for name, value in inputs.items()}, target=target)
    assert needed(balanced, num_steps=5) == IN_STEPS[1:]


@pytest.mark.parametrize("level", LEVELS)
def test_after_the_window_a_step_is_one_pass_and_its_gradient_the_plain_one(level):
    torch.manual_seed(0)
    model = MaxOut(2).double()
    plain = deepcopy(model)
    balanced = wrap(model, level, cp.AGM(window=(0, 1)))
    inputs, target = batch(2, 7)
    balanced.validate(**inputs)
    balanced.method.set_epoch(1)
    with Calls(model) as calls:
        out = balanced(**inputs, target=target)
    assert len(calls) == 1
    assert out.responses is None
    assert out.scores is None
    assert torch.equal(out.coefficients, torch.ones(2))
    out.loss.backward()
    torch.nn.functional.cross_entropy(plain(**inputs), target).backward()
    theirs = gradients(plain)
    assert all(torch.equal(g, theirs[name]) for name, g in gradients(model).items())


def test_before_the_window_responses_carry_no_graph():
    torch.manual_seed(0)
    balanced = wrap(Late(2), method=cp.AGM(window=(1, 2)))
    inputs, target = batch(2, 7, dtype=torch.float32)
    out = balanced(**inputs, target=target)
    assert out.scores is not None
    assert not out.responses.requires_grad
    assert out.logits.requires_grad
