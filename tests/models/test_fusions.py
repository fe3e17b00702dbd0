"""Fusions: sizes by hand formula, their equations written out, symmetries, masks, errors."""

import re

import pytest
import torch
from torch import nn

from counterpoise.models import (
    Additive,
    Concatenation,
    Cosine,
    CrossAttention,
    FiLM,
    Fusion,
    Gated,
    MaxOut,
    MaxOutLayers,
    ResNet,
)

SIZES = (5, 7, 11, 13, 17)
NUM_CLASSES = 3
BATCH = 2

FUSIONS = {
    "additive": lambda sizes: Additive(sizes, NUM_CLASSES),
    "cosine": lambda sizes: Cosine(sizes, NUM_CLASSES),
    "concatenation": lambda sizes: Concatenation(sizes, NUM_CLASSES),
    "concatenation_deep": lambda sizes: Concatenation(sizes, NUM_CLASSES, widths=(19, 23)),
    "concatenation_maxout": lambda sizes: Concatenation(
        sizes, NUM_CLASSES, network=MaxOutLayers(sum(sizes), (19, 23))
    ),
    "maxout": lambda sizes: MaxOut(sizes, NUM_CLASSES, 19),
    "film": lambda sizes: FiLM(sizes, NUM_CLASSES, conditioned=1),
    "gated": lambda sizes: Gated(sizes, NUM_CLASSES, 19),
    "cross_attention": lambda sizes: CrossAttention(sizes, NUM_CLASSES, 12, num_heads=3),
}


def vectors(sizes, *leading):
    return [torch.randn(*(leading or (BATCH,)), size, dtype=torch.float64) for size in sizes]


def tokens(sizes):
    return [torch.randn(BATCH, 4 + m, size, dtype=torch.float64) for m, size in enumerate(sizes)]


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.fixture(params=[2, 3, 5])
def sizes(request):
    torch.manual_seed(23)
    return SIZES[: request.param]


@pytest.fixture(params=FUSIONS)
def fusion(request, sizes):
    return FUSIONS[request.param](sizes).double()


# --- all fusions ----------------------------------------------------------------------------------


def test_logits_are_the_head_of_the_fused_feature(fusion, sizes):
    fusion.eval()
    features = vectors(sizes)
    logits = fusion(features)
    assert logits.shape == (BATCH, NUM_CLASSES)
    assert torch.equal(logits, fusion(features))
    assert torch.equal(logits, fusion.head(fusion.fuse(features)))


def test_samples_are_treated_apart(fusion, sizes):
    features = vectors(sizes)
    fusion.eval()
    apart = torch.cat([fusion([f[i : i + 1] for f in features]) for i in range(BATCH)])
    close(fusion(features), apart)
    assert fusion([f[:0] for f in features]).shape == (0, NUM_CLASSES)


def test_a_gradient_reaches_every_parameter_and_modality(fusion, sizes):
    # One key would be attended to with weight 1 whatever the query: attention needs tokens.
    make = tokens if isinstance(fusion, CrossAttention) else vectors
    features = [f.requires_grad_() for f in make(sizes)]
    (fusion(features) * torch.randn(BATCH, NUM_CLASSES)).sum().backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert all(f.grad.abs().sum() > 0 for f in features)


def test_no_submodule_output_is_changed_in_place(fusion, sizes):
    features = vectors(sizes)
    kept = [(f, f._version) for f in features]
    for module in fusion.modules():
        module.register_forward_hook(lambda *args: kept.append((args[2], args[2]._version)))
    fusion(features)
    assert len(kept) > len(sizes)
    assert all(tensor._version == version for tensor, version in kept)


def test_features_expanded_from_one_sample_give_what_copies_give(fusion, sizes):
    one = vectors(sizes, 1)
    fusion.eval()
    expanded = fusion([f.expand(BATCH, -1) for f in one])
    assert torch.equal(expanded, fusion([f.repeat(BATCH, 1) for f in one]))


@pytest.mark.parametrize("kind", [kind for kind in FUSIONS if kind != "cross_attention"])
def test_vector_fusions_take_further_leading_dimensions(kind, sizes):
    fusion = FUSIONS[kind](sizes).double().eval()  # batch normalisation counts rows in training
    features = vectors(sizes, BATCH, 29)
    logits = fusion(features)
    assert logits.shape == (BATCH, 29, NUM_CLASSES)
    close(logits[:, 19], fusion([f[:, 19] for f in features]))


@pytest.mark.parametrize("kind", FUSIONS)
def test_features_of_another_number_or_size_are_named(kind, sizes):
    fusion = FUSIONS[kind](sizes).double()
    message = f"one feature for each of the {len(sizes)} modalities; found {len(sizes) - 1}"
    with pytest.raises(ValueError, match=message):
        fusion(vectors(sizes[:-1]))
    swapped = vectors((sizes[1], sizes[0], *sizes[2:]))
    with pytest.raises(ValueError, match=r"found shapes? \(2, 7\)(, \(2, 5\))?.* num_features"):
        fusion(swapped)


@pytest.mark.parametrize("kind", FUSIONS)
def test_features_of_unequal_batches_are_named(kind):
    first, second = vectors((5, 7))
    found = r"\[2, 1\] samples" if kind == "cross_attention" else r"shapes \(2, 5\), \(1, 7\)"
    with pytest.raises(ValueError, match=rf"over the same batch; found {found}"):
        FUSIONS[kind]((5, 7)).double()([first, second[:1]])


@pytest.mark.parametrize("kind", FUSIONS)
def test_constructors_check_the_sizes(kind):
    with pytest.raises(ValueError, match=r"sizes of at least two modalities; found \[5\]"):
        FUSIONS[kind]((5,))
    with pytest.raises(ValueError, match=r"`sizes\[1\]` should be at least 1; found 0"):
        FUSIONS[kind]((5, 0))


@pytest.mark.parametrize("kind", [Additive, Concatenation, MaxOut, FiLM, Gated, CrossAttention])
def test_constructors_check_the_number_of_classes(kind):
    with pytest.raises(ValueError, match="`num_classes` should be at least 1; found 0"):
        kind((5, 7), 0)


def test_a_fusion_of_ones_own_says_only_how_it_fuses():
    class Product(Fusion):
        def fuse(self, features):
            return features[0] * features[1]

    first, second = vectors((5, 5))
    fusion = Product((5, 5), nn.Linear(5, NUM_CLASSES)).double()
    assert torch.equal(fusion([first, second]), fusion.head(first * second))


# --- late -----------------------------------------------------------------------------------------


def test_late_parameters(sizes):
    joined = sum(sizes)
    assert num_parameters(Additive(sizes, 3)) == (joined + len(sizes)) * 3
    assert num_parameters(Concatenation(sizes, 3)) == (joined + 1) * 3
    deep = Concatenation(sizes, 3, widths=(19, 23))
    assert num_parameters(deep) == (joined + 1) * 19 + (19 + 1) * 23 + (23 + 1) * 3


def test_additive_is_the_sum_of_its_heads(sizes):
    fusion, features = Additive(sizes, NUM_CLASSES).double(), vectors(sizes)
    heads = [fusion.get_submodule(f"head.{m}") for m in range(len(sizes))]
    expected = sum(head(f) for head, f in zip(heads, features, strict=True))
    close(fusion(features), expected)


def test_additive_calls_each_head_once_with_its_own_feature(sizes):
    fusion, features, seen = Additive(sizes, NUM_CLASSES).double(), vectors(sizes), []
    for head in fusion.head:
        head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    fusion(features)
    assert len(seen) == len(sizes)
    assert all(torch.equal(a, b) for a, b in zip(seen, features, strict=True))


def test_concatenation_of_linear_heads_is_additive(sizes):
    additive, joined = Additive(sizes, NUM_CLASSES).double(), Concatenation(sizes, 3).double()
    with torch.no_grad():
        joined.head.weight.copy_(torch.cat([head.weight for head in additive.head], 1))
        joined.head.bias.copy_(sum(head.bias for head in additive.head))
    features = vectors(sizes)
    close(joined(features), additive(features))


# --- early ----------------------------------------------------------------------------------------


def test_maxout_parameters(sizes):
    maps = (sum(sizes) + len(sizes)) * 19
    vector = MaxOut(sizes, 3, 19)
    assert num_parameters(vector) == maps + (19 + 1) * 19 + (19 + 1) * 3
    images = MaxOut(sizes, 3, 19, features="map")
    block = 2 * (9 * 19 * 19 + 2 * 19)
    assert num_parameters(images) == maps + (9 * 19 * 19 + 2 * 19 + block) + (19 + 1) * 3


def test_maxout_is_the_elementwise_maximum_of_the_maps(sizes):
    fusion, features = MaxOut(sizes, NUM_CLASSES, 19).double(), vectors(sizes)
    maximum = fusion.maximum(features)
    mapped = [linear(f) for linear, f in zip(fusion.maps, features, strict=True)]
    for sample in range(BATCH):
        for unit in range(19):
            assert maximum[sample, unit] == max(each[sample, unit].item() for each in mapped)
    assert torch.equal(fusion(features), fusion.head(fusion.network(maximum)))


def test_maxout_of_maps_is_the_maximum_at_each_place():
    fusion = MaxOut((5, 7), NUM_CLASSES, 3, features="map").double()
    first, second = (torch.randn(BATCH, size, 4, 6, dtype=torch.float64) for size in (5, 7))
    a, b = (
        torch.einsum("bihw,oi->bohw", f, conv.weight[..., 0, 0]) + conv.bias[:, None, None]
        for conv, f in zip(fusion.maps, (first, second), strict=True)
    )
    close(fusion.maximum([first, second]), torch.where(a > b, a, b))


def test_maxout_does_not_depend_on_the_order_of_modalities(sizes):
    fusion, features = MaxOut(sizes, NUM_CLASSES, 19).double(), vectors(sizes)
    logits = fusion(features)
    fusion.maps = nn.ModuleList(reversed(fusion.maps))
    fusion.sizes = fusion.sizes[::-1]
    assert torch.equal(fusion(features[::-1]), logits)


def test_tied_modalities_share_the_gradient(sizes):
    fusion = MaxOut((5,) * len(sizes), NUM_CLASSES, 19).double()
    for linear in fusion.maps:
        linear.load_state_dict(fusion.maps[0].state_dict())
    feature = torch.randn(BATCH, 5, dtype=torch.float64)
    features = [feature.clone().requires_grad_() for _ in sizes]
    fusion(features).sum().backward()
    for each in features[1:]:
        close(each.grad, features[0].grad)
    assert features[0].grad.abs().sum() > 0


def test_a_grid_lets_images_of_different_sizes_meet():
    maps = [torch.randn(BATCH, 5, 11, 13), torch.randn(BATCH, 7, 4, 6)]
    assert MaxOut((5, 7), 3, 19, features="map", grid=4)(maps).shape == (BATCH, 3)
    with pytest.raises(ValueError, match=r"maps of one size; found 11 x 13, 4 x 6. .* grid=4"):
        MaxOut((5, 7), 3, 19, features="map")(maps)


def test_maxout_takes_a_shared_network_of_ones_own():
    network = ResNet(19, (5, 11), (1, 1), stem="small")
    fusion = MaxOut((5, 7), 3, 19, features="map", network=network)
    assert fusion.head.in_features == 11
    maps = [torch.randn(BATCH, size, 11, 13) for size in (5, 7)]
    assert fusion(maps).shape == (BATCH, 3)
    with pytest.raises(ValueError, match=r"attribute num_features.*; found none on ReLU"):
        MaxOut((5, 7), 3, 19, network=nn.ReLU())


def test_maxout_names_vectors_where_it_takes_maps():
    message = r"maps \(batch, channels, height, width\) with 5, 7 channels .* shapes \(2, 5\)"
    with pytest.raises(ValueError, match=message):
        MaxOut((5, 7), 3, features="map").double()(vectors((5, 7)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": "maps"}, "`features` should be one of 'vector', 'map'; found 'maps'"),
        ({"grid": 0}, "`grid` should be at least 1; found 0"),
        ({"grid": 4}, "`grid` should be left out for vectors, which have no places; found 4"),
        ({"width": 0}, "`width` should be at least 1; found 0"),
    ],
)
def test_maxout_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaxOut((5, 7), 3, **arguments)


# --- FiLM and gates -------------------------------------------------------------------------------


def test_film_parameters(sizes):
    fusion = FiLM(sizes, 3, conditioned=1)
    assert num_parameters(fusion) == (sum(sizes) - 7 + 1) * 2 * 7 + (7 + 1) * 3


@pytest.mark.parametrize("conditioned", [0, 1, 2])
def test_film_scales_and_shifts(conditioned):
    fusion, features = FiLM((5, 7, 11), 3, conditioned=conditioned).double(), vectors((5, 7, 11))
    size = (5, 7, 11)[conditioned]
    others = torch.cat([f for m, f in enumerate(features) if m != conditioned], -1)
    scale_and_shift = others @ fusion.generator.weight.T + fusion.generator.bias
    scale, shift = scale_and_shift[:, :size], scale_and_shift[:, size:]
    close(fusion.fuse(features), features[conditioned] * (1 + scale) + shift)


def test_film_without_condition_passes_the_feature_on():
    fusion, features = FiLM((5, 7), 3).double(), vectors((5, 7))
    nn.init.zeros_(fusion.generator.weight)
    nn.init.zeros_(fusion.generator.bias)
    assert torch.equal(fusion.fuse(features), features[0])


@pytest.mark.parametrize(("kind", "name"), [(FiLM, "conditioned"), (CrossAttention, "query")])
def test_the_index_of_a_modality_is_checked(kind, name):
    message = f"`{name}` should be the index of a modality, 0 to 1; found 2"
    with pytest.raises(ValueError, match=message):
        kind((5, 7), 3, **{name: 2})
    with pytest.raises(ValueError, match=f"`{name}` should be at least 0; found -1"):
        kind((5, 7), 3, **{name: -1})


def test_gated_parameters(sizes):
    joined, num_modalities = sum(sizes), len(sizes)
    assert num_parameters(Gated(sizes, 3, 19)) == (
        (joined + num_modalities) * 19 + (joined + 1) * num_modalities * 19 + (19 + 1) * 3
    )


def test_gates_are_positive_and_sum_to_one(sizes):
    fusion, features = Gated(sizes, NUM_CLASSES, 19).double(), vectors(sizes)
    gates = fusion.gates(features)
    assert gates.shape == (BATCH, len(sizes), 19)
    assert (gates > 0).all()
    close(gates.sum(1), torch.ones(BATCH, 19, dtype=torch.float64))
    mapped = [linear(f).tanh() for linear, f in zip(fusion.maps, features, strict=True)]
    close(fusion.fuse(features), sum(gates[:, m] * each for m, each in enumerate(mapped)))


def test_two_gates_are_the_published_unit():
    fusion, (first, second) = Gated((5, 7), 3, 19).double(), vectors((5, 7))
    weight, bias = fusion.gate.weight, fusion.gate.bias
    joined = torch.cat([first, second], -1)
    z = torch.sigmoid(joined @ (weight[:19] - weight[19:]).T + bias[:19] - bias[19:])
    a, b = fusion.maps[0](first).tanh(), fusion.maps[1](second).tanh()
    close(fusion.fuse([first, second]), z * a + (1 - z) * b)


# --- cross-attention ------------------------------------------------------------------------------


def test_cross_attention_parameters(sizes):
    fusion = CrossAttention(sizes, 3, 12, num_heads=3)
    assert num_parameters(fusion) == (
        (sum(sizes) + len(sizes)) * 12 + 4 * (12**2 + 12) + 2 * 12 + (12 + 1) * 3
    )


def test_cross_attention_is_its_equation():
    fusion = CrossAttention((5, 7, 11), 3, 12, num_heads=3, query=1).double()
    features = tokens((5, 7, 11))
    q, *k = (fusion.maps[m](features[m]) for m in (1, 0, 2))
    k = torch.cat(k, 1)
    queries = fusion.attention.query(q)
    keys, values = fusion.attention.key_value(k).split(12, -1)
    found = torch.empty_like(queries)
    for head in (slice(0, 4), slice(4, 8), slice(8, 12)):
        scores = queries[..., head] @ keys[..., head].mT / 4**0.5
        found[..., head] = scores.softmax(-1) @ values[..., head]
    states = nn.functional.layer_norm(q + fusion.attention.out(found), (12,))
    close(fusion.fuse(features), states.mean(1))


def test_keys_and_queries_have_no_order():
    fusion, features = CrossAttention((5, 7, 11), 3, 12).double(), tokens((5, 7, 11))
    reversed_tokens = [f.flip(1) for f in features]
    close(fusion(reversed_tokens), fusion(features))


def test_a_vector_is_one_token_and_a_map_one_per_place():
    fusion = CrossAttention((5, 7), 3, 12).double()
    vector = torch.randn(BATCH, 5, dtype=torch.float64)
    image = torch.randn(BATCH, 7, 2, 3, dtype=torch.float64)
    places = torch.stack([image[:, :, row, column] for row in (0, 1) for column in (0, 1, 2)], 1)
    close(fusion([vector, image]), fusion([vector[:, None], places]))


@pytest.mark.parametrize("padding", [0.0, float("nan")])
def test_padded_keys_and_queries_change_nothing(padding):
    fusion, features = CrossAttention((5, 7, 11), 3, 12).double(), tokens((5, 7, 11))
    expected = fusion(features)
    masked = []
    for feature in features[:2]:
        pad = torch.full((BATCH, 3, feature.shape[2]), padding, dtype=torch.float64)
        mask = torch.arange(feature.shape[1] + 3).expand(BATCH, -1) < feature.shape[1]
        masked.append({"tokens": torch.cat([feature, pad], 1), "mask": mask})
    close(fusion([*masked, features[2]]), expected)


def test_without_any_key_the_queries_stand_alone():
    fusion, (first, second) = CrossAttention((5, 7), 3, 12).double(), tokens((5, 7))
    nothing = {"tokens": second, "mask": torch.zeros(BATCH, second.shape[1])}
    states = fusion.norm(fusion.maps[0](first)).mean(1)
    close(fusion.fuse([first, nothing]), states)


def test_without_any_query_the_fused_feature_is_zero():
    fusion, (first, second) = CrossAttention((5, 7), 3, 12).double(), tokens((5, 7))
    nothing = {"tokens": first, "mask": torch.zeros(BATCH, first.shape[1])}
    assert fusion.fuse([nothing, second]).abs().max() == 0


def test_cross_attention_drops_in_training_alone():
    fusion, features = CrossAttention((5, 7), 3, 12, dropout=0.5).double(), tokens((5, 7))
    assert not torch.equal(fusion(features), fusion(features))
    fusion.eval()
    assert torch.equal(fusion(features), fusion(features))


@pytest.mark.parametrize("shape", [(BATCH, 4, 6), (5,), (BATCH, 4, 5, 6), (BATCH, 4)])
def test_cross_attention_names_a_feature_that_does_not_suit(shape):
    message = rf"`features\[0\]` should be vectors.*found shape {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=message):
        CrossAttention((5, 7), 3)([torch.zeros(shape), torch.zeros(BATCH, 7)])


def test_cosine_is_its_equation(sizes):
    fusion, features = Cosine(sizes, NUM_CLASSES, scale=7.0).double(), vectors(sizes)
    expected = torch.zeros(BATCH, NUM_CLASSES, dtype=torch.float64)
    for head, feature in zip(fusion.head, features, strict=True):
        for b in range(BATCH):
            for c in range(NUM_CLASSES):
                f, w = feature[b], head.weight[c]
                expected[b, c] += 7 * (f @ w) / (f.norm() * w.norm())
    close(fusion(features), expected)
    close(fusion([1e6 * features[0], *features[1:]]), expected)
    close(fusion.head[0](features[0]), fusion([features[0], *(0 * f for f in features[1:])]))


@pytest.mark.parametrize("length", [0.0, 6e4], ids=["absent", "long"])
def test_cosines_of_half_precision_take_features_of_any_length(length):
    fusion = Cosine((5, 7), NUM_CLASSES)
    features = [torch.full((2, 5), length), torch.ones(2, 7)]
    logits = fusion.half()([feature.half() for feature in features])
    torch.testing.assert_close(logits, fusion.float()(features).half(), rtol=0.01, atol=0.02)


def test_wrong_scale_of_cosines_is_an_error():
    with pytest.raises(ValueError, match=r"`scale` should be finite, above 0; found 0\.0"):
        Cosine((5, 7), 3, scale=0.0)
