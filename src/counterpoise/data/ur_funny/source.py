"""UR-Funny as a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from counterpoise.core.errors import check_count
from counterpoise.core.fields import check_fields
from counterpoise.data.contract import Splits
from counterpoise.data.files.extras import require
from counterpoise.data.folder_source import FolderSource
from counterpoise.data.tasks import Classification
from counterpoise.data.ur_funny.reading import FILES, read_features, read_single

_SINGLE = "humor.pkl"


@dataclass(frozen=True)
class URFunny(FolderSource):
    """Tells whether a line of a talk makes the audience laugh: 2 classes, no (0) and yes (1).

    - ``text``: shape (T, 300): a vector for each word.
    - ``audio``: shape (T, 81): the voice while it is said (COVAREP).
    - ``vision``: shape (T, 371): the face (OpenFace).

    A batch is as long as its longest sample, padded with zeros at the end. The parts are those of
    the files, in which no speaker is in two.

    Args:
        root: The folder with ``humor.pkl`` or with the six pickles of version 2, or the path of
            the first; ``$NAME`` stands for an environment variable. Default: ``ur-funny`` in the
            cache.
        context: With the six pickles: whether the sentences before the line belong to it.
            Default: False.
        max_length: With the six pickles: keep the last so many words. Default: 50, as the single
            file has.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> URFunny(root="~").max_length
        50
    """

    name: ClassVar[str] = "ur-funny"

    context: bool = False
    max_length: int = 50

    def __post_init__(self) -> None:
        check_fields(self)
        check_count("max_length", self.max_length, at_least=1)

    def load(self) -> Splits:
        """Read the files and check that they fit together; takes seconds and some gigabytes.

        Raises:
            FileNotFoundError: If there is neither form.
            UnsafePickleError: If a file is a program.
            CorruptFileError: If one holds something else.
            ImportError: If NumPy is not installed.
        """
        require("Reading UR-Funny", "train", {"numpy": "numpy"})
        single = self.folder if self.folder.is_file() else self.folder / _SINGLE
        if single.is_file():
            parts = read_single(single)
        elif (self.folder / FILES["folds"]).is_file():
            parts = read_features(self.folder, context=self.context, max_length=self.max_length)
        else:
            raise FileNotFoundError(
                f"`root` should hold {_SINGLE}, or {', '.join(FILES.values())}; found neither in "
                f"{self.folder}. Get version 2 of the features from the page of UR-Funny "
                "(ROC-HCI/UR-FUNNY), or humor.pkl from MultiBench."
            )
        sets = {part: sequences.dataset() for part, sequences in parts.items()}
        return Splits(
            name=self.name,
            train=sets["train"],
            validation=sets["validation"],
            test=sets["test"],
            task=Classification(2),
            note="Lines of TED talks with or without laughter after them; no speaker is in two "
            "parts.",
            source="UR-FUNNY (Hasan et al., 2019)",
            licence="none stated",
        )
