"""AVE as a data set: an event a second, or one a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from counterpoise.core.fields import check_fields
from counterpoise.data.ave.reading import read_features
from counterpoise.data.clips.archive import Archive, open_archive, verify_archive
from counterpoise.data.contract import Splits
from counterpoise.data.files.extras import require
from counterpoise.data.folder_source import FolderSource
from counterpoise.data.stored import StoredDataset
from counterpoise.data.tasks import Classification, Segments

_PARTS = ("train", "validation", "test")
_NOTES = {
    "segments": "Features of videos of ten seconds; the target is the event of each second, or "
    "the background.",
    "features": "Features of videos of ten seconds; the target is the event of the video.",
    "clips": "Sound and a picture of videos of ten seconds; the target is the event of the video.",
}


@dataclass(frozen=True)
class AVE(FolderSource):
    """Tells which event is seen and heard: 28 of them, such as a church bell or a mandolin.

    With features (``preset="segments"`` or ``"features"``):

    - ``audio``: shape (10, 128): of each second (VGGish).
    - ``vision``: shape (10, 7, 7, 512): of each second (VGG-19).

    With ``preset="clips"``, from what ``counterpoise data build ave`` makes of the videos:

    - ``audio``: shape (1, 257, 625): a logarithmic spectrogram.
    - ``image``: shape (3, 224, 224): the first picture, in training a random part of it.

    The parts are those of the files: 3,339, 402 and 402 videos.

    Args:
        root: The folder with ``Annotations.txt``, the features and the parts, or what was built;
            ``$NAME`` stands for an environment variable. Default: ``ave`` in the cache, or
            ``ave-clips`` for clips.
        preset: ``"segments"``: a class for each second, 29 with the background. ``"features"``:
            a class for each video. ``"clips"``: the same, from the videos themselves. Default:
            ``"segments"``, as in the field.
        augment: With clips: whether pictures are seen in random parts in training.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> AVE(preset="clips").folder.name
        'ave-clips'
    """

    name: ClassVar[str] = "ave"

    preset: Literal["segments", "features", "clips"] = "segments"
    augment: bool = True

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def cached_as(self) -> str:
        """Name of the folder in the cache: clips have one of their own."""
        return f"{self.name}-clips" if self.preset == "clips" else self.name

    def load(self) -> Splits:
        """Map the files into memory; return what the preset says, with a note of what it is.

        Raises:
            FileNotFoundError: If a file is missing.
            CorruptFileError: If one holds something else, or they do not fit together.
            ImportError: If a package is not installed.
        """
        if self.preset == "clips":
            archive = self._archive()
            parts, num_classes = self._clips(archive), len(archive.record["classes"])
            if self.augment:
                parts["train"] = parts["train"].seen(archive.views)
        else:
            parts, num_classes = self.features()
        task = Segments if self.preset == "segments" else Classification
        return Splits(
            name=f"{self.name}-{self.preset}",
            train=parts["train"],
            validation=parts["validation"],
            test=parts["test"],
            task=task(num_classes),
            note=_NOTES[self.preset],
            source="AVE (Tian et al., 2018), videos of AudioSet",
            licence="none stated",
        )

    def features(self) -> tuple[dict[str, StoredDataset], int]:
        """Map the features into memory; return train, validation and test, and the classes.

        With ``preset="segments"`` targets have shape (N, 10), else (N,).

        Raises:
            FileNotFoundError: If a file is missing.
            CorruptFileError: If one holds something else, or they do not fit together.
            ImportError: If h5py is not installed.
        """
        require("Reading AVE", "ave", {"numpy": "numpy", "h5py": "h5py"})
        files = read_features(self.folder)
        segments = self.preset == "segments"
        labels = files.annotations.segment_labels() if segments else files.annotations.clip_labels()
        parts = {part: files.dataset(files.parts[part], labels) for part in _PARTS}
        return parts, len(files.annotations.categories) + segments

    def verify(self) -> None:
        """With clips: compare the bytes of all files with what the build wrote.

        Raises:
            FileNotFoundError: If a file is missing; the message says how to build it.
            CorruptFileError: If one is not as it was written.
            ValueError: If the preset is another: the field's features come without digests.
        """
        if self.preset != "clips":
            raise ValueError(
                f"`preset` should be 'clips' for a comparison with what was built; found "
                f"{self.preset!r}. The field's features come without digests."
            )
        self._archive()
        verify_archive(self.folder)

    def _archive(self) -> Archive:
        require("Reading clips of AVE", "ave", {"numpy": "numpy"})
        how = f"Run: counterpoise data build ave --root ORIGINALS --output {self.folder}"
        return open_archive(self.folder, self.name, how)

    def _clips(self, archive: Archive) -> dict[str, StoredDataset]:
        part_of = archive.record["parts"]
        return {
            part: archive.dataset([row for row, own in enumerate(part_of) if own == part])
            for part in _PARTS
        }
