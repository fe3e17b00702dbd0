"""Running a model while the calls of its encoders are answered by somebody else.

What is checked of every pass stands here: that each encoder is called once, and that what the rest
of the model is given, and others still need, is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree, map_tensors, versions
from counterpoise.engine.replay import Answer, Interception, resolve

__all__ = ["Passes"]


@dataclass
class Passes:
    """Runs one model pass after another on a batch.

    Args:
        model: The user's module.
        modalities: Names, in order.
        encoders: Path of each modality's encoder in the model.
        select: From the model's output to its logits.
        cloned: Indices of encoders whose output the rest of the model changes in place.

    Attributes:
        changed: Encoders whose output was found changed in place.
        calls: By encoder, how often it was called in the present pass.
        handed: By encoder, what the rest was given in the present pass, with its versions.
    """

    model: nn.Module
    modalities: tuple[str, ...]
    encoders: Mapping[str, str]
    select: Callable[[Any], Tensor]
    cloned: frozenset[int]
    changed: set[int] = field(default_factory=set)
    calls: dict[int, int] = field(default_factory=dict)
    handed: dict[int, tuple[PyTree, list[int]]] = field(default_factory=dict)

    def plain(self, keywords: Mapping[str, Any]) -> tuple[Any, Tensor]:
        """Run the model as it is; return its output and logits."""
        raw = self.model(**keywords)
        return raw, self.select(raw)

    def answered(self, keywords: Mapping[str, Any], answer: Answer) -> tuple[Any, Tensor]:
        """Run the model with its encoders' calls answered; return its output and logits.

        Raises:
            RuntimeError: If an encoder is not called exactly once, or what :meth:`hand` returned
                without cloning it is changed in place.
        """
        encoders = resolve(self.model, self.encoders, self.modalities)
        self.calls = dict.fromkeys((i for i, e in enumerate(encoders) if e is not None), 0)
        self.handed = {}

        def counted(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
            self.calls[i] += 1
            if self.calls[i] > 1:
                raise RuntimeError(self._miscounted(i))
            return answer(i, forward, args, kwargs)

        with Interception(encoders, counted):
            raw = self.model(**keywords)
        for i, count in self.calls.items():
            if count != 1:
                raise RuntimeError(self._miscounted(i))
        self._check_handed()
        return raw, self.select(raw)

    def hand(self, i: int, output: PyTree) -> PyTree:
        """Return an output that is kept, for the rest of the model to use, in a nest of its own."""
        handed = map_tensors(torch.clone if i in self.cloned else _itself, output)
        self.handed[i] = (handed, versions(handed))
        return handed

    def _check_handed(self) -> None:
        for i, (handed, before) in self.handed.items():
            if versions(handed) == before:
                continue
            self.changed.add(i)
            if i not in self.cloned:
                name = self.modalities[i]
                raise RuntimeError(
                    f"The output of `encoders[{name!r}]` = {self.encoders[name]!r} should "
                    "stay as it was in earlier steps; found it changed in place. Replace the "
                    'in-place operation, or use coalitions="inputs".'
                )

    def _miscounted(self, i: int) -> str:
        name = self.modalities[i]
        found = "none" if self.calls[i] == 0 else "a second call"
        return (
            f"`encoders[{name!r}]` = {self.encoders[name]!r} should be called exactly once "
            f"in a forward pass of the model; found {found}. Name a module that is called once "
            '(by `module(...)`, not by another method), or use coalitions="inputs".'
        )


def _itself(tensor: Tensor) -> Tensor:
    return tensor
