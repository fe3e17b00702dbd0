"""Makes repeatable what code outside this package draws from the global random generators.

Readers of samples that one finds, and loaders that shuffle, draw from the global generators of
PyTorch, NumPy and Python. Here they get a stream of their own, so that what they draw depends on
nothing but a key, and shifts nothing that anybody else draws.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import torch


class Stream:
    """States of the three global generators, which code may draw from in place of the present ones.

    Args:
        key: What the numbers depend on: the same key, the same numbers.

    Example:
        >>> stream = Stream("audio", 3)
        >>> with stream.active():
        ...     first = torch.rand(2)
        >>> with Stream("audio", 3).active():
        ...     bool(torch.equal(torch.rand(2), first))
        True
    """

    def __init__(self, *key: str | int) -> None:
        self._seed: int | None = _seed_of(key)
        self._states: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands, as plain numbers and tensors."""
        if self._seed is not None:
            return {"seed": self._seed}
        version, numbers, gauss = self._states["python"]
        state = {"python": [version, list(numbers), gauss], "torch": self._states["torch"]}
        if self._states["numpy"] is not None:
            kind, keys, *rest = self._states["numpy"]
            state["numpy"] = [kind, torch.from_numpy(keys.astype("int64")), *rest]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another stream stood."""
        self._seed = state.get("seed")
        if self._seed is not None:
            return
        version, numbers, gauss = state["python"]
        self._states = {"python": (version, tuple(numbers), gauss), "torch": state["torch"]}
        self._states["numpy"] = None
        if "numpy" in state:
            kind, keys, *rest = state["numpy"]
            self._states["numpy"] = (kind, keys.numpy().astype("uint32"), *rest)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let the global generators draw from this stream for a while, from where it stands."""
        before = _states()
        if self._seed is None:
            _restore(self._states)
        else:
            _seed(self._seed)
            self._seed = None
        try:
            yield
        finally:
            self._states = _states()
            _restore(before)


@contextmanager
def drawing(*key: str | int) -> Iterator[None]:
    """Seed the global generators by a key for a while; their states are restored after it.

    Example:
        >>> state = random.getstate()
        >>> with drawing(7, 2):
        ...     _ = random.random()
        >>> random.getstate() == state
        True
    """
    with Stream(*key).active():
        yield


def seed_own(part: Any, *key: str | int) -> None:
    """Seed the generators that an object has as attributes: PyTorch's, NumPy's or Python's.

    Example:
        >>> class Reader:
        ...     def __init__(self):
        ...         self.chance = random.Random()
        >>> reader = Reader()
        >>> seed_own(reader, "sample", 3)
        >>> first = reader.chance.random()
        >>> seed_own(reader, "sample", 3)
        >>> reader.chance.random() == first
        True
    """
    numpy = _numpy()
    for value in (getattr(part, "generator", None), *getattr(part, "__dict__", {}).values()):
        if isinstance(value, torch.Generator):
            value.manual_seed(_seed_of(key))
        elif isinstance(value, random.Random):
            value.seed(_seed_of(key))
        elif numpy is not None and isinstance(value, numpy.random.Generator):
            bits = value.bit_generator
            bits.state = type(bits)(_seed_of(key)).state
        elif numpy is not None and isinstance(value, numpy.random.RandomState):
            value.seed(_seed_of(key))


def seed_generators(loader: Any, *key: str | int) -> None:
    """Seed the generators that a loader has, its samples or what orders them.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> loader = DataLoader(range(7), shuffle=True, generator=torch.Generator())
        >>> orders = []
        >>> for _ in range(2):
        ...     seed_generators(loader, "train", 0)
        ...     orders.append([int(x) for x in loader])
        >>> orders[0] == orders[1]
        True
    """
    batch_sampler = getattr(loader, "batch_sampler", None)
    inner = getattr(batch_sampler, "sampler", None)
    outer, dataset = (getattr(loader, name, None) for name in ("sampler", "dataset"))
    for part in (loader, outer, batch_sampler, inner, dataset):
        seed_own(part, *key)


def _seed_of(key: tuple[str | int, ...]) -> int:
    digest = sha256("\0".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _numpy() -> Any:
    # Not imported: nobody can draw from it. PyTorch imports it where it is installed.
    return sys.modules.get("numpy")


def _seed(seed: int) -> None:
    random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if _numpy() is not None:
        _numpy().random.seed(seed)


def _states() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "torch": torch.default_generator.get_state(),
        "numpy": None if _numpy() is None else _numpy().random.get_state(),
    }


def _restore(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    torch.default_generator.set_state(states["torch"])
    if _numpy() is not None and states["numpy"] is not None:
        _numpy().random.set_state(states["numpy"])
