"""AV-MNIST: handwritten digits of which little is left, and spoken ones, often in loud noise.

Reads the files that ``counterpoise data build av-mnist`` writes, and any others in the field's
layout, without loading them: a batch is sliced from the memory map and normalised in one
operation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from counterpoise.core.errors import check_count, check_seed
from counterpoise.core.fields import check_fields
from counterpoise.data.avmnist.options import RECORD
from counterpoise.data.contract import Splits
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.extras import require
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.data.files.npy import check_finite_rows, map_npy
from counterpoise.data.files.streams import stream
from counterpoise.data.folder_source import FolderSource
from counterpoise.data.tasks import Classification
from counterpoise.data.tensors import MultimodalDataset

_SAMPLES = 1000  # whose mean and deviation stand for those of all


@dataclass(frozen=True)
class Scale:
    """Maps stored values to (stored - zero) * step in float32, one channel, in one operation.

    Args:
        zero: What is stored for 0.
        step: What a stored 1 stands for.
        size: Rows and columns of a stored sample.
        pool: How many rows and columns are then averaged to one. Default: 1.

    Example:
        >>> stored = torch.tensor([[128, 129, 130, 126]], dtype=torch.uint8)
        >>> Scale(zero=128, step=0.5, size=2)(stored)
        tensor([[[[ 0.0000,  0.5000],
                  [ 1.0000, -1.0000]]]])
    """

    zero: float
    step: float
    size: int
    pool: int = 1

    def __call__(self, stored: Tensor) -> Tensor:
        """Map (B, ...) to (B, 1, size / pool, size / pool)."""
        offset = torch.tensor(-self.zero * self.step, dtype=torch.float32)
        scaled = torch.add(offset, stored, alpha=self.step)
        images = scaled.float().view(-1, 1, self.size, self.size)
        return images if self.pool == 1 else avg_pool2d(images, self.pool)

    def standardised(self, stored: Tensor) -> Scale:
        """Return the scale by which these values have mean 0 and standard deviation 1."""
        values = self(stored).double()
        # To six digits, lest they depend on how sums are divided among threads.
        mean, std = (float(f"{float(moment):.6g}") for moment in (values.mean(), values.std()))
        if not std > 0:  # one value alone, or none
            return self
        return replace(self, zero=self.zero + mean / self.step, step=self.step / std)


@dataclass(frozen=True)
class AVMNIST(FolderSource):
    """Pairs a written digit (``image``) with a spoken one (``audio``) in real voices, 10 classes.

    - ``image``: shape (1, 28, 28), MNIST reconstructed from a few principal components without
      the mean.
    - ``audio``: shape (1, 112, 112), the power spectrogram of a recording of the Free Spoken
      Digit Dataset, in decibels, scaled to a common size; frequency, low to high, then time.

    55,000 pairs to train on, 5,000 to choose on, 10,000 to test on; each recording is in one of
    the three only. Nothing is downloaded or built here; ``counterpoise data build av-mnist``
    does that.

    Args:
        root: The folder that was built, or that holds ``image/train_data.npy`` and the other
            files of the field's layout; ``$NAME`` stands for an environment variable. Default:
            where the command puts the preset.
        preset: ``"published"``: loud noise, as in the field. ``"clean"``: no noise, the test
            speaker is unknown. Default: ``"published"`` without ``root``, else whatever lies there.
        num_train: Take only so many of the training pairs, the first. Default: all.
        num_validation: The same for validation. Where the files come without a record: take so
            many from the end of the training files. Default: all; without a record, a twelfth.
        num_test: The same for test.
        division: Draws which of the pairs are taken where ``num_train`` or ``num_validation`` takes
            a part of them: no recording is in both. Default: the first.
        audio_size: Average the spectrograms to so many rows and columns as they are read, for
            small networks: a divisor of the stored size. Default: the stored size.
        standardise: Whether each modality has mean 0 and deviation 1, those of the first thousand
            training pairs, so that zeros, the usual absent value, are an average input. False:
            divided by 255 as the field does, so that audio is in [0, 1] and an absent one silent.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> AVMNIST(preset="clean").folder.name
        'av-mnist-clean'
    """

    name: ClassVar[str] = "av-mnist"

    preset: Literal["published", "clean"] | None = None
    num_train: int | None = None
    num_validation: int | None = None
    num_test: int | None = None
    division: int | None = None
    audio_size: int | None = None
    standardise: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        if self.division is not None:
            check_seed("division", self.division)
        for name in ("num_train", "num_validation", "num_test", "audio_size"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), at_least=1)

    @property
    def cached_as(self) -> str:
        """Name of the folder in the cache: each preset has one of its own."""
        return f"{self.name}-{self.preset or 'published'}"

    def load(self) -> Splits:
        """Map the files into memory and check that they fit together.

        Raises:
            FileNotFoundError: If a file is missing; the message says how to build it.
            CorruptFileError: If one is cut off or damaged.
            ValueError: If they do not fit together, hold fewer pairs than asked for, or were
                built as another preset.
            TypeError: If values are of a type that no loader of the field writes.
            ImportError: If NumPy is not installed.
        """
        require("Reading AV-MNIST", "train", {"numpy": "numpy"})
        record = self._record()
        (train, train_labels), (test, test_labels) = self._read("train"), self._read("test")
        scales = self._scales(train, test, record)
        rest = MultimodalDataset(train, train_labels, transforms=scales)
        total = len(rest)
        held_out = record["options"]["num_validation"] if record else self.num_validation
        held_out = held_out or total // 12
        if held_out >= total:
            raise ValueError(
                f"`num_validation` should leave pairs to train on; found {held_out} of {total}. "
                "Pass a smaller number."
            )
        return Splits(
            name="-".join(filter(None, (self.name, record.get("preset")))),
            train=self._some(rest.subset(slice(0, total - held_out)), "train"),
            validation=self._some(rest.subset(slice(total - held_out, None)), "validation"),
            test=self._some(MultimodalDataset(test, test_labels, transforms=scales), "test"),
            task=Classification(10),
            note=_note(record),
            source="MNIST, four IDX files; Free Spoken Digit Dataset, WAV recordings",
            licence="MNIST CC BY-SA 3.0; Free Spoken Digit Dataset CC BY-SA 4.0",
        )

    def redivided(self, seed: int) -> AVMNIST:
        """Return the same data with other pairs, where only a part of them is taken."""
        return replace(self, division=seed)

    def _some(self, whole: MultimodalDataset, part: str) -> MultimodalDataset:
        """Return as many samples as the options say, of the test the first."""
        number: int | None = getattr(self, f"num_{part}")
        if number is None or number == len(whole):
            return whole
        if number > len(whole):
            raise ValueError(
                f"`num_{part}` should be at most {len(whole)}, the pairs that there are; found "
                f"{number}. Pass a smaller number, or leave it out for all."
            )
        if self.division is None or part == "test":
            return whole.subset(slice(0, number))
        generator = stream(self.division, self.name, part)
        return whole.subset(torch.randperm(len(whole), generator=generator)[:number].sort().values)

    def verify(self) -> None:
        """Compare the bytes of all files with what the build wrote; takes seconds.

        Raises:
            FileNotFoundError: If there is no record, or a file is missing.
            CorruptFileError: If a file is not as it was written.
        """
        record = self._record()
        if not record:
            raise FileNotFoundError(
                f"`root` should hold the record of a build; found no {RECORD} in {self.folder}. "
                "Only what counterpoise data build av-mnist made can be verified."
            )
        for name, expected in record["files"].items():
            digest = file_digest(self._find(name))
            if digest != expected:
                raise CorruptFileError(
                    f"`{self.folder / name}` should have content with sha256 {expected[:12]}...; "
                    f"found {digest[:12]}.... Build the data again."
                )

    def _record(self) -> dict[str, Any]:
        """Return what the build wrote of itself; nothing for files from elsewhere."""
        path = self.folder / RECORD
        if not path.is_file():
            return {}
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            preset = record["preset"]
            _ = record["files"], record["options"]["num_validation"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFileError(
                f"`{path}` should be the record of a build; found one that cannot be read "
                f"({type(error).__name__}: {error}). Build the data again."
            ) from error
        if self.preset not in (None, preset):
            raise ValueError(
                f"`preset` should be that of the data in {self.folder}, {preset!r}; found "
                f"{self.preset!r}. Leave it out, or give the folder of the other."
            )
        return record

    def _read(self, part: str) -> tuple[dict[str, Tensor], Tensor]:
        images = self._map(f"image/{part}_data.npy")
        spectrograms = self._map(f"audio/{part}_data.npy")
        labels = self._map(f"{part}_labels.npy")
        side, size = isqrt(images.shape[-1]), spectrograms.shape[-1]
        num_samples = len(labels)
        shapes = tuple(tuple(tensor.shape) for tensor in (images, spectrograms, labels))
        expected = ((num_samples, side**2), (num_samples, size, size), (num_samples,))
        if shapes != expected:
            raise ValueError(
                f"`root` should hold images (N, side * side), audio (N, size, size) and labels "
                f"(N,) of the same N; found {', '.join(map(str, shapes))} for {part} in "
                f"{self.folder}. Build the data again."
            )
        if labels.is_floating_point():
            raise TypeError(
                f"`root` should hold labels that are integers; found {labels.dtype} in "
                f"{self._find(f'{part}_labels.npy')}. Build the data again."
            )
        for name, stored in (("audio", spectrograms), ("image", images)):
            check_finite_rows(self._find(f"{name}/{part}_data.npy"), stored)
        return {"audio": spectrograms, "image": images}, labels.long()

    def _scales(
        self, train: Mapping[str, Tensor], test: Mapping[str, Tensor], record: Mapping[str, Any]
    ) -> dict[str, Scale]:
        for name, stored in train.items():
            if stored.shape[1:] != test[name].shape[1:]:
                raise ValueError(
                    f"`root` should hold samples of one size for train and test; found "
                    f"{tuple(stored.shape)} and {tuple(test[name].shape)} for {name} in "
                    f"{self.folder}. Build the data again."
                )
        code = record.get("image", {"zero": 0, "step": 1.0})
        size, side = train["audio"].shape[-1], isqrt(train["image"].shape[-1])
        if size % (self.audio_size or size):
            raise ValueError(
                f"`audio_size` should divide {size}, the size of the spectrograms; found "
                f"{self.audio_size}. Choose a divisor, or build spectrograms of another size."
            )
        scales = {
            "audio": Scale(0, 1 / 255, size, pool=size // (self.audio_size or size)),
            "image": Scale(code["zero"], code["step"] / 255, side),
        }
        if self.standardise:
            for name, scale in scales.items():
                scales[name] = scale.standardised(train[name][:_SAMPLES])
        return scales

    def _find(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            preset = self.preset or "published"
            raise FileNotFoundError(
                f"`root` should hold AV-MNIST; found no {name} in {self.folder}. Run: "
                f"counterpoise data build av-mnist --preset {preset} --output {self.folder}"
            )
        return path

    def _map(self, name: str) -> Tensor:
        path = self._find(name)
        stored = map_npy(path)
        if stored.ndim == 0 or stored.is_complex() or stored.dtype is torch.bool:
            raise TypeError(
                f"`{path}` should hold an array of numbers; found {stored.dtype} of shape "
                f"{tuple(stored.shape)}. Build the data again."
            )
        return stored


def _note(record: Mapping[str, Any]) -> str:
    if not record:
        return (
            "Written and spoken digits paired by label, from files without a record: validation "
            "is the end of the training files and may share recordings with it."
        )
    options, clips = record["options"], record["originals"]["noise"]
    level, kind = options["noise_level"], "recorded" if clips else "coloured"
    noise = "no noise" if level is None else f"{kind} noise {level:g} dB above the speech"
    unknown = options["speaker"] if options["split"] == "speaker" else None
    voices = f"the voice of {unknown} is heard in test only" if unknown else "all voices in all"
    return (
        f"Images of {options['components']} principal components paired by label with real "
        f"voices and {noise}; {voices}, each recording in one split only."
    )
