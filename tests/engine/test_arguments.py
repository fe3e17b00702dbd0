"""Arguments that are wrong and are taken, or are refused in words that do not help."""

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.core.references import ExponentialAverage, Fixed
from support.networks import Late, batch
from support.oracle import Oracle
from support.wrapping import gradients, wrap, wrap_parts


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, ear, eye, scale=1.0):
        return self.layer(ear) + self.layer(eye.data if hasattr(eye, "box") else eye)


def test_a_modality_that_the_model_does_not_take_is_an_error_when_it_is_wrapped():
    message = r"`modalities` .*ear, eye, scale.*; found 'eyes'.*Did you mean 'eye'\?"
    with pytest.raises(ValueError, match=message):
        cp.Balanced(Named(), ("ear", "eyes"))


class Box:
    """A container that PyTorch's pytree does not know, as tokenisers return."""

    box = True

    def __init__(self, data):
        self.data = data


def test_a_modality_without_a_tensor_is_an_error():
    """It could never be made absent: its coalitions would silently all contain it."""
    balanced = cp.Balanced(Named(), ("ear", "eye"))
    with pytest.raises(TypeError, match=r"Modality 'eye' should .*tensor.*; found Box"):
        balanced(
            ear=torch.ones(7, 3), eye=Box(torch.ones(7, 3)), target=torch.zeros(7, dtype=torch.long)
        )


@pytest.mark.parametrize(
    "options",
    [
        {"sampling": cp.Sampling(2)},
        {"sampling": cp.Sampling(50), "attribution": "alone"},
    ],
)
def test_a_method_may_be_used_again_after_wrapping_failed(options):
    method = cp.AGM()
    with pytest.raises(ValueError, match=r"`num_passes`|`sampling`"):
        wrap_parts(Late(2), ("ear", "eye"), method, **options)
    cp.Balanced(Late(2), ("ear", "eye"), method)


def test_a_method_may_be_used_again_after_its_reference_did_not_fit():
    method = cp.AGM(reference=Fixed(scores=[1.0, 2.0]))
    with pytest.raises(ValueError, match="`scores` should be one a modality, 3 here; found 2"):
        cp.Balanced(Late(3), ("ear", "eye", "hand"), method)
    cp.Balanced(Late(2), ("ear", "eye"), method)


@pytest.mark.parametrize("modalities", [{"ear", "eye"}, 3, (n for n in ("ear", "eye"))])
def test_modalities_without_an_order_or_a_length_are_an_error(modalities):
    with pytest.raises(TypeError, match=r"`modalities` should be names; found"):
        cp.Balanced(Late(2), modalities)


def test_a_decay_of_one_is_refused_in_words_that_exclude_one():
    with pytest.raises(ValueError, match=r"`decay` should be .*below 1; found 1\.0"):
        ExponentialAverage(1.0)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_fixed_scores_are_finite(score):
    with pytest.raises(ValueError, match=r"`scores` should be finite; found"):
        Fixed(scores=[score, 1.0])


def test_a_strength_that_is_no_number_is_an_error():
    with pytest.raises(TypeError, match=r"`alpha` should be a number; found '1'"):
        cp.AGM(alpha="1")


@pytest.mark.parametrize("absence", [cp.absence.Noise(), cp.absence.Learned((3,))])
def test_ids_can_be_neither_noise_nor_learned(absence):
    """Learned values are rounded to ids and never learn; noise fails without naming anybody."""
    absent = cp.absence.AbsentValues(("text", "image"), {"text": absence})
    with pytest.raises(
        TypeError, match=r"modality 'text'.* should .*floating.*; found torch\.int64"
    ):
        absent(0, torch.ones(7, 3, dtype=torch.long))


def test_the_form_of_a_nest_is_told_in_the_users_terms():
    absent = cp.absence.AbsentValues(("text", "image"), {"text": [cp.absence.Zeros()]})
    with pytest.raises(ValueError, match="`absent` for modality 'text'") as caught:
        absent(0, {"ids": torch.ones(7, 3)})
    assert "TreeSpec" not in str(caught.value)


class PartlyShared(Late):
    def build(self, num_modalities, norm):
        super().build(num_modalities, norm)
        self.ear.layers[4] = self.eye.layers[4]


@pytest.mark.parametrize("level", ["features", "shared"])
def test_encoders_may_share_parameters(level):
    torch.manual_seed(2)
    model = PartlyShared(3, norm=False).double()
    oracle = Oracle(PartlyShared(3, norm=False).double(), model.names, alpha=1.7)
    oracle.model.load_state_dict(model.state_dict())
    inputs, target = batch(3, 7)
    wrap(model, level)(**inputs, target=target).loss.backward()
    oracle.step(inputs, target)
    for name, expected in gradients(oracle.model).items():
        torch.testing.assert_close(gradients(model)[name], expected, rtol=1e-11, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.*:DeprecationWarning")
def test_a_window_in_epochs_does_not_compile_anew_every_epoch():
    torch.compiler.reset()
    torch.manual_seed(2)
    balanced = wrap(Late(2, norm=False), method=cp.Windowed(cp.AGM(), 2, 40))
    inputs, target = batch(2, 7, dtype=torch.float32)
    balanced.validate(**inputs)
    graphs = []

    def count(graph, example):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(balanced, backend=count, fullgraph=True)
    for epoch in range(12):
        balanced.method.set_epoch(epoch)
        compiled(**inputs, target=target)
    assert len(graphs) <= 4


@pytest.mark.parametrize("needs", [None, ("values",), "gradients"])
def test_what_a_method_needs_is_said_by_needs(needs):
    class Vague(cp.Method):
        def needs(self):
            return needs

    with pytest.raises(TypeError, match=r"`Vague\.needs\(\)` should return a cp.Needs; found"):
        cp.Balanced(Late(2), ["ear", "eye"], Vague())
