"""Maxout layers: against a plain twin, running statistics, dropout, what is refused."""

import pytest
import torch
from torch import nn

from counterpoise.models import Concatenation, MaxOutLayers
from support import plain


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_maxout_layers_parameters():
    joined = 12
    layers = MaxOutLayers(joined, (19, 23), num_pieces=3)
    first, second = (joined + 1) * 3 * 19, (19 + 1) * 3 * 23
    assert num_parameters(layers) == 2 * joined + first + 2 * 19 + second + 2 * 23
    assert layers.num_features == 23


def plain_normalised(p, name, rows, eps):
    mean = sum(rows) / len(rows)
    variance = sum((row - mean) ** 2 for row in rows) / len(rows)
    return [
        (row - mean) / (variance + eps).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]
        for row in rows
    ]


def plain_maxout(p, inputs, num_pieces):
    """The maxout network row by row and unit by unit, with the statistics of the batch."""
    rows = plain_normalised(p, "layers.0", list(inputs), 1e-4)
    for layer in (1, 4):
        weight, bias = p[f"layers.{layer}.linear.weight"], p[f"layers.{layer}.linear.bias"]
        units = range(len(bias) // num_pieces)
        rows = [
            torch.stack(
                [
                    max(
                        weight[unit * num_pieces + k] @ row + bias[unit * num_pieces + k]
                        for k in range(num_pieces)
                    )
                    for unit in units
                ]
            )
            for row in rows
        ]
        rows = plain_normalised(p, f"layers.{layer + 1}", rows, 1e-5)
    return [torch.stack(rows)]


@pytest.mark.parametrize("num_pieces", [2, 3])
def test_maxout_layers_are_their_plain_twin(num_pieces):
    torch.manual_seed(107)
    layers = MaxOutLayers(5, (7, 11), num_pieces=num_pieces, dropout=0.0).double()
    inputs = torch.randn(13, 5, dtype=torch.float64)
    plain.agree(layers, lambda p, x: plain_maxout(p, x, num_pieces), inputs)


def test_maxout_layers_drop_in_training_alone():
    torch.manual_seed(157)
    layers, inputs = MaxOutLayers(5, (701,)), torch.randn(3, 5)
    dropped = (layers(inputs) == 0).double().mean()
    assert 0.25 < dropped < 0.35
    assert not (layers.eval()(inputs) == 0).any()


def test_maxout_layers_keep_running_statistics_as_batch_norm_does():
    torch.manual_seed(157)
    layers, inputs = MaxOutLayers(5, (7,)), torch.randn(13, 5)
    layers(inputs)
    torch.testing.assert_close(layers.layers[0].running_mean, 0.1 * inputs.mean(0))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MaxOutLayers(0, (7,)), "`num_inputs` should be at least 1; found 0"),
        (lambda: MaxOutLayers(5, ()), r"`widths` should have at least 1 entries; found \[\]"),
        (lambda: MaxOutLayers(5, (0,)), r"`widths\[0\]` should be at least 1; found 0"),
        (lambda: MaxOutLayers(5, (7,), num_pieces=1), "`num_pieces` should be at least 2; found 1"),
        (lambda: MaxOutLayers(5, (7,), dropout=1.0), "`dropout` .* below 1; found 1.0"),
        (
            lambda: Concatenation((5, 7), 3, network=nn.Linear(12, 2)),
            "`network` should have an attribute num_features.* found none on Linear",
        ),
        (
            lambda: Concatenation((5, 7), 3, (11,), network=MaxOutLayers(12, (2,))),
            r"`widths` should be left out where `network` is given; found \[11\]",
        ),
    ],
)
def test_maxout_layers_and_networks_of_ones_own_name_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()
