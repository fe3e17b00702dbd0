"""Joint encoding: against a plain twin, masks and padding, levels of the engine, refusals."""

import pytest
import torch

import counterpoise as cp
from counterpoise.models import (
    JointEncoding,
    MultimodalNetwork,
    TokenEncoder,
    absent_tokens,
    mark_padding,
)
from support import plain
from support.wrapping import wrap_parts

BATCH, LENGTH, WIDTH, HEADS, CLASSES = 3, 5, 14, 2, 7
SIZES = {"words": 11, "frames": 13}


def fusion(num_blocks=3, dropout=0.0):
    torch.manual_seed(83)
    return JointEncoding(
        CLASSES,
        width=WIDTH,
        num_blocks=num_blocks,
        num_heads=HEADS,
        hidden=17,
        length=LENGTH,
        dropout=dropout,
    ).double()


def network(**options):
    torch.manual_seed(89)
    encoders = {
        "words": TokenEncoder(11, width=WIDTH, length=LENGTH, recurrent=True),
        "frames": TokenEncoder(13, width=WIDTH, length=LENGTH),
    }
    return MultimodalNetwork(encoders, fusion(**options)).double()


def padded(seed=97, length=LENGTH):
    """Sequences of 5, 3 and 2 words, of 4, 5 and 3 frames, zeros after them."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {}
    for name, lengths in (("words", (5, 3, 2)), ("frames", (4, 5, 3))):
        values = torch.randn(BATCH, length, SIZES[name], generator=generator, dtype=torch.float64)
        for b, end in enumerate(lengths):
            values[b, end:] = 0
        inputs[name] = values
    return inputs


def marked(inputs):
    return {name: mark_padding(value) for name, value in inputs.items()}


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_blocks", [1, 3])
def test_the_fusion_is_its_plain_twin(num_blocks):
    torch.manual_seed(151)
    features = [
        {"tokens": torch.randn(BATCH, LENGTH, WIDTH, dtype=torch.float64), "mask": mask}
        for mask in (
            torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]).bool(),
            torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]).bool(),
        )
    ]
    plain.agree(
        fusion(num_blocks).eval(),
        lambda p, x: plain.joint_encoding(p, x, num_blocks, HEADS),
        features,
    )


def test_encoders_are_their_plain_twins():
    encoders, inputs = network().eval().encoders, padded()

    def recurrent(p, x):
        return [torch.stack([plain.lstm(p, "layer", sample) for sample in x["tokens"]])]

    def linear(p, x):
        return [plain.linear(p, "layer", x["tokens"])]

    for name, twin in (("words", recurrent), ("frames", linear)):
        encoder = encoders[name]
        tokens = mark_padding(inputs[name])
        found, expected = encoder(tokens), twin(dict(encoder.named_parameters()), tokens)
        torch.testing.assert_close(found["tokens"], expected[0], rtol=0, atol=1e-12)
        assert torch.equal(found["mask"], tokens["mask"])


def test_padding_is_found_by_its_zeros():
    inputs = padded()
    masks = {name: value["mask"].sum(1).tolist() for name, value in marked(inputs).items()}
    assert masks == {"words": [5, 3, 2], "frames": [4, 5, 3]}
    whole = network().eval()
    assert torch.equal(whole(**inputs), whole(**marked(inputs)))


def test_what_padded_tokens_hold_is_never_read():
    whole, inputs = network().eval(), marked(padded())
    dirty = {
        name: {
            "tokens": value["tokens"].masked_fill(~value["mask"][..., None], float("nan")),
            "mask": value["mask"],
        }
        for name, value in inputs.items()
    }
    assert torch.equal(whole(**dirty), whole(**inputs))


def test_shorter_sequences_are_padded_at_their_end():
    whole, inputs = network().eval(), padded()
    shorter = inputs | {"frames": inputs["frames"][:, :4]}
    longer = inputs | {"frames": torch.nn.functional.pad(shorter["frames"], (0, 0, 0, 1))}
    assert torch.equal(whole(**shorter), whole(**longer))


def test_a_mask_changes_the_logits():
    whole, inputs = network().eval(), marked(padded())
    for name in SIZES:
        tokens = inputs[name]["tokens"]
        everything = {"tokens": tokens, "mask": torch.ones(tokens.shape[:2], dtype=torch.bool)}
        assert not torch.allclose(whole(**inputs | {name: everything}), whole(**inputs))


def test_a_sequence_without_real_tokens_is_finite():
    whole, inputs = network(), marked(padded())
    inputs["words"]["mask"] = torch.zeros_like(inputs["words"]["mask"])
    logits = whole(**inputs)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in whole.parameters())


def test_samples_are_treated_apart_and_there_may_be_none():
    whole, inputs = network().eval(), padded()
    together = whole(**inputs)
    apart = [whole(**{n: v[i : i + 1] for n, v in inputs.items()}) for i in range(BATCH)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=0, atol=1e-12)
    assert whole(**{n: v[:0] for n, v in inputs.items()}).shape == (0, CLASSES)


def test_dropout_acts_in_training_alone():
    dropped, kept, inputs = network(dropout=0.5), network(), padded()
    assert not torch.equal(dropped(**inputs), dropped(**inputs))
    assert torch.equal(dropped.eval()(**inputs), kept.eval()(**inputs))


def test_a_gradient_reaches_every_parameter_and_nothing_is_changed_in_place():
    whole, outputs = network(), []
    for module in whole.modules():
        module.register_forward_hook(lambda *args: outputs.extend(plain.versions(args[2])))
    (whole(**padded()) * torch.randn(BATCH, CLASSES)).sum().backward()
    for name, parameter in whole.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert len(outputs) > 60
    assert all(tensor._version == version for tensor, version in outputs)


# --- wrapped --------------------------------------------------------------------------------------


def wrap(level, **options):
    model = network()
    encoders = None if level == "inputs" else model.encoder_paths
    return wrap_parts(
        model, model.modalities, cp.AGM(alpha=1.0), encoders=encoders, coalitions=level, **options
    )


def wrapped_steps(level, form):
    """Take two steps of AGM; return the last output, its gradients, and the wrapped network."""
    balanced = wrap(level, **({"absent": absent_tokens(SIZES)} if form is marked else {}))
    for seed in (101, 103):
        balanced.zero_grad()
        out = balanced(**form(padded(seed)), target=torch.tensor([0, 2, 5]))
        out.loss.backward()
    return out, [parameter.grad for parameter in balanced.model.parameters()], balanced


@pytest.mark.parametrize("form", [dict, marked], ids=["plain", "marked"])
def test_the_wrapped_network_is_balanced_alike_at_every_level(form):
    expected, expected_gradients, balanced = wrapped_steps("inputs", form)
    torch.testing.assert_close(expected.responses.sum(0), expected.logits, rtol=0, atol=1e-9)
    assert (expected.coefficients != 1).all()
    assert all(gradient.isfinite().all() for gradient in expected_gradients)
    inputs = form(padded())
    assert torch.equal(balanced.eval()(**inputs).logits, balanced.model(**inputs))
    for level in ("features", "shared"):
        out, gradients, _ = wrapped_steps(level, form)
        torch.testing.assert_close(out.responses, expected.responses, rtol=0, atol=1e-11)
        torch.testing.assert_close(out.coefficients, expected.coefficients, rtol=0, atol=1e-11)
        torch.testing.assert_close(gradients, expected_gradients, rtol=0, atol=1e-10)


def test_masks_are_those_of_the_data_while_a_modality_is_absent():
    inputs, seen = marked(padded()), []
    balanced = wrap("inputs", absent=absent_tokens(SIZES))
    balanced.validate(**inputs)

    def note(module, args):
        seen.append((args[0][0]["mask"], args[0][0]["tokens"]))

    words = balanced.model.encoders["words"]
    silent = words(
        {"tokens": torch.zeros(BATCH, LENGTH, 11).double(), "mask": inputs["words"]["mask"]}
    )
    balanced.model.fusion.register_forward_pre_hook(note)
    balanced(**inputs, target=torch.tensor([0, 2, 5]))
    assert len(seen) == 3
    assert all(torch.equal(mask, inputs["words"]["mask"]) for mask, _ in seen)
    assert sum(torch.equal(tokens, silent["tokens"]) for _, tokens in seen) == 1


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TokenEncoder(0), "`num_inputs` should be at least 1; found 0"),
        (lambda: TokenEncoder(5, width=0), "`width` should be at least 1; found 0"),
        (lambda: TokenEncoder(5, length=0), "`length` should be at least 1; found 0"),
        (lambda: JointEncoding(0), "`num_classes` should be at least 1; found 0"),
        (lambda: JointEncoding(2, width=14), "multiple of num_heads = 4; found 14. Choose 16"),
        (lambda: JointEncoding(2, num_blocks=0), "`num_blocks` should be at least 1; found 0"),
        (lambda: JointEncoding(2, hidden=0), "`hidden` should be at least 1; found 0"),
        (lambda: JointEncoding(2, length=0), "`length` should be at least 1; found 0"),
        (lambda: JointEncoding(2, dropout=1.0), "`dropout` .* below 1; found 1.0"),
    ],
)
def test_constructors_name_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_inputs_of_another_shape_are_named():
    whole, inputs = network(), padded()
    message = r"\(batch, up to 5 tokens, 11\); found \(3, 6, 11\). Cut longer sequences"
    with pytest.raises(ValueError, match=message):
        whole(**inputs | {"words": torch.ones(3, 6, 11).double()})
    with pytest.raises(ValueError, match=r"\(batch, up to 5 tokens, 13\); found \(3, 5, 11\)"):
        whole(**inputs | {"frames": inputs["words"]})
    with pytest.raises(ValueError, match=r"`mask` should have the shape \(3, 5\)"):
        whole(**inputs | {"words": {"tokens": inputs["words"], "mask": torch.ones(3, 4)}})


def test_features_of_another_shape_are_named():
    encoder = network().encoders["words"]
    feature = encoder(padded()["words"])
    with pytest.raises(ValueError, match="one feature for each of the 2 modalities; found 1"):
        fusion()([feature])
    shorter = {name: value[:, :4] for name, value in feature.items()}
    with pytest.raises(ValueError, match=r"tokens of shape \(3, 5, 14\); found \(3, 4, 14\)"):
        fusion()([feature, shorter])
