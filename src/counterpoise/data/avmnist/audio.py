"""The spoken half of AV-MNIST: which recording goes with which image, noise, spectrograms.

Legend: B batch, T samples of a waveform, S rows and columns of a spectrogram.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from counterpoise.core.errors import suggestion
from counterpoise.data.avmnist.wav import read_wav, resample
from counterpoise.data.files.streams import stream

SAMPLE_RATE = 8000
"""Samples a second of the recordings."""

PARTS = ("train", "validation", "test")

FIRST_TEST_INDEX = 40
"""Where recordings are split by their index, those from here on are the test's."""

DYNAMIC_RANGE = 80.0
"""Decibels below a spectrogram's loudest point that its scale reaches down to."""


@dataclass(frozen=True, order=True)
class Recording:
    """A file of the Free Spoken Digit Dataset, ``digit_speaker_index.wav``."""

    digit: int
    speaker: str
    index: int
    path: Path


def find_recordings(folder: str | Path) -> list[Recording]:
    """List the recordings of a folder, or of ``recordings`` in it, in a fixed order.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a WAV file is not named as it should be.
    """
    folder = Path(folder)
    inner = folder / "recordings"
    paths = sorted((inner if inner.is_dir() else folder).glob("*.wav"))
    if not paths:
        raise FileNotFoundError(
            f"`fsdd` should be a folder of recordings digit_speaker_index.wav; found none in "
            f"{folder}. Give the right one, or leave the option out to download them."
        )
    recordings = []
    for path in paths:
        match = re.fullmatch(r"([0-9])_(.+)_([0-9]{1,9})", path.stem)
        if match is None:
            raise ValueError(
                f"`fsdd` should hold WAV files named digit_speaker_index.wav; found {path.name!r}. "
                "Rename or remove it."
            )
        recordings.append(Recording(int(match[1]), match[2], int(match[3]), path))
    return sorted(recordings)


def divide(
    recordings: Sequence[Recording],
    split: str,
    speaker: str,
    validation_speaker: str | None = None,
) -> dict[str, list[Recording]]:
    """Divide recordings into training, validation and test; none is in two parts.

    Args:
        recordings: All of them.
        split: ``"recordings"``: those with an index from 40 on are the test's. ``"speaker"``:
            all of one speaker are.
        speaker: That speaker.
        validation_speaker: All of this one's, except for test, are for validation. Default: of
            each speaker's and digit's recordings that are not the test's, the last tenth by index.

    Returns:
        The recordings of each part.

    Raises:
        ValueError: If there is no such speaker.
    """
    speakers = sorted({recording.speaker for recording in recordings})
    if split == "speaker":
        _check_speaker("speaker", speaker, speakers)
    if validation_speaker is not None:
        _check_speaker("validation_speaker", validation_speaker, speakers)
    parts: dict[str, list[Recording]] = {part: [] for part in PARTS}
    rest: dict[tuple[int, str], list[Recording]] = defaultdict(list)
    for recording in sorted(recordings):
        by_speaker = recording.speaker == speaker
        if by_speaker if split == "speaker" else recording.index >= FIRST_TEST_INDEX:
            parts["test"].append(recording)
        else:
            rest[recording.digit, recording.speaker].append(recording)
    for (_, group_speaker), group in rest.items():
        if validation_speaker is None:
            kept = round(len(group) / 10) or int(len(group) > 1)
        else:
            kept = len(group) * (group_speaker == validation_speaker)
        parts["train"] += group[: len(group) - kept]
        parts["validation"] += group[len(group) - kept :]
    return parts


def _check_speaker(option: str, speaker: str, speakers: Sequence[str]) -> None:
    if speaker not in speakers:
        raise ValueError(
            f"`{option}` should be one of {', '.join(map(repr, speakers))}; found {speaker!r}."
            + suggestion(speaker, speakers)
        )


def assign(
    recordings: Sequence[Recording], labels: Tensor, part: str, seed: int
) -> dict[Recording, Tensor]:
    """Give every label a recording of its digit: those of a digit in turn, in a random order.

    Args:
        recordings: Those of the part.
        labels: Shape (N,), integers 0 to 9.
        part: Which part it is.
        seed: What the order of each digit's recordings is drawn from.

    Returns:
        For each recording the rows that it goes to, ascending; each of the N rows once.

    Raises:
        ValueError: If a digit has no recording.

    Example:
        >>> one, other = (Recording(7, "theo", k, Path()) for k in range(2))
        >>> rows = assign([one, other], torch.tensor([7, 7, 7]), "train", seed=0)
        >>> sorted(row.tolist() for row in rows.values())
        [[0, 2], [1]]
    """
    rows = {}
    for digit in sorted(set(labels.tolist())):
        candidates = [r for r in recordings if r.digit == digit]
        if not candidates:
            raise ValueError(
                f"`fsdd` should hold recordings of every digit for {part}; found none of {digit}. "
                "Add some, or split otherwise."
            )
        generator = stream(seed, "recordings", part, str(digit))
        order = torch.randperm(len(candidates), generator=generator).tolist()
        places = (labels == digit).nonzero().squeeze(1)
        for turn, which in enumerate(order):
            taken = places[turn :: len(candidates)]
            if len(taken):
                rows[candidates[which]] = taken
    return rows


def load_speech(path: Path) -> Tensor:
    """Read a recording of speech at 8 kHz.

    Returns:
        Shape (T,), float64, mean 0 and root mean square 1.

    Raises:
        ValueError: If the file is not a recording at 8 kHz, one channel, 16 bits, or is silent.
    """
    return _normalise(read_wav(path, SAMPLE_RATE)[0].double(), path)


def _normalise(waveform: Tensor, path: Path) -> Tensor:
    waveform = waveform - waveform.mean()
    level = waveform.square().mean().sqrt()
    if level == 0:
        raise ValueError(f"`{path}` should hold sound; found only silence. Remove it.")
    return waveform / level


class NoiseClips:
    """Background noise cut from recordings; no clip serves two parts.

    A tenth of the files, drawn at random, is kept for validation and another for test, at least
    one each. Other sample rates are changed to that of the speech.

    Args:
        folder: WAV files of one channel and 16 bits, three or more.
        seed: What the division is drawn from.

    Raises:
        ValueError: If there are fewer than three, or one is silent or cannot be used.
    """

    def __init__(self, folder: str | Path, seed: int) -> None:
        self.paths = sorted(Path(folder).glob("*.wav"))
        if len(self.paths) < 3:
            raise ValueError(
                f"`noise` should be a folder of at least 3 WAV files, one for each part; found "
                f"{len(self.paths)} in {folder}. Give another, or leave it out for coloured noise."
            )
        order = torch.randperm(len(self.paths), generator=stream(seed, "clips")).tolist()
        kept = max(1, len(order) // 10)
        self._of = {"validation": order[:kept], "test": order[kept : 2 * kept]}
        self._of["train"] = order[2 * kept :]
        self._clips = [self._load(path) for path in self.paths]

    @staticmethod
    def _load(path: Path) -> Tensor:
        samples, rate = read_wav(path)
        sounding = samples.nonzero()
        if not len(sounding):
            raise ValueError(f"`{path}` should hold sound; found only silence. Remove it.")
        # Many collections fill clips up with silence to a common length.
        samples = samples[int(sounding[0]) : int(sounding[-1]) + 1].double()
        # Half the memory: a large collection is half a gigabyte in double precision.
        return _normalise(resample(samples, rate, SAMPLE_RATE), path).float()

    def draw(self, part: str, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Cut pieces from random clips of a part at random places, going round at the end.

        Returns:
            The shape asked for, (B, T), float64; clips have root mean square 1, pieces about.
        """
        which = torch.randint(len(self._of[part]), shape[:1], generator=generator).tolist()
        places = torch.rand(shape[0], generator=generator, dtype=torch.float64).tolist()
        steps = torch.arange(shape[1])
        pieces = []
        for choice, place in zip(which, places, strict=True):
            clip = self._clips[self._of[part][choice]]
            pieces.append(clip[(steps + int(place * len(clip))) % len(clip)])
        return torch.stack(pieces).double()


def power_spectrogram(waveforms: Tensor, size: int) -> Tensor:
    """Map waveforms (B, T) to power spectrograms (B, size, size) on a scale from 0 to 255.

    ``size`` Hann windows of ``2 * size`` samples each, spread evenly from the first sample to the
    last, whatever the duration; of each the power at ``size`` frequencies, low to high, without
    the constant one. In decibels below the loudest point, 0: 255; -80 and less: 0.

    Returns:
        Frequency, then time; float64 for float64.

    Example:
        >>> tone = torch.sin(torch.arange(500).double() * torch.pi / 2)  # a quarter of the rate
        >>> power_spectrogram(tone[None], size=16)[0].argmax(dim=0).unique()
        tensor([7])
    """
    window_length = 2 * size
    lacking = window_length - waveforms.shape[1]
    if lacking > 0:
        waveforms = torch.nn.functional.pad(waveforms, (lacking // 2, lacking - lacking // 2))
    # In integers, so that no machine rounds otherwise.
    starts = torch.arange(size) * (waveforms.shape[1] - window_length) // (size - 1)
    samples = starts[:, None] + torch.arange(window_length)
    frames = waveforms.index_select(1, samples.flatten()).view(-1, *samples.shape)
    window = torch.hann_window(window_length, dtype=waveforms.dtype)
    amplitude = torch.fft.rfft(frames * window)[..., 1:].abs()
    amplitude /= amplitude.amax((1, 2), keepdim=True)
    # 20 log10 of an amplitude is 10 log10 of its power.
    decibels = amplitude.clamp_(min=10 ** (-DYNAMIC_RANGE / 20)).log10_().mul_(20)
    scaled: Tensor = decibels.mul_(255 / DYNAMIC_RANGE).add_(255).transpose(1, 2)
    return scaled
