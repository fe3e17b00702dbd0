"""InfoReg: the pull, the prime window, and resuming in mid-epoch."""

from math import exp, tanh

import pytest
import torch
from torch import nn

import counterpoise as cp
from support.methods import NAMES, close, logits_of
from support.networks import Late, batch
from support.wrapping import wrap


def test_worked_example_of_inforeg():
    """s = (1.6, 0.8, 0.6): the first is ahead of the mean of the others, 0.7, by 0.9:

    beta = 0.5 exp(tanh 0.9) = 0.5 exp(0.716298) = 1.023423.
    """
    method = cp.InfoReg(strength=[0.5, 0.7, 0.9])
    method.bind(NAMES, torch.float64)
    beta = method.strengths_of(torch.tensor([1.6, 0.8, 0.6], dtype=torch.float64))
    assert 0.5 * exp(tanh(0.9)) == pytest.approx(1.023423, rel=1e-5)
    assert beta.tolist() == pytest.approx([0.5 * exp(tanh(0.9)), 0, 0])


def told(method, epochs):
    method.set_epoch(epochs)
    return method


def infoed(window=1, **options):
    method = cp.InfoReg(window=window, strength=2.0, **options)
    method.bind(("ear", "eye"), torch.float64)
    method.set_epoch(0)
    return method, [nn.Parameter(torch.ones(3, 2).double()), nn.Parameter(torch.ones(2).double())]


def infostep(method, parameters, scale=1.0):
    signals = cp.Signals(
        torch.zeros(1, 2), torch.tensor([1]), unimodal_logits=logits_of(0.9, 0.2),
        encoder_parameters=[parameters, []],
    )  # fmt: skip
    factors = method.encoder_factors(signals)
    gradient = scale * torch.ones(3, 2).double()
    return factors, method.encoder_gradient(gradient, factors[0], parameters[0])


def test_infoReg_pulls_the_leader_to_where_the_epoch_began():
    method, parameters = infoed()
    factors, gradient = infostep(method, parameters)
    assert factors[0] > 1 == factors[1]
    close(gradient, torch.ones(3, 2).double())  # it has not moved yet
    with torch.no_grad():
        parameters[0] += 0.25
    factors, gradient = infostep(method, parameters)
    beta = 2 * exp(tanh(0.9 - 0.2))
    close(gradient, torch.full((3, 2), 1 + 0.25 * beta).double())
    method.set_epoch(1)  # starts from here
    factors, gradient = infostep(method, parameters)
    close(gradient, torch.ones(3, 2).double())
    assert not gradient.requires_grad
    assert not method.trace.requires_grad


def test_infoReg_counts_matrices_alone_and_none_of_their_graph():
    method, parameters = infoed()
    infostep(method, parameters)
    before = method.trace.clone()
    assert before.tolist() == [1, 0]
    one = torch.ones((), dtype=torch.float64)
    close(
        method.encoder_gradient(5 * torch.ones(2).double(), one, parameters[1]), 5 * one.expand(2)
    )
    assert torch.equal(method.trace, before)
    method.encoder_gradient(torch.ones(3, 2).double().requires_grad_(), one, parameters[0])
    assert method.trace.tolist() == [2, 0]
    assert not method.trace.requires_grad


def test_infoReg_goes_by_confidences_summed_over_the_batch_and_its_group(monkeypatch):
    asked = []

    def twice(tensor, group):
        asked.append(group)
        return 2 * tensor

    monkeypatch.setattr("counterpoise.methods.inforeg.sum_over_processes", twice)
    method, parameters = infoed()
    signals = cp.Signals(
        torch.zeros(3, 2), torch.ones(3, dtype=torch.long), process_group="ours",
        unimodal_logits=logits_of(0.9, 0.8).expand(-1, 3, -1), encoder_parameters=[parameters, []],
    )  # fmt: skip
    beta = 2 * exp(tanh(6 * (0.9 - 0.8)))
    assert method.encoder_factors(signals).tolist() == pytest.approx([1 + beta, 1])
    method.trace = torch.tensor([3.0, 1.0]).double()
    method.set_epoch(1)
    assert method.history[-1].tolist() == [6, 2]
    assert set(asked) == {"ours"}


def test_infoReg_sums_confidences_over_the_samples_that_have_a_label():
    factors = []
    for target in ([1, 1], [1, -100, 1, -100]):
        method, parameters = infoed()
        signals = cp.Signals(
            torch.zeros(len(target), 2), torch.tensor(target), encoder_parameters=[parameters, []],
            unimodal_logits=logits_of(0.9, 0.8).expand(-1, len(target), -1),
        )  # fmt: skip
        factors.append(method.encoder_factors(signals).tolist())
    assert factors[1] == factors[0] == pytest.approx([1 + 2 * exp(tanh(2 * 0.1)), 1])


def test_infoReg_starts_at_any_epoch_keeps_to_it_and_has_a_strength_for_each():
    cp.InfoReg().set_epoch(3)  # not bound yet
    method = cp.InfoReg(strength=None)
    method.bind(("ear", "eye"), torch.float64)
    assert method.strengths_M.tolist() == [0.95, 0.95]
    method.set_epoch(1)
    parameters = infoed()[1]
    infostep(method, parameters)
    method.set_epoch(1)  # told twice
    assert method.trace[0] == 1
    assert (method.start_epoch, method.num_epochs) == (1, 0)
    none, _ = infoed()
    infostep_of_none = cp.Signals(
        torch.zeros(1, 2), torch.tensor([1]), unimodal_logits=logits_of(0.9, 0.2),
        encoder_parameters=[[], []],
    )  # fmt: skip
    none.encoder_factors(infostep_of_none)
    assert none.start_epoch == -1  # there is nothing to keep


def test_infoReg_keeps_its_start_where_the_parameters_are_copied():
    method, parameters = infoed()
    infostep(method, parameters)
    copies = [nn.Parameter(p.detach() + 0.25) for p in parameters]
    beta = 2 * exp(tanh(0.9 - 0.2))
    close(infostep(method, copies)[1], torch.full((3, 2), 1 + 0.25 * beta).double())


@pytest.mark.parametrize("encoder", ["ear", "eye"])
def test_infoReg_begins_anew_with_the_encoder_that_is_replaced_in_mid_epoch(encoder):
    torch.manual_seed(3)
    model = Late(2).double()
    balanced = wrap(model, "shared", cp.InfoReg(heads="linear"))
    balanced.method.set_epoch(0)
    inputs, target = batch(2, 7)
    balanced(**inputs, target=target).loss.backward()
    before = dict(balanced.method.starts.named_buffers())
    adapter = nn.Linear(model.width, model.width).double()
    setattr(model, encoder, nn.Sequential(getattr(model, encoder), adapter))
    balanced(**inputs, target=target).loss.backward()
    kept = dict(balanced.method.starts.named_buffers())
    for index, name in enumerate(("ear", "eye")):
        for i, p in enumerate(model.get_submodule(name).parameters()):
            key = f"encoder{index}_{i}"
            assert torch.equal(kept[key], p if name == encoder else before[key])


def test_infoReg_ends_the_prime_window_where_the_trace_no_longer_grows():
    """Window 1, threshold 0.05: traces of epochs 4, 8, 8.1; the third grew by 1.2%, it is over."""
    method, parameters = infoed(window=1)
    primes = []
    for epoch, square in enumerate((4.0, 8.0, 8.1)):
        for _ in range(2):  # as a loop does that tells it where a run begins
            method.set_epoch(epoch)
        primes.append(method.prime.tolist())
        infostep(method, parameters, scale=square**0.5)
        assert float(method.trace[0]) == pytest.approx(square)
    method.set_epoch(3)
    assert primes == [[True, True], [True, True], [True, False]]  # at first nobody is judged
    assert method.prime.tolist() == [False, False]  # nor does one grow that was never there
    assert infostep(method, parameters)[0].tolist() == [1, 1]


def test_infoReg_compares_means_over_the_window():
    """Window 2: of 4, 8, 4.5 the means are 6 and then 6.25, which is 4% more."""
    method, parameters = infoed(window=2)
    primes = []
    for epoch, square in enumerate((4.0, 8.0, 4.5)):
        method.set_epoch(epoch)
        primes.append(method.prime.tolist())
        infostep(method, parameters, scale=square**0.5)
    method.set_epoch(3)
    assert primes == [[True, True]] * 3
    assert method.prime.tolist() == [False, False]
    assert method.history[:, 0].tolist() == pytest.approx([4, 8, 4.5])


def test_infoReg_resumes_in_mid_epoch_from_the_same_start():
    method, parameters = infoed()
    infostep(method, parameters)
    with torch.no_grad():
        parameters[0] += 0.25
    resumed, _ = infoed()
    resumed.load_state_dict(method.state_dict())
    close(infostep(resumed, parameters)[1], infostep(method, parameters)[1])


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("scale", [2.0**16, 0.25])
def test_infoReg_pulls_and_counts_alike_however_the_loss_is_scaled(scale, weight):
    """By a gradient scaler, or divided by the number of batches that are accumulated."""
    record = []
    for factor in (1.0, scale):
        torch.manual_seed(3)
        model = Late(2).double()
        balanced = wrap(model, "shared", cp.InfoReg(weight=weight))
        balanced.method.set_epoch(0)
        for seed in range(3):
            balanced.zero_grad()
            inputs, target = batch(2, 7, seed=seed)
            (factor * balanced(**inputs, target=target).loss).backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad / factor
        record.append([balanced.method.trace, *(p.grad / factor for p in model.parameters())])
    for found, expected in zip(*record, strict=True):
        close(found, expected)


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_infoReg_leaves_gradients_that_are_not_finite_out_of_its_trace(number):
    method, parameters = infoed()
    infostep(method, parameters)
    before = method.trace.clone()
    infostep(method, parameters, scale=number)
    assert torch.equal(method.trace, before)
