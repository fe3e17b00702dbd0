"""A method of a user's own that would act nowhere is an error, and so are answers of odd forms."""

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from support.additive import additive
from support.networks import Late, batch
from support.wrapping import wrap_parts

FACTORS = torch.tensor([0.0, 5.0])


class Scales(cp.Method):
    def encoder_factors(self, signals):
        return FACTORS


class Unasked(cp.Method):
    def coefficients(self, signals):
        return FACTORS


class OnValues(Unasked):
    def needs(self):
        return cp.Needs(responses="values")


class OnHeads(Unasked):
    def needs(self):
        return cp.Needs(unimodal_logits="gradients")


class Features(cp.Method):
    def feature(self, index, feature):
        return 0 * feature


class Rates(cp.Method):
    def learning_rates(self):
        return FACTORS


class Misspelt(cp.Method):
    def needs(self):
        return cp.Needs(responses="gradient")


class TooMany(Unasked):
    def needs(self):
        return cp.Needs(responses="gradients")

    def coefficients(self, signals):
        return torch.ones(3)


class Vector(cp.Method):
    def loss(self, joint, signals):
        return F.cross_entropy(signals.logits, signals.target, reduction="none")


def wrapped(method, **options):
    torch.manual_seed(5)
    model = Late(2, norm=False)
    return wrap_parts(model, model.names, method, **options)


def step(balanced):
    inputs, target = batch(2, 7, dtype=torch.float32)
    out = balanced(**inputs, target=target)
    out.loss.backward()
    return out, {n: p.grad.clone() for n, p in balanced.model.named_parameters()}


def test_factors_of_encoders_act_whether_or_not_the_method_says_so():
    encoders = Late(2).encoders
    _, plain = step(wrapped(cp.Joint(), encoders=encoders))
    out, found = step(wrapped(Scales(), encoders=encoders))
    assert torch.equal(out.coefficients, FACTORS)
    for name, gradient in plain.items():
        factor = {"ear": 0.0, "eye": 5.0}.get(name.split(".")[0], 1.0)
        torch.testing.assert_close(found[name], factor * gradient)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            Scales,
            r"`modalities` should name encoders for Scales, which acts on them; found none for ear",
        ),
        (
            Rates,
            r"`modalities` should name branches for Rates, which acts on them; found none for ear",
        ),
        (Unasked, r'`Unasked.needs\(\)` should ask for responses with "gradients" where `coeff'),
        (
            Features,
            r"`Features.needs\(\)` should ask for features where `feature` is overridden; f",
        ),
    ],
)
def test_what_would_never_act_is_an_error_when_the_model_is_wrapped(method, message):
    with pytest.raises(ValueError, match=message):
        wrapped(method())


@pytest.mark.parametrize(
    "make",
    [
        lambda: wrapped(OnValues()),
        lambda: additive(2, method=OnHeads(), level="shared"),
    ],
)
def test_factors_of_responses_that_carry_no_gradient_are_an_error(make):
    message = (
        r"coefficients` should return factors only where `needs\(\)` asks for responses with "
        r'"gradients"; found that it does not, which leaves nothing to scale'
    )
    with pytest.raises(ValueError, match=message):
        step(make())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Misspelt, r"`Misspelt.needs\(\).responses` should be .*; found 'gradient'"),
        (TooMany, r"should return one factor a modality, shape \(2,\); found \(3,\)"),
        (Vector, r"the method's loss, should be one number; found shape \(7,\)\. Reduce it"),
    ],
)
def test_answers_of_another_form_are_errors(method, message):
    with pytest.raises(ValueError, match=message):
        step(wrapped(method()))


def test_encoders_that_share_a_parameter_are_an_error_for_methods_that_scale_them():
    torch.manual_seed(5)
    model = Late(2, norm=False)
    shared = next(name for name, _ in model.ear.named_modules() if name)
    setattr(model.eye, shared, getattr(model.ear, shared))
    message = r"The branches should own each parameter once; found 'ear\..*' in those of 'ear' and"
    with pytest.raises(ValueError, match=message):
        wrap_parts(model, model.names, cp.OGM(), encoders=model.encoders)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": cp.AGM}, r"`method` should be a method .*; found the class AGM\. Pass an obj"),
        ({"method": "agm"}, r"`method` should be a method such as cp.AGM\(\); found 'agm'"),
        ({"score": cp.scores.CrossEntropy}, r"`score` should be a function .* the class CrossEn"),
        ({"score": "mse"}, r"`score` should be a function of logits and target; found 'mse'"),
        ({"criterion": torch.nn.MSELoss}, r"`criterion` should be a function .* class MSELoss"),
    ],
)
def test_classes_and_names_in_place_of_objects_are_errors(options, message):
    options = {"method": cp.Joint(), **options}
    with pytest.raises(TypeError, match=message):
        wrapped(options.pop("method"), **options)


def test_a_reference_is_an_object():
    with pytest.raises(TypeError, match=r"`reference` should be a reference such as RunningMean"):
        cp.AGM(reference=cp.references.ExponentialAverage)
