"""Networks: order and paths, building by name, errors that name what is wrong."""

import pytest
import torch
from torch import nn

from counterpoise.models import (
    ENCODERS,
    FUSIONS,
    MLP,
    Additive,
    Concatenation,
    LeNet,
    MaxOut,
    MultimodalNetwork,
    ResNet,
    Transformer,
    build,
)

SHAPES = {"left": (5,), "middle": (3, 7), "right": (1, 11, 13)}


def two(fusion=Additive):
    torch.manual_seed(29)
    encoders = {"left": MLP(5, widths=(7,)), "right": MLP(11, widths=(13,))}
    return MultimodalNetwork(encoders, fusion((7, 13), num_classes=3))


def sample(shapes, batch=2):
    generator = torch.Generator().manual_seed(31)
    return {name: torch.randn(batch, *shape, generator=generator) for name, shape in shapes.items()}


# --- MultimodalNetwork ----------------------------------------------------------------------------


def test_features_are_fused_in_the_order_of_the_encoders():
    network, inputs = two(), sample({"left": (5,), "right": (11,)})
    features = [
        network.encoders["left"](inputs["left"]),
        network.encoders["right"](inputs["right"]),
    ]
    assert torch.equal(network(**inputs), network.fusion(features))
    assert torch.equal(network(right=inputs["right"], left=inputs["left"]), network(**inputs))
    assert network.modalities == ("left", "right")


def test_encoder_paths_lead_to_the_encoders():
    network = two()
    assert network.encoder_paths == {"left": "encoders.left", "right": "encoders.right"}
    for name, path in network.encoder_paths.items():
        assert network.get_submodule(path) is network.encoders[name]


def test_head_paths_lead_to_the_heads_of_an_additive_fusion_alone():
    network = two()
    assert network.head_paths == {"left": "fusion.head.0", "right": "fusion.head.1"}
    inputs = sample({"left": (5,), "right": (11,)})
    unimodal = [
        network.get_submodule(network.head_paths[name])(network.encoders[name](inputs[name]))
        for name in network.modalities
    ]
    torch.testing.assert_close(network(**inputs), sum(unimodal))
    assert two(Concatenation).head_paths == {}


def test_a_fusion_without_sizes_is_taken_as_it_is():
    class Last(nn.Module):
        def forward(self, features):
            return features[-1]

    network = MultimodalNetwork({"left": nn.Identity(), "right": nn.Identity()}, Last())
    value = torch.randn(2, 3)
    assert network(left=torch.zeros(2, 3), right=value) is value


def test_unknown_and_missing_modalities_are_named():
    network, inputs = two(), sample({"left": (5,), "right": (11,)})
    with pytest.raises(ValueError, match=r"named 'left', 'right'; found 'rigth'.*mean 'right'\?"):
        network(left=inputs["left"], rigth=inputs["right"])
    with pytest.raises(ValueError, match=r"each of 'left', 'right'; found none for 'right'. Pass"):
        network(left=inputs["left"])


@pytest.mark.parametrize("name", ["a.b", "keys", "type", "training"])
def test_names_that_no_module_can_have_are_refused(name):
    with pytest.raises(ValueError, match=f"no attributes of torch.nn.ModuleDict; found '{name}'"):
        MultimodalNetwork({name: nn.Identity(), "other": nn.Identity()}, nn.Identity())


def test_constructor_checks_the_encoders():
    with pytest.raises(ValueError, match=r"at least two modalities; found \['left'\]"):
        MultimodalNetwork({"left": MLP(5)}, Additive((64, 64), 3))
    with pytest.raises(
        TypeError, match=r"`encoders\['right'\]` should be a torch.nn.Module; found"
    ):
        MultimodalNetwork({"left": MLP(5), "right": MLP}, Additive((64, 64), 3))
    with pytest.raises(ValueError, match="sizes 64, 64, those of the encoders; found 64, 7"):
        MultimodalNetwork({"left": MLP(5), "right": MLP(7)}, Additive((64, 7), 3))


# --- build ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_is_built_and_trains_every_parameter(fusion):
    torch.manual_seed(37)
    network = build(SHAPES, 3, fusion=fusion, num_features=12)
    logits = network(**sample(SHAPES))
    assert logits.shape == (2, 3)
    assert network.modalities == tuple(SHAPES)
    (logits * torch.randn(2, 3)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_encoder_meets_every_fusion(encoder, fusion):
    shape = {"transformer": (3, 7), "auto": (5,)}.get(encoder, (1, 11, 13))
    shapes = {"left": shape, "right": shape}
    network = build(shapes, 3, encoder=encoder, fusion=fusion, num_features=8).eval()
    assert network(**sample(shapes)).shape == (2, 3)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_building_is_repeatable(fusion):
    states = []
    for _ in range(2):
        torch.manual_seed(41)
        states.append(build(SHAPES, 3, fusion=fusion, num_features=8).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_auto_chooses_by_the_number_of_dimensions():
    network = build(SHAPES | {"volume": (2, 3, 5, 7)}, 3)
    kinds = [type(encoder) for encoder in network.encoders.values()]
    assert kinds == [MLP, Transformer, LeNet, MLP]


def test_each_modality_may_have_an_encoder_of_its_own():
    shapes = {"left": (1, 11, 13), "right": (3, 17, 19)}
    network = build(shapes, 3, encoder={"left": "mlp", "right": "resnet8"})
    assert [type(encoder) for encoder in network.encoders.values()] == [MLP, ResNet]
    assert network.fusion.sizes == (64, 64)
    partly = build(shapes, 3, encoder={"left": "mlp"})
    assert [type(encoder) for encoder in partly.encoders.values()] == [MLP, LeNet]


def test_maxout_meets_on_maps_where_all_are_images():
    images = {"left": (1, 11, 13), "right": (3, 17, 19)}
    early = build(images, 3, fusion="maxout")
    assert isinstance(early.fusion, MaxOut)
    assert early.encoders["left"](torch.zeros(2, 1, 11, 13)).ndim == 4
    assert early(**sample(images)).shape == (2, 3)
    mixed = build(SHAPES, 3, fusion="maxout")
    assert mixed.encoders["right"](torch.zeros(2, 1, 11, 13)).ndim == 2


def test_masks_pass_through_a_built_network():
    network = build({"text": (7, 5), "other": (11,)}, 3, fusion="cross_attention").eval()
    inputs = sample({"text": (7, 5), "other": (11,)})
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [1] * 7])
    padded = {"tokens": inputs["text"].masked_fill(mask[..., None] == 0, 1e6), "mask": mask}
    logits = network(text=padded, other=inputs["other"])
    alone = network(text=inputs["text"][:1, :3], other=inputs["other"][:1])
    torch.testing.assert_close(logits[:1], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shapes": {"left": (5,)}}, r"`shapes` should name at least two modalities; found"),
        ({"shapes": {"left": (5,), "right": (0,)}}, r"`shapes\['right'\]\[0\]` should be at least"),
        ({"shapes": {"left": (5,), "right": ()}}, r"`shapes\['right'\]` should have at least 1"),
        ({"encoder": "lenett"}, "`encoder` should be one of .*found 'lenett'. Did you .*'lenet'"),
        ({"encoder": {"lefd": "mlp"}}, "encoders of 'left', 'right'; found 'lefd'.*mean 'left'"),
        ({"encoder": "lenet"}, r"\(channels, height, width\) with sides .* 'lenet'; found \(5,\)"),
        ({"encoder": "transformer"}, r"\(tokens, length of a token\) .*; found \(5,\)"),
        ({"fusion": "concat"}, "`fusion` should be one of .*; found 'concat'. Did you mean 'conca"),
        ({"num_features": 0}, "`num_features` should be at least 1; found 0"),
        ({"num_classes": 0}, "`num_classes` should be at least 1; found 0"),
    ],
)
def test_build_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**{"shapes": {"left": (5,), "right": (7,)}, "num_classes": 3} | arguments)


def test_images_too_small_for_lenet_are_refused_at_once():
    with pytest.raises(ValueError, match=r"sides of 8 or more .*; found \(1, 7, 9\)"):
        build({"left": (1, 7, 9), "right": (1, 8, 8)}, 3, encoder="lenet")
