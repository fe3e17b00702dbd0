"""UMT: features drawn to those of frozen teachers."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.harness import network
from support.methods import close, wrapped
from support.networks import batch


def test_umt_draws_features_to_those_of_the_teachers():
    model = network("maxout", 2, norm=False)
    teachers = {name: deepcopy(getattr(model, name)) for name in model.names}
    with torch.no_grad():
        teachers["eye"].layers[-1].bias += 0.5
    before = {n: v.clone() for n, v in nn.ModuleDict(teachers).state_dict().items()}
    balanced = wrapped(model, cp.UMT(teachers, weight=10.0))
    inputs, target = batch(2, 7)
    out = balanced(**inputs, target=target)
    joint = F.cross_entropy(model(**inputs), target)
    close(out.loss, joint + 10 * 0.25)  # equal but for 0.5 in all entries of one
    out.loss.backward()
    assert all(p.grad is None for t in teachers.values() for p in t.parameters())
    assert not any(t.training for t in balanced.method.teachers.modules())
    after = nn.ModuleDict(teachers).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(p.requires_grad for p in balanced.method.teachers.parameters())
    assert not any(target.requires_grad for target in balanced.method._targets)
    assert any(name.startswith("method.teachers.eye") for name in balanced.state_dict())


@pytest.mark.parametrize(
    ("teachers", "error", "message"),
    [
        (
            nn.Identity(),
            TypeError,
            r"`teachers` should map each modality to a module trained on it; found an Ident",
        ),
        (None, ValueError, r"for each of ear, eye; found none\. Pass what counterpoise\.exp"),
        (
            {"ear": nn.ReLU},
            TypeError,
            r"`teachers` should map each modality to a module trained on it; found",
        ),
        (
            {"ear": nn.Identity()},
            ValueError,
            r"`teachers` should have one for each of ear, eye; found ear\. Did you m",
        ),
        (
            {"ear": nn.Identity(), "eye": nn.Identity(), "eyes": nn.Identity()},
            ValueError,
            r"`teachers` should have one for each .* Did you mean 'eye'\? Name each once\.",
        ),
    ],
)
def test_teachers_that_do_not_fit_are_errors(teachers, error, message):
    with pytest.raises(error, match=message):
        cp.UMT(teachers).bind(("ear", "eye"))


def test_a_teacher_with_a_feature_of_another_shape_is_an_error():
    model = network("late", 2)
    teachers = {"ear": nn.Identity(), "eye": nn.Identity()}
    inputs, target = batch(2, 7)
    message = (
        r"The teacher of 'ear' should return a feature of the shape that the encoder returns, "
        r"\[\(7, 6\)\]; found \[\(7, 3\)\]\. Pass one built alike\."
    )
    with pytest.raises(ValueError, match=message):
        wrapped(model, cp.UMT(teachers))(**inputs, target=target)


def named(value=1.0):
    """Teachers of one weight each."""
    made = {name: nn.Linear(1, 1, bias=False) for name in ("ear", "eye")}
    for teacher in made.values():
        nn.init.constant_(teacher.weight, value)
    return made


def test_teachers_stay_in_eval_mode_and_are_shown_the_data_without_gradient():
    method = cp.UMT({name: nn.Sequential(nn.Dropout(), nn.ReLU()) for name in ("ear", "eye")})
    method.bind(("ear", "eye"))
    assert method.train() is method
    assert method.training
    assert not any(teacher.training for teacher in method.teachers.values())
    assert not method.train(False).training
    data = {name: torch.ones(7, 2, requires_grad=True) for name in ("ear", "eye")}
    assert method.inputs(data, None) is data
    for target in method._targets:
        assert torch.equal(target, torch.ones(7, 2))
        assert not target.requires_grad


def test_the_encoders_of_the_model_itself_may_be_teachers_and_are_trained():
    model = network("late", 2, norm=False)
    balanced = wrapped(model, cp.UMT({name: getattr(model, name) for name in model.names}))
    before = {n: v.clone() for n, v in balanced.state_dict().items()}
    inputs, target = batch(2, 7)
    balanced(**inputs, target=target).loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    after = balanced.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value) is name.startswith("method.teachers")


def test_teachers_that_were_never_trained_are_an_error_until_a_checkpoint_has_some():
    trained, fresh, untold = cp.UMT(named(2.0)), cp.UMT(), cp.UMT()
    for method in (fresh, untold):
        method.teach(named(), trained=False)
        method.bind(("ear", "eye"))
        with pytest.raises(ValueError, match=r"`teachers` should be trained for UMT; found encod"):
            method.inputs({"ear": torch.ones(1, 1), "eye": torch.ones(1, 1)}, None)
    fresh.load_state_dict(trained.state_dict())
    fresh.inputs({"ear": torch.ones(1, 1), "eye": torch.ones(1, 1)}, None)
    assert [target.item() for target in fresh._targets] == [2, 2]
    untold.load_state_dict({}, strict=False)
    with pytest.raises(ValueError, match="should be trained for UMT"):
        untold.inputs({}, None)
    taught = cp.UMT()
    taught.teach(named())
    taught.load_state_dict({}, strict=False)
    taught.bind(("ear", "eye"))
    taught.inputs({"ear": torch.ones(1, 1), "eye": torch.ones(1, 1)}, None)


def test_a_record_tells_teachers_by_what_they_hold():
    given, alike, other = (cp.UMT(named(v)).settings()["teachers"] for v in (1.0, 1.0, 2.0))
    assert given == alike
    assert all(given[name] != other[name] for name in given)
    assert all(text.startswith("Linear ") and len(text) == 7 + 16 for text in given.values())
    renamed = nn.Module()
    renamed.w = nn.Parameter(torch.ones(1, 1))
    renamed.__class__ = type("Linear", (nn.Module,), {})
    assert cp.UMT({"ear": renamed}).settings()["teachers"]["ear"] != given["ear"]
    later = cp.UMT(weight=3.0)
    later.teach(named())
    assert later.settings() == {"teachers": None, "weight": 3.0}
