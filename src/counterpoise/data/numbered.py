"""Samples that have numbers, of which batches are made whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset

from counterpoise.core.pytree import map_tensors
from counterpoise.data.contract import Batch


class NumberedDataset(Dataset[Batch]):
    """Maps indices to a batch; one sample is a batch of one without its first dimension.

    A :class:`torch.utils.data.DataLoader` asks for whole batches (``__getitems__``), so pass
    :meth:`collate` as its ``collate_fn``.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    @abstractmethod
    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Return the batch of some samples; what a DataLoader calls."""

    def __getitem__(self, index: int) -> Batch:
        """Return one sample, without a batch dimension.

        Raises:
            IndexError: If ``index`` is out of range, which ends iteration as for a sequence.
        """
        batch = self.__getitems__([self._number(index)])
        return {name: map_tensors(lambda t: t[0], stacked) for name, stacked in batch.items()}

    def _number(self, index: int) -> int:
        """Return an index as one in [0, N)."""
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"`index` should be in [-{len(self)}, {len(self)}); found {index}. "
                "Choose a sample that the data set has."
            )
        return index % len(self)

    @staticmethod
    def collate(batch: Batch) -> Batch:
        """Return the batch as it is: it was made whole. For ``DataLoader(collate_fn=...)``."""
        return batch
