"""Every built network inside Balanced: paths accepted, the levels of the engine agree."""

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.models import (
    FUSIONS,
    Concatenation,
    FirstStateTransformer,
    MultimodalNetwork,
    Transformer,
    build,
)
from support.wrapping import wrap_parts

SHAPES = {"left": (5,), "middle": (3, 8), "right": (1, 11, 13)}
IMAGES = {"left": (1, 11, 13), "middle": (3, 8, 9), "right": (2, 17, 8)}


def gradients(fusion, shapes, level):
    torch.manual_seed(43)
    return step(build(shapes, 3, fusion=fusion, num_features=8), shapes, level)


def step(network, shapes, level):
    """Wrap a network without its dropout; return the output and gradients of a second step."""
    network.double()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for encoder in network.encoders.values():
        if isinstance(encoder, Transformer):
            for block in encoder.blocks:
                block.attention.dropout = 0.0
    balanced = wrap_parts(
        network,
        tuple(shapes),
        cp.AGM(alpha=1.0),
        encoders=network.encoder_paths,
        coalitions=level,
    )
    target = torch.tensor([0, 2])
    for _ in range(2):  # the second step has a reference to be compared with
        network.zero_grad()
        inputs = {name: torch.randn(2, *shape).double() for name, shape in shapes.items()}
        out = balanced(**inputs, target=target)
        F.cross_entropy(out.logits, target).backward()
    return out, [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize("shapes", [SHAPES, IMAGES], ids=["mixed", "images"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_levels_agree_on_every_built_network(fusion, shapes):
    expected, expected_gradients = gradients(fusion, shapes, "inputs")
    assert (expected.coefficients != 1).all()
    for level in ("features", "shared"):
        out, found = gradients(fusion, shapes, level)
        torch.testing.assert_close(out.responses, expected.responses, rtol=0, atol=1e-12)
        torch.testing.assert_close(out.coefficients, expected.coefficients, rtol=0, atol=1e-12)
        torch.testing.assert_close(found, expected_gradients, rtol=0, atol=1e-11)


def test_levels_agree_on_transformers_that_are_read_at_their_first_state():
    shapes = {"left": (2, 5), "middle": (3, 7), "right": (4, 11)}
    outcomes = []
    for level in ("inputs", "features", "shared"):
        torch.manual_seed(53)
        encoders = {
            name: FirstStateTransformer(size, width=8, num_layers=2, hidden=13, dropout=0.0)
            for name, (_, size) in shapes.items()
        }
        network = MultimodalNetwork(encoders, Concatenation((8, 8, 8), 3, widths=(17,)))
        outcomes.append(step(network, shapes, level))
    expected, expected_gradients = outcomes[0]
    for out, found in outcomes[1:]:
        torch.testing.assert_close(out.responses, expected.responses, rtol=0, atol=1e-12)
        torch.testing.assert_close(found, expected_gradients, rtol=0, atol=1e-11)


@pytest.mark.parametrize("level", ["inputs", "features", "shared"])
def test_padded_sequences_pass_through_every_level(level):
    torch.manual_seed(47)
    shapes = {"text": (7, 5), "other": (11,)}
    network = build(shapes, 3, fusion="cross_attention", num_features=8)
    balanced = wrap_parts(
        network,
        tuple(shapes),
        cp.AGM(alpha=1.0),
        encoders=network.encoder_paths,
        coalitions=level,
    )
    mask = torch.tensor([[True] * 3 + [False] * 4, [True] * 7])
    text = {"tokens": torch.randn(2, 7, 5), "mask": mask}
    out = balanced(text=text, other=torch.randn(2, 11), target=torch.tensor([0, 2]))
    torch.testing.assert_close(out.responses.sum(0), out.logits, rtol=0, atol=1e-5)
    out.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
