"""The annotations of AVE: which event each video has, and from which second to which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.numbers import warn
from counterpoise.data.files.tables import read_table

SECONDS = 10
"""Segments of a video, each of one second."""

PARTS = {"train": "trainSet.txt", "validation": "valSet.txt", "test": "testSet.txt"}
"""Our name of each part and the file that lists it."""

_HEADER = "VideoID"


class Event(NamedTuple):
    """A row of the annotations.

    Attributes:
        category: What happens.
        video: The video's id.
        start: The first second with the event.
        end: The first second after it.
    """

    category: str
    video: str
    start: int
    end: int


@dataclass(frozen=True)
class Annotations:
    """All rows, and what they say.

    Attributes:
        events: The rows in their order, which is that of the feature files.
        categories: The classes, in the order in which they first appear; the background has the
            number after the last.
    """

    events: tuple[Event, ...]
    categories: tuple[str, ...]

    def clip_labels(self) -> Tensor:
        """Return the class of each video, shape (N,)."""
        numbers = {category: number for number, category in enumerate(self.categories)}
        return torch.tensor([numbers[event.category] for event in self.events])

    def segment_labels(self) -> Tensor:
        """Return the class of each second, shape (N, 10); the background's outside the event."""
        seconds = torch.arange(SECONDS)
        start, end = (
            torch.tensor([[getattr(event, name)] for event in self.events])
            for name in ("start", "end")
        )
        inside = (seconds >= start) & (seconds < end)
        return torch.where(inside, self.clip_labels()[:, None], len(self.categories))

    def rows(self, path: Path) -> Tensor:
        """Return the rows that a file of the same form lists, shape (N,).

        Raises:
            OSError: If there is no such file, or it may not be read.
            CorruptFileError: If it lists an event that the annotations do not have.
        """
        places: dict[Event, list[int]] = {}
        for place, event in enumerate(self.events):
            places.setdefault(event, []).append(place)
        rows = []
        for event in _events(path):
            if not places.get(event):
                raise CorruptFileError(
                    f"`{path}` should list rows of Annotations.txt; found "
                    f"{'&'.join(map(str, event))}, which is none, or is there less often. "
                    "Get both files of one version."
                )
            rows.append(places[event].pop(0))
        return torch.tensor(rows)

    def warn_of_shared(self, parts: Mapping[str, Tensor]) -> None:
        """Warn of videos that are in two parts: by id, since some are under two categories."""
        videos = {
            part: {self.events[row].video for row in rows.tolist()} for part, rows in parts.items()
        }
        train = videos["train"]
        shared = {part: len(train & videos[part]) for part in videos if part != "train"}
        if any(shared.values()):
            listed = ", ".join(f"{number} with {part}" for part, number in shared.items())
            warn(f"The training part shares videos with others, under two categories: {listed}.")


def read_annotations(path: Path) -> Annotations:
    """Read ``Annotations.txt``, with or without its header.

    Raises:
        OSError: If there is no such file, or it may not be read.
        CorruptFileError: If a row is not ``Category&VideoID&Quality&Start&End``.
    """
    events = _events(path)
    return Annotations(tuple(events), tuple(dict.fromkeys(event.category for event in events)))


def _events(path: Path) -> Sequence[Event]:
    rows = read_table(path, columns=5, delimiter="&")
    if rows[0][1] == _HEADER:
        rows = rows[1:]
    events = []
    for category, video, _, start, end in rows:
        seconds = [_second(value) for value in (start, end)]
        if None in seconds or not category or "/" in video or "\\" in video:
            raise CorruptFileError(
                f"`{path}` should have rows such as Church bell&RUhOCu3LNXM&good&0&10, of seconds "
                f"from 0 to {SECONDS}; found {category}&{video}&...&{start}&{end}. "
                "Get the file again."
            )
        events.append(Event(category, video, *(int(second or 0) for second in seconds)))
    return events


def _second(value: str) -> int | None:
    is_number = value.isascii() and value.isdigit() and len(value) < 4
    return int(value) if is_number and int(value) <= SECONDS else None
