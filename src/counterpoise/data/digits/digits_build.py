"""Builds the digits; run by :mod:`counterpoise.data.digits.digits` in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from counterpoise.data.avmnist.spectrogram import LogMel, add_noise, coloured_noise
from counterpoise.data.contract import TARGET
from counterpoise.data.digits.speech import SAMPLE_RATE, Synthesiser, Utterance
from counterpoise.data.files.cache import write
from counterpoise.data.files.streams import stream

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Speakers in no two splits. Of those that sound nearly alike (by the spectra of the ten words)
# no two are in different splits; robots, whispers and croaks are left out, and so are breathy
# voices, whose noise eSpeak NG draws anew in each process.
VOICES = {
    "train": (
        *("f1", "Andrea", "Annie", "anika", "linda", "steph"),
        *("m1", "m3", "m5", "m7", "adam", "Andy", "antonio", "boris", "Denis", "ed", "gustave"),
        *("ian", "Jacky", "kaukovalta", "klatt", "Lee", "marcelo", "Mario", "max", "mike2"),
        *("miguel", "norbert", "paul", "rob", "travis", "zac"),
    ),
    "validation": ("belinda", "m2", "Alex", "david", "Gene", "john", "klatt3", "quincy"),
    "test": (
        *("f4", "grandma", "m8", "Diogo", "edward", "grandpa", "Hugo", "iven", "iven4", "Marco"),
        *("pablo", "shelby"),
    ),
}

ACCENTS = (
    "gmw/en",
    "gmw/en-029",
    "gmw/en-GB-scotland",
    "gmw/en-GB-x-gbcwmd",
    "gmw/en-GB-x-rp",
    "gmw/en-US",
)

# Of each class, which images (in a random order) belong to which split.
IMAGES = {"train": slice(0, 100), "validation": slice(100, 129), "test": slice(129, None)}

IMAGE_SIZE, NUM_FRAMES, NUM_MELS = 28, 32, 32
RATES, PITCHES, PITCH_RANGES = (130, 220), (25, 75), (20, 80)
CHUNK = 512  # pairs at a time: waveforms of all of them would take a gigabyte
AUDIBLE = 200  # of 32767: what is quieter before and after a word counts as silence


def main() -> None:
    """Build with the options in the first argument (JSON) into the file named by the second."""
    torch.set_num_threads(1)  # sums depend on how they are divided among threads
    options, path = json.loads(sys.argv[1]), Path(sys.argv[2])
    versions = {name: version(name) for name in ("espeakng-loader", "scikit-learn", "torch")}
    write(path, build(**options), {"options": options, "versions": versions})


def build(
    *, seed: int, speech_to_noise: Sequence[float], image_noise: float, utterances_per_image: int
) -> dict[str, Tensor]:
    """Return the tensors of all splits, by ``split.modality`` and ``split.target``.

    The arguments are those of :class:`counterpoise.data.Digits`. The bits are reproducible only
    when this is the first speech of the process.
    """
    images, labels = load_images()
    synthesiser = Synthesiser()
    tensors: dict[str, Tensor] = {}
    for split in VOICES:
        rows = image_rows(labels, split, seed, utterances_per_image)
        noise = torch.randn(len(rows), 8, 8, generator=stream(seed, split, "pixels"))
        noisy = images[rows] + image_noise * noise
        size = (IMAGE_SIZE, IMAGE_SIZE)
        tensors[f"{split}.image"] = interpolate(noisy[:, None], size=size, mode="bilinear")
        utterances = list(_utterances(labels[rows], split, seed))
        spectrograms = _listen(synthesiser, utterances, split, seed, speech_to_noise)
        tensors[f"{split}.audio"] = spectrograms
        tensors[f"{split}.{TARGET}"] = labels[rows]
    return _standardise(tensors)


def load_images() -> tuple[Tensor, Tensor]:
    """Return all images, ink 1 and paper 0, and their labels."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    digits: Any = load_digits()
    ink = torch.as_tensor(digits.images, dtype=torch.float32) / 16
    return ink, torch.as_tensor(digits.target, dtype=torch.int64)


def image_rows(labels: Tensor, split: str, seed: int, utterances_per_image: int) -> Tensor:
    """Return which image each sample of a split shows."""
    rows = _rows(labels, split, seed).repeat(utterances_per_image)
    return rows[torch.randperm(len(rows), generator=stream(seed, split, "order"))]


def _rows(labels: Tensor, split: str, seed: int) -> Tensor:
    rows = []
    for label in range(len(WORDS)):
        candidates = (labels == label).nonzero().squeeze(1)
        order = torch.randperm(len(candidates), generator=stream(seed, "images", str(label)))
        rows.append(candidates[order[IMAGES[split]]])
    return torch.cat(rows)


def _utterances(labels: Tensor, split: str, seed: int) -> Iterator[Utterance]:
    generator = stream(seed, split, "speakers")

    def draw(low: int, high: int) -> list[int]:
        numbers: list[int] = torch.randint(low, high, (len(labels),), generator=generator).tolist()
        return numbers

    voices, accents = draw(0, len(VOICES[split])), draw(0, len(ACCENTS))
    manners = zip(draw(*RATES), draw(*PITCHES), draw(*PITCH_RANGES), strict=True)
    speakers = zip(labels.tolist(), accents, voices, strict=True)
    for (label, accent, voice), (rate, pitch, pitch_range) in zip(speakers, manners, strict=True):
        yield Utterance(
            WORDS[label], ACCENTS[accent], VOICES[split][voice], rate, pitch, pitch_range
        )


def _listen(
    synthesiser: Synthesiser,
    utterances: Sequence[Utterance],
    split: str,
    seed: int,
    speech_to_noise: Sequence[float],
) -> Tensor:
    log_mel = LogMel(SAMPLE_RATE, num_mels=NUM_MELS, high=8000.0)
    num_samples = log_mel.num_samples(NUM_FRAMES)
    generator = stream(seed, split, "background")
    low, high = speech_to_noise
    chunks = []
    for start in range(0, len(utterances), CHUNK):
        chunk = utterances[start : start + CHUNK]
        speech = torch.zeros(len(chunk), num_samples)
        onset = torch.rand(len(chunk), generator=generator)
        for row, utterance, place in zip(speech, chunk, onset.tolist(), strict=True):
            _place(_trim(synthesiser.speak(utterance)), row, place)
        exponent = 2 * torch.rand(len(chunk), generator=generator)  # from white to brown
        ratio = low + (high - low) * torch.rand(len(chunk), generator=generator)
        noise = coloured_noise(exponent, num_samples, generator)
        chunks.append(log_mel(add_noise(speech, noise, ratio)))
    return torch.cat(chunks)[:, None]


def _trim(waveform: Tensor) -> Tensor:
    audible = (waveform.int().abs() > AUDIBLE).nonzero()
    return waveform[int(audible[0]) : int(audible[-1]) + 1].float()


def _place(word: Tensor, row: Tensor, place: float) -> None:
    """Write a word, scaled to root mean square 1, into a row, ``place`` of the way along it."""
    word = word[: len(row)]
    start = int(place * (len(row) - len(word) + 1))
    row[start : start + len(word)] = word / word.square().mean().sqrt()


def _standardise(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for modality in ("audio", "image"):
        reference = tensors[f"train.{modality}"].double()
        mean, std = float(reference.mean()), float(reference.std())
        for split in VOICES:
            name = f"{split}.{modality}"
            tensors[name] = (tensors[name] - mean) / std
    return tensors
