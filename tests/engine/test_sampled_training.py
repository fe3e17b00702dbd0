"""Many modalities: coalitions are sampled, with a warning, and training goes on as stated."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import counterpoise as cp
from support.wrapping import Calls, gradients, wrap_parts

NAMES = tuple(f"sensor{i}" for i in range(9))


class Many(nn.Module):
    """A maximum over the features of many modalities."""

    def __init__(self, names=NAMES):
        super().__init__()
        self.names = names
        self.encoders = nn.ModuleDict({name: nn.Linear(3, 6) for name in names})
        self.head = nn.Linear(6, 4)

    def forward(self, **inputs):
        encoded = [encoder(inputs[name]) for name, encoder in self.encoders.items()]
        return self.head(torch.tanh(torch.stack(encoded).amax(dim=0)))


def data(names=NAMES):
    generator = torch.Generator().manual_seed(0)
    inputs = {n: torch.randn(7, 3, generator=generator, dtype=torch.float64) for n in names}
    return inputs, torch.randint(4, (7,), generator=generator)


def wrapped(names=NAMES, level="inputs", method=None, **options):
    torch.manual_seed(1)
    encoders = None if level == "inputs" else {name: f"encoders.{name}" for name in names}
    model = Many(names).double()
    return wrap_parts(model, names, method, encoders=encoders, coalitions=level, **options)


def test_nine_modalities_warn_and_say_how_many_passes_they_take():
    message = (
        r"Shapley values of 9 modalities are sampled with 130 passes a step instead of 511.*"
        r"Pass coalitions=cp\.Coalitions\(sampling=.* to choose"
    )
    with pytest.warns(UserWarning, match=message):
        balanced = wrapped()
    assert balanced.sampling == cp.Sampling(130)


@pytest.mark.parametrize("attribution", ["alone", "leave_one_out"])
def test_attributions_that_need_few_coalitions_are_never_sampled(attribution):
    balanced = wrapped(attribution=attribution)
    assert balanced.sampling is None
    inputs, target = data()
    out = balanced(**inputs, target=target)
    assert out.sampling_error is None
    assert out.responses.shape == (9, 7, 4)


def test_eight_modalities_are_exact():
    balanced = wrapped(NAMES[:8])
    assert balanced.sampling is None


@pytest.mark.parametrize("level", ["inputs", "features", "shared"])
def test_a_sampled_step_takes_the_stated_passes_and_reports_its_error(level):
    balanced = wrapped(level=level, sampling=cp.Sampling(50))
    inputs, target = data()
    balanced.validate(**inputs)
    balanced.runner.facts = replace(balanced.runner.facts, batched=False)
    with Calls(balanced.model.head) as calls:
        out = balanced(**inputs, target=target)
    assert len(calls) == 50
    assert out.sampling_error.shape == (9,)
    assert out.sampling_error.gt(0).all()
    assert not out.sampling_error.requires_grad
    torch.testing.assert_close(out.responses.sum(dim=0), out.logits)
    out.loss.backward()
    assert all(g.isfinite().all() for g in gradients(balanced).values())


@pytest.mark.parametrize("level", ["features", "shared"])
def test_levels_agree_on_the_same_draw(level):
    outs = []
    for at in ("inputs", level):
        balanced = wrapped(level=at, sampling=cp.Sampling(50))
        inputs, target = data()
        for seed in range(2):
            torch.manual_seed(seed)
            out = balanced(**inputs, target=target)
        out.loss.backward()
        outs.append((out, gradients(balanced)))
    (whole, its_grads), (replayed, grads) = outs
    torch.testing.assert_close(replayed.responses, whole.responses)
    torch.testing.assert_close(replayed.coefficients, whole.coefficients)
    torch.testing.assert_close(replayed.sampling_error, whole.sampling_error)
    for name, expected in its_grads.items():
        torch.testing.assert_close(grads[name], expected)


def test_sampled_responses_are_within_their_stated_error_of_the_exact_ones():
    names = NAMES[:5]
    exact = wrapped(names).eval().respond(**data(names)[0]).responses
    sampled = wrapped(names, sampling=cp.Sampling(2 + 8 * 16)).eval()
    out = sampled.respond(**data(names)[0])
    distance = (out.responses - exact).flatten(1).square().mean(dim=1).sqrt()
    assert (distance / out.sampling_error).square().mean().sqrt() < 2


def test_no_strength_is_joint_training_also_when_sampled():
    inputs, target = data()
    trained = []
    for method, sampling in ((cp.Joint(), None), (cp.AGM(alpha=0.0), cp.Sampling(50))):
        balanced = wrapped(NAMES[:8], method=method, sampling=sampling)
        balanced(**{n: inputs[n] for n in NAMES[:8]}, target=target).loss.backward()
        trained.append(gradients(balanced))
    assert all(torch.equal(g, trained[0][name]) for name, g in trained[1].items())


def test_sampling_goes_with_shapley_values_alone():
    message = r"`sampling` should go with attribution=\"shapley\"; found 'alone'\. Leave"
    with pytest.raises(ValueError, match=message):
        wrapped(attribution="alone", sampling=cp.Sampling(50))


def test_too_few_passes_are_said_when_the_model_is_wrapped():
    with pytest.raises(ValueError, match=r"`num_passes` should be at least 34; found 20\."):
        wrapped(sampling=cp.Sampling(20))
