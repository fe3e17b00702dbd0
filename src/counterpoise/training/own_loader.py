"""A loader of the user's own in a run: repeatable, and resumable bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from counterpoise.data.contract import Batch, Batched
from counterpoise.data.drawing import Stream, seed_generators


class OwnLoader:
    """Iterates over the user's loader, and remembers which batch comes next.

    What the loader draws while it makes batches, from the global random generators or from its
    own, is a function of the seed and the epoch, and shifts nothing that the model draws. To go
    on within an epoch, a loader with ``state_dict`` and ``load_state_dict`` is told where it was;
    any other makes the batches again that it had made, which are thrown away.

    Args:
        samples: The batches, and the loader that makes them.
        seed: What is drawn depends on it and on the epoch; None: on nothing, for evaluation.
        num_processes: How many take part, each of which has to have batches of its own.

    Raises:
        ValueError: If there are fewer batches in an epoch than there should be, or several
            processes would all get the same.
    """

    def __init__(self, samples: Batched, seed: int | None = None, num_processes: int = 1) -> None:
        self.samples, self.seed, self.epoch = samples, seed, 0
        self._next = 0
        self._stream: Stream | None = None
        self._loaded: dict[str, Any] | None = None
        if num_processes > 1:
            _check_divided(samples.loader)

    @property
    def sampler(self) -> OwnLoader:
        """Itself, where Lightning looks for something whose epoch to set."""
        return self

    @property
    def batch_sampler(self) -> OwnLoader:
        """Itself, where Lightning looks for shuffling of validation data."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; tell it to loader, sampler and data set that have a ``set_epoch``."""
        self.epoch = epoch
        loader = self.samples.loader
        for part in (loader, *(getattr(loader, name, None) for name in ("sampler", "dataset"))):
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)

    def __len__(self) -> int:
        """Number of batches in a whole epoch, where the loader knows it."""
        if self.samples.num_batches is None:
            raise TypeError("The loader does not know how many batches it has.")
        return self.samples.num_batches

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the epoch that are left, all of them unless state was loaded."""
        loaded, self._loaded = self._loaded, None
        epoch = -1 if self.seed is None else self.epoch
        key = ("loader", self.seed or 0, epoch)
        stream = self._stream = Stream(*key)
        seed_generators(self.samples.loader, *key)
        if getattr(self.samples.loader, "persistent_workers", False):
            self.samples.loader._iterator = None  # its workers would draw on from where they stand
        done = skipped = 0
        if loaded is not None:
            done = loaded["next"]
            if "loader" in loaded:
                self.samples.loader.load_state_dict(loaded["loader"])
            else:
                skipped = done
        with stream.active():
            batches = iter(self.samples)
            for _ in range(skipped):
                next(batches)
        if loaded is not None and "loader" in loaded:
            stream.load_state_dict(loaded["stream"])
        while True:
            with stream.active():
                batch = next(batches, None)
            if batch is None:
                break
            done += 1
            self._next = 0 if done == self.samples.num_batches else done
            yield batch
        if done < (self.samples.num_batches or 0):
            raise ValueError(
                f"The loader should yield {self.samples.num_batches} batches in each epoch; found "
                f"{done} in epoch {self.epoch}. Let it go on, or pass the number that it has as "
                "`num_batches`."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next batch, and the loader's own state if it has one."""
        state: dict[str, Any] = {"next": self._next}
        loader = self.samples.loader
        if self._next and self._stream is not None and hasattr(loader, "load_state_dict"):
            # Its workers may draw as they are asked.
            with self._stream.active():
                state["loader"] = loader.state_dict()
            state["stream"] = self._stream.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration start at the batch that the state names."""
        self._next = state["next"]
        self._loaded = state if state["next"] else None


def _check_divided(loader: Any) -> None:
    """Raise if a loader, as far as one can tell, has the same batches in each process."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return
    parts = (loader.sampler, getattr(loader.batch_sampler, "sampler", None))
    if not any(isinstance(part, cast(type, DistributedSampler)) for part in parts):
        raise ValueError(
            "A loader should give each process samples of its own; found a "
            f"{type(loader.sampler).__name__} in several processes. Pass "
            "sampler=DistributedSampler(dataset) to it, or train on one device."
        )
