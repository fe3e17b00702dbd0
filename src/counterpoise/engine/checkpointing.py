"""Activation checkpoints while coalitions run.

A checkpoint runs part of a model again in the backward pass, when the model is back in the state
of ordinary training: what it would compute anew is not what a coalition had computed. So the
coalitions beside the full one run without checkpoints. In the full pass the older kind
(``use_reentrant=True``) hides the graph of what runs inside it; who would need that graph is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch.utils import checkpoint as torch_checkpoint

from counterpoise.engine.threads import PROCESS_WIDE

_GENERATOR = "_checkpoint_without_reentrant_generator"
_generator = getattr(torch_checkpoint, _GENERATOR)


class _Swapped:
    """Replaces names of PyTorch's checkpoint module for a while."""

    def __init__(self, **replacements: Any) -> None:
        self._replacements = replacements
        self._kept: dict[str, Any] = {}

    def __enter__(self) -> None:
        PROCESS_WIDE.acquire()
        for name, replacement in self._replacements.items():
            self._kept[name] = getattr(torch_checkpoint, name)
            setattr(torch_checkpoint, name, replacement)

    def __exit__(self, *exception: object) -> None:
        for name, kept in self._kept.items():
            setattr(torch_checkpoint, name, kept)
        PROCESS_WIDE.release()


class _PlainCall:
    @staticmethod
    def apply(function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        return function(*args)


def _plain_generator(*args: Any, **kwargs: Any) -> Iterator[None]:
    yield  # what a checkpoint does before it calls the function; after it, nothing


NoCheckpoints = partial(_Swapped, CheckpointFunction=_PlainCall, **{_GENERATOR: _plain_generator})
"""Makes ``torch.utils.checkpoint.checkpoint`` an ordinary call for a while."""


class ReentrantCheckpoints:
    """Notes, for a while, whether the model is inside a checkpoint that hides its graph.

    Attributes:
        depth: How many such checkpoints the model is in.
    """

    depth = 0

    def __enter__(self) -> ReentrantCheckpoints:
        PROCESS_WIDE.acquire()
        self._real = torch_checkpoint.CheckpointFunction
        torch_checkpoint.CheckpointFunction = self  # type: ignore[assignment, misc]
        return self

    def __exit__(self, *exception: object) -> None:
        torch_checkpoint.CheckpointFunction = self._real  # type: ignore[misc]
        PROCESS_WIDE.release()

    def apply(self, *args: Any) -> Any:
        """Run a checkpoint as PyTorch does."""
        self.depth += 1
        try:
            return self._real.apply(*args)  # type: ignore[no-untyped-call]
        finally:
            self.depth -= 1


def checkpointed(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of ours in a checkpoint, also where those of the model are off.

    What it computes is forgotten, and computed anew when its gradient is asked for.
    """
    with _Swapped(**{_GENERATOR: _generator}):
        return torch_checkpoint.checkpoint(
            function, *args, use_reentrant=False, preserve_rng_state=False
        )
