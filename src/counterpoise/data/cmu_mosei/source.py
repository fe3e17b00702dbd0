"""CMU-MOSEI and CMU-MOSI as data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from counterpoise.core.errors import check_choice, check_count
from counterpoise.core.fields import check_fields
from counterpoise.data.cmu_mosei.labels import BINARISATIONS, Binarisation, Task, target_of
from counterpoise.data.cmu_mosei.reading import Part, read_mels, read_single
from counterpoise.data.contract import Splits
from counterpoise.data.files.extras import require
from counterpoise.data.files.paths import expand
from counterpoise.data.folder_source import FolderSource
from counterpoise.data.sequences import with_mask
from counterpoise.data.tasks import Classification, Regression
from counterpoise.data.tensors import MultimodalDataset

_WORDS = "train_sentences.p"


@dataclass(frozen=True)
class CMUMOSEI(FolderSource):
    """Tells the sentiment of a sentence from ``text``, ``audio`` and, where it is, ``vision``.

    What the sizes are depends on the files: of the usual ones text (50, 300), audio (50, 74),
    vision (50, 35); of the paper's own text (60, 300) and audio (60, 80). All float32, with zeros
    where a sequence has no step. The parts are those of the files.

    Args:
        root: A pickle with all (``mosei_senti_data.pkl``, ``aligned_50.pkl`` and the like), a
            folder with one of them, or the folder of the paper's twelve (``train_sentences.p``
            ...); ``$NAME`` stands for an environment variable. Default: the data set's name in
            the cache.
        task: ``"binary"``, ``"regression"`` in [-3, 3], or ``"seven"`` classes. Default:
            ``"binary"``.
        binarisation: For the binary task: ``"non-negative"``: below 0 against 0 and above, as the
            paper's code; ``"without-zero"``: below against above, those of 0 left out;
            ``"positive"``: 0 and below against above. The name of the data tells which, since
            accuracies differ by points. Default: ``"non-negative"``.
        modalities: Which of those that the files have, in their order. Default: all.
        vectors: For the paper's own files: a text file of word vectors, such as GloVe's.
        masks: Whether a modality comes as "tokens" and "mask", which is False where a token is
            all zero, so that a network knows the padding where the modality is made absent, as
            the paper's does. Default: False.
        length: For the paper's own files: steps of text and audio. Default: 60, as its code.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> CMUMOSEI(task="seven").num_classes
        7
    """

    name: ClassVar[str] = "cmu-mosei"
    files: ClassVar[tuple[str, ...]] = (
        *("mosei_senti_data.pkl", "mosei_senti_data_noalign.pkl", "mosei_raw.pkl"),
        *("aligned_50.pkl", "unaligned_50.pkl"),
    )
    about: ClassVar[tuple[str, str]] = (
        "CMU-MOSEI (Zadeh et al., 2018)",
        "terms of Carnegie Mellon University, for research",
    )

    task: Task = "binary"
    binarisation: Binarisation = "non-negative"
    modalities: tuple[str, ...] | None = None
    vectors: Path | None = None
    length: int = 60
    masks: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_count("length", self.length, at_least=1)

    @property
    def num_classes(self) -> int:
        """How many numbers a network puts out for the task."""
        return {"binary": 2, "regression": 1, "seven": 7}[self.task]

    def parts(self) -> dict[str, MultimodalDataset]:
        """Read the files; return train, validation and test, with the targets of the task.

        Raises:
            FileNotFoundError: If there are none.
            UnsafePickleError: If a file is a program.
            CorruptFileError: If one holds something else.
            ValueError: If a modality is not in them, or word vectors are lacking.
            ImportError: If NumPy is not installed.
        """
        require(f"Reading {self.name}", "train", {"numpy": "numpy"})
        return {part: self._dataset(read) for part, read in self._read().items()}

    def load(self) -> Splits:
        """Return what :meth:`parts` reads, with a note of what it is."""
        parts = self.parts()
        task = BINARISATIONS[self.binarisation] if self.task == "binary" else self.task
        return Splits(
            name="-".join((self.name, self.binarisation if self.task == "binary" else self.task)),
            train=parts["train"],
            validation=parts["validation"],
            test=parts["test"],
            task=Regression() if self.task == "regression" else Classification(self.num_classes),
            note=f"Sentences of video monologues; the target is {task}.",
            source=self.about[0],
            licence=self.about[1],
        )

    def _read(self) -> dict[str, Part]:
        if self.folder.is_file():
            return read_single(self.folder)
        for name in self.files:
            if (self.folder / name).is_file():
                return read_single(self.folder / name)
        if (self.folder / _WORDS).is_file():
            if self.vectors is None:
                raise ValueError(
                    "`vectors` should be a file of word vectors, since these files hold words; "
                    "found none. Pass the path of GloVe's glove.840B.300d.txt or another."
                )
            return read_mels(self.folder, expand("vectors", self.vectors), length=self.length)
        raise FileNotFoundError(
            f"`root` should be, or hold, one of {', '.join(self.files)}, or hold {_WORDS} and the "
            f"eleven beside it; found none in {self.folder}. Get them from MultiBench, MMSA or the "
            "paper's code."
        )

    def _dataset(self, part: Part) -> MultimodalDataset:
        kept, target = target_of(part.sentiment, self.task, self.binarisation)
        names = tuple(part.values) if self.modalities is None else tuple(self.modalities)
        for name in names:
            check_choice("modalities", name, part.values)
        whole = bool(kept.all())
        values: dict[str, Tensor] = {
            name: part.values[name] if whole else part.values[name][kept] for name in names
        }
        masked = dict.fromkeys(names, with_mask) if self.masks else None
        return MultimodalDataset(values, target, transforms=masked)


@dataclass(frozen=True)
class CMUMOSI(CMUMOSEI):
    """CMU-MOSI: the smaller data set before CMU-MOSEI, in the same forms and with its options.

    Example:
        >>> CMUMOSI().folder.name
        'cmu-mosi'
    """

    name: ClassVar[str] = "cmu-mosi"
    files: ClassVar[tuple[str, ...]] = (
        *("mosi_data.pkl", "mosi_data_noalign.pkl", "mosi_raw.pkl"),
        *("aligned_50.pkl", "unaligned_50.pkl"),
    )
    about: ClassVar[tuple[str, str]] = (
        "CMU-MOSI (Zadeh et al., 2016)",
        "terms of Carnegie Mellon University, for research",
    )
