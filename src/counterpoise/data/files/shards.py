"""Samples in tar files as WebDataset has them: found once, read in any order, never unpacked.

Files whose names are alike up to the first dot are a sample; what follows names its entry:
``0001.jpg`` and ``0001.cls``.
"""

from __future__ import annotations

import json
import re
import struct
import tarfile
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.extras import require
from counterpoise.data.files.paths import expand

_DAMAGED = (
    *(ValueError, TypeError, OSError, EOFError, SyntaxError, RuntimeError, LookupError),
    *(UnpicklingError, struct.error),
)
"""Whatever the readers of damaged files raise."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Entry(NamedTuple):
    """Where the bytes of an entry lie in its tar file."""

    start: int
    size: int


class Sample(NamedTuple):
    """Where a sample lies: its tar file, its name there, and its entries."""

    shard: Path
    name: str
    entries: dict[str, Entry]

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return some entries as tensors.

        Raises:
            ValueError: If the sample has no such entry, or it is of a kind that is not read.
            CorruptFileError: If an entry is damaged.
        """
        with self.shard.open("rb") as file:
            tensors = {}
            for name in names:
                if name not in self.entries:
                    raise ValueError(
                        f"The sample {self.name!r} in `{self.shard}` should have an entry {name!r};"
                        f" found {', '.join(self.entries)}. Say by `modalities` and `target` what "
                        "the entries are called."
                    )
                file.seek(self.entries[name].start)
                content = file.read(self.entries[name].size)
                tensors[name] = decoded(f"{self.shard}: {self.name}.{name}", name, content)
        return tensors


def find_shards(option: str, patterns: str | Iterable[str]) -> list[Path]:
    """Return the files that a pattern, or several, stand for.

    Args:
        option: What the pattern is given as, for the message.
        patterns: Paths with ``*`` as in a shell, or a range as in ``train-{000..011}.tar``.

    Raises:
        FileNotFoundError: If a pattern stands for no file.
        ValueError: If an environment variable in it is not set.
    """
    paths = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for name in _ranged(pattern):
            path = expand(option, name)
            matches = sorted(path.parent.glob(path.name))
            if not matches:
                raise FileNotFoundError(
                    f"`{option}` should stand for tar files; found none for {str(path)!r}. Check "
                    "the path, or the range."
                )
            paths += matches
    return paths


def _ranged(pattern: str) -> Iterator[str]:
    match = _RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        yield from _ranged(_RANGE.sub(f"{number:0{len(first)}d}", pattern, count=1))


def index_shard(path: Path) -> list[Sample]:
    """Return the samples of a tar file, in its order.

    Raises:
        CorruptFileError: If it is no plain tar file, is cut off, or holds no sample.
    """
    samples: dict[str, Sample] = {}
    try:
        with tarfile.open(path, "r:") as archive:  # plain: entries of others cannot be sought
            for member in archive:
                folder, _, last = member.name.rpartition("/")
                stem, dot, entry = last.partition(".")
                if member.isreg() and stem and dot:
                    name = f"{folder}/{stem}" if folder else stem
                    sample = samples.setdefault(name, Sample(path, name, {}))
                    sample.entries[entry] = Entry(member.offset_data, member.size)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise CorruptFileError(
            f"`{path}` should be a whole tar file that is not compressed; found one that cannot "
            f"be read ({error}). Get it again, or unpack its compression."
        ) from error
    ends = [
        entry.start + entry.size for sample in samples.values() for entry in sample.entries.values()
    ]
    if not ends or max(ends) > path.stat().st_size:
        raise CorruptFileError(
            f"`{path}` should hold whole samples; found {'a last one cut off' if ends else 'none'}."
            " Get the file again."
        )
    return list(samples.values())


def decoded(what: str, entry: str, content: bytes) -> Tensor:
    """Return the content of an entry as a tensor, by what its name ends in.

    ``npy``: the array; ``pth``: the tensor; ``cls``, ``index`` and ``id``: an integer; ``json``:
    a number or nested lists of them; ``jpg`` and ``png``: (3, height, width) in [0, 1]. Nothing in
    any of them is run.

    Args:
        what: What it is called in messages.
        entry: Its name.
        content: Its bytes.

    Raises:
        ValueError: If the name ends otherwise.
        CorruptFileError: If the content is something else.

    Example:
        >>> decoded("0.cls", "cls", b"7"), decoded("0.pose.json", "pose.json", b"[0.5, 2]")
        (tensor(7), tensor([0.5000, 2.0000]))
    """
    kind = entry.rpartition(".")[2].lower()
    if kind not in _KINDS:
        raise ValueError(
            f"`{what}` should end in one of {', '.join(_KINDS)}; found {kind!r}. Give others as a "
            "pipeline of WebDataset's own to `Loaders`."
        )
    try:
        value = _KINDS[kind](content)
    except _DAMAGED as error:
        raise CorruptFileError(
            f"`{what}` should be a {kind}; found {len(content)} bytes that cannot be read "
            f"({' '.join(str(error).split())}). Get the file again."
        ) from error
    if not isinstance(value, Tensor):
        raise CorruptFileError(
            f"`{what}` should hold one tensor; found a {type(value).__name__}. Store the tensor."
        )
    return value


def _numbers(content: bytes) -> Tensor:
    return torch.tensor(json.loads(content))


def _array(content: bytes) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.load(BytesIO(content), allow_pickle=False))


def _saved(content: bytes) -> Any:
    return torch.load(BytesIO(content), map_location="cpu", weights_only=True)


def _picture(content: bytes) -> Tensor:
    require("Reading pictures", "crema-d", {"PIL": "pillow", "numpy": "numpy"})
    import numpy as np
    from PIL import Image

    with Image.open(BytesIO(content)) as image:
        if image.mode.startswith("I"):  # of 16 bits, as depth is: Pillow would cut them off at 255
            grey = torch.from_numpy(np.array(image, dtype=np.float32)) / 65535
            return grey.repeat(3, 1, 1)
        pixels = torch.from_numpy(np.array(image.convert("RGB")))
    return pixels.permute(2, 0, 1) / 255


_KINDS: dict[str, Callable[[bytes], Any]] = {
    "npy": _array,
    **dict.fromkeys(("pth", "pt"), _saved),
    **dict.fromkeys(("cls", "index", "id"), lambda content: torch.tensor(int(content))),
    **dict.fromkeys(("json", "jsn"), _numbers),
    **dict.fromkeys(("jpg", "jpeg", "png"), _picture),
}
