"""What every data set yields, however it is stored: batches of modalities, plus ``target``.

Three kinds of storage stand behind the one contract: whole tensors
(:class:`~counterpoise.data.MultimodalDataset`), samples that are read one by one
(:class:`~counterpoise.data.SampleDataset`), and loaders of one's own
(:class:`~counterpoise.data.Loaders`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from counterpoise.core.errors import check_function, check_text, described
from counterpoise.core.pytree import PyTree, map_tensors
from counterpoise.data.tasks import Task, task_of

TARGET = "target"
"""The key of the labels in a batch; no modality can have this name."""

Batch = dict[str, Any]
"""Each modality's name to its samples, a tensor (B, ...) or a pytree of them, such as tokens with
their mask; and ``target`` to their labels."""


class Samples(Protocol):
    """A part of a data set: samples by number, a batch of them at a time."""

    @property
    def target(self) -> Tensor | None:
        """All targets, shape (N, ...), where they are known without reading each sample."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in their order."""

    @property
    def sample_shapes(self) -> dict[str, PyTree]:
        """The shape of one sample of each modality; for a pytree, a pytree of shapes."""

    @property
    def fingerprint(self) -> str:
        """What tells these samples apart from others."""

    def __len__(self) -> int:
        """How many samples there are."""

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return the batch of some samples."""


@runtime_checkable
class Drawing(Protocol):
    """Samples that are augmented at random when they are read, such as by a random crop."""

    def drawn(self, seed: int, epoch: int) -> Samples:
        """Return the samples as a run of this seed sees them in an epoch."""


@runtime_checkable
class Batched(Protocol):
    """Samples that come in batches, made by a loader of the user's own."""

    @property
    def loader(self) -> Any:
        """What makes them."""

    @property
    def num_batches(self) -> int | None:
        """How many there are in an epoch, if that is known."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of an epoch."""


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set divided for training, choosing and judging, and what is to be learnt from it.

    Attributes:
        name: What the data set is called.
        train: What the model learns from, at epoch 0 if it changes with epochs.
        validation: What choices (epoch, hyper-parameters) are made on.
        test: What is touched once, at the end; None if there is none.
        task: What is to be learnt; a number C is short for ``Classification(C)``.
        note: One sentence that says plainly what the data is. Default: none.
        source: Where it comes from. Default: not stated.
        licence: Under which terms. Default: not stated.
        train_at: Maps an epoch to the training set of that epoch, for data that changes
            while the model learns. Default: always ``train``.

    Raises:
        ValueError: If the splits differ in modalities or sample shapes (in the number of
            dimensions, where a collate function or loader of one's own may pad sequences), or
            targets do not suit the task.

    Example:
        >>> import torch
        >>> from counterpoise.data import Classification, MultimodalDataset
        >>> def make(num_samples):
        ...     return MultimodalDataset(
        ...         {"a": torch.rand(num_samples, 3)}, torch.arange(num_samples) % 2
        ...     )
        >>> splits = Splits("toy", make(5), make(3), make(2), Classification(2))
        >>> splits.modalities, splits.sample_shapes, splits.guess
        (('a',), {'a': (3,)}, 0.5)
    """

    name: str
    train: Samples
    validation: Samples
    test: Samples | None
    task: Task
    note: str = ""
    source: str = "not stated"
    licence: str = "not stated"
    train_at: Callable[[int], Samples] | None = None

    def __post_init__(self) -> None:
        for text in ("name", "note", "source", "licence"):
            check_text(text, getattr(self, text), empty=text == "note")
        check_function("train_at", self.train_at, "a function from an epoch to training samples")
        object.__setattr__(self, "task", task_of(self.task))
        for label, part in self.parts.items():
            _check_part(label, part)
            named = set(part.modalities) == set(self.modalities)
            if not (named and _same_shapes(self.train, part)):
                raise ValueError(
                    f"`{label}` should have the modalities and sample shapes of `train`, "
                    f"{self.sample_shapes}; found {part.sample_shapes}. Prepare all splits alike."
                )
            self.task.check_target(label, _some_targets(label, part))

    @property
    def parts(self) -> dict[str, Samples]:
        """Training, validation and, if there is one, test, by these names."""
        parts = {"train": self.train, "validation": self.validation}
        return parts if self.test is None else {**parts, "test": self.test}

    @property
    def test_set(self) -> Samples:
        """The test part, for what cannot do without one.

        Raises:
            ValueError: If there is none.
        """
        if self.test is None:
            raise ValueError(
                "`test` should be given, to measure on it; found None. Add a part of the data that "
                "nothing was trained or chosen on."
            )
        return self.test

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in their order."""
        return self.train.modalities

    @cached_property
    def sample_shapes(self) -> dict[str, PyTree]:
        """The shape of one sample of each modality, without the batch dimension."""
        return self.train.sample_shapes

    @property
    def num_outputs(self) -> int:
        """How many numbers a network puts out: C for classes, K for numbers to predict."""
        return self.task.num_outputs

    @property
    def num_classes(self) -> int:
        """The same as ``num_outputs``, by the name that it has where there are classes."""
        return self.task.num_outputs

    @cached_property
    def guess(self) -> float | None:
        """The headline metric, on the test data, of guessing by the training targets alone.

        None where targets are not known without reading every sample, or there is no test.
        """
        asked = None if self.test is None else self.test.target
        if self.train.target is None or asked is None or not len(asked):
            return None
        return self.task.guess(self.train.target, asked)

    @cached_property
    def guess_error(self) -> float | None:
        """The standard error of ``guess``, as the test samples are a choice of many.

        None where ``guess`` is, or there is a single test sample.
        """
        asked = None if self.test is None else self.test.target
        if self.guess is None or self.train.target is None or asked is None or len(asked) < 2:
            return None
        return self.task.guess_error(self.train.target, asked)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 over the fingerprints of the splits."""
        return sha256("\n".join(p.fingerprint for p in self.parts.values()).encode()).hexdigest()

    def training_set(self, epoch: int, seed: int = 0) -> Samples:
        """Return the training samples as a run of a seed sees them in an epoch, counted from 0."""
        train = self.train if self.train_at is None else self.train_at(epoch)
        return train.drawn(seed, epoch) if isinstance(train, Drawing) else train

    def example(self, num_samples: int = 1) -> Batch:
        """Return a batch of the first training samples, at most so many."""
        if isinstance(self.train, Batched):
            first: Batch = next(iter(self.train))
            return {
                name: map_tensors(lambda t: t[:num_samples] if t.dim() else t, value)
                for name, value in first.items()
            }
        return self.train.__getitems__(range(min(num_samples, len(self.train))))

    def describe(self) -> dict[str, object]:
        """Return what a run's record should say about its data, in plain types."""
        return {
            "name": self.name,
            "note": self.note,
            "source": self.source,
            "licence": self.licence,
            "task": self.task.describe(),
            "num_classes": self.num_classes,
            "num_samples": {label: size_of(part) for label, part in self.parts.items()},
            "sample_shapes": {name: _as_lists(shape) for name, shape in self.sample_shapes.items()},
            "fingerprint": self.fingerprint,
        }


def shapes_of(batch: Mapping[str, PyTree], names: Sequence[str]) -> dict[str, PyTree]:
    """Return the shape of one sample of each modality in a batch, pytrees as pytrees of shapes.

    Example:
        >>> import torch
        >>> batch = {"text": {"tokens": torch.zeros(2, 7), "mask": torch.ones(2, 7)}}
        >>> shapes_of(batch, ["text"])
        {'text': {'tokens': (7,), 'mask': (7,)}}
    """
    return {name: map_tensors(lambda t: tuple(t.shape[1:]), batch[name]) for name in names}


def size_of(part: Samples) -> int | None:
    """Return how many samples a part has; None where only its loader knows."""
    return None if isinstance(part, Batched) else len(part)


def _check_part(label: str, part: Any) -> None:
    readable = isinstance(part, Batched) or hasattr(part, "__getitems__")
    if isinstance(part, type) or not (readable and hasattr(part, "sample_shapes")):
        raise TypeError(
            f"`{label}` should be samples, as a MultimodalDataset; found {described(part)}. Pass "
            "one, or a SampleDataset around a data set of your own."
        )
    if size_of(part) == 0:
        raise ValueError(
            f"`{label}` should hold at least one sample; found none. Check how the data was divided"
            f"{', or pass None for no test' if label == 'test' else ''}."
        )


def _same_shapes(train: Samples, part: Samples) -> bool:
    if any(isinstance(each, Batched) or getattr(each, "pads", False) for each in (train, part)):
        return _same_dims(train.sample_shapes, part.sample_shapes)
    return train.sample_shapes == part.sample_shapes


def _same_dims(shape: PyTree, other: PyTree) -> bool:
    """Whether two pytrees of shapes are of one structure, whatever the sizes."""
    if isinstance(shape, Mapping):
        same = isinstance(other, Mapping) and shape.keys() == other.keys()
        return same and all(_same_dims(part, other[name]) for name, part in shape.items())
    if isinstance(shape, (tuple, list)):
        same = isinstance(other, (tuple, list)) and len(shape) == len(other)
        return same and all(map(_same_dims, shape, other))
    return isinstance(shape, int) and isinstance(other, int)


def _some_targets(label: str, part: Samples) -> Tensor:
    """Return all targets where they are known, else those of a first sample or batch."""
    target: Any = part.target
    if target is None:
        first = next(iter(part)) if isinstance(part, Batched) else part.__getitems__([0])
        target = first[TARGET]
    if not isinstance(target, Tensor):
        raise TypeError(
            f"`{label}` should have a tensor of labels in each batch; found {described(target)}. "
            "Let the data set return numbers, the classes counted from 0."
        )
    return target


def _as_lists(shape: PyTree) -> PyTree:
    """Return shapes with lists in place of tuples, as JSON has them."""
    if isinstance(shape, Mapping):
        return {name: _as_lists(part) for name, part in shape.items()}
    return [_as_lists(part) for part in shape] if isinstance(shape, (tuple, list)) else shape
