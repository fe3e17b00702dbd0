"""What is wrong with a call, or would be ignored, is said; what is right goes on afterwards."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.engine import evaluator
from counterpoise.engine import statistics as engine_statistics
from support.networks import MaxOut, batch
from support.wrapping import gradients
from zoo.kinds import CLASSES, THREE, WIDTH, Concat, draw, head, mlp, vectors
from zoo.refusals import CLOSE, LEVELS, assert_refuses, assert_same_step, made, wrap


@pytest.mark.parametrize("name", ["method", "score", "criterion", "modalities"])
def test_what_the_model_was_wrapped_with_cannot_be_assigned(name):
    balanced = wrap(made(head), "shared")
    with pytest.raises(TypeError, match=rf"`{name}` should stay what the model was wrapped with"):
        setattr(balanced, name, getattr(balanced, name))
    balanced.monitor = True  # which is asked in each step


class Labelled(nn.Module):
    """Takes labels in training."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = mlp(5), mlp(11), head()

    def forward(self, ear, eye, target=None):
        return self.rest(self.ear(ear), self.eye(eye))


def test_a_model_that_would_never_be_handed_its_target_is_refused():
    with pytest.raises(ValueError, match=r"labels by another name than `target`.*; found `target`"):
        cp.Balanced(Labelled(), ("ear", "eye"))


SELECTIONS = {
    "dict": (lambda output: {"logits": output}, "dict"),
    "array": (lambda output: output.detach().numpy(), "ndarray"),
    "number": (torch.mean, "one number"),
}


@pytest.mark.parametrize(("select", "found"), SELECTIONS.values(), ids=SELECTIONS.keys())
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_selected_has_to_be_logits(level, select, found):
    balanced, (inputs, target, _) = wrap(made(head), level, select=select), vectors()(0)
    assert_refuses(lambda: balanced(**inputs, target=target), "ogits", found)


CRITERIA = {
    "dict": (lambda logits, target: {"loss": logits.mean()}, "dict"),
    "number": (lambda logits, target: logits.mean().item(), "float"),
}


@pytest.mark.parametrize(("criterion", "found"), CRITERIA.values(), ids=CRITERIA.keys())
@pytest.mark.parametrize("method", [cp.Joint, cp.AGM])
def test_a_criterion_has_to_return_the_loss(method, criterion, found):
    balanced = wrap(made(head), "shared", method=method(), criterion=criterion)
    inputs, target, _ = vectors()(0)
    assert_refuses(lambda: balanced(**inputs, target=target), "`criterion`", found)


class Squeezed(nn.Module):
    """Drops all axes of size one."""

    def __init__(self, num_outputs):
        super().__init__()
        self.linear = nn.Linear(2 * WIDTH, num_outputs)

    def forward(self, *features):
        return self.linear(torch.cat(features, dim=1)).squeeze()


@pytest.mark.parametrize("num_outputs", [1, CLASSES])
@pytest.mark.parametrize("level", LEVELS)
def test_a_model_that_squeezes_the_batch_away_is_refused_at_one_row(level, num_outputs):
    model = made(lambda: Squeezed(num_outputs))
    score = cp.scores.SquaredError() if num_outputs == 1 else None
    balanced = wrap(model, level, score=score)
    for rows in (7, 1):
        inputs, target, _ = draw(0, rows, ear=(5,), eye=(11,))
        target = target.float() if score else target

        def call(inputs=inputs, target=target):
            return balanced(**inputs, target=target)

        if rows == 7:
            call()
        else:
            assert_refuses(call, "row")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", LEVELS)
def test_training_goes_on_after_a_call_in_inference_mode(level, dtype):
    model = made(partial(head, 3), THREE).to(dtype)
    twin, balanced = (
        wrap(each, level, names=THREE, method=cp.chain(cp.UnimodalLoss(), cp.AGM()))
        for each in (model, deepcopy(model))
    )
    inputs, target, _ = vectors(THREE)(0)
    inputs = {name: x.to(dtype) for name, x in inputs.items()}
    with torch.inference_mode():
        balanced.eval().respond(**inputs, target=target)
    found = balanced.train()(**inputs, target=target)
    assert_same_step((balanced, found), (twin, twin(**inputs, target=target)))


def test_a_model_that_is_trained_within_a_wrapper_in_eval_mode_is_told():
    balanced = wrap(made(head), "shared").eval()
    inputs, target, _ = vectors()(0)
    balanced(**inputs, target=target)
    balanced.model.train()
    with torch.no_grad():
        balanced(**inputs, target=target)
    with pytest.warns(UserWarning, match=r"found it in eval mode.*Call `balanced.train\(\)`"):
        balanced(**inputs, target=target)


class Both(cp.Method):
    """Modulates responses, and looks at other passes without gradient afterwards."""

    def needs(self):
        return cp.Needs(responses="gradients", unimodal_logits="values")

    def coefficients(self, signals):
        return torch.tensor([0.5, 1.25, 1.5])


def normalised_head():
    return Concat(nn.Linear(3 * WIDTH, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, CLASSES))


@pytest.mark.parametrize("rest", [partial(head, 3), normalised_head])
def test_what_is_forgotten_is_computed_again_as_it_was(rest, monkeypatch):
    def trained():
        balanced = wrap(made(rest, THREE), "shared", names=THREE, method=Both())
        inputs, target, _ = vectors(THREE)(0)
        balanced(**inputs, target=target).loss.backward()
        return gradients(balanced)

    expected = trained()
    monkeypatch.setattr(evaluator, "CHUNK_BYTES", 1)
    for name, gradient in trained().items():
        torch.testing.assert_close(gradient, expected[name], **CLOSE)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_what_is_forgotten_is_computed_again_by_the_statistics_of_its_step(
    monkeypatch, statistics, watched
):
    if watched:  # as older releases of PyTorch leave it open: statistics are worked out late
        monkeypatch.setattr(engine_statistics, "_watching", None)
    how = cp.Coalitions(level="shared", statistics=statistics)

    def trained():
        torch.manual_seed(3)
        model = MaxOut(3).double()
        balanced = cp.Balanced(model, model.encoders, cp.AGM(), coalitions=how)
        batches = [batch(3, 7, dtype=torch.float64, seed=seed) for seed in range(4)]
        for inputs, target in batches[:2]:  # the engine looks at the model
            balanced(**inputs, target=target)
        losses = [balanced(**inputs, target=target).loss for inputs, target in batches[2:]]
        sum(losses).backward()
        return gradients(balanced)

    expected = trained()
    monkeypatch.setattr(evaluator, "CHUNK_BYTES", 1)
    for name, gradient in trained().items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12)


def test_values_without_gradient_are_the_same_in_chunks(monkeypatch):
    inputs, target, _ = vectors(THREE)(0)
    balanced = wrap(made(normalised_head, THREE), "shared", names=THREE).eval()
    expected = balanced.respond(**inputs, target=target)
    monkeypatch.setattr(evaluator, "CHUNK_BYTES", 1)
    found = balanced.respond(**inputs, target=target)
    torch.testing.assert_close(found.responses, expected.responses, **CLOSE)
    torch.testing.assert_close(found.scores, expected.scores, **CLOSE)


def test_an_encoder_that_went_elsewhere_is_named():
    balanced, (inputs, target, _) = wrap(made(head), "shared"), vectors()(0)
    balanced(**inputs, target=target)
    balanced.model.encoders["sight"] = balanced.model.encoders.pop("eye")
    assert_refuses(lambda: balanced(**inputs, target=target), "'encoders.eye'", "Wrap the model")


def test_a_replica_of_data_parallel_is_refused_where_a_method_would_learn():
    (inputs, target, _) = vectors()(0)
    replica = wrap(made(head), "shared")._replicate_for_data_parallel()
    assert_refuses(lambda: replica(**inputs, target=target), "DataParallel", "one device")
    joint = wrap(made(head), "shared", method=cp.Joint())._replicate_for_data_parallel()
    joint.model = made(head)  # as PyTorch gives a replica modules of its own
    assert joint(**inputs, target=target).loss.isfinite()
