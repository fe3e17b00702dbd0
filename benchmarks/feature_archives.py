"""Make the archives that first-comparison.yaml reads from the files that their authors publish.

    python benchmarks/feature_archives.py mfeat FOLDER ARCHIVE        # COUNTERPOISE_DATA/mfeat.npz
    python benchmarks/feature_archives.py wikipedia FOLDER ARCHIVE    # .../wikipedia.npz

mfeat: FOLDER holds mfeat-pix, -fou, -fac, -zer, -kar and -mor of "Multiple Features" in the UCI
Machine Learning Repository, https://archive.ics.uci.edu/dataset/72/multiple+features: text, a
sample a line, 200 of each digit from 0 to 9 in turn. There is no official split: the first 160
samples of each digit are for training, the other 40 for testing.

wikipedia: FOLDER holds raw_features.mat, trainset_txt_img_cat.list and testset_txt_img_cat.list of
http://www.svcl.ucsd.edu/projects/crossmodal/ (Rasiwasia et al., "A New Approach to Cross-Modal
Multimedia Retrieval", ACM MM 2010; research use only): 2,173 articles for training and 693 for
testing, images as 128 visual words, texts as 10 topics, the category in a list's third column.

What an archive has to hold is said by counterpoise.data.Features, which reads it in the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoise.data import Features

MFEAT = {"pix": 240, "fou": 76, "fac": 216, "zer": 47, "kar": 64, "mor": 6}
PER_DIGIT, FOR_TRAINING = 200, 160


def mfeat(folder: Path) -> dict[str, NDArray[Any]]:
    """Read six views of 2,000 handwritten digits."""
    arrays = {name: np.loadtxt(folder / f"mfeat-{name}", np.float32) for name in MFEAT}
    for name, width in MFEAT.items():
        expect(folder / f"mfeat-{name}", arrays[name].shape, (10 * PER_DIGIT, width))
    rank = np.arange(10 * PER_DIGIT) % PER_DIGIT
    return {
        "label": np.repeat(np.arange(10), PER_DIGIT),
        "train_idx": np.flatnonzero(rank < FOR_TRAINING),
        "test_idx": np.flatnonzero(rank >= FOR_TRAINING),
        **arrays,
    }


def wikipedia(folder: Path) -> dict[str, NDArray[Any]]:
    """Read images and texts of 2,866 articles in the order of their lists, training first."""
    from scipy.io import loadmat  # type: ignore[import-untyped]

    found, numbers = loadmat(folder / "raw_features.mat"), (2173, 693)
    labels = [categories(folder / f"{part}set_txt_img_cat.list") for part in ("train", "test")]
    for part, label, number in zip(("tr", "te"), labels, numbers, strict=True):
        expect(folder / "raw_features.mat", found[f"I_{part}"].shape, (number, 128))
        expect(folder / "raw_features.mat", found[f"T_{part}"].shape, (number, 10))
        expect(folder, label.shape, (number,))
    return {
        "label": np.concatenate(labels) - 1,
        "train_idx": np.arange(numbers[0]),
        "test_idx": np.arange(numbers[0], sum(numbers)),
        "image": np.concatenate([found["I_tr"], found["I_te"]]).astype(np.float32),
        "text": np.concatenate([found["T_tr"], found["T_te"]]).astype(np.float32),
    }


def categories(path: Path) -> NDArray[Any]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return np.array([int(line.split("\t")[2]) for line in lines if line.strip()])


def expect(path: Path, found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if found != shape:
        raise ValueError(
            f"{str(path)!r} should hold data of shape {shape}; found {found}. Fetch it again."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=("mfeat", "wikipedia"))
    parser.add_argument("folder", type=Path, help="Where the published files lie.")
    parser.add_argument("archive", type=Path, help="The .npz file to write.")
    given = parser.parse_args()
    arrays: dict[str, Any] = (
        mfeat(given.folder) if given.name == "mfeat" else wikipedia(given.folder)
    )
    with given.archive.open("wb") as file:  # numpy.savez would add .npz to another name
        np.savez_compressed(file, **arrays)
    splits = Features(str(given.archive)).load()
    parts = (splits.train, splits.validation, splits.test_set)
    print(f"{given.archive}: {', '.join(splits.modalities)}; {[len(part) for part in parts]}")


if __name__ == "__main__":
    main()
