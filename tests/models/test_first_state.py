"""The transformer that is read at its first state: against a plain twin, order, refusals."""

import re

import pytest
import torch

from counterpoise.models import FirstStateTransformer
from support import plain


def test_first_state_parameters():
    layer = 4 * 12 * 13 + 12 * 17 + 17 + 17 * 12 + 12 + 4 * 12
    encoder = FirstStateTransformer(5, width=12, num_layers=3, num_heads=3, hidden=17)
    assert sum(p.numel() for p in encoder.parameters()) == 5 * 12 + 3 * layer


def test_first_state_is_its_plain_twin():
    torch.manual_seed(131)
    encoder = FirstStateTransformer(5, width=12, num_layers=2, num_heads=3, hidden=17).double()
    tokens = torch.randn(2, 7, 5, dtype=torch.float64)
    # The last state alone is read, but every token is attended to.
    plain.agree(encoder.eval(), lambda p, x: plain.first_state(p, x, 2, 3), tokens)


def test_first_state_depends_on_the_first_token_and_the_set_of_the_others():
    torch.manual_seed(137)
    encoder = FirstStateTransformer(5, width=12, num_layers=2, hidden=17).double().eval()
    tokens = torch.randn(2, 7, 5, dtype=torch.float64)
    shuffled = tokens[:, [0, 3, 6, 1, 5, 2, 4]]
    torch.testing.assert_close(encoder(shuffled), encoder(tokens), rtol=0, atol=1e-12)
    assert not torch.allclose(encoder(tokens.flip(1)), encoder(tokens))
    padded_with_zeros = torch.cat([tokens, torch.zeros_like(tokens)], dim=1)
    assert not torch.allclose(encoder(padded_with_zeros), encoder(tokens))


def test_first_state_layers_begin_with_weights_of_their_own():
    first, second = FirstStateTransformer(5, width=12, num_layers=2, hidden=17).layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_inputs": 0}, "`num_inputs` should be at least 1; found 0"),
        ({"width": 14}, "`width` should be a multiple of num_heads = 4; found 14. Choose 16"),
        ({"num_layers": 0}, "`num_layers` should be at least 1; found 0"),
        ({"hidden": 0}, "`hidden` should be at least 1; found 0"),
        ({"dropout": 1.0}, "`dropout` .* below 1; found 1.0"),
    ],
)
def test_first_state_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FirstStateTransformer(**{"num_inputs": 5, **arguments})


@pytest.mark.parametrize("shape", [(2, 5), (2, 7, 3), (2, 0, 5)])
def test_first_state_names_an_input_that_does_not_suit(shape):
    encoder = FirstStateTransformer(5, width=12, num_layers=1)
    message = re.escape(f"(batch, tokens, 5) of one token or more; found {shape}")
    with pytest.raises(ValueError, match=message):
        encoder(torch.zeros(shape))
