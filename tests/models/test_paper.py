"""The paper's networks: parameters as published, names, classes, weights; all of them wrapped."""

import math

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.models import (
    PAPER_NETWORKS,
    Additive,
    Concatenation,
    FirstStateTransformer,
    MaxOutLayers,
    MultimodalNetwork,
    ResNet,
    SegmentOutput,
    absent_tokens,
    mark_padding,
    paper_network,
    similarity_loss,
)
from support.wrapping import wrap_parts

NUM_PARAMETERS = {
    ("crema-d", "late"): 22_352_902,
    ("crema-d", "late-sum"): 22_352_908,
    ("crema-d", "maxout"): 30_755_846,
    ("ur-funny", "late"): 132_917_762,
    ("ur-funny", "maxout"): 146_563_586,
    ("ave", "psp"): 1_667_251,
    ("cmu-mosei", "attention"): 41_237_596,
    # Not published: 2 x 11,170,240 and the layers behind, 10,250 or 8,413,194.
    ("av-mnist", "late"): 22_350_730,
    ("av-mnist", "maxout"): 30_753_674,
}
SAMPLES = {
    "crema-d": {"audio": (1, 257, 188), "image": (3, 224, 224)},
    "ur-funny": {"text": (50, 300), "audio": (50, 81), "vision": (50, 371)},
    "ave": {"audio": (10, 128), "vision": (10, 7, 7, 512)},
    "cmu-mosei": {"text": (60, 300), "audio": (60, 80)},
    "av-mnist": {"audio": (1, 112, 112), "image": (1, 28, 28)},
}
CLASSES = {"crema-d": 6, "ur-funny": 2, "ave": 29, "cmu-mosei": 2, "av-mnist": 10}


def on_meta(*args, **options):
    """Build a network without memory: its shapes alone."""
    with torch.device("meta"):
        return paper_network(*args, **options)


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


# --- as published ---------------------------------------------------------------------------------


def test_every_network_is_listed():
    assert {(name, f) for name, fusions in PAPER_NETWORKS.items() for f in fusions} == set(
        NUM_PARAMETERS
    )


@pytest.mark.parametrize(("name", "fusion"), NUM_PARAMETERS)
def test_parameters_are_as_many_as_published(name, fusion):
    assert num_parameters(on_meta(name, fusion=fusion)) == NUM_PARAMETERS[name, fusion]


@pytest.mark.parametrize(("name", "fusion"), NUM_PARAMETERS)
def test_samples_of_the_data_set_give_logits_of_its_classes(name, fusion):
    network = on_meta(name, fusion)
    assert network.modalities == tuple(SAMPLES[name])
    inputs = {key: torch.empty(2, *shape, device="meta") for key, shape in SAMPLES[name].items()}
    output = network(**inputs)
    segments = SAMPLES[name]["vision"][:1] if name == "ave" else ()
    logits = output.logits if name == "ave" else output
    assert logits.shape == (2, *segments, CLASSES[name])


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_the_first_fusion_is_the_default_and_classes_may_be_others(name):
    default = on_meta(name)
    first = on_meta(name, PAPER_NETWORKS[name][0])
    assert str(default) == str(first)
    heads = [
        [m for m in network.fusion.head.modules() if isinstance(m, nn.Linear)][-1].out_features
        for network in (default, on_meta(name, num_classes=7))
    ]
    assert heads == [CLASSES[name], 7]


@pytest.mark.parametrize(("name", "fusion"), NUM_PARAMETERS)
def test_paths_lead_to_encoders_and_heads(name, fusion):
    network = on_meta(name, fusion)
    for key, path in network.encoder_paths.items():
        assert network.get_submodule(path) is network.encoders[key]
    expected = list(SAMPLES[name]) if fusion == "late-sum" else []
    assert list(network.head_paths) == expected


def test_encoders_and_fusions_are_those_of_the_paper():
    late, summed, early = (on_meta("crema-d", f) for f in PAPER_NETWORKS["crema-d"])
    assert all(isinstance(encoder, ResNet) for encoder in late.encoders.values())
    channels = {name: encoder.in_channels for name, encoder in late.encoders.items()}
    assert channels == {"audio": 1, "image": 3}
    assert isinstance(late.fusion, Concatenation)
    assert isinstance(summed.fusion, Additive)
    assert isinstance(early.fusion.network, MaxOutLayers)
    epsilons = [m.eps for m in early.fusion.modules() if isinstance(m, nn.BatchNorm1d)]
    assert epsilons == [1e-4, 1e-5, 1e-5]
    assert [m.p for m in early.fusion.modules() if isinstance(m, nn.Dropout)] == [0.3, 0.3]
    transformers = on_meta("ur-funny").encoders
    assert all(isinstance(encoder, FirstStateTransformer) for encoder in transformers.values())


def test_weights_of_crema_d_are_drawn_as_published():
    torch.manual_seed(109)
    network = paper_network("crema-d", "maxout")
    for module in network.modules():
        if isinstance(module, nn.Linear):
            std = math.sqrt(2 / sum(module.weight.shape))
            assert module.weight.std().item() == pytest.approx(std, rel=0.03)
            assert not module.bias.any()
        elif isinstance(module, nn.Conv2d):
            fan_out = module.weight.shape[0] * module.weight[0, 0].numel()
            bound = math.sqrt(6 / fan_out)
            largest = module.weight.abs().max().item()
            assert 0.98 * bound < largest <= bound * (1 + 1e-6)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all()
            assert not module.bias.any()


def test_what_the_published_code_never_uses_is_frozen():
    network = on_meta("ave")
    trained = [p for p in network.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 1_548_657
    assert num_parameters(network.unused) == 118_594


def test_building_is_repeatable():
    states = []
    for _ in range(2):
        torch.manual_seed(113)
        states.append(paper_network("ave").state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


# --- data of other shapes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("crema-d", {"audio": (2, 33, 37), "image": (5, 41, 43)}),
        ("ur-funny", {"text": (3, 7), "audio": (5, 11), "vision": (2, 13)}),
        ("ave", {"audio": (3, 5), "vision": (3, 2, 4, 7)}),
        ("cmu-mosei", {"text": (5, 7), "audio": (3, 11)}),
        ("cmu-mosei", {"audio": (60, 74)}),
    ],
)
def test_shapes_of_other_data_are_followed(name, shapes):
    network = on_meta(name, shapes=shapes)
    inputs = {
        key: torch.empty(2, *shapes.get(key, shape), device="meta")
        for key, shape in SAMPLES[name].items()
    }
    output = network(**inputs)
    assert len(output.logits if name == "ave" else output) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("cremad",), {}, "`name` should be one of .*; found 'cremad'. Did you mean 'crema-d'"),
        (("ave", "late"), {}, "`fusion` should be one of 'psp'; found 'late'"),
        (("crema-d", "late_sum"), {}, "found 'late_sum'. Did you mean 'late-sum'"),
        (("ave",), {"num_classes": 0}, "`num_classes` should be at least 1; found 0"),
        (("ave",), {"shapes": {"visual": (1,)}}, "among 'audio', 'vision'; found 'visual'"),
        (
            ("ave",),
            {"shapes": {"vision": (10, 512)}},
            r"`shapes\['vision'\]` should have 4 entries, .* \(10, 7, 7, 512\); found \(10, 512\)",
        ),
        (("ave",), {"shapes": {"audio": (10, 0)}}, r"`shapes\['audio'\]\[1\]` .* at least 1"),
    ],
)
def test_paper_network_names_what_is_wrong(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        paper_network(*arguments, **options)


# --- wrapped --------------------------------------------------------------------------------------

SMALL = {
    "crema-d": {"audio": (1, 35, 37), "image": (3, 41, 43)},
    "av-mnist": {"audio": (1, 35, 37), "image": (1, 28, 28)},
    "ave": {"audio": (5, 128), "vision": (5, 2, 3, 512)},
    "cmu-mosei": {"text": (7, 300), "audio": (5, 80)},
}


def steps(network, inputs, target, **options):
    """Take two steps of AGM by whole passes, as published; return the last output."""
    balanced = wrap_parts(
        network, network.modalities, cp.AGM(alpha=1.0), coalitions="inputs", **options
    )
    optimizer = torch.optim.SGD(balanced.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        out = balanced(**inputs, target=target)
        loss = out.loss
        if isinstance(out.raw, SegmentOutput):
            loss = loss + similarity_loss(out.raw, target)
        loss.backward()
        trained = [p for p in network.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
        optimizer.step()
    assert out.coefficients.isfinite().all()
    assert out.responses.isfinite().all()
    balanced.eval()
    with torch.no_grad():
        logits, expected = balanced(**inputs).logits, network(**inputs)
    expected = expected.select() if isinstance(expected, SegmentOutput) else expected
    assert torch.equal(logits, expected)
    return out


def batch(name, rows=3):
    torch.manual_seed(127)
    return {key: torch.randn(rows, *shape) for key, shape in SMALL[name].items()}


# Each data set and each fusion in a quick case: the networks differ in channels and classes alone.
@pytest.mark.parametrize(
    ("name", "fusion"),
    [
        ("av-mnist", "late"),
        ("crema-d", "late-sum"),
        ("crema-d", "maxout"),
        pytest.param("av-mnist", "maxout", marks=pytest.mark.slow),
        pytest.param("crema-d", "late", marks=pytest.mark.slow),
    ],
)
def test_residual_networks_are_trained_when_wrapped(name, fusion):
    network = paper_network(name, fusion)
    out = steps(network, batch(name), torch.tensor([0, 2, 5]))
    assert out.logits.shape == (3, CLASSES[name])


def test_transformers_are_trained_when_wrapped():
    """Smaller ones, joined as the paper's are: three of full size take gigabytes."""
    sizes = {"text": 11, "audio": 13, "vision": 17}
    options = {"width": 12, "num_layers": 2, "hidden": 19}
    for fusion in (
        Concatenation((12,) * 3, 2),
        Concatenation((12,) * 3, 2, network=MaxOutLayers(36, (23, 29))),
    ):
        encoders = {key: FirstStateTransformer(size, **options) for key, size in sizes.items()}
        torch.manual_seed(149)
        inputs = {key: torch.randn(3, 7, size) for key, size in sizes.items()}
        steps(MultimodalNetwork(encoders, fusion), inputs, torch.tensor([0, 1, 1]))


@pytest.mark.slow
@pytest.mark.parametrize("fusion", PAPER_NETWORKS["ur-funny"])
def test_the_transformers_of_the_paper_are_trained_when_wrapped(fusion):
    inputs = {key: torch.randn(3, 5, shape[-1]) for key, shape in SAMPLES["ur-funny"].items()}
    steps(paper_network("ur-funny", fusion), inputs, torch.tensor([0, 1, 1]))


def test_positive_sample_propagation_is_trained_when_wrapped():
    network = paper_network("ave", shapes=SMALL["ave"])
    target = torch.tensor([[28, 3, 3, 28, 28], [28] * 5, [5] * 5])
    out = steps(network, batch("ave"), target, select=SegmentOutput.select)
    assert out.logits.shape == (3, 29, 5)


def test_joint_encoding_is_trained_when_wrapped():
    network = paper_network("cmu-mosei", shapes=SMALL["cmu-mosei"])
    inputs = {key: mark_padding(value) for key, value in batch("cmu-mosei").items()}
    steps(network, inputs, torch.tensor([0, 1, 1]), absent=absent_tokens(network.modalities))
