"""Builds AV-MNIST from MNIST and the Free Spoken Digit Dataset.

Everything is computed in double precision on one thread and drawn from streams of its own, so
that the same options and originals give the same bytes in every process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterpoise.data.avmnist import audio
from counterpoise.data.avmnist.options import PRESETS, RECORD, Options
from counterpoise.data.avmnist.sources import Handwriting, read_mnist
from counterpoise.data.avmnist.spectrogram import coloured_noise
from counterpoise.data.files.download import Progress, fingerprint_files
from counterpoise.data.files.extras import require
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.data.files.folders import new_folder
from counterpoise.data.files.npy import RowWriter
from counterpoise.data.files.streams import stream

FORMAT = 1
"""Raised whenever a build with the same options gives other data."""

FILES = (
    "image/train_data.npy",
    "audio/train_data.npy",
    "train_labels.npy",
    "image/test_data.npy",
    "audio/test_data.npy",
    "test_labels.npy",
)

# An image without its mean is partly negative: a byte of 128 means 0, each more or less 2.5.
IMAGE_CODE = {"uint8": {"zero": 128, "step": 2.5}, "float32": {"zero": 0, "step": 1.0}}

_ROWS = 64  # at a time: of audio, so many take about 30 MB
_IMAGES = 4096


def build(
    output: str | Path,
    *,
    mnist: str | Path,
    fsdd: str | Path,
    noise: str | Path | None = None,
    options: Options = PRESETS["published"],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build AV-MNIST in a folder, which appears only when it is complete.

    Args:
        output: The folder, new or empty.
        mnist: Folder of MNIST's four original files.
        fsdd: Folder of recordings, ``digit_speaker_index.wav``.
        noise: Folder of WAV files to cut background noise from. Default: coloured noise, from
            white to brown.
        options: All else that the content depends on.
        progress: Told how many recordings are done.

    Returns:
        The record, which also lies in the folder as ``av-mnist.json``: options, originals,
        sha256 of each file, and ``fingerprint`` over all of them.

    Raises:
        FileNotFoundError: If an original is missing.
        CorruptFileError: If one is damaged.
        ValueError: If originals do not fit together, or ``output`` holds something.
        DiskFullError: If there is not enough room.
        ImportError: If NumPy is not installed.
    """
    require("Building AV-MNIST", "train", {"numpy": "numpy"})
    if noise is not None and options.noise_level is None:
        raise ValueError(
            f"`noise` should be given with a noise level; found {str(noise)!r} and none. "
            "Pass `noise_level` in decibels, or leave out `noise`."
        )
    with _one_thread():
        written, mnist_digest = read_mnist(mnist)
        recordings = audio.find_recordings(fsdd)
        options = replace(options, num_validation=_num_validation(options, written["train"]))
        pairs = _pair(recordings, written, options)
        # All at once, some 80 MB, so that a bad one shows before anything is written.
        speech = {recording: audio.load_speech(recording.path) for recording in recordings}
        clips = None if noise is None else audio.NoiseClips(noise, options.seed)
        with new_folder(output, _num_bytes(written, options)) as folder:
            for modality in ("image", "audio"):
                (folder / modality).mkdir()
            kept = _write_images(folder, written, options)
            _write_audio(folder, written, pairs, speech, clips, options, progress)
            originals = {
                "mnist": mnist_digest,
                "fsdd": fingerprint_files(recording.path for recording in recordings),
                "noise": None if clips is None else fingerprint_files(clips.paths),
            }
            record = _record(folder, options, originals, pairs, kept)
            text = json.dumps(record, indent=2) + "\n"
            (folder / RECORD).write_text(text, encoding="utf-8")
    return record


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _num_validation(options: Options, train: Handwriting) -> int:
    num_samples = len(train.labels)
    number = num_samples // 12 if options.num_validation is None else options.num_validation
    if not 0 < number < num_samples:
        raise ValueError(
            f"`num_validation` should be from 1 to {num_samples - 1}, of {num_samples} training "
            f"images; found {number}. Give another number, or more images."
        )
    lacking = sorted(set(range(10)) - set(train.labels[: num_samples - number].tolist()))
    if lacking:
        raise ValueError(
            f"`num_validation` should leave every digit to train on; found {number} of "
            f"{num_samples}, which leave none of {', '.join(map(str, lacking))}. "
            "Give a smaller number."
        )
    return number


Pairs = dict[str, dict[audio.Recording, Tensor]]


def _pair(
    recordings: list[audio.Recording], written: Mapping[str, Handwriting], options: Options
) -> Pairs:
    """Map each part to its recordings and the rows, of the training or test files, they go to."""
    parts = audio.divide(recordings, options.split, options.speaker, options.validation_speaker)
    assert options.num_validation is not None
    num_train = len(written["train"].labels) - options.num_validation
    train, validation = written["train"].labels.tensor_split([num_train])
    labels = {"train": train, "validation": validation, "test": written["test"].labels}
    pairs = {
        part: audio.assign(parts[part], labels[part], part, options.seed) for part in audio.PARTS
    }
    pairs["validation"] = {r: rows + num_train for r, rows in pairs["validation"].items()}
    return pairs


def _num_bytes(written: Mapping[str, Handwriting], options: Options) -> int:
    num_pairs = sum(len(part.labels) for part in written.values())
    return num_pairs * (784 + options.size**2) * {"uint8": 1, "float32": 4}[options.dtype]


def principal_components(train: Tensor, components: int) -> tuple[Tensor, Tensor, float]:
    """Find the principal components of images in pixel units.

    Args:
        train: Shape (N, 784), uint8.
        components: How many to keep.

    Returns:
        The mean, shape (784,); the components V, shape (784, components), such that
        ``(images - mean) @ V @ V.T`` is the reconstruction without the mean; and the share of the
        variance that it keeps. All double precision.
    """
    gram = torch.zeros(train.shape[1], train.shape[1], dtype=torch.float64)
    for block in torch.split(train, _IMAGES):
        values = block.double()
        gram += values.T @ values  # integers below 2^53: exact, in whatever order they are summed
    mean = train.sum(0, dtype=torch.int64).double() / len(train)
    variances, directions = torch.linalg.eigh(gram / len(train) - torch.outer(mean, mean))
    chosen = directions[:, -components:]
    share = variances[-components:].sum() / variances.sum()
    return mean, chosen, float(share)


def _write_images(folder: Path, written: Mapping[str, Handwriting], options: Options) -> float:
    """Write images and labels; return the share of the images' variance that is kept."""
    train = written["train"].images.flatten(1)
    mean, components, share = principal_components(train, options.components)
    code, dtype = IMAGE_CODE[options.dtype], getattr(torch, options.dtype)
    for part, content in written.items():
        path = folder / "image" / f"{part}_data.npy"
        with RowWriter(path, (len(content.images), 784), dtype) as writer:
            for rows in torch.split(torch.arange(len(content.images)), _IMAGES):
                centred = content.images[rows].flatten(1).double() - mean
                images = centred @ components @ components.T
                writer.write(rows, images / code["step"] + code["zero"])
        labels = content.labels
        with RowWriter(folder / f"{part}_labels.npy", labels.shape, torch.uint8) as writer:
            writer.write(torch.arange(len(labels)), labels)
    return share


def _write_audio(
    folder: Path,
    written: Mapping[str, Handwriting],
    pairs: Pairs,
    speech: Mapping[audio.Recording, Tensor],
    clips: audio.NoiseClips | None,
    options: Options,
    progress: Progress | None,
) -> None:
    dtype = getattr(torch, options.dtype)
    total, done = sum(map(len, pairs.values())), 0
    with ExitStack() as stack:
        writers = {}
        for file, content in written.items():
            shape = (len(content.labels), options.size, options.size)
            path = folder / "audio" / f"{file}_data.npy"
            writers[file] = stack.enter_context(RowWriter(path, shape, dtype))
        for part, assigned in pairs.items():
            writer = writers["test" if part == "test" else "train"]
            for recording, rows in assigned.items():
                generator = stream(options.seed, "noise", part, recording.path.name)
                # Without noise all pairs of a recording have one and the same spectrogram.
                size = len(rows) if options.noise_level is None else _ROWS
                for some in torch.split(rows, size):
                    heard = _add_noise(
                        speech[recording][None], part, len(some), clips, options, generator
                    )
                    writer.write(some, audio.power_spectrogram(heard, options.size))
                done += 1
                if progress is not None:
                    progress("Building AV-MNIST", done, total)


def _add_noise(
    speech: Tensor,
    part: str,
    batch: int,
    clips: audio.NoiseClips | None,
    options: Options,
    generator: torch.Generator,
) -> Tensor:
    """Map speech (1, T) to (B, T) with noise of its own in each row, or without noise to itself."""
    if options.noise_level is None:
        return speech
    num_samples = speech.shape[1]
    if clips is not None:
        noise = clips.draw(part, (batch, num_samples), generator)
    else:
        exponent = 2 * torch.rand(batch, generator=generator, dtype=torch.float64)
        # A power of two: other lengths can take ten times as long to transform.
        length = 1 << (num_samples - 1).bit_length()
        noise = coloured_noise(exponent, length, generator)[:, :num_samples]
    return speech + 10 ** (options.noise_level / 20) * noise


def _record(
    folder: Path,
    options: Options,
    originals: Mapping[str, str | None],
    pairs: Pairs,
    kept: float,
) -> dict[str, Any]:
    files = {name: file_digest(folder / name) for name in FILES}
    return {
        "name": "av-mnist",
        "format": FORMAT,
        "options": asdict(options),
        "preset": options.preset,
        "originals": dict(originals),
        "image": IMAGE_CODE[options.dtype],
        "image_variance_kept": round(kept, 6),
        "num_recordings": {part: len(assigned) for part, assigned in pairs.items()},
        "files": files,
        "fingerprint": sha256(json.dumps(files, sort_keys=True).encode()).hexdigest(),
    }
