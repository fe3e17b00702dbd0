"""Positive sample propagation: against a plain twin, its gate, its loss, what it refuses."""

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.models import (
    GuideEncoder,
    MapEncoder,
    MultimodalNetwork,
    PositiveSamplePropagation,
    SegmentOutput,
    event_shares,
    similarity_loss,
)
from support import plain
from support.wrapping import wrap_parts

BATCH, SEGMENTS, PLACES, CHANNELS, CLASSES = 2, 5, (2, 3), 11, 7
WIDTH, KEYS = 13, 17


def fusion(**options):
    torch.manual_seed(53)
    sizes = {"channels": CHANNELS, "key_size": KEYS, "num_places": 6, "width": WIDTH}
    return PositiveSamplePropagation(
        CLASSES, **sizes, hidden=19, head_width=23, threshold=0.15, **options
    ).double()


def features():
    generator = torch.Generator().manual_seed(59)

    def draw(*shape):
        return torch.randn(BATCH, SEGMENTS, *shape, generator=generator, dtype=torch.float64)

    return [
        {"guide": draw(WIDTH), "states": draw(2 * WIDTH)},
        {"maps": draw(6, CHANNELS), "keys": draw(6, KEYS)},
    ]


def network(**options):
    torch.manual_seed(61)
    encoders = {
        "sound": GuideEncoder(29, hidden=31, width=WIDTH),
        "sight": MapEncoder(CHANNELS, width=KEYS),
    }
    return MultimodalNetwork(encoders, fusion(**options)).double()


def batch(seed=67):
    generator = torch.Generator().manual_seed(seed)
    sound = torch.randn(BATCH, SEGMENTS, 29, generator=generator, dtype=torch.float64)
    shape = (BATCH, SEGMENTS, *PLACES, CHANNELS)
    sight = torch.randn(*shape, generator=generator, dtype=torch.float64)
    target = torch.randint(CLASSES, (BATCH, SEGMENTS), generator=generator)
    target[0, 1:3] = CLASSES - 1
    return {"sound": sound, "sight": sight}, target


# --- the network ----------------------------------------------------------------------------------


def test_the_fusion_is_its_plain_twin():
    plain.agree(fusion().eval(), lambda p, x: plain.propagation(p, x, 0.15), features())


def test_encoders_are_their_plain_twins():
    inputs, _ = batch()

    def guided(p, x):
        guide = plain.linear(p, "project.1", plain.linear(p, "project.0", x))
        return [guide, torch.stack([plain.bilstm(p, "lstm", clip) for clip in guide])]

    def mapped(p, x):
        maps = torch.stack([torch.stack([m.reshape(6, CHANNELS) for m in clip]) for clip in x])
        return [maps, plain.relu(plain.linear(p, "key", maps))]

    encoders = network().eval().encoders
    plain.agree(encoders["sound"], guided, inputs["sound"])
    plain.agree(encoders["sight"], mapped, inputs["sight"])


def test_entries_at_the_threshold_are_dropped_and_the_rest_sums_to_one():
    gate = fusion().propagation._gate
    shares = gate(torch.tensor([[15.0, 25.0, 60.0], [0.0, 0.0, 0.0]], dtype=torch.float64))
    expected = torch.tensor([[0.0, 25 / 85, 60 / 85], [0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(shares, expected, rtol=0, atol=1e-7)


def test_a_segment_without_a_similar_one_receives_nothing():
    """Where the other stream is absent, all similarities are zero: values and gradients finite."""
    whole, (first, second) = fusion().eval(), features()
    empty = {name: torch.zeros_like(value).requires_grad_() for name, value in first.items()}
    output = whole([empty, second])
    (output.logits.sum() + output.similarity.sum()).backward()
    assert output.logits.isfinite().all()
    assert all(each.grad.isfinite().all() for each in empty.values())


def test_dropout_acts_in_training_alone():
    inputs, _ = batch()
    dropped, kept = network(dropout=0.5), network(dropout=0.0)
    assert not torch.equal(dropped(**inputs).logits, dropped(**inputs).logits)
    assert torch.equal(dropped.eval()(**inputs).logits, kept.train()(**inputs).logits)


def test_clips_are_treated_apart_and_there_may_be_none():
    whole, (inputs, _) = network().eval(), batch()
    apart = [
        whole(**{name: value[i : i + 1] for name, value in inputs.items()}) for i in range(BATCH)
    ]
    together = whole(**inputs)
    torch.testing.assert_close(together.logits, torch.cat([each.logits for each in apart]))
    none = whole(**{name: value[:0] for name, value in inputs.items()})
    assert none.logits.shape == (0, SEGMENTS, CLASSES)


def test_no_output_is_changed_in_place():
    outputs, whole = [], network()
    for module in whole.modules():
        module.register_forward_hook(lambda *args: outputs.extend(plain.versions(args[2])))
    whole(**batch()[0])
    assert len(outputs) > 20
    assert all(tensor._version == version for tensor, version in outputs)


# --- the loss -------------------------------------------------------------------------------------


def test_similarity_loss_is_its_formula():
    output = SegmentOutput(
        torch.zeros(2, 4, 3), torch.tensor([[0.5, 0.25, -0.9, 0.25], [-1.0, -0.5, 0.0, -0.1]])
    )
    target = torch.tensor([[0, 1, 2, 2], [2, 2, 2, 2]])
    # Clip 0: (0.5, 0.25, 0, 0.25) against (0.5, 0.5, 0, 0); clip 1: zeros against zeros.
    expected = 100 * (0.25**2 + 0.25**2) / 8
    assert similarity_loss(output, target).item() == pytest.approx(expected, rel=1e-6)
    assert similarity_loss(output, target, weight=3.0).item() == pytest.approx(
        expected * 0.03, rel=1e-6
    )
    other = similarity_loss(output, target, background=0).item()
    share = torch.tensor([0.0, 1 / 3, 1 / 3, 1 / 3])
    first = (torch.tensor([0.5, 0.25, 0, 0.25]) - share).square().sum()
    assert other == pytest.approx(100 * (first + 4 * 0.25**2).item() / 8, rel=1e-6)


def test_shares_of_a_batch_know_nothing_of_the_one_before():
    everywhere, nowhere = torch.zeros(2, 3, dtype=torch.long), torch.full((2, 3), 2)
    assert torch.equal(event_shares(everywhere, 2), torch.full((2, 3), 1 / 3))
    assert torch.equal(event_shares(nowhere, 2), torch.zeros(2, 3))


def test_similarity_loss_names_what_is_wrong():
    output = SegmentOutput(torch.zeros(2, 4, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"`target` should have the shape \(2, 4\) .*; found \(2,"):
        similarity_loss(output, torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="`weight` should be finite, at least 0; found -1"):
        similarity_loss(output, torch.zeros(2, 4, dtype=torch.long), weight=-1)


# --- wrapped --------------------------------------------------------------------------------------


def wrapped_steps(level):
    """Take two steps of AGM; return the last output, its gradients, and the wrapped network."""
    model = network(dropout=0.0)
    balanced = wrap_parts(
        model,
        model.modalities,
        cp.AGM(alpha=1.0),
        encoders=None if level == "inputs" else model.encoder_paths,
        coalitions=level,
        select=SegmentOutput.select,
    )
    for seed in (71, 73):
        inputs, target = batch(seed)
        model.zero_grad()
        out = balanced(**inputs, target=target)
        out.loss.backward()
    return out, [parameter.grad for parameter in model.parameters()], balanced


def test_the_wrapped_network_is_balanced_segment_by_segment():
    out, gradients, balanced = wrapped_steps("inputs")
    assert out.logits.shape == (BATCH, CLASSES, SEGMENTS)
    torch.testing.assert_close(out.responses.sum(0), out.logits, rtol=0, atol=1e-9)
    assert (out.coefficients != 1).all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    inputs, _ = batch()
    expected = balanced.model.eval()(**inputs).logits.transpose(1, 2)
    assert torch.equal(balanced.eval()(**inputs).logits, expected)


@pytest.mark.parametrize("level", ["features", "shared"])
def test_levels_agree_on_the_wrapped_network(level):
    expected, expected_gradients, _ = wrapped_steps("inputs")
    out, gradients, _ = wrapped_steps(level)
    torch.testing.assert_close(out.responses, expected.responses, rtol=0, atol=1e-11)
    torch.testing.assert_close(out.coefficients, expected.coefficients, rtol=0, atol=1e-11)
    torch.testing.assert_close(gradients, expected_gradients, rtol=0, atol=1e-10)


def test_the_similarity_loss_stays_unmodulated():
    model, (inputs, target) = network(dropout=0.0), batch()

    def step():
        """The same step each time: of a method without a history."""
        balanced = cp.Balanced(
            model, model.modalities, cp.AGM(alpha=5.0), select=SegmentOutput.select
        )
        out = balanced(**inputs, target=target)
        assert (out.coefficients - 1).abs().min() > 0.01
        return out

    def gradients(loss):
        model.zero_grad()
        loss.backward()
        # What the loss does not depend on has no gradient, as the head from the similarity.
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in model.named_parameters()
        }

    out = step()
    both = gradients(F.cross_entropy(out.logits, target) + similarity_loss(out.raw, target))
    modulated = gradients(F.cross_entropy(step().logits, target))
    plain_ones = gradients(similarity_loss(model(**inputs), target))
    for name, gradient in both.items():
        torch.testing.assert_close(
            gradient - modulated[name], plain_ones[name], rtol=0, atol=1e-9, msg=name
        )


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GuideEncoder(0), "`num_inputs` should be at least 1; found 0"),
        (lambda: GuideEncoder(hidden=0), "`hidden` should be at least 1; found 0"),
        (lambda: MapEncoder(0), "`num_inputs` should be at least 1; found 0"),
        (lambda: MapEncoder(width=0), "`width` should be at least 1; found 0"),
        (lambda: PositiveSamplePropagation(0), "`num_classes` should be at least 1; found 0"),
        (lambda: PositiveSamplePropagation(num_places=0), "`num_places` should be at least 1"),
        (lambda: PositiveSamplePropagation(threshold=1.0), "`threshold` .* below 1; found 1.0"),
        (lambda: PositiveSamplePropagation(dropout=1.0), "`dropout` .* below 1; found 1.0"),
    ],
)
def test_constructors_name_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_inputs_of_another_shape_are_named():
    model, (inputs, _) = network(), batch()
    with pytest.raises(ValueError, match=r"\(batch, segments, 29\); found \(2, 29\)"):
        model(**inputs | {"sound": inputs["sound"][:, 0]})
    with pytest.raises(
        ValueError, match=r"\(batch, segments, height, width, 11\); found \(2, 5, 6"
    ):
        model(**inputs | {"sight": inputs["sight"].flatten(2, 3)})
    with pytest.raises(ValueError, match="maps of 6 places, height times width; found 2"):
        model(**inputs | {"sight": inputs["sight"][:, :, :1, :2]})
    with pytest.raises(ValueError, match="one feature for each of the 2 modalities; found 1"):
        model.fusion(features()[:1])
