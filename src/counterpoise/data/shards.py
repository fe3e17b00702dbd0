"""WebDataset shards as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from counterpoise.data.contract import Splits
from counterpoise.data.files.numbers import sampled_digest
from counterpoise.data.files.shards import Sample, find_shards, index_shard
from counterpoise.data.layout import Layout
from counterpoise.data.samples import SampleDataset
from counterpoise.data.source import DataSource
from counterpoise.data.tasks import Classification, Task


@dataclass(frozen=True)
class Shards(DataSource):
    """Reads samples from WebDataset shards: tar files of your own, on this machine.

    Shards are gone through once, to note where each entry lies; then samples are read one by one
    in the order of each epoch, by as many processes as the recipe says. So all that holds for
    samples holds for these: a run repeats, and resumes to the bit. Shards that come over the
    network, or are compressed, are for a pipeline of WebDataset's own, in :class:`Loaders`.

    Args:
        train: The training shards: a path with ``*``, or a range as in ``train-{000..011}.tar``,
            or a list of such. ``$NAME`` stands for an environment variable.
        validation: Those to choose the epoch by.
        test: Those to judge by, once. Default: none.
        task: What is to be learnt; a number C is short for ``Classification(C)``.
        modalities: The entry of each modality, ``{"audio": "npy", "image": "jpg"}``; see
            :func:`~counterpoise.data.files.shards.decoded` for the kinds that are read. Samples
            of a modality have one shape. Or several entries, which become a pytree.
        target: The entry that holds the target. Default: "cls".
        title: What the data set is called. Default: "shards".

    Raises:
        ValueError: If there are no modalities.
        TypeError: If the task is neither a task nor a number.

    Example:
        >>> Shards("a-*.tar", "b.tar", task=3, modalities={"audio": "npy", "image": "jpg"}).task
        Classification(num_classes=3, headline='accuracy')
    """

    name: ClassVar[str] = "shards"

    train: str | list[str]
    validation: str | list[str]
    test: str | list[str] | None = None
    task: Task | int = field(kw_only=True)
    modalities: Mapping[str, str | Sequence[str]] = field(kw_only=True)
    target: str = "cls"
    title: str = "shards"

    def __post_init__(self) -> None:
        if not isinstance(self.task, Task):
            object.__setattr__(self, "task", Classification(self.task))
        Layout(self.modalities, self.target)

    def load(self) -> Splits:
        """Go through the shards, read all targets, and return the parts.

        Raises:
            FileNotFoundError: If a pattern stands for no file.
            CorruptFileError: If a shard is damaged, or an entry of the first sample is.
            ValueError: If an entry is missing, or targets do not suit the task.
        """
        assert isinstance(self.task, Task)
        patterns = {"train": self.train, "validation": self.validation, "test": self.test}
        parts = {
            name: None if given is None else self._part(name, given)
            for name, given in patterns.items()
        }
        assert parts["train"] is not None and parts["validation"] is not None  # noqa: PT018
        return Splits(self.title, parts["train"], parts["validation"], parts["test"], self.task)

    def _part(self, option: str, patterns: str | list[str]) -> SampleDataset:
        paths = find_shards(option, patterns)
        samples = [sample for path in paths for sample in index_shard(path)]
        targets = torch.stack([sample.read([self.target])[self.target] for sample in samples])
        content = sha256("".join(map(sampled_digest, paths)).encode()).hexdigest()
        return SampleDataset(
            _Samples(samples, self._entries()),
            modalities=self.modalities,
            target=self.target,
            targets=targets,
            content=content,
        )

    def _entries(self) -> list[str]:
        given = self.modalities.values()
        several = [[entry] if isinstance(entry, str) else list(entry) for entry in given]
        return [*(name for names in several for name in names), self.target]


class _Samples(Dataset[dict[str, Tensor]]):
    """Samples by number, each with the entries that are asked for."""

    def __init__(self, samples: Sequence[Sample], entries: Sequence[str]) -> None:
        self.samples, self.entries = samples, entries

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.samples[index].read(self.entries)
