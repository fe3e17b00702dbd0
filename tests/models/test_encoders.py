"""Encoders: sizes by hand formula, shapes, independence of samples, masks, errors."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from counterpoise.models import (
    MLP,
    FirstStateTransformer,
    LeNet,
    ResNet,
    Transformer,
    resnet8,
    resnet18,
)
from counterpoise.models._pooling import average_to_grid
from support import plain

IMAGES = (2, 3, 11, 13)

ENCODERS = {
    "mlp": (lambda: MLP(3 * 7, widths=(11, 5), dropout=0.5), (2, 3, 7)),
    "lenet": (lambda: LeNet(3, (5, 7), 11, grid=2), IMAGES),
    "lenet_map": (lambda: LeNet(3, (5, 7), output="map"), IMAGES),
    "resnet_large": (lambda: ResNet(3, (5, 7), (1, 2)), (2, 3, 31, 37)),
    "resnet_small": (lambda: ResNet(3, (5, 7), (2, 1), stem="small"), IMAGES),
    "resnet_map": (lambda: ResNet(3, (5, 7), (1, 1), stem="small", output="map"), IMAGES),
    "first_state": (
        lambda: FirstStateTransformer(5, width=12, num_layers=2, hidden=17, dropout=0.5),
        (2, 7, 5),
    ),
    "transformer": (lambda: Transformer(5, width=12, num_heads=3, dropout=0.5), (2, 7, 5)),
    "transformer_sequence": (lambda: Transformer(5, width=12, output="sequence"), (2, 7, 5)),
}


@pytest.fixture(params=ENCODERS)
def encoder_and_shape(request):
    torch.manual_seed(17)
    factory, shape = ENCODERS[request.param]
    return factory(), shape


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def padded(tokens, mask):
    return {"tokens": tokens, "mask": mask}


# --- all encoders ---------------------------------------------------------------------------------


def test_the_feature_axis_has_num_features(encoder_and_shape):
    encoder, shape = encoder_and_shape
    features = encoder(torch.randn(shape))
    axis = 1 if features.ndim in (2, 4) else 2
    assert features.shape[0] == 2
    assert features.shape[axis] == encoder.num_features


def test_eval_mode_is_deterministic_and_treats_samples_apart(encoder_and_shape):
    encoder, shape = encoder_and_shape
    encoder.double().eval()
    inputs = torch.randn(shape, dtype=torch.float64)
    features = encoder(inputs)
    assert torch.equal(features, encoder(inputs))
    apart = torch.cat([encoder(row) for row in inputs.split(1)])
    torch.testing.assert_close(features, apart, rtol=0, atol=1e-12)


def test_an_empty_batch_gives_empty_features(encoder_and_shape):
    encoder, shape = encoder_and_shape
    full = encoder.eval()(torch.randn(shape))
    assert encoder(torch.randn(0, *shape[1:])).shape == (0, *full.shape[1:])


def test_a_gradient_reaches_every_parameter_and_the_input(encoder_and_shape):
    encoder, shape = encoder_and_shape
    inputs = torch.randn(shape, requires_grad=True)
    features = encoder(inputs)
    (features * torch.randn_like(features)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert inputs.grad.abs().sum() > 0


def test_no_submodule_output_is_changed_in_place(encoder_and_shape):
    encoder, shape = encoder_and_shape
    outputs = []
    for module in encoder.modules():
        module.register_forward_hook(lambda *args: outputs.extend(plain.versions(args[2])))
    encoder(torch.randn(shape))
    assert len(outputs) >= len(list(encoder.children()))
    assert all(output._version == version for output, version in outputs)


# --- MLP ------------------------------------------------------------------------------------------


def test_mlp_parameters():
    assert num_parameters(MLP(3 * 7, widths=(11, 5))) == (21 + 1) * 11 + (11 + 1) * 5


def test_mlp_is_its_formula():
    encoder = MLP(7, widths=(11, 5)).double()
    inputs = torch.randn(3, 7, dtype=torch.float64)
    first, second = (layer for layer in encoder.layers if isinstance(layer, nn.Linear))
    hidden = (inputs @ first.weight.T + first.bias).clamp(min=0)
    expected = (hidden @ second.weight.T + second.bias).clamp(min=0)
    torch.testing.assert_close(encoder(inputs), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 22), (21,)])
def test_mlp_names_a_sample_of_another_size(shape):
    message = f"`inputs` should have 21 values per sample; found shape {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=message):
        MLP(21)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_inputs": 0}, ValueError, "`num_inputs` should be at least 1; found 0"),
        ({"num_inputs": 2.0}, TypeError, "`num_inputs` should be an integer; found 2.0"),
        ({"widths": ()}, ValueError, r"`widths` should have at least 1 entries; found \[\]"),
        ({"widths": (3, 0)}, ValueError, r"`widths\[1\]` should be at least 1; found 0"),
        ({"dropout": 1.5}, ValueError, "`dropout` should be finite, at least 0 and at most 1"),
    ],
)
def test_mlp_checks_its_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        MLP(**{"num_inputs": 5} | arguments)


# --- LeNet ----------------------------------------------------------------------------------------


def test_lenet_parameters():
    encoder = LeNet(3, widths=(5, 7), num_features=11, grid=2)
    assert num_parameters(encoder) == ((25 * 3 + 1) * 5 + (25 * 5 + 1) * 7 + (7 * 2**2 + 1) * 11)
    as_maps = LeNet(3, widths=(5, 7), output="map")
    assert num_parameters(as_maps) == (25 * 3 + 1) * 5 + (25 * 5 + 1) * 7


@given(st.integers(8, 40), st.integers(8, 40), st.integers(1, 4))
def test_lenet_takes_any_image_from_8_x_8(height, width, channels):
    inputs = torch.zeros(2, channels, height, width)
    assert LeNet(channels, (2, 3), 5)(inputs).shape == (2, 5)
    maps = LeNet(channels, (2, 3), output="map")(inputs)
    assert maps.shape == (2, 3, height // 4, width // 4)


@given(st.integers(1, 13), st.integers(1, 13), st.integers(1, 7))
def test_averaging_to_a_grid_is_adaptive_pooling(height, width, grid):
    generator = torch.Generator().manual_seed(5)
    maps = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    expected = nn.functional.adaptive_avg_pool2d(maps, grid)
    torch.testing.assert_close(average_to_grid(maps, grid), expected, rtol=0, atol=1e-14)


def test_lenet_is_the_same_in_train_and_eval_mode():
    encoder, inputs = LeNet(3), torch.randn(IMAGES)
    assert torch.equal(encoder.train()(inputs), encoder.eval()(inputs))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 1, 8, 8), r"shape \(batch, 3, height, width\); found \(2, 1, 8, 8\)"),
        ((2, 8, 8), r"shape \(batch, 3, height, width\); found \(2, 8, 8\)"),
        ((2, 3, 7, 9), "`inputs` should be at least 8 x 8; found 7 x 9"),
    ],
)
def test_lenet_names_an_image_that_does_not_suit(shape, message):
    with pytest.raises(ValueError, match=message):
        LeNet(3)(torch.zeros(shape))


# --- ResNet ---------------------------------------------------------------------------------------


def block_parameters(fan_in, width, stride):
    shortcut = fan_in * width + 2 * width if stride > 1 or fan_in != width else 0
    return 9 * (fan_in * width + width * width) + 4 * width + shortcut


def test_resnet_parameters():
    encoder = ResNet(3, widths=(5, 7), blocks=(2, 1))
    assert num_parameters(encoder) == (
        49 * 3 * 5 + 2 * 5 + 2 * block_parameters(5, 5, 1) + block_parameters(5, 7, 2)
    )


def test_resnet18_has_the_published_number_of_parameters():
    assert num_parameters(resnet18(in_channels=3)) == 11_176_512
    assert num_parameters(resnet18(in_channels=1)) == 11_176_512 - 2 * 49 * 64
    assert num_parameters(resnet8(in_channels=1)) == (
        9 * 16
        + 2 * 16
        + block_parameters(16, 16, 1)
        + block_parameters(16, 32, 2)
        + block_parameters(32, 64, 2)
    )


def test_resnet18_names_its_weights_as_published_ones_are_named():
    names = set(resnet18().state_dict())
    assert len(names) == 120  # of the published 122, all but fc.weight and fc.bias
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.num_batches_tracked",
        "layer4.1.bn2.bias",
    } <= names
    assert "layer1.0.downsample.0.weight" not in names


@pytest.mark.parametrize(("stem", "side"), [("large", (4, 5)), ("small", (16, 19))])
def test_resnet_maps_shrink_as_published(stem, side):
    encoder = ResNet(1, (3, 5), (1, 1), stem=stem, output="map")
    assert encoder(torch.zeros(2, 1, 31, 37)).shape == (2, 5, *side)


def test_resnet_vector_is_the_mean_of_its_maps():
    vector = ResNet(3, (5, 7), (1, 1), stem="small").eval()
    maps = ResNet(3, (5, 7), (1, 1), stem="small", output="map").eval()
    maps.load_state_dict(vector.state_dict())
    inputs = torch.randn(IMAGES)
    torch.testing.assert_close(vector(inputs), maps(inputs).mean((2, 3)))


def test_a_block_without_residual_passes_positive_maps_on():
    encoder = ResNet(2, (2,), (1,), stem="small", output="map").eval()
    nn.init.zeros_(encoder.layer1[0].bn2.weight)
    nn.init.dirac_(encoder.conv1.weight)
    inputs = torch.rand(2, 2, 5, 7)
    torch.testing.assert_close(encoder(inputs), inputs, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": (1,)}, "`blocks` should have one entry for each of the 2 `widths`; found 1"),
        ({"stem": "smal"}, "`stem` should be one of 'large', 'small'; found 'smal'. Did you mean"),
        ({"output": "maps"}, "`output` should be one of 'vector', 'map'; found 'maps'"),
        ({"in_channels": 0}, "`in_channels` should be at least 1; found 0"),
    ],
)
def test_resnet_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**{"widths": (3, 5), "blocks": (1, 1)} | arguments)


def test_resnet_names_an_image_that_does_not_suit():
    with pytest.raises(
        ValueError, match=r"shape \(batch, 1, height, width\); found \(2, 3, 5, 7\)"
    ):
        resnet8(in_channels=1)(torch.zeros(2, 3, 5, 7))


# --- Transformer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [False, True])
def test_transformer_parameters(ids):
    width, layers, num_inputs = 12, 3, 5
    encoder = Transformer(num_inputs, width=width, num_layers=layers, num_heads=3, ids=ids)
    block = 4 * (width**2 + width) + (8 * width**2 + 5 * width) + 2 * 2 * width
    embedding = num_inputs * width + (0 if ids else width)
    assert num_parameters(encoder) == embedding + width + layers * block + 2 * width


@pytest.fixture
def transformer():
    torch.manual_seed(19)
    return Transformer(5, width=12, num_heads=3).double().eval()


@pytest.mark.parametrize("content", [0.0, 1e6, float("nan"), float("inf")])
def test_padded_tokens_change_nothing_whatever_they_hold(transformer, content):
    tokens = torch.randn(2, 7, 5, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0]])
    other = tokens.masked_fill(mask[..., None] == 0, content)
    assert torch.equal(transformer(padded(tokens, mask)), transformer(padded(other, mask)))
    alone = torch.cat([transformer(tokens[:1, :4]), transformer(tokens[1:, :6])])
    torch.testing.assert_close(transformer(padded(other, mask)), alone, rtol=0, atol=1e-12)


def test_padded_tokens_receive_no_gradient(transformer):
    tokens = torch.randn(1, 7, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, False, True, True, False, True]])
    transformer(padded(tokens, mask))[0, 0].backward()
    assert torch.equal(tokens.grad.abs().sum(-1) > 0, mask)


def test_a_full_mask_is_no_mask(transformer):
    tokens = torch.randn(2, 7, 5, dtype=torch.float64)
    masked = transformer(padded(tokens, torch.ones(2, 7)))
    torch.testing.assert_close(masked, transformer(tokens), rtol=0, atol=1e-12)
    assert torch.equal(transformer({"tokens": tokens}), transformer(tokens))


def test_a_sequence_without_real_tokens_has_one_finite_feature(transformer):
    mask = torch.zeros(2, 7)
    feature = transformer(padded(torch.randn(2, 7, 5, dtype=torch.float64), mask))
    assert feature.isfinite().all()
    assert torch.equal(feature[0], feature[1])
    none = transformer(torch.zeros(2, 0, 5, dtype=torch.float64))
    torch.testing.assert_close(feature, none, rtol=0, atol=1e-12)


def test_order_counts_only_with_positions(transformer):
    tokens = torch.randn(2, 7, 5, dtype=torch.float64)
    permuted = tokens[:, torch.randperm(7, generator=torch.Generator().manual_seed(3))]
    assert (transformer(tokens) - transformer(permuted)).abs().max() > 1e-3
    bag = Transformer(5, width=12, num_heads=3, positions=False).double().eval()
    torch.testing.assert_close(bag(tokens), bag(permuted), rtol=0, atol=1e-12)


def test_without_positions_last_states_move_with_their_tokens():
    bag = Transformer(5, width=12, positions=False, output="sequence").double().eval()
    tokens = torch.randn(2, 7, 5, dtype=torch.float64)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    expected = bag(tokens)[:, 1:][:, order]
    torch.testing.assert_close(bag(tokens[:, order])[:, 1:], expected, rtol=0, atol=1e-12)


def test_positions_are_sines_and_cosines():
    encoder = Transformer(3, width=4, num_heads=1, num_layers=1).double().eval()
    nn.init.zeros_(encoder.embed.weight)
    nn.init.zeros_(encoder.embed.bias)
    seen = []
    encoder.blocks[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    encoder(torch.zeros(1, 300, 3, dtype=torch.float64))
    t = torch.arange(300, dtype=torch.float64)
    expected = torch.stack([t.sin(), (t / 100).sin(), t.cos(), (t / 100).cos()], -1)
    torch.testing.assert_close(seen[0][0, 1:], expected, rtol=0, atol=1e-12)


def test_ids_are_embedded_and_padding_may_hold_any_id():
    encoder = Transformer(11, width=12, ids=True).eval()
    ids = torch.tensor([[3, 10, 7], [0, 5, -1]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    feature = encoder(padded(ids, mask))
    torch.testing.assert_close(feature[1:], encoder(ids[1:, :2]), rtol=0, atol=1e-5)


def test_the_sequence_has_the_form_of_the_input():
    encoder = Transformer(5, width=12, output="sequence")
    tokens, mask = torch.randn(2, 7, 5), torch.tensor([[1] * 4 + [0] * 3, [1] * 7])
    assert encoder(tokens).shape == (2, 8, 12)
    sequence = encoder(padded(tokens, mask))
    assert sequence["tokens"].shape == (2, 8, 12)
    assert torch.equal(sequence["mask"], torch.cat([torch.ones(2, 1), mask], 1).bool())


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (torch.zeros(2, 7, 3), ValueError, r"\(batch, tokens, 5\); found \(2, 7, 3\)"),
        (torch.zeros(2, 7), ValueError, r"\(batch, tokens, 5\); found \(2, 7\)"),
        ([1, 2], TypeError, "a tensor of tokens or a mapping of 'tokens' and 'mask'; found list"),
        ({"token": torch.zeros(2, 7, 5)}, ValueError, r"'tokens' and, optionally, 'mask'; found"),
        (
            padded(torch.zeros(2, 7, 5), torch.ones(2, 8)),
            ValueError,
            r"`mask` should have the shape \(2, 7\) of batch and tokens; found \(2, 8\)",
        ),
    ],
)
def test_transformer_names_an_input_that_does_not_suit(inputs, error, message):
    with pytest.raises(error, match=message):
        Transformer(5)(inputs)


def test_transformer_names_ids_that_are_none():
    message = r"integer ids of shape \(batch, tokens\); found torch.float32 of shape \(2, 7\)"
    with pytest.raises(ValueError, match=message):
        Transformer(5, ids=True)(torch.zeros(2, 7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 7}, "`width` should be even, .*; found 7. Choose 8"),
        ({"width": 10, "num_heads": 4}, "`width` should be a multiple of num_heads = 4; found 10"),
        ({"num_layers": 0}, "`num_layers` should be at least 1; found 0"),
        ({"num_heads": 0}, "`num_heads` should be at least 1; found 0"),
        ({"dropout": -0.1}, "`dropout` should be finite, at least 0 and at most 1; found -0.1"),
        ({"output": "map"}, "`output` should be one of 'vector', 'sequence'; found 'map'"),
    ],
)
def test_transformer_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Transformer(5, **arguments)
