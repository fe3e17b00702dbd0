"""Decodes clips once, into arrays that are then mapped into memory and never loaded whole."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from counterpoise.core.errors import check_count, check_range
from counterpoise.data.clips.pictures import pictures_of, sound_of
from counterpoise.data.clips.sound import (
    RATE,
    WINDOW,
    log_spectrogram,
    num_frames,
    read_sound,
    repeat,
)
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.data.files.folders import new_folder
from counterpoise.data.files.npy import RowWriter

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
"""Raised whenever a build with the same options gives other data."""

RECORD = "clips.json"
"""The file that says what a build contains and how it was made."""

_LONG = 10.0  # times the duration that is kept: such a clip is probably not what it should be

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Clip:
    """Where a sample comes from.

    Attributes:
        name: What it is called, once.
        label: Its class, from 0.
        part: The part of the data set that it belongs to, such as ``"train"``.
        sound: Its recording, or the video that has it.
        pictures: Its video, or the folder of its pictures.
    """

    name: str
    label: int
    part: str
    sound: Path
    pictures: Path


@dataclass(frozen=True)
class Forms:
    """What is kept of each clip.

    Args:
        seconds: Of sound.
        times: How often a shorter recording is repeated before silence follows.
        num_pictures: One a second from the start; the last is repeated where there are fewer.

    Raises:
        ValueError: If one is out of range.
    """

    seconds: float = 3.0
    times: int = 3
    num_pictures: int = 1

    def __post_init__(self) -> None:
        check_range("seconds", self.seconds, low=0, open_low=True)
        check_count("times", self.times, at_least=1)
        check_count("num_pictures", self.num_pictures, at_least=1)


def build(
    output: str | Path,
    clips: Sequence[Clip],
    forms: Forms,
    *,
    about: Mapping[str, Any],
    num_workers: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Decode clips into a folder, which appears only when it is complete.

    Args:
        output: The folder, new or empty.
        clips: At least one; their order is that of the rows.
        forms: What is kept of each.
        about: What else the record shall say.
        num_workers: Processes that decode. 0: this one.
        progress: Told how many clips are done.

    Returns:
        The record, which also lies in the folder as ``clips.json``: what was kept, the names of
        the clips, those with silence, the sha256 of each file, and ``fingerprint`` over all.

    Raises:
        OSError: If a file is missing or may not be read.
        CorruptFileError: If one is damaged, or is the stub of a file in git-lfs.
        ValueError: If pictures differ in size, or ``output`` holds something.
        DiskFullError: If there is not enough room.
    """
    check_count("num_workers", num_workers, at_least=0)
    _, first = _decode(clips[0], forms)
    size = first.shape[1:3]
    spectrogram = (WINDOW // 2 + 1, num_frames(round(forms.seconds * RATE)))
    shapes = {
        "audio.npy": (len(clips), *spectrogram),
        "image.npy": (len(clips), forms.num_pictures, *size, 3),
    }
    bytes_each = 4 * spectrogram[0] * spectrogram[1] + first.nbytes
    with new_folder(output, len(clips) * bytes_each) as folder:
        silent = _write(folder, shapes, clips, forms, num_workers, progress)
        labels = torch.tensor([clip.label for clip in clips], dtype=torch.uint8)
        with RowWriter(folder / "labels.npy", (len(clips),), torch.uint8) as writer:
            writer.write(torch.arange(len(clips)), labels)
        record = {
            "format": FORMAT,
            **about,
            "forms": asdict(forms),
            "clips": [clip.name for clip in clips],
            "parts": [clip.part for clip in clips],
            "silent": silent,
            "files": {name: file_digest(folder / name) for name in (*shapes, "labels.npy")},
        }
        record["fingerprint"] = sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if silent:
        warnings.warn(
            f"{len(silent)} of {len(clips)} clips have no sound: {', '.join(silent[:5])}"
            f"{' and others' if len(silent) > 5 else ''}. They are kept, as the field does.",
            stacklevel=2,
        )
    return record


def _write(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    clips: Sequence[Clip],
    forms: Forms,
    num_workers: int,
    progress: Progress | None,
) -> list[str]:
    """Write all arrays but the labels; return the clips without sound."""
    silent: list[str] = []
    with ExitStack() as stack:
        audio = stack.enter_context(
            RowWriter(folder / "audio.npy", shapes["audio.npy"], torch.float32)
        )
        image = stack.enter_context(
            RowWriter(folder / "image.npy", shapes["image.npy"], torch.uint8)
        )
        decoded = stack.enter_context(_decoding(clips, forms, num_workers))
        for row, (sound, pictures) in enumerate(decoded):
            if pictures.shape != shapes["image.npy"][1:]:
                raise ValueError(
                    f"`{clips[row].pictures}` should have pictures of the size of the first clip, "
                    f"{shapes['image.npy'][2:4]} rows and columns; found {pictures.shape[1:3]}. "
                    "Bring all to one size."
                )
            if not sound.any():
                silent.append(clips[row].name)
            where = torch.tensor([row])
            audio.write(where, log_spectrogram(torch.from_numpy(sound))[None])
            image.write(where, torch.from_numpy(pictures)[None])
            if progress is not None:
                progress("decoding clips", row + 1, len(clips))
    return silent


@contextmanager
def _decoding(
    clips: Sequence[Clip], forms: Forms, num_workers: int
) -> Iterator[Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]]:
    """Yield what gives sound and pictures of each clip, in their order."""
    if not num_workers:
        yield (_decode(clip, forms) for clip in clips)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Not forked: this process may run threads of PyTorch's.
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
        try:
            yield _in_order(pool, clips, forms, 4 * num_workers)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(pool: Any, clips: Sequence[Clip], forms: Forms, ahead: int) -> Iterator[Any]:
    # Few at a time: all results at once would not fit into memory.
    waiting = [pool.submit(_decode, clip, forms) for clip in clips[:ahead]]
    for number in range(len(clips)):
        yield waiting.pop(0).result()
        if number + ahead < len(clips):
            waiting.append(pool.submit(_decode, clips[number + ahead], forms))


def _decode(clip: Clip, forms: Forms) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    import numpy as np

    plain = clip.sound.suffix.lower() == ".wav"
    samples, rate = (read_sound if plain else sound_of)(clip.sound)
    if not np.isfinite(samples).all():
        raise CorruptFileError(
            f"`{clip.sound}` should hold finite samples; found others. Get the file again."
        )
    if len(samples) > _LONG * forms.seconds * rate:
        warnings.warn(
            f"{clip.name} lasts {len(samples) / rate:.0f} s; its first {forms.seconds:g} are kept.",
            stacklevel=2,
        )
    sound = repeat(samples, rate, seconds=forms.seconds, times=forms.times)
    pictures = pictures_of(clip.pictures, forms.num_pictures)
    pictures += pictures[-1:] * (forms.num_pictures - len(pictures))
    sizes = {picture.shape for picture in pictures}
    if len(sizes) > 1:
        raise ValueError(
            f"`{clip.pictures}` should have pictures of one size; found {sorted(sizes)}. "
            "Bring all to one size."
        )
    return sound, np.stack(pictures)
