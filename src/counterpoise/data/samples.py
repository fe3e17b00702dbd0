"""Samples that are read one by one, by any map-style data set of PyTorch's kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property
from hashlib import sha256
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate

from counterpoise.core.errors import check_function, check_text, described
from counterpoise.core.pytree import PyTree
from counterpoise.data.contract import TARGET, Batch, shapes_of
from counterpoise.data.drawing import drawing, seed_own
from counterpoise.data.files.fingerprints import update_with_tensor
from counterpoise.data.layout import Layout, Modalities
from counterpoise.data.numbered import NumberedDataset
from counterpoise.data.tensors import leaves

Collate = Callable[[list[Any]], Any]

_LOOKED_AT = 16
"""Steps from the first to the last of the samples that the fingerprint is made of."""


class SampleDataset(NumberedDataset):
    """Reads samples one by one from any data set of ``len()`` and ``[]``, and makes batches.

    What the data set draws while it reads a sample, such as a random crop, from the global
    generators of PyTorch, NumPy or Python or from one that is an attribute of it, is a function of
    the run's seed, the epoch and the sample's number: a run repeats and resumes to the bit,
    whatever the number of workers. Samples for validation and test are drawn alike each time.

    Args:
        dataset: Its samples are mappings, or tuples with ``fields``: a data set of PyTorch or of
            Hugging Face, or a list. If it has ``__getitems__``, which reads several samples at
            once, what is drawn is a function of their numbers together.
        modalities: Which entries are modalities, in the order that they shall have; or a mapping
            of modalities to their entry, or to several, which become a pytree:
            ``{"text": ("input_ids", "attention_mask"), "image": "pixel_values"}``. Default: all
            entries but the target.
        target: The entry that holds the labels. Default: "target".
        others: Further entries, which the model takes beside its modalities.
        fields: Names of the entries where samples are tuples, such as
            ``("image", "text", "target")``.
        collate: Maps a list of samples to a batch, which is then arranged. Default: PyTorch's
            ``default_collate``. Pass your own where sequences have to be padded.
        targets: The targets of all samples, shape (N, ...). Default: unknown, so that nobody can
            tell the level of guessing nor check them before they are read.
        content: What tells the content from any other, such as a version. Default: the
            fingerprint is made of 17 samples spread over the data set, and of its length.

    Raises:
        TypeError: If a batch is neither a mapping nor a tuple with ``fields``, or an entry is a
            list of numbers.
        ValueError: If the data set is empty, or an entry is missing.

    Example:
        >>> import torch
        >>> class Pairs(torch.utils.data.Dataset):
        ...     def __len__(self):
        ...         return 5
        ...     def __getitem__(self, index):
        ...         return torch.full((3,), float(index)), torch.rand(2), index % 2
        >>> samples = SampleDataset(Pairs(), fields=("sound", "sight", "target"))
        >>> samples.modalities, samples.sample_shapes
        (('sound', 'sight'), {'sound': (3,), 'sight': (2,)})
        >>> once, again, later = (samples.drawn(seed=0, epoch=e)[4]["sight"] for e in (0, 0, 1))
        >>> torch.equal(once, again), torch.equal(once, later)
        (True, False)
    """

    def __init__(
        self,
        dataset: Any,
        *,
        modalities: Modalities | None = None,
        target: str = TARGET,
        others: Sequence[str] = (),
        fields: Sequence[str] | None = None,
        collate: Collate | None = None,
        targets: Tensor | None = None,
        content: str | None = None,
    ) -> None:
        if isinstance(dataset, type) or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"`dataset` should be one whose samples can be counted; found "
                f"{described(dataset)}. Pass an object with len(), or its loaders to `Loaders`."
            )
        check_function("collate", collate, "a function from a list of samples to a batch")
        if content is not None:
            check_text("content", content)
        if not len(dataset):
            raise ValueError(
                "`dataset` should hold at least one sample; found none. Check what it reads."
            )
        given = None if targets is None else tuple(getattr(targets, "shape", ()))[:1]
        if not (given is None or (isinstance(targets, Tensor) and given == (len(dataset),))):
            raise ValueError(
                f"`targets` should be a tensor of an entry for each of {len(dataset)} samples; "
                f"found {described(targets)}. Pass those of all samples, in their order."
            )
        self.dataset, self.target, self.content = dataset, targets, content
        self.layout = Layout(modalities, target, others, fields)
        self.collate_samples = default_collate if collate is None else collate
        self._draw = (0, -1)  # as no epoch of a run draws

    @property
    def pads(self) -> bool:
        """Whether samples may differ in length: a collate function of one's own makes batches."""
        return self.collate_samples is not default_collate

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """The modalities' names, in their order."""
        return self.layout.names(self.__getitems__([0]))

    @cached_property
    def sample_shapes(self) -> dict[str, PyTree]:
        """The shape of one sample of each modality: that of the first."""
        if not self.pads:
            for name, value in self[0].items():
                _check_no_list(name, value)
        return shapes_of(self.__getitems__([0]), self.modalities)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of ``content``, else of some samples; and of their number."""
        digest = sha256(f"{len(self)}\0{self.content}".encode())
        if self.content is None:
            last = len(self) - 1
            for index in sorted({last * step // _LOOKED_AT for step in range(_LOOKED_AT + 1)}):
                for name, value in self.__getitems__([index]).items():
                    for path, leaf in leaves(name, value):
                        if isinstance(leaf, Tensor):
                            update_with_tensor(digest, path, leaf)
                        else:
                            digest.update(f"{path}\0{leaf!r}".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Batch:
        """Return one sample, as it is read: nothing collates it.

        Raises:
            IndexError: If ``index`` is out of range, which ends iteration as for a sequence.
        """
        return self.layout.arrange(self._read(self._number(index)))

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return the batch of some samples, collated."""
        listed = indices.tolist() if isinstance(indices, Tensor) else indices
        numbers = [index % len(self) for index in listed]
        if hasattr(self.dataset, "__getitems__"):
            seed_own(self.dataset, "samples", *self._draw, *numbers)
            with drawing("samples", *self._draw, *numbers):
                samples = self.dataset.__getitems__(numbers)
        else:
            samples = [self._read(index) for index in numbers]
        with drawing("collate", *self._draw, *numbers):
            return self.layout.arrange(self.collate_samples(samples))

    def _read(self, index: int) -> Any:
        seed_own(self.dataset, "sample", *self._draw, index)
        with drawing("sample", *self._draw, index):
            return self.dataset[index]

    def drawn(self, seed: int, epoch: int) -> SampleDataset:
        """Return the same samples, with what belongs to a run's seed and an epoch drawn."""
        other = copy(self)
        other._draw = (seed, epoch)
        return other


def _check_no_list(name: str, value: Any) -> None:
    """Raise if an entry is a list of numbers, of which PyTorch makes a list of batches of one."""
    if isinstance(value, list) and any(isinstance(number, (int, float)) for number in value):
        raise TypeError(
            f"`{name}` should be a tensor or an array in each sample; found a list of {len(value)} "
            "numbers. Convert it; a table of Hugging Face does it with_format('torch')."
        )
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, (Mapping, list, tuple)):
        for part in parts:
            _check_no_list(name, part)
