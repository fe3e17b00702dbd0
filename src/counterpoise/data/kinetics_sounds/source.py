"""Kinetics-Sounds as a data set: lists of clips, whose sound and pictures lie wherever they do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from counterpoise.core.errors import check_seed
from counterpoise.data.clips.pictures import pictures_of
from counterpoise.data.clips.views import normalise, random_view, see, whole_view
from counterpoise.data.contract import Splits
from counterpoise.data.division import stratified
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.extras import require
from counterpoise.data.files.npy import map_npy
from counterpoise.data.files.tables import read_table
from counterpoise.data.folder_source import FolderSource
from counterpoise.data.samples import SampleDataset
from counterpoise.data.tasks import Classification

_SIZE = 224


@dataclass(frozen=True)
class KineticsSounds(FolderSource):
    """Tells which of about 31 actions is heard and seen, such as tap dancing.

    - ``audio``: shape (1, 1024, 128): filter banks over time, as the field extracts them.
    - ``image``: shape (3, 224, 224): the first picture, in training a random part of it.

    Args:
        root: The folder of everything; ``$NAME`` stands for an environment variable. Default:
            ``kinetics-sounds`` in the cache.
        train: The list of training clips in it: lines ``name,10,label``, of which the first and
            the last column count; labels are numbers, or names.
        test: That of the test clips.
        audio: Where the array of a clip is, ``{name}`` for its name. Default: as of a folder.
        image: Where its pictures are: a folder of them, or a video.
        augment: Whether pictures are seen in random parts in training.
        seed: Of which tenth of the training clips, as many of each class, is for validation.

    Example:
        >>> KineticsSounds(audio="fbank/{name}.npy").folder.name
        'kinetics-sounds'
    """

    name: ClassVar[str] = "kinetics-sounds"

    train: str = "train.txt"
    test: str = "test.txt"
    audio: str = "audio/{name}.npy"
    image: str = "visual/{name}"
    augment: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        for option in ("audio", "image"):
            if "{name}" not in getattr(self, option):
                raise ValueError(
                    f"`{option}` should hold {{name}}, for which that of each clip is put; found "
                    f"{getattr(self, option)!r}. Write it as 'folder/{{name}}'."
                )

    def load(self) -> Splits:
        """Read the lists; clips are read when they are asked for.

        Raises:
            FileNotFoundError: If a list is missing.
            CorruptFileError: If a list holds something else.
            ImportError: If a package is not installed.
        """
        require("Reading Kinetics-Sounds", "crema-d", {"numpy": "numpy", "PIL": "pillow"})
        lists = {
            part: self._list(name) for part, name in (("rest", self.train), ("test", self.test))
        }
        classes = sorted({label for _, label in lists["rest"]}, key=_order)
        rows = torch.arange(len(lists["rest"]))
        labels = torch.tensor([classes.index(label) for _, label in lists["rest"]])
        train, validation = stratified(rows, labels, seed=self.seed)
        clips = {"train": [lists["rest"][row] for row in train.tolist()], "test": lists["test"]}
        clips["validation"] = [lists["rest"][row] for row in validation.tolist()]
        return Splits(
            self.name,
            self._part(clips["train"], classes, self.augment),
            self._part(clips["validation"], classes, False),
            self._part(clips["test"], classes, False),
            Classification(len(classes)),
            note="Sound and a picture of videos of ten seconds; the target is the action.",
            source="Kinetics-Sounds (Arandjelovic and Zisserman, 2017), videos of Kinetics",
        )

    def redivided(self, seed: int) -> KineticsSounds:
        """Return the same data with another tenth of the training clips for validation."""
        return replace(self, seed=seed)

    def _list(self, name: str) -> list[tuple[str, str]]:
        path = self.folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f"`root` should hold the list {name}; found none in {self.folder}. Make it of the "
                "clips that you have: a line name,10,label for each."
            )
        return [(row[0], row[-1]) for row in read_table(path)]

    def _part(
        self, clips: list[tuple[str, str]], classes: list[str], augment: bool
    ) -> SampleDataset:
        unknown = [label for _, label in clips if label not in classes]
        if unknown:
            raise CorruptFileError(
                f"`{self.test}` should hold labels of the training list; found {unknown[0]!r}. Use "
                "lists of one version."
            )
        targets = torch.tensor([classes.index(label) for _, label in clips])
        return SampleDataset(
            _Clips(self, [name for name, _ in clips], targets, augment),
            targets=targets,
            content=sha256(repr((clips, self.audio, self.image)).encode()).hexdigest(),
        )


def _order(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isascii() and label.isdigit() else (-1, label)


class _Clips(Dataset[dict[str, Tensor]]):
    def __init__(
        self, source: KineticsSounds, names: list[str], targets: Tensor, augment: bool
    ) -> None:
        self.source, self.names, self.targets, self.augment = source, names, targets, augment

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name, folder = self.names[index], self.source.folder
        path = folder / self.source.audio.format(name=name)
        audio = map_npy(path)
        if audio.dim() != 2 or not audio.isfinite().all():
            raise CorruptFileError(
                f"`{path}` should hold finite numbers (time, bands); found {audio.dtype} of shape "
                f"{tuple(audio.shape)}. Extract the filter banks again."
            )
        picture = torch.tensor(pictures_of(folder / self.source.image.format(name=name), 1)[0])
        height, width = picture.shape[:2]
        view = whole_view(height, width)
        if self.augment:
            view = random_view(height, width, torch.default_generator)
        image = normalise(see(picture, view, _SIZE), torch.empty(3, _SIZE, _SIZE))
        return {"audio": audio.float()[None], "image": image, "target": self.targets[index]}
