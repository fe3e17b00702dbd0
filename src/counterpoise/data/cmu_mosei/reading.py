"""CMU-MOSEI and CMU-MOSI in the forms that the field has them in; files in, checked arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.entries import entry
from counterpoise.data.files.numbers import as_features, text_of, warn
from counterpoise.data.files.pickles import read_pickle
from counterpoise.data.files.vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

PARTS = {"train": "train", "validation": "valid", "test": "test"}
"""Our name and the files' of each part."""

_HIGHEST = 3.0


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the data.

    Attributes:
        values: Each modality's name and its sequences, shape (N, T, size), float32; T may differ
            from one modality to the next.
        sentiment: Shape (N,), float32, in [-3, 3].
    """

    values: Mapping[str, Tensor]
    sentiment: Tensor


def read_single(path: Path) -> dict[str, Part]:
    """Read one pickle that holds all.

    Both forms of the field: with ``labels`` (N, 1, 1), as ``mosei_senti_data.pkl``, and with
    ``regression_labels`` (N,), as ``aligned_50.pkl``. Sizes and lengths are those of the file.

    Returns:
        Train, validation and test, each with text, audio and vision, as far as the file has them.

    Raises:
        OSError: If there is no such file, or it may not be read.
        UnsafePickleError: If it is a program.
        CorruptFileError: If it holds something else.
    """
    content = read_pickle(path)
    parts = {}
    for part, key in PARTS.items():
        fold = entry(path, content, key)
        stored = entry(path, fold, "regression_labels", "labels")
        sentiment = _sentiment(path, part, stored)
        values = {
            name: torch.from_numpy(
                as_features(path, f"{name} of {part}", fold[name], (len(sentiment), None, None))
            )
            for name in ("text", "audio", "vision")
            if name in fold
        }
        if len(values) < 2:
            raise CorruptFileError(
                f"`{path}` should hold two of text, audio and vision for {part}; found "
                f"{', '.join(values) or 'none'}. Get the file again."
            )
        _warn_of_repeats(path, part, fold)
        parts[part] = Part(values, torch.from_numpy(sentiment))
    return parts


def read_mels(folder: Path, vectors: Path, *, length: int = 60) -> dict[str, Part]:
    """Read the twelve pickles of words, mel spectrograms and labels that the paper's code reads.

    Args:
        folder: Where ``train_sentences.p``, ``train_mels.p``, ``train_sentiment.p`` and so on are.
        vectors: A text file with a word and its vector in each line, as GloVe has. A word that it
            lacks has the mean of the vectors of those that it has; zeros would mean no word.
        length: Steps of text and of audio: longer ones are cut, zeros follow shorter ones.

    Returns:
        Train, validation and test, each with text (N, length, size) and audio (N, length, 80).

    Raises:
        OSError: If a file is missing, or may not be read.
        UnsafePickleError: If one is a program.
        CorruptFileError: If one holds something else.
    """
    content = {
        (part, kind): read_pickle(folder / f"{key}_{kind}.p")
        for part, key in PARTS.items()
        for kind in ("sentences", "mels", "sentiment")
    }
    words = {
        part: _words(folder / f"{key}_sentences.p", content[part, "sentences"])
        for part, key in PARTS.items()
    }
    wanted = {word for part in words.values() for sentence in part.values() for word in sentence}
    known = Vectors.read(vectors, wanted)
    parts = {}
    for part, key in PARTS.items():
        mels = _mapping(folder / f"{key}_mels.p", content[part, "mels"])
        labels = _mapping(folder / f"{key}_sentiment.p", content[part, "sentiment"])
        ids = _shared(folder / f"{key}_sentences.p", part, words[part], mels, labels)
        path = folder / f"{key}_mels.p"
        sounds = [as_features(path, f"sound of {name}", mels[name], (None, None)) for name in ids]
        values = {
            "text": _stacked(vectors, [known.of(words[part][name]) for name in ids], length),
            "audio": _stacked(path, sounds, length),
        }
        sentiment = [labels[name] for name in ids]
        parts[part] = Part(
            values,
            torch.from_numpy(_sentiment(folder / f"{key}_sentiment.p", part, sentiment)),
        )
    return parts


def _mapping(path: Path, content: object) -> Mapping[Any, Any]:
    if not isinstance(content, Mapping) or not content:
        raise CorruptFileError(
            f"`{path}` should hold a dictionary of videos; found {type(content).__name__}. "
            "Get the file again."
        )
    return content


def _shared(path: Path, part: str, *contents: Mapping[Any, Any]) -> list[Any]:
    """Return the videos that all dictionaries have."""
    first, *others = contents
    ids = [name for name in first if all(name in other for other in others)]
    if not ids:
        raise CorruptFileError(
            f"`{path}` should hold videos that the mels and labels of {part} have too; found "
            "none. Get the files again, of one version."
        )
    if len(ids) < max(map(len, contents)):
        warn(f"Of {part}, {len(ids)} videos have words, sound and a label; others are left out.")
    return ids


def _words(path: Path, content: object) -> dict[Any, list[str]]:
    """Return each video's words, written as a list of them or as a sentence."""
    return {
        key: text_of(text).split() if isinstance(text, (str, bytes)) else [*map(text_of, text)]
        for key, text in _mapping(path, content).items()
    }


def _stacked(path: Path, sequences: list[np.ndarray[Any, Any]], length: int) -> Tensor:
    """Cut or pad sequences (T, size) at the end to one length."""
    sizes = {sequence.shape[1] for sequence in sequences}
    if len(sizes) > 1:
        raise CorruptFileError(
            f"`{path}` should hold steps of one size; found {', '.join(map(str, sorted(sizes)))}. "
            "Get the file again."
        )
    stacked = torch.zeros(len(sequences), length, sizes.pop())
    for row, sequence in enumerate(sequences):
        steps = min(length, len(sequence))
        stacked[row, :steps] = torch.from_numpy(sequence[:steps])
    return stacked


def _sentiment(path: Path, part: str, stored: object) -> np.ndarray[Any, Any]:
    """Return sentiment (N,): the first of the labels, where there are several."""
    import numpy as np

    array = np.asarray(stored)
    if array.dtype.kind not in "biuf" or array.ndim == 0 or not array.size:
        raise CorruptFileError(
            f"`{path}` should hold numbers as labels of {part}; found {array.dtype} of shape "
            f"{array.shape}. Get the file again."
        )
    flat = as_features(path, f"labels of {part}", array.reshape(len(array), -1), (None, None))[:, 0]
    if np.abs(flat).max() > _HIGHEST:
        raise CorruptFileError(
            f"`{path}` should hold sentiment in [-3, 3] for {part}; found "
            f"{flat[np.abs(flat).argmax()]:g}. Get the file again."
        )
    return np.ascontiguousarray(flat)


def _warn_of_repeats(path: Path, part: str, fold: Mapping[str, Any]) -> None:
    import numpy as np

    if "id" not in fold:
        return
    ids = [tuple(map(text_of, np.atleast_1d(row))) for row in np.asarray(fold["id"])]
    if len(set(ids)) < len(ids):
        warn(f"{path.name} has {len(ids) - len(set(ids))} ids twice in {part}; all rows are kept.")
