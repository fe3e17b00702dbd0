"""What is wrong with a set-up is said up front: the thing, the rule, what was found, what to do."""

import pytest
import torch
from torch import nn

import counterpoise as cp
from support.networks import Late, batch
from support.wrapping import wrap, wrap_parts


def made(fusion=Late, num_modalities=2, **options):
    torch.manual_seed(5)
    return fusion(num_modalities, **options)


def data(num_modalities=2, rows=7):
    return batch(num_modalities, rows, dtype=torch.float32)


# -- when a model is wrapped -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modalities", "kind", "message"),
    [
        ("ear", TypeError, r"`modalities` should be a sequence of names; found 'ear'\. Pass for"),
        (("ear", 3), TypeError, r"`modalities` should be a sequence of names; found \('ear', 3\)"),
        (("ear",), ValueError, r"`modalities` should name two or more; found 1\. One modality has"),
        ((), ValueError, r"`modalities` should name two or more; found 0\."),
        (
            ("ear", "eye", "ear"),
            ValueError,
            r"`modalities` should differ from each other; found 'ear' twice\. Remove one\.",
        ),
        (
            ("ear", "target"),
            ValueError,
            r"`modalities` should leave the name 'target' to the labels; found it among them\. "
            r"Rename",
        ),
    ],
)
def test_wrong_modalities(modalities, kind, message):
    with pytest.raises(kind, match=message):
        cp.Balanced(made(), modalities)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoders": {"ear": "ear", "eye": "eeye"}},
            r"`encoders\['eye'\]` should be the path of a module of the model; found 'eeye'\. Did "
            r"you mean 'eye'\? See `model\.named_modules\(\)`",
        ),
        (
            {"encoders": {"ear": "ear", "eye": ""}},
            r"`encoders\['eye'\]` should be the path of a module of the model; found ''\.",
        ),
        (
            {"encoders": {"ear": "ear", "eye": "head.weight"}},
            r"`encoders\['eye'\]` should be the path of a module.*; found 'head\.weight'",
        ),
        (
            {"encoders": {"ear": "ear", "eyes": "eye"}},
            r"`encoders` should name modalities, which are ear, eye; found 'eyes'\. Did you mean "
            r"'eye'\?",
        ),
        (
            {"encoders": {"ear": "ear"}},
            r"`encoders` should name an encoder for each modality when coalitions=\"features\"; "
            r"found none for eye\. Add it, or use coalitions=\"inputs\"",
        ),
        (
            {"coalitions": "shared"},
            r"`encoders` should name an encoder for each modality when coalitions=\"shared\"; "
            r"found none for ear, eye\.",
        ),
        (
            {"encoders": {"ear": "ear", "eye": "ear"}},
            r"`encoders` should be a different module for each modality; found 'ear' for both "
            r"'ear' and 'eye'\. For tied encoders use coalitions=\"inputs\" without `encoders`",
        ),
        (
            {"coalitions": "feature"},
            r"`coalitions` should be one of 'inputs', 'features', 'shared'; found 'feature'\. Did "
            r"you mean 'features'\?",
        ),
        (
            {"attribution": "shaply"},
            r"`attribution` should be one of 'shapley', 'leave_one_out', 'alone'; found 'shaply'\. "
            r"Did you mean 'shapley'\?",
        ),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        wrap_parts(made(), ("ear", "eye"), **options)


def test_tied_encoders_are_named_as_such():
    model = made()
    model.eye = model.ear
    with pytest.raises(ValueError, match=r"found 'eye' for both 'ear' and 'eye'\. For tied"):
        wrap(model, "features")


def test_levels_by_default():
    assert cp.Balanced(made(), ("ear", "eye")).level == "inputs"
    model = made()
    assert wrap_parts(model, model.names, encoders=model.encoders).level == "features"


# -- at every call ---------------------------------------------------------------------------------


def test_a_missing_modality():
    balanced = wrap(made())
    inputs, target = data()
    message = r"Modality 'eye' should be given as a keyword; found ear\. Pass its batch"
    for call in (balanced, balanced.eval(), balanced.respond, balanced.validate):
        with pytest.raises(TypeError, match=message):
            call(ear=inputs["ear"], target=target)
    with pytest.raises(TypeError, match=r"Modality 'ear' should .*; found no keyword\."):
        balanced()
    with pytest.raises(TypeError, match=r"Modality 'eye' should .*; found ear, eye\."):
        balanced(ear=inputs["ear"], eye=None)


def test_a_keyword_that_the_model_does_not_take():
    class Narrow(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, ear, eye, scale=1.0):
            return self.layer(ear) * scale + self.layer(eye)

    balanced = cp.Balanced(Narrow(), ("ear", "eye"))
    message = (
        r"Keyword 'scael' should be a modality or an argument of the model's forward, which takes "
        r"ear, eye, scale; found neither\. Did you mean 'scale'\?"
    )
    with pytest.raises(TypeError, match=message):
        balanced(ear=torch.ones(2, 3), eye=torch.ones(2, 3), scael=2.0, target=torch.zeros(2))


def test_training_without_a_target():
    balanced = wrap(made())
    message = (
        r"`target` should be given in training mode; found None\. Call "
        r"balanced\(\.\.\., target=labels\), or balanced\.eval\(\) first"
    )
    with pytest.raises(TypeError, match=message):
        balanced(**data()[0])
