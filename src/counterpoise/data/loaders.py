"""The user's own loaders as a data set, used as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any

from torch import Tensor

from counterpoise.core.errors import check_count, check_text, described
from counterpoise.core.pytree import PyTree
from counterpoise.data.contract import TARGET, Batch, Splits, shapes_of
from counterpoise.data.drawing import drawing, seed_generators
from counterpoise.data.files.fingerprints import update_with_tensor
from counterpoise.data.layout import Layout, Modalities
from counterpoise.data.source import DataSource
from counterpoise.data.tasks import Task, task_of
from counterpoise.data.tensors import leaves


class LoadedSamples:
    """Samples that come in the batches of a loader; they have no numbers.

    Args:
        loader: Yields batches, as often as it is gone through: mappings, or tuples with the
            ``fields`` of the layout.
        layout: Which entries of a batch are what.
        content: What tells the content from any other. Default: the fingerprint is made of the
            first batch.
        num_batches: Batches in an epoch. Default: as the loader says; None if it does not know.

    Example:
        >>> import torch
        >>> samples = LoadedSamples([{"a": torch.zeros(2, 3), "target": torch.tensor([0, 1])}])
        >>> samples.modalities, samples.sample_shapes
        (('a',), {'a': (3,)})
    """

    target: Tensor | None = None

    def __init__(
        self,
        loader: Iterable[Any],
        layout: Layout | None = None,
        content: str | None = None,
        num_batches: int | None = None,
    ) -> None:
        self.loader, self.layout, self.content = loader, layout or Layout(), content
        self.num_batches = _length(loader) if num_batches is None else num_batches

    @cached_property
    def first(self) -> Batch:
        """The first batch, drawn in no epoch of any run.

        Raises:
            ValueError: If there is none.
        """
        seed_generators(self.loader, "first batch")
        with drawing("first batch"):
            for batch in self:
                return batch
        raise ValueError(
            "`train`, `validation` and `test` should yield at least one batch, each time that they "
            "are gone through; found none. Pass a DataLoader or a list, and not a generator."
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in their order."""
        return self.layout.names(self.first)

    @property
    def sample_shapes(self) -> dict[str, PyTree]:
        """The shape of one sample of each modality in the first batch."""
        return shapes_of(self.first, self.modalities)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of ``content``, else of the first batch; and of the number of batches."""
        digest = sha256(f"{self.num_batches}\0{self.content}".encode())
        if self.content is None:
            for name, value in self.first.items():
                for path, leaf in leaves(name, value):
                    if isinstance(leaf, Tensor):
                        update_with_tensor(digest, path, leaf)
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, arranged."""
        return map(self.layout.arrange, islice(self.loader, self.num_batches))

    def __len__(self) -> int:
        """Raise: a loader does not number its samples."""
        raise TypeError("The samples of a loader have no number. Go through its batches.")

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Raise: a loader yields batches in its own order."""
        raise TypeError("The samples of a loader have no numbers. Go through its batches.")


@dataclass(frozen=True, eq=False)
class Loaders(DataSource):
    """Two or three loaders of the user's own as a data set.

    The loaders are gone through as they are: batch size, order and workers are theirs, and
    ``batch_size`` of a recipe says nothing. What they draw, such as the order of a ``DataLoader``
    with ``shuffle=True``, is a function of the run's seed and the epoch, whether it comes from
    the global random generators or from generators that are attributes of theirs, of their sampler
    or data set. A run that was killed within an epoch goes on to the same bits: a loader with a
    state (``torchdata.stateful_dataloader.StatefulDataLoader``) at once, any other by reading
    again what it had read of the epoch.

    Args:
        train: Yields the training batches of an epoch: mappings of modalities and "target", or
            tuples with ``fields``. A ``torch.utils.data.DataLoader``, a WebDataset pipeline, or
            anything else that can be gone through again and again.
        validation: Yields batches to choose the epoch by.
        test: Yields batches to judge by, once. Default: none, so that nothing is tested.
        task: What is to be learnt; a number C is short for ``Classification(C)``.
        modalities: Which entries are modalities, as for :class:`SampleDataset`. Default: all
            but the target.
        target: The entry that holds the labels. Default: "target".
        others: Further entries, which the model takes beside its modalities.
        fields: Names of the entries where batches are tuples.
        name: What the data set is called. Default: "loaders".
        content: What tells the content from any other, such as a version, which a resumed run
            has to find again. Default: told by the first batches.
        num_batches: Training batches in an epoch, needed where ``train`` has no ``len()``; what
            it has beyond is left out.

    Raises:
        TypeError: If a loader cannot be gone through, or training batches cannot be counted.
        ValueError: If ``modalities`` are none.

    Example:
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> data = TensorDataset(torch.randn(11, 3), torch.randn(11, 5), torch.arange(11) % 2)
        >>> loader = DataLoader(data, batch_size=4, shuffle=True)
        >>> source = Loaders(loader, loader, task=2, fields=("audio", "image", "target"))
        >>> source.load().sample_shapes
        {'audio': (3,), 'image': (5,)}
    """

    train: Iterable[Any]
    validation: Iterable[Any]
    test: Iterable[Any] | None = None
    task: Task | int = field(kw_only=True)
    modalities: Modalities | None = None
    target: str = TARGET
    others: Sequence[str] = ()
    fields: Sequence[str] | None = None
    name: str = "loaders"  # type: ignore[misc]  # a field here, where each object has its own
    content: str | None = None
    num_batches: int | None = None

    def __post_init__(self) -> None:
        for label in ("train", "validation", "test"):
            loader = getattr(self, label)
            given = isinstance(loader, Iterable) and not isinstance(loader, (str, type))
            if not (given or (label == "test" and loader is None)):
                raise TypeError(
                    f"`{label}` should yield batches; found {described(loader)}. Pass a DataLoader."
                )
        check_text("name", self.name)
        if self.content is not None:
            check_text("content", self.content)
        if self.num_batches is not None:
            check_count("num_batches", self.num_batches, at_least=1)
        elif _length(self.train) is None:
            raise TypeError(
                "`train` should have a len(), the number of batches in an epoch; found a "
                f"{type(self.train).__name__} without. Pass `num_batches`."
            )
        object.__setattr__(self, "task", task_of(self.task))
        self._layout()

    def load(self) -> Splits:
        """Return the loaders as splits, after a look at the first batch of each."""
        layout = self._layout()
        train = LoadedSamples(self.train, layout, self.content, self.num_batches)
        validation = LoadedSamples(self.validation, layout, self.content)
        test = None if self.test is None else LoadedSamples(self.test, layout, self.content)
        assert isinstance(self.task, Task)
        return Splits(self.name, train, validation, test, self.task)

    def settings(self) -> dict[str, Any]:
        """Return what a record can hold of it: not the loaders."""
        assert isinstance(self.task, Task)
        names = {"modalities": self.modalities, "target": self.target, "others": self.others}
        return {
            "name": self.name,
            "task": self.task,
            **names,
            "content": self.content,
            "num_batches": self.num_batches,
        }

    def _layout(self) -> Layout:
        return Layout(self.modalities, self.target, self.others, self.fields)


def _length(loader: Iterable[Any]) -> int | None:
    """Return how many batches a loader says that it has; None if it does not know."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:  # what len() raises where there is none, and loaders of streams too
        return None
