"""The features of AVE; files in, checked arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from counterpoise.data.ave.annotations import PARTS, SECONDS, Annotations, read_annotations
from counterpoise.data.contract import Batch
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.hdf5 import read_hdf5
from counterpoise.data.files.numbers import sampled_digest, warn
from counterpoise.data.stored import StoredDataset

if TYPE_CHECKING:
    import numpy as np

_FILES = {"audio": "audio_feature.h5", "vision": "visual_feature.h5"}
_LABELS = ("labels.h5", "right_labels.h5", "right_label.h5")
_ORDERS = {"train": "train_order.h5", "validation": "val_order.h5", "test": "test_order.h5"}


@dataclass(frozen=True, eq=False)
class FeatureFiles:
    """Features of all videos, mapped into memory where the files let them be.

    Attributes:
        values: Each modality's name and its features, shape (N, 10, ...), as stored.
        annotations: What happens in each video.
        parts: The rows of train, validation and test.
        content: What tells the files from others.
    """

    values: dict[str, Tensor]
    annotations: Annotations
    parts: dict[str, Tensor]
    content: str

    def dataset(self, rows: Tensor, labels: Tensor) -> StoredDataset:
        """Return the data set of some videos; ``labels`` are those of all, shape (N, ...)."""
        return StoredDataset(
            partial(_read, self.values),
            rows=rows,
            target=labels[rows],
            sample_shapes={name: tuple(value.shape[1:]) for name, value in self.values.items()},
            content=self.content,
        )


def _read(values: dict[str, Tensor], rows: Tensor) -> Batch:
    # A batch at a time: all as float32 would be a copy of gigabytes, and to check all takes long.
    batch = {name: value.index_select(0, rows).float() for name, value in values.items()}
    for name, value in batch.items():
        if not value.isfinite().all():
            raise CorruptFileError(
                f"`{_FILES[name]}` should hold finite numbers; found others in the rows "
                f"{rows[~value.flatten(1).isfinite().all(1)].tolist()}. Get the file again."
            )
    return batch


def read_features(folder: Path) -> FeatureFiles:
    """Read ``Annotations.txt``, the features, and which rows belong to which part.

    The parts are those of ``train_order.h5`` and so on, or else of ``trainSet.txt`` and so on.
    Label files are not needed; where there is one it is compared with the annotations.

    Raises:
        FileNotFoundError: If a file is missing.
        CorruptFileError: If one holds something else, or they do not fit together.
        ValueError: If one leads to another file.
    """
    annotations = read_annotations(find(folder, "Annotations.txt"))
    number = len(annotations.events)
    paths = {name: find(folder, file) for name, file in _FILES.items()}
    shapes: dict[str, Sequence[int | None]] = {
        "audio": (number, SECONDS, None),
        "vision": (number, SECONDS, None, None, None),
    }
    values = {
        name: torch.from_numpy(read_hdf5(path, "avadataset", shapes[name]))
        for name, path in paths.items()
    }
    parts = _parts(folder, annotations)
    annotations.warn_of_shared(parts)
    _compare_labels(folder, annotations)
    digests = [sampled_digest(path) for path in (*paths.values(), folder / "Annotations.txt")]
    content = sha256("".join(digests).encode()).hexdigest()
    return FeatureFiles(values, annotations, parts, content)


def find(folder: Path, name: str) -> Path:
    """Return the path of a file of AVE.

    Raises:
        FileNotFoundError: If it is not there; the message says how to get it.
    """
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"`root` should hold {name} of AVE; found none in {folder}. Get the data set and its "
            "features from the page of YapengTian/AVE-ECCV18."
        )
    return folder / name


def _parts(folder: Path, annotations: Annotations) -> dict[str, Tensor]:
    number = len(annotations.events)
    ordered = all((folder / name).is_file() for name in _ORDERS.values())
    if not ordered:
        return {part: annotations.rows(find(folder, name)) for part, name in PARTS.items()}
    parts = {}
    for part, name in _ORDERS.items():
        rows = torch.from_numpy(read_hdf5(folder / name, "order", (None,))).long()
        if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= number:
            raise CorruptFileError(
                f"`{folder / name}` should hold rows in [0, {number}); found "
                f"{f'{int(rows.min())} to {int(rows.max())}' if len(rows) else 'none'}. "
                "Get the file again."
            )
        parts[part] = rows
    every = torch.cat([*parts.values()])
    if len(every.unique()) < len(every):  # type: ignore[no-untyped-call]
        raise CorruptFileError(
            f"`{folder}` should have each row in one part; found rows in two of "
            f"{', '.join(_ORDERS.values())}. Get the files again."
        )
    return parts


def _compare_labels(folder: Path, annotations: Annotations) -> None:
    for name in _LABELS:
        if not (folder / name).is_file():
            continue
        shape = (len(annotations.events), SECONDS, len(annotations.categories) + 1)
        stored: np.ndarray[Any, Any] = read_hdf5(folder / name, "avadataset", shape)
        others = int((stored.argmax(-1) != annotations.segment_labels().numpy()).sum())
        if others:
            warn(
                f"{name} differs from Annotations.txt in {others} of {stored[..., 0].size} "
                "segments; the annotations are used."
            )
