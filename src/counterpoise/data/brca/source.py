"""BRCA in the format of MOGONET: tables of numbers without header, one for each modality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from counterpoise.core.fields import check_fields
from counterpoise.data.contract import Splits
from counterpoise.data.division import stratified
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.extras import require
from counterpoise.data.files.numbers import as_features
from counterpoise.data.files.tables import read_table
from counterpoise.data.folder_source import FolderSource
from counterpoise.data.tasks import Classification
from counterpoise.data.tensors import MultimodalDataset

if TYPE_CHECKING:
    import numpy as np

_MODALITIES = {"mrna": 1, "methylation": 2, "mirna": 3}


@dataclass(frozen=True)
class BRCA(FolderSource):
    """Tells the subtype of a tumour (PAM50, 5 classes) from three kinds of measurement.

    - ``mrna``: shape (1000,): expression of genes.
    - ``methylation``: shape (1000,): methylation of DNA.
    - ``mirna``: shape (503,): expression of micro-RNA.

    Args:
        root: The folder with ``1_tr.csv``, ``1_te.csv``, ``labels_tr.csv``, ``labels_te.csv`` and
            so on; ``$NAME`` stands for an environment variable. Default: ``brca`` in the cache.
        seed: Of which tenth of the training samples, as many of each class, is for validation.

    Example:
        >>> BRCA().folder.name
        'brca'
    """

    name: ClassVar[str] = "brca"

    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def load(self) -> Splits:
        """Read the files and check that they fit together.

        Raises:
            FileNotFoundError: If one is missing.
            CorruptFileError: If one holds something else, or another number of samples.
            ImportError: If NumPy is not installed.
        """
        require("Reading BRCA", "train", {"numpy": "numpy"})
        rest, test = (self._read(ending) for ending in ("tr", "te"))
        rows = stratified(torch.arange(len(rest)), rest.target, seed=self.seed)
        train, validation = (rest.subset(part) for part in rows)
        return Splits(
            name=self.name,
            train=train,
            validation=validation,
            test=test,
            task=Classification(int(rest.target.max()) + 1),
            note="Measurements of tumours of The Cancer Genome Atlas, already selected and scaled.",
            source="The Cancer Genome Atlas, as prepared for MOGONET (Wang et al., 2021)",
            licence="none stated",
        )

    def redivided(self, seed: int) -> BRCA:
        """Return the same data with another tenth of the training samples for validation."""
        return replace(self, seed=seed)

    def _read(self, ending: str) -> MultimodalDataset:
        labels = self._numbers(f"labels_{ending}.csv", (None, 1))[:, 0]
        if (labels != labels.round()).any() or (labels < 0).any() or not len(labels):
            raise CorruptFileError(
                f"`{self.folder / f'labels_{ending}.csv'}` should hold classes from 0; found "
                f"others. Get the file again."
            )
        inputs: dict[str, Tensor] = {
            name: torch.from_numpy(self._numbers(f"{number}_{ending}.csv", (len(labels), None)))
            for name, number in _MODALITIES.items()
        }
        return MultimodalDataset(inputs, torch.from_numpy(labels).long())

    def _numbers(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray[Any, Any]:
        import numpy as np

        path = self.folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f"`root` should hold {name} of MOGONET's BRCA; found none in {self.folder}. "
                "Get the folder BRCA of txWang/MOGONET."
            )
        rows = read_table(path)
        try:
            numbers = np.array(rows, dtype=np.float64)
        except ValueError as error:
            raise CorruptFileError(
                f"`{path}` should hold numbers alone; found others ({error}). Get the file again."
            ) from error
        return as_features(path, "numbers", numbers, shape)
