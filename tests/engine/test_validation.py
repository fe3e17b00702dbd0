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
        ("ear", TypeError, r"`modalities` should be names; found 'ear'\. Pass for"),
        (("ear", 3), TypeError, r"`modalities` should be names; found \('ear', 3\)"),
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
            r"The encoder of modality 'eye' should be the path of a module of the model; found "
            r"'eeye'\. Did you mean 'eye'\? See `model\.named_modules\(\)`",
        ),
        (
            {"encoders": {"ear": "ear", "eye": "head.weight"}},
            r"The encoder of modality 'eye' should be the path of a module.*; found 'head\.weight'",
        ),
        (
            {"encoders": {"ear": "ear"}},
            r"`modalities` should name an encoder for each modality at level \"features\"; "
            r"found none for eye\. Add it, or use coalitions=\"inputs\"",
        ),
        (
            {"coalitions": "shared"},
            r"`modalities` should name an encoder for each modality at level \"shared\"; "
            r"found none for ear, eye\.",
        ),
        (
            {"encoders": {"ear": "ear", "eye": "ear"}},
            r"The encoder of each modality should be a different module; found 'ear' for both "
            r"'ear' and 'eye'\. Name each modality's own, or leave tied ones out",
        ),
        (
            {"coalitions": "feature"},
            r"`level` should be one of 'inputs', 'features', 'shared'; found 'feature'\. Did "
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
    with pytest.raises(ValueError, match=r"found 'eye' for both 'ear' and 'eye'\. .* leave tied"):
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
    with pytest.raises(TypeError, match=r"Modality 'eye' should .*; found None\."):
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
        r"ear, eye, scale; found neither\. Did you mean 'scale'\? Leave it out of the batch, or let"
    )
    with pytest.raises(TypeError, match=message):
        balanced(ear=torch.ones(2, 3), eye=torch.ones(2, 3), scael=2.0, target=torch.zeros(2))


def test_training_without_a_target():
    balanced = wrap(made())
    message = (
        r"`target` should be given in training mode, a tensor or a pytree of them; found None\. "
        r"Call balanced\(\.\.\., target=labels\), or balanced\.eval\(\) first"
    )
    with pytest.raises(TypeError, match=message):
        balanced(**data()[0])


# -- the calling form ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "modalities",
    [
        {"ear": "ear", "eye": "eye"},
        {"ear": cp.Modality(encoder="ear"), "eye": cp.Modality("eye")},
        {"ear": "ear", "eye": cp.Modality("eye", branch=("eye", "head"))},
    ],
)
def test_encoders_by_path_or_by_modality_make_coalitions_cheap(modalities):
    balanced = cp.Balanced(made(), modalities)
    assert balanced.modalities == ("ear", "eye")
    assert balanced.ownership.encoders == {"ear": "ear", "eye": "eye"}
    assert balanced.level == "shared"
    assert balanced.runner.setup.statistics == "batch"


@pytest.mark.parametrize(
    ("modalities", "level"),
    [(("ear", "eye"), "inputs"), ({"ear": "ear", "eye": "eye"}, "features")],
)
def test_published_is_a_name_for_the_papers_own_evaluation(modalities, level):
    balanced = cp.Balanced(made(), modalities, coalitions="published")
    assert (balanced.level, balanced.runner.setup.statistics) == (level, "running")


def test_an_encoder_for_one_modality_alone_leaves_whole_passes():
    balanced = cp.Balanced(made(), {"ear": "ear", "eye": cp.Modality()})
    assert balanced.level == "inputs"


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: cp.Modality(encoder=3), TypeError, r"`encoder` should be the path .*; found 3"),
        (lambda: cp.Modality(head=""), TypeError, r"`head` should be the path of a module"),
        (lambda: cp.Modality(branch=3), TypeError, r"`branch` should be the path .*; found 3"),
        (lambda: cp.Coalitions("feature"), ValueError, r"`level` .* Did you mean 'features'\?"),
        (lambda: cp.Coalitions(statistics="bat"), ValueError, r"`statistics` should be one of"),
        (lambda: cp.Coalitions(sampling=50), TypeError, r"`sampling` should be a cp\.Sampling"),
        (
            lambda: cp.Balanced(made(), ("ear", "eye"), coalitions="publish"),
            ValueError,
            r"`coalitions` should be one of .* Did you mean 'published'\?",
        ),
        (
            lambda: cp.Balanced(made(), ("ear", "eye"), coalitions=3),
            TypeError,
            r"`coalitions` should be a cp\.Coalitions, the name of a level or 'published'; found 3",
        ),
        (
            lambda: cp.Balanced(made(), {"ear": "ear", "eye": made().eye}),
            TypeError,
            r"`modalities` should map names to paths .*; found 'eye': an Encoder",
        ),
        (
            lambda: cp.Balanced(lambda ear, eye: ear, ("ear", "eye")),
            TypeError,
            r"`model` should be a torch\.nn\.Module; found the function",
        ),
        (lambda: cp.Balanced(type(made()), ("ear", "eye")), TypeError, r"found the class Late"),
        (
            lambda: cp.Balanced(made(), ("ear", "eye"), select="logits"),
            TypeError,
            r"`select` should be a function .*; found 'logits'",
        ),
    ],
)
def test_wrong_forms(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
