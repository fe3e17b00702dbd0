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
    assert {n: v.clone() for n, v in nn.ModuleDict(teachers).state_dict().items()}.keys() == (
        before.keys()
    )
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
