"""Listening to a model while it runs, and answering in place of some of its modules.

One object records in the full pass what the other coalitions need (features, batch statistics)
and what a method asks for (logits of heads), and answers in the other passes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree, map_tensors, versions
from counterpoise.engine.checkpointing import ReentrantCheckpoints
from counterpoise.engine.interception import Interception, Route
from counterpoise.engine.modes import submodule
from counterpoise.engine.statistics import BatchStatistics

Answer = Callable[[int, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""What to return for an encoder's call: (its index, its own forward, args, kwargs) -> output."""


class Taps:
    """Runs the passes of one step of a model.

    Its modules are listened to during each pass, or, within a ``with`` block, all the while.

    Args:
        model: The user's module.
        modalities: Names, in order.
        encoders: Path of each modality's encoder; some or all may be missing.
        heads: Path of each modality's own head, likewise.
        layers: Normalisation layers whose batch statistics are recorded and replayed.
        cloned: Indices of encoders whose output the rest of the model changes in place.
        kind: What messages call the ``encoders``.

    Attributes:
        calls: By encoder, how often it was called in the present pass.
        changed: Encoders whose output was found changed in place.
        logits: By modality, what its head returned in the full pass.
        statistics: What the normalisation layers used in the full pass.
    """

    def __init__(
        self,
        model: nn.Module,
        modalities: Sequence[str],
        encoders: Mapping[str, str],
        *,
        heads: Mapping[str, str] | None = None,
        layers: Sequence[nn.Module] = (),
        cloned: Container[int] = (),
        kind: str = "encoder",
    ) -> None:
        self.model, self.modalities = model, tuple(modalities)
        self.encoders, self.cloned, self.kind = encoders, cloned, kind
        self.calls: dict[int, int] = {}
        self.changed: set[int] = set()
        self.logits: dict[int, Tensor] = {}
        self.statistics = BatchStatistics()
        self._answer: Answer = _compute
        self._shared: dict[int, tuple[PyTree, list[int]]] = {}
        self._hidden = ReentrantCheckpoints()  # which hide the graph of what runs inside
        self._recording = False
        self._layers = layers
        self._encoders: dict[int, nn.Module] = {}
        self._heads: dict[int, nn.Module] = {}
        for i, name in enumerate(self.modalities):
            if name in encoders:
                self._encoders[i] = submodule(model, encoders[name])
            if heads and name in heads:
                self._heads[i] = submodule(model, heads[name])
        self._interception: Interception | None = None

    def __enter__(self) -> None:
        self._interception = self._listening(encoders=True)
        self._interception.__enter__()

    def __exit__(self, *exception: object) -> None:
        assert self._interception is not None
        self._interception.__exit__(*exception)
        self._interception = None

    def full_pass(self, keywords: Mapping[str, Any], answer: Answer | None = None) -> Any:
        """Run the full coalition and record; return the model's output.

        Args:
            keywords: To call the model with.
            answer: Called for each encoder; None where nobody asks what encoders return.

        Raises:
            RuntimeError: If an encoder that somebody asks about is not called exactly once.
        """
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return self._run(keywords, answer, recording=True)
        with self._hidden:
            return self._run(keywords, answer, recording=True)

    def other_pass(self, keywords: Mapping[str, Any], answer: Answer | None = None) -> Any:
        """Run another coalition with the statistics of the full pass; return the output."""
        self.statistics.rewind()
        return self._run(keywords, answer, recording=False)

    def share(self, i: int, output: PyTree) -> PyTree:
        """Return an output that is kept, for the rest of the model to use, in a tree of its own."""
        shared = output
        if i in self.cloned or not isinstance(output, Tensor):
            shared = map_tensors(torch.clone if i in self.cloned else _itself, output)
        self._shared[i] = (shared, versions(shared))
        return shared

    def _listening(self, *, encoders: bool) -> Interception:
        # Made anew each time: routes that were kept would be kept by themselves, and with them all
        # features, until Python looks for garbage.
        routes = [Route(layer, layer, self._layer) for layer in self._layers]
        routes += [Route(head, i, self._head) for i, head in self._heads.items()]
        if encoders:
            routes += [Route(encoder, i, self._encoder) for i, encoder in self._encoders.items()]
        return Interception(routes)

    # -- one pass ------------------------------------------------------------------------------

    def _run(self, keywords: Mapping[str, Any], answer: Answer | None, *, recording: bool) -> Any:
        # Who calls a layer tells its calls apart: encoders are listened to for that too.
        encoders = len(self._layers) > 0 or answer is not None
        self._recording, self._answer = recording, _compute if answer is None else answer
        self.calls = {} if answer is None else dict.fromkeys(self._encoders, 0)
        self._shared = {}
        try:
            if self._interception is not None:
                raw = self.model(**keywords)
            else:
                with self._listening(encoders=encoders):
                    raw = self.model(**keywords)
        finally:
            self._answer = _compute
        for i, count in self.calls.items():
            if count != 1:
                raise RuntimeError(self._miscounted(i))
        self._check_shared()
        return raw

    def _encoder(self, i: int, forward: Any, /, *args: Any, **kwargs: Any) -> Any:
        if i in self.calls:
            self.calls[i] += 1
            if self.calls[i] > 1:
                raise RuntimeError(self._miscounted(i))
            if self._hidden.depth > 0:
                raise RuntimeError(
                    f"The encoder of modality {self.modalities[i]!r} should run where its gradient "
                    "can be seen; found it in an activation checkpoint with use_reentrant=True. "
                    'Pass use_reentrant=False to it, or use coalitions="inputs".'
                )
        outer, self.statistics.scope = self.statistics.scope, i
        try:
            return self._answer(i, forward, args, kwargs)
        finally:
            self.statistics.scope = outer

    def _layer(self, layer: nn.Module, forward: Any, /, *args: Any, **kwargs: Any) -> Any:
        inputs = (*args, *kwargs.values())
        if not self._recording:
            return self.statistics.replay(layer, forward, *inputs)
        if self._hidden.depth > 0:
            raise RuntimeError(
                f"The batch statistics of a {type(layer).__name__} should be seen with their "
                "gradient; found it inside an activation checkpoint with use_reentrant=True. Pass "
                "use_reentrant=False to the checkpoint, or use "
                'coalitions=cp.Coalitions(statistics="running").'
            )
        return self.statistics.record(layer, forward, *inputs)

    def _head(self, i: int, forward: Any, /, *args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        if self._recording and i not in self.logits:
            self.logits[i] = map_tensors(torch.clone, output)  # which may be added to in place
        return output

    def _check_shared(self) -> None:
        for i, (shared, before) in self._shared.items():
            if versions(shared) == before:
                continue
            self.changed.add(i)
            if i not in self.cloned:
                name = self.modalities[i]
                raise RuntimeError(
                    f"The output of the encoder of modality {name!r}, {self.encoders[name]!r}, "
                    "should stay as it was in earlier steps; found it changed in place. Replace "
                    'the in-place operation, or use coalitions="inputs".'
                )

    def _miscounted(self, i: int) -> str:
        name = self.modalities[i]
        shown = "none" if self.calls[i] == 0 else "a second call"
        other = ', or use coalitions="inputs"' if self.kind == "encoder" else ""
        return (
            f"The {self.kind} of modality {name!r}, {self.encoders[name]!r}, should be called "
            f"exactly once in a forward pass of the model; found {shown}. Name a module that is "
            f"called once (by `module(...)`, not by another method){other}."
        )


def _compute(i: int, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return forward(*args, **kwargs)


def _itself(tensor: Tensor) -> Tensor:
    return tensor
