"""Data sets of features that were extracted once and lie in one NumPy archive."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from counterpoise.core.errors import check_range, suggestion
from counterpoise.core.fields import check_fields
from counterpoise.data.contract import TARGET, Splits
from counterpoise.data.files.extras import require
from counterpoise.data.files.npz import read_npz
from counterpoise.data.files.paths import expand
from counterpoise.data.files.streams import stream
from counterpoise.data.source import DataSource
from counterpoise.data.tasks import Classification
from counterpoise.data.tensors import MultimodalDataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESERVED = ("label", "train_idx", "test_idx")


@dataclass(frozen=True)
class Features(DataSource):
    """Reads modalities, labels and an official split from one ``.npz`` file.

    The archive holds ``label`` (N,), integers or strings; ``train_idx`` and ``test_idx``, which
    samples are in either part of the official split, both (n,) integers in [0, N); and for each
    modality a floating-point array (N, ...). A part of the training samples is kept for
    validation, the same share of each class.

    Args:
        path: The file. ``$NAME`` and ``${NAME}`` in it stand for environment variables, which
            are looked up when the data are read, so that a configuration is the same on every
            machine.
        modalities: Which modalities, in the order that they shall have. Default: all, in the
            order of the file.
        validation: Share of the training samples that are kept for validation, in (0, 1). Of
            each class it is rounded, and at least one.
        seed: Of the choice of the samples for validation.
        standardise: Whether each feature gets mean 0 and deviation 1 over the training samples
            (without those for validation), so that zeros, the usual absent value, are an average
            input. A feature that does not vary there becomes 0.
        note: One sentence that says plainly what the data are, for reports.
        licence: Under which terms they may be used, for records.

    Raises:
        ValueError: If a number is out of range or a modality is named twice.

    Example:
        >>> Features("$COUNTERPOISE_DATA/mfeat.npz", modalities=("zer", "mor")).title
        'mfeat'
    """

    name: ClassVar[str] = "features"

    path: str
    modalities: tuple[str, ...] | None = None
    validation: float = 0.2
    seed: int = 0
    standardise: bool = True
    note: str = ""
    licence: str = "not stated"

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)) or not os.fspath(self.path):
            raise TypeError(f"`path` should be that of a file; found {self.path!r}. Pass its path.")
        object.__setattr__(self, "path", os.fspath(self.path))
        check_fields(self, empty=("note",))
        check_range("validation", self.validation, low=0, high=1 - 1e-12, open_low=True)
        if self.modalities is not None:
            object.__setattr__(self, "modalities", tuple(self.modalities))

    @property
    def title(self) -> str:
        """What the data set is called: the file's name without its ending."""
        return Path(self.path).stem

    def load(self) -> Splits:
        """Read, check, divide and standardise the data.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If an environment variable is not set; if the file is no archive of
                arrays, lacks one or holds one of a wrong type or shape; if values are not
                finite, or training and test share samples.
            ImportError: If NumPy is not installed.
        """
        require("Reading feature files", "train", {"numpy": "numpy"})
        path = expand("path", self.path)
        arrays = _read(path)
        names = _modalities(arrays, self.modalities, path)
        target, num_classes = _target(arrays["label"], path)
        inputs = {name: _modality(name, arrays[name], len(target), path) for name in names}
        train, test = (_indices(key, arrays[key], len(target), path) for key in _RESERVED[1:])
        _check_disjoint(train, test, path)
        train, validation = self._divide(train, target, path)
        inputs = {
            name: _single(name, _standardised(values, train) if self.standardise else values, path)
            for name, values in inputs.items()
        }
        whole = MultimodalDataset(inputs, target)
        return Splits(
            name=self.title,
            train=whole.subset(train),
            validation=whole.subset(validation),
            test=whole.subset(test),
            task=Classification(num_classes),
            note=self.note or f"Features read from {path.name}.",
            source=self.path,
            licence=self.licence,
        )

    def redivided(self, seed: int) -> Features:
        """Return the same data with other training samples cut out for validation."""
        return replace(self, seed=seed)

    def _divide(self, train: Tensor, target: Tensor, path: Path) -> tuple[Tensor, Tensor]:
        """Cut the samples for validation out of the training samples, class by class."""
        kept = torch.zeros(len(train), dtype=torch.bool)
        for label in range(int(target.max()) + 1):
            (members,) = torch.where(target[train] == label)
            if len(members) < 2:
                raise ValueError(
                    f"'train_idx' in {str(path)!r} should hold at least 2 samples of each class, "
                    f"one of them for validation; found {len(members)} of class {label}. "
                    "Leave the class out of the file."
                )
            generator = stream(self.seed, "features", "validation", str(label))
            order = torch.randperm(len(members), generator=generator)
            count = min(max(round(self.validation * len(members)), 1), len(members) - 1)
            kept[members[order[:count]]] = True
        return train[~kept], train[kept]


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise FileNotFoundError(
            f"`path` should be an .npz file with label, train_idx, test_idx and an array for each "
            f"modality; found no file {str(path)!r}. Check the path."
        )
    arrays = read_npz(path)
    for key in _RESERVED:
        if key not in arrays:
            raise ValueError(
                f"{str(path)!r} should hold {', '.join(map(repr, _RESERVED))}; found "
                f"{', '.join(map(repr, arrays))}. Add {key!r}."
            )
    return arrays


def _modalities(
    arrays: Mapping[str, Any], chosen: Sequence[str] | None, path: Path
) -> tuple[str, ...]:
    present = tuple(key for key in arrays if key not in _RESERVED)
    if not present:
        raise ValueError(
            f"{str(path)!r} should hold an array for each modality; found only "
            f"{', '.join(map(repr, arrays))}. Add one under the modality's name."
        )
    for name in chosen or ():
        if name not in present:
            raise ValueError(
                f"`modalities` should be among {', '.join(map(repr, present))}, which "
                f"{str(path)!r} holds; found {name!r}.{suggestion(name, present)}"
            )
    return tuple(chosen or present)


def _target(label: NDArray[Any], path: Path) -> tuple[Tensor, int]:
    """Map labels to 0, 1, ... in sorted order."""
    import numpy as np

    if label.ndim != 1 or label.dtype.kind not in "iuUSb":
        raise ValueError(
            f"'label' in {str(path)!r} should be one integer or string a sample; found "
            f"{label.dtype} of shape {label.shape}. Store an array of shape (N,)."
        )
    classes, numbers = np.unique(label, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"'label' in {str(path)!r} should have at least 2 classes; found {len(classes)}. "
            "There is nothing to tell apart."
        )
    return torch.from_numpy(numbers.astype(np.int64)), len(classes)


def _modality(name: str, values: NDArray[Any], num_samples: int, path: Path) -> Tensor:
    import numpy as np

    if name == TARGET:
        raise ValueError(
            f"{str(path)!r} should not hold a modality named {TARGET!r}, the key of the labels in "
            "a batch; found one. Rename it."
        )
    if values.ndim < 2 or values.dtype.kind != "f":
        raise ValueError(
            f"{name!r} in {str(path)!r} should be floating-point numbers of shape (N, ...); found "
            f"{values.dtype} of shape {values.shape}. Convert it, or choose other `modalities`."
        )
    if len(values) != num_samples:
        raise ValueError(
            f"{name!r} in {str(path)!r} should have {num_samples} samples, as many as labels; "
            f"found {len(values)}. Give every sample all modalities and a label."
        )
    finite = np.isfinite(values)
    if not finite.all():
        raise ValueError(
            f"{name!r} in {str(path)!r} should be finite; found {int((~finite).sum())} values that "
            "are not. Fill in or leave out the samples with them."
        )
    kind = values.dtype.type if values.dtype.itemsize in (2, 4, 8) else np.float64
    return torch.from_numpy(np.ascontiguousarray(values, dtype=kind))


def _indices(key: str, values: NDArray[Any], num_samples: int, path: Path) -> Tensor:
    import numpy as np

    if values.ndim != 1 or values.dtype.kind not in "iu" or not len(values):
        raise ValueError(
            f"{key!r} in {str(path)!r} should be integers of shape (n,), at least one; found "
            f"{values.dtype} of shape {values.shape}. Store the numbers of samples."
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= num_samples:
        raise ValueError(
            f"{key!r} in {str(path)!r} should be in [0, {num_samples}); found {low} to {high}. "
            "Count samples from 0."
        )
    if len(np.unique(values)) < len(values):
        raise ValueError(
            f"{key!r} in {str(path)!r} should hold each sample once; found "
            f"{len(values) - len(np.unique(values))} repeated. Remove them."
        )
    return torch.from_numpy(values.astype(np.int64))


def _check_disjoint(train: Tensor, test: Tensor, path: Path) -> None:
    shared = int(torch.isin(test, train).sum())
    if shared:
        raise ValueError(
            f"'train_idx' and 'test_idx' in {str(path)!r} should share no sample; found {shared} "
            "in both. What was trained on tests nothing."
        )


def _standardised(values: Tensor, train: Tensor) -> Tensor:
    """Return (x - mean) / std, both of the training samples, computed in float64."""
    known = values[train].double()
    mean, std = known.mean(dim=0), known.std(dim=0, correction=0)
    # A constant column keeps a rounding error for a standard deviation.
    varies = std > 1e-9 * known.abs().amax(dim=0)
    scale = torch.where(varies, std, torch.ones_like(std))
    centred = torch.where(varies, values - mean, torch.zeros_like(mean))
    return centred / scale


def _single(name: str, values: Tensor, path: Path) -> Tensor:
    """Return values as float32, if it can hold them."""
    single = values.float()
    unfit = int((~single.isfinite()).sum())
    if unfit:
        raise ValueError(
            f"{name!r} in {str(path)!r} should fit into float32; found {unfit} values that are "
            "too large. Scale them."
        )
    lost = _varies(values) & ~_varies(single)
    if bool(lost.any()):
        raise ValueError(
            f"{name!r} in {str(path)!r} should fit into float32; found {int(lost.sum())} features "
            "whose values differ too little for it. Scale them, or let standardise be true."
        )
    return single


def _varies(values: Tensor) -> Tensor:
    """Which features are not the same for all samples."""
    return values.amax(dim=0) != values.amin(dim=0)
