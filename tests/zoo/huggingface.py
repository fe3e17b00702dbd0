"""Models of Hugging Face's transformers, from small configurations with random weights."""

import torch
from torch import nn

from zoo.kinds import CLASSES, ROWS, WIDTH, Batch, Kind, draw, head, mlp

try:
    import transformers as hf
except ImportError:  # the tests say that they are skipped for it
    hf = None

SMALL = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 13,
}
WORDS = 5


def text(step, *, vocabulary=29):
    """Draw ids and their mask; the first batch is unpadded."""
    generator = torch.Generator().manual_seed(step)
    ids = torch.randint(3, vocabulary, (ROWS, WORDS), generator=generator)
    lengths = torch.randint(2, WORDS + 1, (ROWS,), generator=generator)
    mask = (torch.arange(WORDS) < lengths.unsqueeze(1)).long() if step else torch.ones_like(ids)
    return ids * mask, mask


def bert():
    return hf.BertModel(hf.BertConfig(vocab_size=29, max_position_embeddings=11, **SMALL))


def vit():
    return hf.ViTModel(hf.ViTConfig(image_size=6, patch_size=3, num_channels=2, **SMALL))


class Pooled(nn.Module):
    """The mean of the last hidden states of any model."""

    def __init__(self, model, size=8):
        super().__init__()
        self.model, self.out = model, nn.Linear(size, WIDTH)

    def forward(self, *args, **kwargs):
        return self.out(self.model(*args, **kwargs).last_hidden_state.mean(dim=1))


class Towers(nn.Module):
    """BERT and ViT, whose outputs the encoders' paths name as they are, under an MLP."""

    def __init__(self):
        super().__init__()
        self.bert, self.vit = bert(), vit()
        self.rest = head(2, 8)

    def forward(self, text, image):
        read = self.bert(input_ids=text["input_ids"], attention_mask=text["attention_mask"])
        return self.rest(read.pooler_output, self.vit(image).last_hidden_state[:, 0])


def towers_batch(step):
    ids, mask = text(step)
    drawn = draw(step, image=(2, 6, 6))
    words = {"input_ids": ids, "attention_mask": mask}
    return Batch({"text": words, "image": drawn.inputs["image"]}, drawn.target)


class MaskedTowers(Towers):
    """The same with the mask beside the modalities."""

    def forward(self, text, image, attention_mask=None):
        return super().forward({"input_ids": text, "attention_mask": attention_mask}, image)


class CheckpointedTowers(Towers):
    """The same, recomputing each layer on the way back."""

    def __init__(self):
        super().__init__()
        self.bert.gradient_checkpointing_enable({"use_reentrant": False})
        self.vit.gradient_checkpointing_enable({"use_reentrant": False})


def uncheckpointed(model):
    model.bert.gradient_checkpointing_disable()
    model.vit.gradient_checkpointing_disable()


def masked_batch(step):
    drawn = towers_batch(step)
    words = drawn.inputs["text"]
    inputs = {"text": words["input_ids"], "image": drawn.inputs["image"]}
    return drawn._replace(inputs=inputs, others={"attention_mask": words["attention_mask"]})


def clip():
    config = hf.CLIPConfig(
        text_config={
            "vocab_size": 29,
            "max_position_embeddings": 11,
            "eos_token_id": 2,
            "bos_token_id": 1,
            "pad_token_id": 0,
            **SMALL,
        },
        vision_config={"image_size": 6, "patch_size": 3, "num_channels": 2, **SMALL},
        projection_dim=WIDTH,
    )
    return hf.CLIPModel(config)


def clip_batch(step):
    ids, _ = text(step)
    images = draw(step, pixel_values=(2, 6, 6)).inputs
    return Batch({"input_ids": ids, **images}, torch.arange(ROWS))


def vilt():
    config = hf.ViltConfig(
        vocab_size=29,
        max_position_embeddings=11,
        image_size=6,
        patch_size=3,
        num_channels=2,
        num_labels=CLASSES,
        **SMALL,
    )
    return hf.ViltForQuestionAnswering(config)


def vilt_batch(step):
    ids, mask = text(step)
    drawn = draw(step, pixel_values=(2, 6, 6))
    others = {"attention_mask": mask, "pixel_mask": torch.ones(ROWS, 6, 6, dtype=torch.long)}
    return Batch({"input_ids": ids, **drawn.inputs}, drawn.target, others)


def wav2vec2():
    config = hf.Wav2Vec2Config(
        vocab_size=29,
        conv_dim=(8, 8),
        conv_stride=(2, 2),
        conv_kernel=(3, 3),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        num_feat_extract_layers=2,
        mask_time_prob=0.0,
        layerdrop=0.0,
        **SMALL,
    )
    return hf.Wav2Vec2Model(config)


class Speech(nn.Module):
    """Wav2Vec2 and BERT under an MLP."""

    def __init__(self):
        super().__init__()
        self.speech, self.text, self.rest = Pooled(wav2vec2()), Pooled(bert()), head()

    def forward(self, speech, text):
        return self.rest(self.speech(speech), self.text(text))


def speech_batch(step):
    drawn = draw(step, speech=(53,))
    ids, _ = text(step)
    return Batch({"speech": drawn.inputs["speech"], "text": ids}, drawn.target)


def t5():
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 13, "num_layers": 2, "num_heads": 2}
    return hf.T5EncoderModel(hf.T5Config(vocab_size=29, **sizes))


class Read(nn.Module):
    """T5's encoder and measurements, under an MLP."""

    def __init__(self):
        super().__init__()
        self.text, self.eye = Pooled(t5()), mlp(11)
        self.rest = head()

    def forward(self, text, eye):
        return self.rest(self.text(**text), self.eye(eye))


def read_batch(step):
    ids, mask = text(step)
    drawn = draw(step, eye=(11,))
    words = {"input_ids": ids, "attention_mask": mask}
    return Batch({"text": words, "eye": drawn.inputs["eye"]}, drawn.target)


def translator():
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 13, "num_layers": 2, "num_heads": 2}
    config = hf.T5Config(vocab_size=29, decoder_start_token_id=0, **sizes)
    return hf.T5ForConditionalGeneration(config)


def translator_batch(step):
    ids, mask = text(step)
    written = torch.randint(3, 29, (ROWS, 4), generator=torch.Generator().manual_seed(50 + step))
    inputs = {"input_ids": ids, "decoder_input_ids": written[:, :-1]}
    return Batch(inputs, written[:, 1:], {"attention_mask": mask})


class Grounded(nn.Module):
    """Embeddings of an image and of words, into one BERT that reads both."""

    def __init__(self):
        super().__init__()
        self.words, self.patches = nn.Embedding(29, 8), nn.Conv2d(2, 8, 3, stride=3)
        self.reader, self.head = bert(), nn.Linear(8, CLASSES)

    def forward(self, text, image):
        patches = self.patches(image).flatten(2).transpose(1, 2)
        joined = torch.cat([self.words(text), patches], dim=1)
        return self.head(self.reader(inputs_embeds=joined).pooler_output)


def grounded_batch(step):
    ids, _ = text(step)
    drawn = draw(step, image=(2, 6, 6))
    return Batch({"text": ids, "image": drawn.inputs["image"]}, drawn.target)


MASKS = frozenset({"text.attention_mask"})

KINDS = {
    "hf-bert-and-vit": Kind(Towers, towers_batch, {"text": "bert", "image": "vit"}, keep=MASKS),
    "hf-bert-and-vit-mask-beside": Kind(
        MaskedTowers, masked_batch, {"text": "bert", "image": "vit"}
    ),
    "hf-bert-and-vit-checkpointed": Kind(
        CheckpointedTowers,
        towers_batch,
        {"text": "bert", "image": "vit"},
        keep=MASKS,
        twin=uncheckpointed,
    ),
    "hf-clip": Kind(
        clip,
        clip_batch,
        {"input_ids": "text_model", "pixel_values": "vision_model"},
        select=lambda out: out.logits_per_image,
    ),
    "hf-vilt": Kind(
        vilt,
        vilt_batch,
        {
            "input_ids": "vilt.embeddings.text_embeddings",
            "pixel_values": "vilt.embeddings.patch_embeddings",
        },
        select=lambda out: out.logits,
    ),
    "hf-wav2vec2-and-bert": Kind(Speech, speech_batch, {"speech": "speech", "text": "text"}),
    "hf-t5": Kind(Read, read_batch, {"text": "text", "eye": "eye"}, keep=MASKS),
    # The decoder looks at what the encoder read: no module sees the written words alone.
    "hf-t5-whole": Kind(
        translator, translator_batch, {}, select=lambda out: out.logits.transpose(1, 2)
    ),
    "hf-one-bert-for-words-and-patches": Kind(
        Grounded, grounded_batch, {"text": "words", "image": "patches"}
    ),
}
