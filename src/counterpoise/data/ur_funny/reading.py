"""UR-Funny in the two forms that the field has it in; files in, checked arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.entries import entry
from counterpoise.data.files.numbers import as_features, text_of, warn
from counterpoise.data.files.pickles import read_pickle
from counterpoise.data.sequences import Sequences, from_padded_in_front

if TYPE_CHECKING:
    import numpy as np

MODALITIES = ("text", "audio", "vision")

FILES = {
    "folds": "data_folds.pkl",
    "text": "language_sdk.pkl",
    "audio": "covarep_features_sdk.pkl",
    "vision": "openface_features_sdk.pkl",
    "vectors": "word_embedding_list.pkl",
    "labels": "humor_label_sdk.pkl",
}
"""The six pickles of version 2."""

_PARTS = {"train": ("train",), "validation": ("valid", "dev"), "test": ("test",)}


def read_single(path: Path) -> dict[str, Sequences]:
    """Read one pickle that holds all, padded in front (``humor.pkl``).

    Samples without words are left out, all modalities begin with the first word, minus infinity
    becomes 0, and a label below 1 is no joke.

    Returns:
        The sequences of train, validation and test.

    Raises:
        OSError: If there is no such file, or it may not be read.
        UnsafePickleError: If it is a program.
        CorruptFileError: If it holds something else.
    """
    content = read_pickle(path)
    parts = {}
    for part, keys in _PARTS.items():
        fold = entry(path, content, *keys)
        text = as_features(path, f"text of {part}", entry(path, fold, "text"), (None,) * 3)
        values = {"text": text}
        for name in ("audio", "vision"):
            what = f"{name} of {part}"
            values[name] = as_features(path, what, entry(path, fold, name), (*text.shape[:2], None))
        labels = _labels(path, entry(path, fold, "labels", "label"), len(text))
        moved, lengths = from_padded_in_front(values, "text")
        parts[part] = _sequences(path, part, moved, lengths, labels)
    return parts


def read_features(
    folder: Path, *, context: bool = False, max_length: int = 50
) -> dict[str, Sequences]:
    """Read the six pickles of version 2.

    Args:
        folder: Where they are.
        context: Whether the sentences before the line are part of the sequence.
        max_length: Steps, at least 1; of longer sequences, the last so many are kept: the joke, if
            it is one, comes at the end.

    Returns:
        The sequences of train, validation and test, a step a word, in the order of the folds.

    Raises:
        OSError: If a file is missing, or may not be read.
        UnsafePickleError: If one is a program.
        CorruptFileError: If one holds something else, or they do not fit together.
    """
    content = {key: read_pickle(folder / name) for key, name in FILES.items()}
    vectors = as_features(folder / FILES["vectors"], "vectors", content["vectors"], (None, None))
    folds = content["folds"]
    parts = {}
    num_samples = 0
    for part, keys in _PARTS.items():
        ids = list(entry(folder / FILES["folds"], folds, *keys))
        num_samples += len(ids)
        samples = [_sample(folder, content, vectors, key, context, max_length) for key in ids]
        labels = [
            entry(folder / FILES["labels"], content["labels"], key, text_of(key)) for key in ids
        ]
        target = _labels(folder / FILES["labels"], labels, len(ids))
        lengths = [len(sample["text"]) for sample in samples]
        parts[part] = _sequences(
            folder / FILES["text"], part, _padded(folder, samples, max_length), lengths, target
        )
    if len(content["labels"]) > num_samples:
        warn(
            f"{FILES['labels']} has {len(content['labels'])} labels, {FILES['folds']} "
            f"{num_samples} samples; the labels of no fold are left out."
        )
    return parts


def _sample(
    folder: Path,
    content: Mapping[str, Any],
    vectors: np.ndarray[Any, Any],
    identity: Any,
    context: bool,
    max_length: int,
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the steps of one sample; each modality's are cut to the fewest that one has."""
    pieces: dict[str, list[Any]] = {}
    for name in MODALITIES:
        path, ending = folder / FILES[name], "embedding_indexes" if name == "text" else "features"
        stored = entry(path, content[name], identity, text_of(identity))
        before = list(entry(path, stored, f"context_{ending}")) if context else []
        pieces[name] = [*before, entry(path, stored, f"punchline_{ending}")]
    indices = _indices(folder, identity, pieces["text"], len(vectors))
    sample = {"text": vectors[indices]}
    for name in ("audio", "vision"):
        sample[name] = _joined(folder / FILES[name], identity, pieces[name])
    steps = min(map(len, sample.values()))
    return {name: value[:steps][-max_length:] for name, value in sample.items()}


def _joined(path: Path, identity: Any, pieces: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return the steps of all pieces, shape (T, size); (0, 0) where there are none."""
    import numpy as np

    arrays = [
        as_features(path, f"features of {identity}", piece, (None, None))
        for piece in pieces
        if len(piece)
    ]
    sizes = {array.shape[1] for array in arrays}
    if len(sizes) > 1:
        raise CorruptFileError(
            f"`{path}` should hold features of one size for {identity}; found "
            f"{', '.join(map(str, sorted(sizes)))}. Get the file again."
        )
    return np.concatenate(arrays) if arrays else np.zeros((0, 0), np.float32)


def _indices(folder: Path, identity: Any, pieces: Sequence[Any], num_vectors: int) -> Any:
    import numpy as np

    words = [index for piece in pieces for index in np.asarray(piece).reshape(-1).tolist()]
    for index in words:
        if not isinstance(index, int) or not 0 <= index < num_vectors:
            raise CorruptFileError(
                f"`{folder / FILES['text']}` should hold numbers of words in [0, {num_vectors}), "
                f"of which {FILES['vectors']} has vectors; found {index!r} in {identity}. "
                "Get both files again, of one version."
            )
    return np.asarray(words, dtype=np.int64)


def _padded(
    folder: Path, samples: Sequence[Mapping[str, Any]], length: int
) -> dict[str, np.ndarray[Any, Any]]:
    import numpy as np

    padded = {}
    for name in MODALITIES:
        sizes = {sample[name].shape[1] for sample in samples if len(sample[name])}
        if len(sizes) != 1:
            raise CorruptFileError(
                f"`{folder / FILES[name]}` should hold features of one size; found "
                f"{', '.join(map(str, sorted(sizes))) or 'none'}. Get the file again."
            )
        # With zeros: the vector of word number 0 is that of a word.
        padded[name] = np.zeros((len(samples), length, sizes.pop()), np.float32)
        for row, sample in enumerate(samples):
            if len(sample[name]):
                padded[name][row, : len(sample[name])] = sample[name]
    return padded


def _sequences(
    path: Path,
    part: str,
    values: Mapping[str, np.ndarray[Any, Any]],
    lengths: Any,
    labels: np.ndarray[Any, Any],
) -> Sequences:
    import numpy as np

    kept = np.flatnonzero(lengths)
    if not len(kept):
        raise CorruptFileError(
            f"`{path}` should hold samples with words for {part}; found none. Get the file again."
        )
    return Sequences(
        {name: torch.from_numpy(values[name][kept]) for name in MODALITIES},
        torch.from_numpy(np.asarray(lengths)[kept]),
        torch.from_numpy(labels[kept]),
    )


def _labels(path: Path, values: object, number: int) -> np.ndarray[Any, Any]:
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.size != number or np.isnan(array).any():
        raise CorruptFileError(
            f"`{path}` should hold {number} labels, one for each sample; found {array.dtype} of "
            f"shape {array.shape}. Get the file again."
        )
    return (array.reshape(number) >= 1).astype(np.int64)
