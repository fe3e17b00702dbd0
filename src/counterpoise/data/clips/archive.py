"""Clips that were built: arrays mapped into memory, and their record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from counterpoise.data.clips.build import FORMAT, RECORD
from counterpoise.data.clips.views import normalise, random_view, see, whole_view
from counterpoise.data.contract import Batch
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.data.files.npy import map_npy
from counterpoise.data.files.streams import stream
from counterpoise.data.stored import Read, StoredDataset


@dataclass(frozen=True, eq=False)
class Archive:
    """Clips as they were built.

    Attributes:
        audio: Shape (N, 257, T), float32: logarithmic spectrograms.
        image: Shape (N, F, height, width, 3), uint8: the first F pictures of each.
        labels: Shape (N,), integers.
        record: What the build wrote of itself.
        picture: Which picture of a clip is seen: the first, or in training a random one.
        size: Rows and columns of what is seen of it.
    """

    audio: Tensor
    image: Tensor
    labels: Tensor
    record: dict[str, Any]
    picture: Literal["first", "random"] = "first"
    size: int = 224

    @property
    def names(self) -> list[str]:
        """What the clips are called."""
        return list(self.record["clips"])

    def dataset(self, rows: Sequence[int] | Tensor) -> StoredDataset:
        """Return the data set of some clips, whose pictures are seen whole."""
        chosen = torch.as_tensor(rows, dtype=torch.long)
        return StoredDataset(
            self.read,
            rows=chosen,
            target=self.labels[chosen],
            sample_shapes={
                "audio": (1, *self.audio.shape[1:]),
                "image": (3, self.size, self.size),
            },
            content=f"{self.record['fingerprint']} {self.picture} {self.size}",
        )

    def views(self, seed: int, epoch: int) -> Read:
        """Return what reads clips with random views of their pictures.

        Args:
            seed: Of the run.
            epoch: Counted from 0. A view depends on seed, epoch and clip alone, whatever was
                drawn before and in whichever process.
        """
        return partial(self.read, seed=seed, epoch=epoch)

    def read(self, rows: Tensor, seed: int | None = None, epoch: int = 0) -> Batch:
        """Return the clips of some rows; with a seed, random views of their pictures."""
        seen = torch.empty(len(rows), 3, self.size, self.size)
        number, height, width = self.image.shape[1:4]
        for place, row in enumerate(rows.tolist()):
            view, which = whole_view(height, width), 0
            if seed is not None:
                generator = stream(seed, "augmentation", str(epoch), str(row))
                view = random_view(height, width, generator)
                if self.picture == "random":
                    which = int(torch.randint(number, (), generator=generator))
            normalise(see(self.image[row, which], view, self.size), out=seen[place])
        return {"audio": self.audio.index_select(0, rows)[:, None], "image": seen}


def open_archive(folder: Path, kind: str, how: str) -> Archive:
    """Map what a build wrote into memory.

    Args:
        folder: Where it lies.
        kind: The ``name`` in its record.
        how: What to do where there is none.

    Raises:
        FileNotFoundError: If a file is missing.
        CorruptFileError: If one is damaged, or they do not fit together.
        ValueError: If it is a build of something else.
    """
    for name in (RECORD, "audio.npy", "image.npy", "labels.npy"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"`root` should hold a build of {kind}; found no {name} in {folder}. {how}"
            )
    record = _read_record(folder / RECORD)
    if record["name"] != kind or record["format"] != FORMAT:
        raise ValueError(
            f"`root` should hold a build of {kind}, format {FORMAT}; found one of "
            f"{record['name']}, format {record['format']}, in {folder}. {how}"
        )
    audio, image, labels = (
        map_npy(folder / f"{name}.npy") for name in ("audio", "image", "labels")
    )
    lengths = [len(audio), len(image), len(labels), len(record["clips"]), len(record["parts"])]
    if len(set(lengths)) > 1 or (audio.ndim, image.ndim, labels.ndim) != (3, 5, 1):
        raise CorruptFileError(
            f"`root` should hold as many sounds, pictures, labels and names; found "
            f"{', '.join(map(str, lengths))} in {folder}. {how}"
        )
    return Archive(audio, image, labels.long(), record)


def verify_archive(folder: Path) -> None:
    """Compare the bytes of all arrays with what the build wrote; takes seconds a gigabyte.

    Raises:
        FileNotFoundError: If a file is missing.
        CorruptFileError: If one is not as it was written.
    """
    for name, expected in _read_record(folder / RECORD)["files"].items():
        digest = file_digest(folder / name)
        if digest != expected:
            raise CorruptFileError(
                f"`{folder / name}` should have content with sha256 {expected[:12]}...; "
                f"found {digest[:12]}.... Build the data again."
            )


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = [
            record[key]
            for key in ("name", "format", "clips", "parts", "fingerprint", "silent", "files")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(
            f"`{path}` should be the record of a build; found one that cannot be read "
            f"({type(error).__name__}: {error}). Build the data again."
        ) from error
    return record
