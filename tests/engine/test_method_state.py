"""A method's state: what moves it, what leaves it alone, and that it survives saving."""

from copy import deepcopy
from io import BytesIO

import pytest
import torch

import counterpoise as cp
from support.networks import Late, batch
from support.wrapping import LEVELS, wrap

NAN, INF = float("nan"), float("inf")


def bound(**options):
    method = cp.AGM(**options)
    method.bind(("ear", "eye", "hand"), torch.float64)
    return method


def step(method, *scores, **signals):
    scores = torch.tensor(scores, dtype=torch.float64)
    return method.coefficients(cp.Signals(None, None, scores=scores, **signals))


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_nonfinite_score_skips_modulation_and_leaves_the_reference_alone(bad):
    method = bound()
    step(method, 1.0, 2.0, 3.0)
    before = deepcopy(method.reference.state_dict())
    kappa = step(method, 1.0, bad, 3.0)
    assert torch.equal(kappa, torch.ones_like(kappa))
    for name, value in method.reference.state_dict().items():
        assert torch.equal(value, before[name])
    assert step(method, 0.5, 2.0, 3.0)[0] < 1


def test_check_names_the_modality_that_is_nonfinite_by_itself_and_its_first_step():
    method = bound()
    step(method, 1.0, 2.0, 3.0)
    blamed = torch.tensor([True, True, False])
    step(method, NAN, NAN, NAN, finite=blamed, num_samples=torch.tensor(7))
    step(method, NAN, NAN, NAN, finite=blamed, num_samples=torch.tensor(7))
    message = (
        r"The score of modality 'hand' should be finite; found inf or NaN at step 1\. Look for NaN"
    )
    with pytest.raises(FloatingPointError, match=message):
        method.check()


def test_check_is_silent_while_all_is_finite():
    method = bound()
    method.check()
    step(method, 1.0, 2.0, 1e15)
    method.check()


def test_the_scores_of_no_sample_are_no_fault():
    method = bound()
    kappa = step(method, NAN, NAN, NAN, num_samples=torch.tensor(0))
    assert torch.equal(kappa, torch.ones_like(kappa))
    assert method.reference.num_steps == 0
    method.check()


def test_joint_has_no_state_and_nothing_to_check():
    method = cp.Joint()
    method.bind(("ear", "eye"))
    method.check()
    method.set_epoch(3)
    assert method.state_dict() == {}
    assert method.coefficients(cp.Signals(None, None)) is None


@pytest.mark.parametrize(
    ("weights", "state"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_running_scores_are_as_wide_as_the_weights_and_never_below_float32(weights, state):
    balanced = wrap(Late(2).to(weights))
    assert balanced.method.running_scores.dtype == state


def test_state_follows_a_model_that_is_widened_after_wrapping():
    torch.manual_seed(0)
    balanced = wrap(Late(2)).double()
    inputs, target = batch(2, 7)
    out = balanced(**inputs, target=target)
    assert balanced.method.running_scores.dtype == torch.float64
    assert out.scores.dtype == out.coefficients.dtype == torch.float64
    assert torch.equal(balanced.method.running_scores, out.scores)


def test_state_narrowed_below_float32_widens_again():
    torch.manual_seed(0)
    balanced = wrap(Late(2, norm=False)).bfloat16()
    inputs, target = batch(2, 7, dtype=torch.bfloat16)
    assert balanced(**inputs, target=target).scores.dtype == torch.float32
    assert balanced.method.running_scores.dtype == torch.float32


@pytest.mark.parametrize("outer", ["cpu", "meta"])
def test_state_is_kept_where_a_model_gets_its_memory_later(outer):
    """As of large models, whose weights are drawn where they will lie."""
    with torch.device("meta"):
        model = Late(2, norm=False)
    mean = cp.absence.Constant(torch.ones(3))
    with torch.device(outer):
        balanced = wrap(model, absent={"ear": mean})
    balanced.to_empty(device="cpu")
    for parameter in balanced.model.parameters():
        torch.nn.init.normal_(parameter)
    assert [b.count_nonzero().item() for b in balanced.method.reference.buffers()] == [0, 0]
    assert balanced.method.num_steps == 0
    assert torch.equal(balanced.absent(0, torch.zeros(7, 3)), torch.ones(7, 3))


def train(balanced, optimiser, steps):
    record = []
    for seed in steps:
        inputs, target = batch(2, 7, seed=seed, dtype=torch.float32)
        optimiser.zero_grad()
        out = balanced(**inputs, target=target)
        out.loss.backward()
        optimiser.step()
        record.append((out.coefficients, out.scores, out.loss.detach()))
    return record


def made(level):
    torch.manual_seed(0)
    balanced = wrap(Late(2), level, cp.Windowed(cp.AGM(alpha=2.0, clamp=10.0), 1, 5, "steps"))
    return balanced, torch.optim.SGD(balanced.parameters(), lr=0.3, momentum=0.9)


@pytest.mark.parametrize("level", LEVELS)
def test_training_goes_on_bit_identically_from_a_saved_state(level):
    balanced, optimiser = made(level)
    train(balanced, optimiser, range(3))
    file = BytesIO()
    torch.save([balanced.state_dict(), optimiser.state_dict()], file)
    expected = train(balanced, optimiser, range(3, 7))

    resumed, its_optimiser = made(level)
    file.seek(0)
    state, optimiser_state = torch.load(file, weights_only=True)
    resumed.load_state_dict(state)
    its_optimiser.load_state_dict(optimiser_state)
    found = train(resumed, its_optimiser, range(3, 7))

    for ours, theirs in zip(found, expected, strict=True):
        assert all(a is b or torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for name, value in balanced.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_method_serves_one_model():
    method = cp.AGM()
    wrap(Late(2), method=method)
    message = (
        r"`method` should serve one model; found a AGM that is already bound to ear, eye\. "
        r"Make a new one for each Balanced\."
    )
    with pytest.raises(ValueError, match=message):
        wrap(Late(2), method=method)
