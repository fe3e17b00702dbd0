"""The original files of AV-MNIST: where they come from and what they contain."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from counterpoise.data.avmnist.idx import read_idx
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.download import Progress, extract, fetch, fingerprint_files
from counterpoise.data.files.folders import new_folder

MNIST_PLACES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
"""The two mirrors that PyTorch and TensorFlow use, and the original place, now mostly closed."""

MNIST_FILES = {
    f"{name}-ubyte.gz": digest
    for name, digest in {
        "train-images-idx3": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }.items()
}
"""The original files and their sha256. Copies that were packed again differ in it, not inside."""

FSDD_PLACES = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
)
FSDD_FINGERPRINT = "99aa5e3a7c822ab55b2a3b47e0b05aeb9f011c54837a12e3831ad24108330829"
"""Of the 3,000 recordings; the archive is packed on request, so its own bytes may change."""


def download_mnist(folder: str | Path, progress: Progress | None = None) -> Path:
    """Download MNIST's four files into a folder, except those that are there already.

    Raises:
        ConnectionError: If a file can be had nowhere.
        CorruptFileError: If a file's content is not the original's.
        DiskFullError: If there is not enough room.
    """
    folder = Path(folder)
    for name, digest in MNIST_FILES.items():
        fetch([place + name for place in MNIST_PLACES], folder / name, digest, progress)
    return folder


def download_fsdd(folder: str | Path, progress: Progress | None = None) -> Path:
    """Download the Free Spoken Digit Dataset, version 1.0.10, unless it is there already.

    Args:
        folder: Where a folder ``recordings`` with the 3,000 WAV files shall lie.
        progress: Told how it goes on.

    Returns:
        The folder of recordings.

    Raises:
        ConnectionError: If it can be had nowhere.
        CorruptFileError: If the recordings are not the expected ones.
        DiskFullError: If there is not enough room.
    """
    folder = Path(folder)
    recordings = folder / "recordings"
    if recordings.is_dir():
        return recordings
    archive = fetch(FSDD_PLACES, folder / "fsdd-v1.0.10.tar.gz", None, progress)
    with new_folder(recordings, what=str(recordings)) as partial:
        extract(archive, partial, ".wav", progress)
        fingerprint = fingerprint_files(partial.iterdir())
        if fingerprint != FSDD_FINGERPRINT:
            raise CorruptFileError(
                f"`{archive}` should hold recordings with fingerprint {FSDD_FINGERPRINT[:12]}...; "
                f"found {fingerprint[:12]}... in {sum(1 for _ in partial.iterdir())} files. "
                "Delete it and try again."
            )
    archive.unlink()
    return recordings


@dataclass(frozen=True, eq=False)
class Handwriting:
    """One part of MNIST.

    Attributes:
        images: Shape (N, 28, 28), uint8: paper 0, ink 255.
        labels: Shape (N,), uint8, 0 to 9.
    """

    images: Tensor
    labels: Tensor


def read_mnist(folder: str | Path) -> tuple[dict[str, Handwriting], str]:
    """Read MNIST's four files.

    Args:
        folder: Where they lie, named as in the original.

    Returns:
        The parts ``"train"`` and ``"test"``; and the sha256 over their contents, which does not
        depend on how they were packed.

    Raises:
        FileNotFoundError: If a file is missing.
        OSError: If one is no file, or may not be read.
        CorruptFileError: If one is damaged or cut off.
        ValueError: If images and labels do not match, or are not those of handwritten digits,
            each in both parts.
    """
    folder = Path(folder)
    for name in MNIST_FILES:
        if not os.path.lexists(folder / name):  # what is no file is named when it is opened
            raise FileNotFoundError(
                f"`mnist` should be a folder that holds {name}; found none in {folder}. "
                "Put MNIST's four original files there, or leave the option out to download them."
            )
    digest, parts = sha256(), {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
        _check(part, images, labels)
        digest.update(images.numpy().tobytes() + labels.numpy().tobytes())
        parts[part] = Handwriting(images, labels)
    return parts, digest.hexdigest()


def _check(part: str, images: Tensor, labels: Tensor) -> None:
    if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.ndim != 1:
        raise ValueError(
            f"`mnist` should hold images of shape (N, 28, 28) and labels of shape (N,); found "
            f"{tuple(images.shape)} and {tuple(labels.shape)} for {part}. "
            "Get the original files."
        )
    if len(images) != len(labels):
        raise ValueError(
            f"`mnist` should hold as many labels as images; found {len(labels)} labels and "
            f"{len(images)} images for {part}. Get the original files."
        )
    if not len(labels) or int(labels.max()) > 9:
        shown = f"labels up to {int(labels.max())}" if len(labels) else "none"
        raise ValueError(
            f"`mnist` should hold digits with labels 0 to 9; found {shown} for {part}. "
            "Get the original files."
        )
    lacking = sorted(set(range(10)) - set(labels.tolist()))
    if lacking:
        raise ValueError(
            f"`mnist` should hold every digit for {part}; found none of "
            f"{', '.join(map(str, lacking))} among {len(labels)} labels. Get the original files."
        )
