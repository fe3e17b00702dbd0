"""CREMA-D as a data set: what ``counterpoise data build crema-d`` made, divided in two ways."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from counterpoise.core.fields import check_fields
from counterpoise.data.clips.archive import Archive, open_archive, verify_archive
from counterpoise.data.contract import Splits
from counterpoise.data.crema_d.layout import CLASSES, actor_of
from counterpoise.data.division import held_out, stratified
from counterpoise.data.files.extras import require
from counterpoise.data.folder_source import FolderSource
from counterpoise.data.tasks import Classification

_NOTES = {
    "field": "The division that the field uses; all 91 actors are in every part of it, so that "
    "known voices and faces are tested.",
    "actor": "Divided by actor: the voices and faces of test and validation are unknown.",
}


@dataclass(frozen=True)
class CREMAD(FolderSource):
    """Pairs the sound (``audio``) of a spoken sentence with a picture (``image``); 6 emotions.

    - ``audio``: shape (1, 257, 188), float32: the recording repeated to 3 s, as a logarithmic
      spectrogram; frequency, low to high, then time. Not normalised, as in the field.
    - ``image``: shape (3, 224, 224), float32: a picture of the face, normalised as for ImageNet.
      In training a random part of it, and mirrored every other time; else the whole.

    Classes: neutral, happy, sad, fear, disgust, anger. ``counterpoise data build crema-d`` makes
    the files that are read here.

    Args:
        root: The folder that was built; ``$NAME`` stands for an environment variable. Default:
            where the command puts it.
        split: ``"field"``: the test clips that the field reports on, all of them, and a tenth of
            its training clips, as many of each class, for validation. ``"actor"``: a tenth of the
            actors for the test, another for validation. Default: ``"field"``.
        picture: ``"first"``: the first picture of a clip, as the paper's code takes. ``"random"``:
            in training one of those that were built. Default: ``"first"``.
        augment: Whether pictures are seen in random parts in training. Default: True.
        seed: Of which clips are for validation, or which actors. Views are drawn by the seed of
            the run. Default: 0.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> CREMAD(split="actor").folder.name
        'crema-d'
    """

    name: ClassVar[str] = "crema-d"

    split: Literal["field", "actor"] = "field"
    picture: Literal["first", "random"] = "first"
    augment: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def load(self) -> Splits:
        """Map the files into memory and check that they fit together.

        Raises:
            FileNotFoundError: If a file is missing; the message says how to build it.
            CorruptFileError: If one is damaged.
            ValueError: If they are no build of CREMA-D, or cannot be divided as asked for.
            ImportError: If NumPy is not installed.
        """
        archive = self._archive()
        rows = self._divide(archive)
        parts = {part: archive.dataset(chosen) for part, chosen in rows.items()}
        train = parts["train"].seen(archive.views) if self.augment else parts["train"]
        return Splits(
            name=f"{self.name}-{self.split}",
            train=train,
            validation=parts["validation"],
            test=parts["test"],
            task=Classification(len(CLASSES)),
            note=_NOTES[self.split],
            source="CREMA-D (Cao et al., 2014)",
            licence="ODbL 1.0, contents DbCL 1.0",
        )

    def redivided(self, seed: int) -> CREMAD:
        """Return the same data with other clips for validation.

        By actor the test clips depend on the division too: it stays.
        """
        return replace(self, seed=seed) if self.split == "field" else self

    def verify(self) -> None:
        """Compare the bytes of all files with what the build wrote; takes seconds a gigabyte.

        Raises:
            FileNotFoundError: If a file is missing; the message says how to build it.
            CorruptFileError: If one is not as it was written.
            ValueError: If they are no build of CREMA-D.
        """
        self._archive()
        verify_archive(self.folder)

    def _archive(self) -> Archive:
        require("Reading CREMA-D", "crema-d", {"numpy": "numpy"})
        how = f"Run: counterpoise data build crema-d --root ORIGINALS --output {self.folder}"
        return replace(open_archive(self.folder, self.name, how), picture=self.picture)

    def _divide(self, archive: Archive) -> dict[str, Tensor]:
        """Return the rows of each part."""
        every = torch.arange(len(archive.labels))
        if self.split == "actor":
            return held_out(every, [actor_of(name) for name in archive.names], seed=self.seed)
        is_test = torch.tensor([part == "test" for part in archive.record["parts"]])
        if not is_test.any() or is_test.all() or "" in archive.record["parts"]:
            raise ValueError(
                "`split` should be 'actor' for a build without train.csv and test.csv; found "
                "'field'. Put the two tables into the folder of the originals and build again, or "
                "divide by actor."
            )
        rest = every[~is_test]
        train, validation = stratified(rest, archive.labels[rest], seed=self.seed)
        return {"train": train, "validation": validation, "test": every[is_test]}
