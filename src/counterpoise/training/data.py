"""Batches in an order that is a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from counterpoise.core.errors import check_count, check_flag, check_kind, check_seed
from counterpoise.data.contract import Batched, Samples, Splits
from counterpoise.training.own_loader import OwnLoader


class EpochOrder(Sampler[list[int]]):
    """Yields the indices of each batch of one epoch, from a given batch on.

    Each global batch of ``batch_size * num_processes`` indices is split evenly over the
    processes, so that each process sees the same number of batches and no sample twice; only
    in the last batch the parts may differ by one.

    Args:
        num_samples: N, how many samples there are.
        batch_size: Indices in a batch of one process, at least 1.
        seed: What the order is drawn from, together with the epoch; None: 0, 1, ..., N - 1.
        drop_last: Leave out the last, smaller batch of an epoch.
        rank: Which process this is, from 0.
        num_processes: How many there are.

    Attributes:
        epoch: Which epoch's order is yielded.
        start: The first batch that is yielded.

    Example:
        >>> order = EpochOrder(7, batch_size=3)
        >>> list(order)
        [[0, 1, 2], [3, 4, 5], [6]]
        >>> shuffled = EpochOrder(7, batch_size=3, seed=5)
        >>> first = list(shuffled)
        >>> shuffled.set_epoch(1)
        >>> list(shuffled) == first
        False
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        seed: int | None = None,
        drop_last: bool = False,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        check_count("batch_size", batch_size, at_least=1)
        self.num_samples, self.batch_size = num_samples, batch_size
        self.seed, self.drop_last = seed, drop_last
        self.rank, self.num_processes = rank, num_processes
        self.epoch = self.start = 0

    @property
    def _step(self) -> int:
        return self.batch_size * self.num_processes

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        full, rest = divmod(self.num_samples, self._step)
        return full + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this when one starts."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of the epoch, which is read when the first is asked for."""
        indices = self._indices()
        for number in range(self.start, len(self)):
            whole = indices[number * self._step : (number + 1) * self._step]
            yield torch.tensor_split(whole, self.num_processes)[self.rank].tolist()

    def _indices(self) -> torch.Tensor:
        if self.seed is None:
            return torch.arange(self.num_samples)
        # 2^20 epochs a seed; the generator's own scrambling makes neighbours unalike.
        generator = torch.Generator().manual_seed((self.seed << 20) + self.epoch)
        return torch.randperm(self.num_samples, generator=generator)


class BatchLoader:
    """Loads whole batches from a data set, and remembers which comes next.

    The data set makes a batch itself, in ``__getitems__``, of slices or of single samples.
    Unlike a ``DataLoader`` it draws nothing from the global random state, and its state goes
    into Lightning's checkpoints, so that a run resumes in the middle of an epoch.

    Args:
        dataset_at: Maps an epoch to the data set to load from, whose ``__getitems__`` takes a
            list of indices and returns the batch. Each has ``order.num_samples`` samples.
        order: Which indices form which batch.
        num_workers: Processes that load in advance. 0, the default, suits data in memory.
        pin_memory: Whether batches are put where an accelerator copies them from faster.
    """

    def __init__(
        self,
        dataset_at: Callable[[int], Samples],
        order: EpochOrder,
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.dataset_at, self.order = dataset_at, order
        self.num_workers, self.pin_memory = num_workers, pin_memory
        self._start = self._next = 0

    @property
    def sampler(self) -> EpochOrder:
        """The order, where Lightning looks for something whose epoch to set."""
        return self.order

    @property
    def batch_sampler(self) -> EpochOrder:
        """The order, where Lightning looks for shuffling of validation data."""
        return self.order

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        return len(self.order)

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of the epoch that are left, all of them unless state was loaded.

        Raises:
            ValueError: If the epoch's data set has another number of samples.
        """
        self.order.start, self._start = self._start, 0
        for number, batch in enumerate(self._load(), start=self.order.start + 1):
            self._next = number % len(self)
            yield batch

    def _load(self) -> DataLoader[Any]:
        dataset = self.dataset_at(self.order.epoch)
        if len(dataset) != self.order.num_samples:
            raise ValueError(
                f"The data of each epoch should have {self.order.num_samples} samples; found "
                f"{len(dataset)} at epoch {self.order.epoch}. "
                "Let `train_at` draw as many as the first epoch has."
            )
        return DataLoader(
            cast("Dataset[Any]", dataset),
            batch_sampler=self.order,
            collate_fn=_as_it_is,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),
        )

    def state_dict(self) -> dict[str, int]:
        """Return the number of the next batch."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration start at the batch that the state names."""
        self._start = self._next = state["next"]


def _as_it_is(batch: Any) -> Any:
    return batch


class MultimodalDataModule(LightningDataModule):
    """Serves the splits of a data set in batches; the same order whenever it is asked.

    Args:
        splits: What a :class:`counterpoise.data.DataSource` loads.
        batch_size: Samples in a training batch of one process, at least 1.
        eval_batch_size: The same for validation and test. Default: ``batch_size``; the results
            do not depend on it, so make it as large as memory allows.
        seed: What the order of the training samples is drawn from, with the epoch.
        drop_last: Leave out the last training batch of an epoch where it is smaller. Set it
            where that batch may be too small for batch normalisation.
        num_workers: Processes that load in advance, for each split. 0 suits data in memory.

    Raises:
        ValueError: If a count is out of range, or no training batch would be left.
    """

    def __init__(
        self,
        splits: Splits,
        batch_size: int = 64,
        *,
        eval_batch_size: int | None = None,
        seed: int = 0,
        drop_last: bool = False,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        check_kind("splits", splits, Splits, "the splits of a data set")
        check_seed("seed", seed)
        check_flag("drop_last", drop_last)
        eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        check_count("batch_size", batch_size, at_least=1)
        check_count("eval_batch_size", eval_batch_size, at_least=1)
        check_count("num_workers", num_workers, at_least=0)
        self.splits, self.batch_size, self.seed = splits, batch_size, seed
        self.eval_batch_size = eval_batch_size
        self.drop_last, self.num_workers = drop_last, num_workers

    def num_training_batches(self, num_processes: int = 1) -> int:
        """Return how many batches each of so many processes trains on in an epoch.

        Raises:
            ValueError: If there are none.
        """
        if isinstance(self.splits.train, Batched):
            assert self.splits.train.num_batches is not None
            return self.splits.train.num_batches
        num_samples = len(self.splits.train)
        order = self._order(num_samples, self.batch_size, self.seed, 0, num_processes)
        if len(order) == 0:
            needed = self.batch_size * num_processes if self.drop_last else num_processes
            raise ValueError(
                f"`batch_size` should leave at least one training batch; found a batch of {needed} "
                f"of {num_samples} samples. Pass a smaller one, or drop_last=False."
            )
        return len(order)

    def state_dict(self) -> dict[str, Any]:
        """Return what tells the data apart from other data."""
        return {"fingerprint": self.splits.fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that a resumed run goes on with the same data.

        Raises:
            ValueError: If not.
        """
        if state_dict["fingerprint"] != self.splits.fingerprint:
            raise ValueError(
                f"The data should be those of the run to resume, fingerprint "
                f"{state_dict['fingerprint'][:12]}; found {self.splits.fingerprint[:12]}. "
                "Restore them, or start a new run."
            )

    def train_dataloader(self) -> BatchLoader | OwnLoader:
        """Return the training batches, shuffled; those of the user's own loader as it has them."""
        splits = self.splits
        if isinstance(splits.train, Batched):
            return OwnLoader(splits.train, self.seed, self._num_processes)
        dataset_at = partial(splits.training_set, seed=self.seed)
        loader = self._loader(dataset_at, self.batch_size, self.seed)
        self.num_training_batches(loader.order.num_processes)
        return loader

    def val_dataloader(self) -> BatchLoader | OwnLoader:
        """Return the validation batches, in order."""
        return self._evaluated(self.splits.validation)

    def test_dataloader(self) -> BatchLoader | OwnLoader:
        """Return the test batches, in order."""
        assert self.splits.test is not None
        return self._evaluated(self.splits.test)

    def _evaluated(self, part: Samples) -> BatchLoader | OwnLoader:
        if isinstance(part, Batched):
            return OwnLoader(part, None, self._num_processes)
        return self._loader(lambda _: part, self.eval_batch_size, None)

    @property
    def _num_processes(self) -> int:
        return 1 if self.trainer is None else self.trainer.world_size

    def _loader(
        self, dataset_at: Callable[[int], Samples], batch_size: int, seed: int | None
    ) -> BatchLoader:
        trainer, num_processes = self.trainer, self._num_processes
        rank, on_cpu = 0, True
        if trainer is not None:
            rank = trainer.global_rank
            on_cpu = trainer.strategy.root_device.type == "cpu"
        order = self._order(len(dataset_at(0)), batch_size, seed, rank, num_processes)
        return BatchLoader(dataset_at, order, num_workers=self.num_workers, pin_memory=not on_cpu)

    def _order(
        self, num_samples: int, batch_size: int, seed: int | None, rank: int, num_processes: int
    ) -> EpochOrder:
        rest = num_samples % (batch_size * num_processes)
        # In training a process without a sample would have no gradient to share.
        drop_last = seed is not None and (self.drop_last or 0 < rest < num_processes)
        return EpochOrder(
            num_samples,
            batch_size,
            seed=seed,
            drop_last=drop_last,
            rank=rank,
            num_processes=num_processes,
        )
