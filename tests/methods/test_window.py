"""Modulation in a window of epochs or steps, and what it costs outside."""

from copy import deepcopy

import pytest
import torch

import counterpoise as cp
from counterpoise.methods.shared.composite import NOBODY
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
    ("window", "phases"),
    [
        ((), ["on"] * 5),
        ((0, 2), ["on", "on", "off", "off", "off"]),
        ((1, 3), ["watch", "on", "on", "off", "off"]),
        ((2,), ["watch", "watch", "on", "on", "on"]),
    ],
)
def test_phases_of_a_window_in_epochs(window, phases):
    windowed = cp.Windowed(cp.AGM(), *window)
    found = []
    for epoch in range(5):
        windowed.set_epoch(epoch)
        found.append(windowed.phase())
    assert found == phases
    assert windowed.needs() == cp.AGM().needs()


def test_before_the_window_a_method_that_cannot_learn_costs_nothing():
    windowed = cp.Windowed(cp.OGM(), 1, 3)
    assert windowed.phase() == "off"
    windowed.set_epoch(1)
    assert windowed.phase() == "on"


def test_a_window_in_epochs_modulates_inside_alone_and_learns_before():
    torch.manual_seed(0)
    model = Late(2).double()
    windowed = wrap(deepcopy(model), method=cp.Windowed(cp.AGM(), 1, 2))
    unlimited = wrap(model, method=cp.AGM())
    assert all(torch.equal(kappa, ONES) for kappa in run(windowed, num_steps=3, epoch=0))
    run(unlimited, num_steps=3)
    assert torch.equal(windowed.method.method.running_scores, unlimited.method.running_scores)
    inside, expected = run(windowed, num_steps=2, epoch=1), run(unlimited, num_steps=2)
    for kappa, right in zip(inside, expected, strict=True):
        assert torch.equal(kappa, right)
        assert not torch.equal(kappa, ONES)
    learnt = windowed.method.method.running_scores.clone()
    assert all(torch.equal(kappa, ONES) for kappa in run(windowed, num_steps=2, epoch=2))
    assert torch.equal(windowed.method.method.running_scores, learnt)


def test_a_window_in_steps_modulates_inside_alone_and_learns_up_to_its_end():
    torch.manual_seed(0)
    model = Late(2).double()
    windowed = wrap(deepcopy(model), method=cp.Windowed(cp.AGM(), 2, 4, unit="steps"))
    unlimited = wrap(model, method=cp.AGM())
    found, right = run(windowed, num_steps=4), run(unlimited, num_steps=4)
    learnt = unlimited.method.running_scores.clone()
    found, right = found + run(windowed, num_steps=2), right + run(unlimited, num_steps=2)
    for step, (kappa, expected) in enumerate(zip(found, right, strict=True)):
        assert torch.equal(kappa, expected if 2 <= step < 4 else ONES)
    assert torch.equal(windowed.method.method.running_scores, learnt)


def in_steps():
    torch.manual_seed(0)
    return wrap(Late(2).double(), "shared", cp.Windowed(cp.AGM(), 2, 4, unit="steps"))


def phases_of(balanced, *, num_steps):
    """Take steps; return the phase of each."""
    phases = []
    for _ in range(num_steps):
        phases.append(balanced.method.phase())
        run(balanced, num_steps=1)
    return phases


IN_STEPS = ["watch", "watch", "on", "on", "off", "off"]


def test_phases_of_a_window_in_steps():
    assert phases_of(in_steps(), num_steps=6) == IN_STEPS


@pytest.mark.parametrize("num_steps", range(6))
@pytest.mark.parametrize("assign", [True, False])
def test_a_window_in_steps_goes_on_from_a_saved_state(num_steps, assign):
    balanced, resumed = in_steps(), in_steps()
    run(balanced, num_steps=num_steps)
    run(resumed, num_steps=1)  # what it knows of its own steps is to be forgotten
    state = {name: value.clone() for name, value in balanced.state_dict().items()}
    resumed.load_state_dict(state, assign=assign)
    assert phases_of(resumed, num_steps=6 - num_steps) == IN_STEPS[num_steps:]


def test_copies_of_a_window_in_steps_go_on_by_themselves():
    balanced = in_steps()
    run(balanced, num_steps=1)
    copy = deepcopy(balanced)
    assert phases_of(copy, num_steps=5) == IN_STEPS[1:]
    assert phases_of(balanced, num_steps=5) == IN_STEPS[1:]


def test_steps_of_a_window_are_counted_without_asking_the_device(monkeypatch):
    balanced = in_steps()
    run(balanced, num_steps=1)
    balanced.runner._num_calls = 2**20  # between two steps at which the engine looks at the model

    def asking(real):
        def asked(self, *args):
            assert not any(self is own for own in counters), "the device was asked"
            return real(self, *args)

        return asked

    counters = list(balanced.method.buffers(recurse=False))
    assert counters
    for name in ("__int__", "__bool__", "__float__", "item", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, asking(getattr(torch.Tensor, name)))
    run(balanced, num_steps=5)


def test_before_a_window_in_steps_there_is_no_backward_pass_and_after_it_no_pass():
    balanced = in_steps()
    inputs, target = batch(2, 7)
    balanced.validate(**inputs)
    model, passes, seen, with_graph = balanced.model, [], [], []
    model.head.register_forward_pre_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    for _ in range(6):
        seen.clear()
        with Calls(model) as calls:
            balanced(**inputs, target=target)
        passes.append(len(calls))
        with_graph.append(sum(seen) > 1)
    assert with_graph == [False, False, True, True, False, False]
    assert passes[4:] == [1, 1]
    assert min(passes[:4]) > 1


def test_steps_that_are_skipped_as_non_finite_count_in_a_window():
    balanced = in_steps()
    inputs, target = batch(2, 7)
    balanced.validate(**inputs)
    balanced(**{name: value * float("nan") for name, value in inputs.items()}, target=target)
    assert phases_of(balanced, num_steps=5) == IN_STEPS[1:]


@pytest.mark.parametrize("level", LEVELS)
def test_after_the_window_a_step_is_one_pass_and_its_gradient_the_plain_one(level):
    torch.manual_seed(0)
    model = MaxOut(2).double()
    plain = deepcopy(model)
    balanced = wrap(model, level, cp.Windowed(cp.AGM(), 0, 1))
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
    balanced = wrap(Late(2), method=cp.Windowed(cp.AGM(), 1, 2))
    inputs, target = batch(2, 7, dtype=torch.float32)
    out = balanced(**inputs, target=target)
    assert out.scores is not None
    assert not out.responses.requires_grad
    assert out.logits.requires_grad


class Everywhere(cp.Method):
    """Answers between steps as MSES and MSLR do, and notes what it is told."""

    def __init__(self):
        super().__init__()
        self.validations, self.num_steps = [], 0

    def learning_rates(self):
        return torch.tensor([0.5, 2.0])

    def on_validation(self, evaluation, branches):
        self.validations.append(evaluation.epoch)

    def finished(self):
        return True

    def advance(self):
        self.num_steps += 1


def test_between_steps_a_method_is_heard_inside_its_window_alone():
    method = Everywhere()
    windowed = cp.Windowed(method, 1, 3)
    rates, finished = [], []
    for epoch in range(4):
        windowed.set_epoch(epoch)
        windowed.advance()
        windowed.on_validation(cp.Evaluation(epoch), [])
        rates.append(windowed.learning_rates() is not None)
        finished.append(windowed.finished())
    assert rates == finished == [False, True, True, False]
    assert method.validations == [1, 2]
    assert method.num_steps == 4
    assert method.epoch == 3


def test_a_window_answers_where_its_method_does_and_counts_where_it_has_to():
    in_epochs, in_steps = (cp.Windowed(cp.OGM(), 0, 2, unit) for unit in ("epochs", "steps"))
    assert in_epochs.places() == cp.OGM().places() | {"set_epoch"}
    assert in_steps.places() == cp.OGM().places() | {"set_epoch", "advance"}
    assert in_epochs.title() == "OGM"
    assert cp.Windowed(cp.PMR(), 0, 2).tasks == cp.PMR().tasks


def test_outside_the_window_nobody_makes_steps_of_a_batch_and_the_method_is_asked_all_else():
    windowed = cp.Windowed(cp.MLA(num_batches=5), 1, 2)
    for epoch, asked in enumerate([NOBODY, windowed.method, NOBODY]):
        windowed.set_epoch(epoch)
        assert windowed.asked("substeps") is asked
        assert windowed.asked("loss") is windowed.method


@pytest.mark.parametrize("unit", ["epochs", "steps"])
def test_a_method_learns_nothing_after_its_window_where_steps_are_monitored(unit):
    counts = []
    for monitor in (False, True):
        method = cp.Windowed(cp.AGM(), 0, 2, unit)
        balanced = wrap(Late(2).double(), method=method, monitor=monitor)
        for epoch in range(4):
            run(balanced, num_steps=1, epoch=epoch)
        counts.append(method.method.num_steps.item())
    assert counts == [2, 2]


class Resting(cp.AGM):
    """Says of itself that it takes no part."""

    def phase(self):
        return "off"


def test_a_method_that_takes_no_part_learns_nothing_where_steps_are_monitored():
    balanced = wrap(Late(2).double(), method=Resting(), monitor=True)
    inputs, target = batch(2, 7)
    out = balanced(**inputs, target=target)
    assert out.responses is not None
    assert balanced.method.num_steps == 0


def test_windows_nest():
    windowed = cp.Windowed(cp.Windowed(cp.AGM(), 2, 4), 1, 3)
    phases = []
    for epoch in range(5):
        windowed.set_epoch(epoch)
        phases.append(windowed.phase())
    assert phases == ["watch", "watch", "on", "off", "off"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (cp.AGM, 0, 3),
            TypeError,
            r"`method` should be a method such as cp.AGM\(\); found the class AGM",
        ),
        ((None,), TypeError, r"`method` should be a method such as cp.AGM\(\); found None"),
        (
            (cp.AGM(), 3, 3),
            ValueError,
            r"`start` and `stop` should be numbers with 0 <= start < stop; found 3 and 3\. Use",
        ),
        ((cp.AGM(), -1, 3), ValueError, r"`start` and `stop` should be .*; found -1 and 3\."),
        ((cp.AGM(), "0", 3), ValueError, r"`start` and `stop` should be .*; found '0' and 3\."),
        ((cp.AGM(), 0, float("nan")), ValueError, r"`start` and `stop` should .* found 0 and nan"),
        (
            (cp.AGM(), 0, 3, "epoch"),
            ValueError,
            r"`unit` should be one of 'epochs', 'steps'; found 'epoch'\. Did you mean 'epochs'\?",
        ),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(arguments, error, message):
    with pytest.raises(error, match=message):
        cp.Windowed(*arguments)
