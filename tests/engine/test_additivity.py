"""Heads that are named for an additive fusion are held against the model on the first batch."""

import pytest
import torch
from torch import nn

import counterpoise as cp
from support.additive import Additive
from support.networks import MaxOut, batch
from support.wrapping import wrap_parts


class InPlace(Additive):
    """Adds the logits up in the tensor that the first head returned."""

    def forward(self, **inputs):
        features = self.features(inputs)
        total = self.heads[0](features[0])
        for head, feature in zip(self.heads[1:], features[1:], strict=True):
            total += head(feature)
        return total


def step(model, heads, method=None, num_modalities=2):
    inputs, target = batch(num_modalities, 7, dtype=torch.float32)
    method = cp.UnimodalLoss() if method is None else method
    balanced = wrap_parts(model, model.names, method, encoders=model.encoders, heads=heads)
    balanced(**inputs, target=target).loss.backward()
    return balanced


def additive(kind=Additive, num_modalities=2):
    torch.manual_seed(5)
    return kind(num_modalities)


@pytest.mark.parametrize("kind", [Additive, InPlace])
@pytest.mark.parametrize("num_modalities", [2, 3])
def test_right_heads_pass_and_leave_no_trace(kind, num_modalities):
    model = additive(kind, num_modalities)
    modes = [each.training for each in model.modules()]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    balanced = step(model, model.head_paths, num_modalities=num_modalities)
    assert torch.equal(torch.rand(2), expected)
    assert [each.training for each in model.modules()] == modes
    inputs, _ = batch(num_modalities, 7, dtype=torch.float32)
    out = balanced.eval().respond(**inputs)
    found = [h(f) for h, f in zip(model.heads, model.features(inputs), strict=True)]
    assert torch.equal(out.unimodal_logits, torch.stack(found).detach())


def test_heads_of_each_other_are_an_error():
    message = (
        r"The head of modality 'eye', 'heads.0', should see that modality alone; found that its "
        r"output changes when 'ear' is absent\. Name each"
    )
    with pytest.raises(ValueError, match=message):
        step(additive(), {"ear": "heads.1", "eye": "heads.0"})


def test_a_head_that_is_never_called_is_an_error():
    model = additive()
    model.spare = nn.Linear(model.width, model.num_classes)
    message = (
        r"The head of modality 'eye', 'spare', should be called exactly once .* found none\. Name "
        r"a module that is called once \(by `module\(...\)`, not by another method\)\.$"
    )
    with pytest.raises(RuntimeError, match=message):
        step(model, {"ear": "heads.0", "eye": "spare"})


def test_one_head_for_two_modalities_is_an_error():
    message = r"The head of each modality should be a different module; found 'heads.0' for both"
    with pytest.raises(ValueError, match=message):
        step(additive(), {"ear": "heads.0", "eye": "heads.0"})


def test_modules_that_are_no_heads_are_an_error():
    torch.manual_seed(5)
    model = MaxOut(2, norm=False)
    heads = {name: f"maps.{i}" for i, name in enumerate(model.names)}
    message = (
        r"outputs add up to the model's logits, in eval mode too; found \(7, \d+\), \(7, \d+\) for "
        r"logits of shape \(7, 4\) from 'maps.0', 'maps.1'\. Name no heads"
    )
    with pytest.raises(ValueError, match=message):
        step(model, heads)


def test_heads_that_are_weighed_differently_are_an_error():
    class Halves(Additive):
        def forward(self, **inputs):
            return super().forward(**inputs) / 2

    model = additive(Halves)
    with pytest.raises(
        ValueError, match=r"add up to the model's logits, in eval mode too; found another sum from"
    ):
        step(model, model.head_paths)
