"""Word vectors from text files, of the words that are needed and no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.lfs import open_data

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Vectors:
    """Words and their vectors.

    Attributes:
        known: Each word's vector, shape (size,), float32.
        unknown: The mean of all, shape (size,): that of any other word.
    """

    known: dict[str, np.ndarray[Any, Any]]
    unknown: np.ndarray[Any, Any]

    @classmethod
    def read(cls, path: str | Path, words: Iterable[str]) -> Vectors:
        r"""Read the vectors of some words.

        Args:
            path: A text file in UTF-8 with a word and its numbers in each line, divided by single
                spaces, as GloVe has.
            words: Those that are needed.

        Raises:
            OSError: If there is no such file, or it may not be read.
            CorruptFileError: If a needed line holds something else, or there is none.

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp()) / "glove.txt"
            >>> _ = path.write_text("a 1 2\nb 3 4\nc 5 6\n")
            >>> Vectors.read(path, {"a", "b", "z"}).of(["b", "z"]).tolist()
            [[3.0, 4.0], [2.0, 3.0]]
        """
        import numpy as np

        path, wanted = Path(path), {word.encode() for word in words}
        known: dict[str, np.ndarray[Any, Any]] = {}
        with open_data(path) as file:
            for line in file:
                word, _, numbers = line.rstrip().partition(b" ")
                if word in wanted:
                    known[word.decode()] = _vector(path, word.decode(), numbers)
        sizes = {len(vector) for vector in known.values()}
        if len(sizes) != 1:
            raise CorruptFileError(
                f"`{path}` should have vectors of one size for the words of the data; found "
                f"{', '.join(map(str, sorted(sizes))) or 'none of the words'}. Get the file again."
            )
        return cls(known, np.asarray(np.stack([*known.values()]).mean(axis=0)))

    def of(self, words: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the vectors of words in their order, shape (T, size)."""
        import numpy as np

        vectors = [self.known.get(word, self.unknown) for word in words]
        return np.stack(vectors) if vectors else np.zeros((0, len(self.unknown)), np.float32)


def _vector(path: Path, word: str, numbers: bytes) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        vector = np.array(numbers.split(), dtype=np.float32)
    except ValueError:
        vector = np.zeros(0, np.float32)
    if not vector.size or not np.isfinite(vector).all():
        raise CorruptFileError(
            f"`{path}` should have finite numbers after each word; found others after {word!r}. "
            "Get the file again."
        )
    return vector
