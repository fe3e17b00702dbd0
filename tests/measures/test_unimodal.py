"""The same network with all modalities but one absent."""

from copy import deepcopy

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.data import Synthetic
from counterpoise.measures import UnimodalModel, UnimodalNetwork
from counterpoise.measures.unimodal import _row_axes
from counterpoise.training import Network
from support.networks import FUSIONS, MaxOut, batch
from support.wrapping import Calls, assert_same, gradients

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def made(fusion=MaxOut, **options):
    torch.manual_seed(5)
    return fusion(3, **options).double()


def alone(model, *, encoders=True, **options):
    paths = model.encoders if encoders else None
    return UnimodalModel(model, "eye", model.names, encoders=paths, **options)


def others_zero(inputs):
    return {name: x if name == "eye" else torch.zeros_like(x) for name, x in inputs.items()}


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("encoders", [False, True])
def test_it_is_the_network_with_the_others_absent(fusion, encoders):
    model = made(fusion).eval()
    inputs, _ = batch(3, 7)
    found = alone(model, encoders=encoders)(**inputs)
    torch.testing.assert_close(found, model(**others_zero(inputs)), **CLOSE)


@pytest.mark.parametrize("encoders", [False, True])
def test_what_the_others_are_makes_no_difference(encoders):
    module = alone(made(), encoders=encoders)
    inputs, _ = batch(3, 7)
    other = {name: x if name == "eye" else x + 5 for name, x in inputs.items()}
    assert torch.equal(module(**inputs), module(**other))
    assert not torch.equal(module(**inputs), module(**{**inputs, "eye": inputs["eye"] + 5}))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradients_are_those_of_the_network_with_the_others_absent(fusion):
    model = made(fusion, norm=False)
    inputs, target = batch(3, 7)
    plain = deepcopy(model)
    nn.functional.cross_entropy(plain(**others_zero(inputs)), target).backward()
    nn.functional.cross_entropy(alone(model)(**inputs), target).backward()
    found, expected = gradients(model), gradients(plain)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name, **CLOSE)


def test_encoders_of_absent_modalities_see_one_row_in_eval_mode():
    module = alone(made())
    inputs, _ = batch(3, 7)
    module(**inputs)  # the first time two rows too, to see where rows are
    before = deepcopy(module.state_dict())
    with Calls(module.model.ear.layers[0]) as ear, Calls(module.model.eye.layers[0]) as eye:
        module(**inputs)
    assert ear == [(1, "eval")]
    assert eye == [(7, "train")]
    assert all(each.training for each in module.modules())
    changed = {name for name, value in module.state_dict().items() if (value != before[name]).any()}
    assert any(name.startswith("model.eye") for name in changed)
    assert not any(name.startswith(("model.ear", "model.hand")) for name in changed)


def test_rows_that_differ_all_pass_the_encoder():
    module = alone(made(), absent={"ear": cp.absence.Noise(), "hand": cp.absence.Constant(2.0)})
    with Calls(module.model.ear.layers[0]) as ear, Calls(module.model.hand.layers[0]) as hand:
        module(**batch(3, 7)[0])
    assert [rows for rows, _ in ear] == [7]
    assert [rows for rows, _ in hand] == [1, 2]  # two to see where rows are


def test_an_encoder_without_rows_in_front_passes_the_whole_batch():
    class TimeFirst(nn.Module):
        def forward(self, x):
            return x.unsqueeze(0).expand(2, -1, -1) + 1

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = TimeFirst(), TimeFirst()

        def forward(self, left, right):
            return (self.left(left) + 3 * self.right(right)).sum(0)

    encoders = {"left": "left", "right": "right"}
    module = UnimodalModel(Sum(), "left", ("left", "right"), encoders=encoders)
    x = torch.randn(5, 3)
    torch.testing.assert_close(module(left=x, right=x), 2 * (x + 1) + 6)


def test_an_empty_batch_passes():
    inputs, _ = batch(3, 0)
    assert alone(made(norm=False))(**inputs).shape == (0, 4)


def test_built_by_a_recipe_it_starts_from_the_weights_of_the_joint_network():
    splits = Synthetic(num_train=7, num_validation=5, num_test=3).load()
    torch.manual_seed(3)
    joint = Network().build(splits)
    torch.manual_seed(3)
    module = UnimodalNetwork(Network(), "m2", cp.absence.Constant(0.5)).build(splits)
    assert_same(module.model.state_dict(), joint.state_dict())
    batch = splits.train.__getitems__([0, 1, 2])
    given = {"m1": torch.full((3, 32), 0.5), "m2": batch["m2"]}
    found = module(m1=batch["m1"], m2=batch["m2"])
    torch.testing.assert_close(found, joint(**given))


class States(nn.Module):
    """A recurrent encoder for each modality, of whose final state the rows are not in front."""

    names = ("ear", "eye")
    encoders = {name: name for name in names}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.ear, self.eye = nn.GRU(3, 5, batch_first=True), nn.LSTM(3, 5, batch_first=True)
        self.head = nn.Linear(15, 2)

    def forward(self, ear, eye):
        steps, state = self.ear(ear)
        parts = steps[:, -1], state[-1], self.eye(eye)[1][0][-1]
        return self.head(torch.cat(parts, dim=1))


def test_the_states_of_a_recurrent_encoder_are_repeated_along_their_rows():
    torch.manual_seed(5)
    model, inputs = States().double(), {n: torch.randn(7, 4, 3).double() for n in States.names}
    for rows in (7, 1, 5):  # the axes are found once
        given = {name: x[:rows] for name, x in inputs.items()}
        torch.testing.assert_close(alone(model)(**given), model(**others_zero(given)), **CLOSE)


def test_unknown_modalities_and_encoders_are_errors():
    model = made()
    with pytest.raises(
        ValueError, match=r"`modality` should be one of 'ear', .* found 'eyes'\. Did"
    ):
        UnimodalModel(model, "eyes", model.names)
    with pytest.raises(
        ValueError, match=r"The encoder of modality 'ear' should be the path .* found 'e'"
    ):
        UnimodalModel(model, "eye", model.names, encoders={"ear": "e"})


@pytest.mark.parametrize(
    ("one", "two", "axes"),
    [
        (torch.zeros(3, 1), torch.zeros(3, 2), [1]),
        (torch.zeros(1, 1), torch.zeros(2, 2), None),  # two axes grow
        (torch.zeros(3), torch.zeros(3), None),  # none does
        (torch.zeros(2, 5), torch.zeros(3, 5), None),  # not from one to two
        ([torch.zeros(1)], [torch.zeros(1), torch.zeros(1)], None),
    ],
)
def test_the_axis_of_rows_is_the_one_that_grows_from_one_to_two(one, two, axes):
    assert _row_axes(one, two) == axes
